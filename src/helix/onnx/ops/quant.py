"""Integers that stand for real numbers: scale · (q - zero point)."""

from __future__ import annotations

from typing import Any

import helix

from ..._core import Tensor
from ..table import op
from ..types import dtype_of
from .common import along, axis_of
from .conv import integer_conv
from .product import guarded_matmul


def _spread(part: Tensor, x: Tensor, axis: int, block: int) -> Tensor:
    """A scale or zero point, for each element, each slice or each block of x."""
    if part.numel() == 1 and part.ndim <= 1:
        return part.reshape(())
    axis = axis_of(axis, x.ndim)
    if part.ndim == 1 and not block:
        if part.shape[0] != x.shape[axis]:
            raise ValueError(f"{part.shape[0]} scales or zero points for the {x.shape[axis]} slices of axis {axis}")
        return along(part, axis, x.ndim)
    size = min(block or x.shape[axis], x.shape[axis])
    if part.ndim != x.ndim or any(
        n != (-(-m // max(1, size)) if i == axis else m)
        for i, (n, m) in enumerate(zip(part.shape, x.shape, strict=True))
    ):
        raise ValueError(f"scales or zero points of shape {part.shape} for blocks of {block} in shape {x.shape}")
    return part.repeat_interleave(size, axis).narrow(axis, 0, x.shape[axis])


def _wide(dtype: Any) -> Any:
    return helix.float32 if dtype.itemsize < 4 else dtype


@op("QuantizeLinear")
def quantize_linear(
    x: Tensor,
    scale: Tensor,
    zero: Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Tensor:
    dtype = zero.dtype if zero is not None else dtype_of(output_dtype) if output_dtype else helix.uint8
    kind = dtype_of(precision) if precision else x.dtype if x.dtype.is_floating_point else _wide(scale.dtype)
    made = (x.to(kind) / _spread(scale.to(kind), x, axis, block_size)).round().to(helix.float64)
    return _stored(made, None if zero is None else _spread(zero.to(helix.float64), x, axis, block_size), dtype)


def _stored(x: Tensor, zero: Tensor | None, dtype: Any) -> Tensor:
    info = helix.iinfo(dtype)
    return (x if zero is None else x + zero).clamp(info.min, info.max).to(dtype)


@op("DequantizeLinear")
def dequantize_linear(
    x: Tensor, scale: Tensor, zero: Tensor | None = None, *, axis: int = 1, block_size: int = 0, output_dtype: int = 0
) -> Tensor:
    made = x.to(helix.float32)
    if zero is not None:
        made = made - _spread(zero.to(helix.float32), x, axis, block_size)
    made = made * _spread(scale.to(helix.float32), x, axis, block_size)
    return made.to(dtype_of(output_dtype) if output_dtype else scale.dtype)


@op("DynamicQuantizeLinear")
def dynamic_quantize_linear(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    low, high = x.amin().clamp_max(0), x.amax().clamp_min(0)
    scale = (high - low) / 255
    scale = helix.where(scale == 0, scale + 1, scale)
    zero = (-low / scale).clamp(0, 255).round()
    return ((x / scale).round() + zero).clamp(0, 255).to(helix.uint8), scale, zero.to(helix.uint8)


def _by_rows(part: Tensor, x: Tensor) -> Tensor:
    """A scale or zero point of each row of a left operand."""
    return part.unsqueeze(-1) if part.ndim == 1 and part.shape[0] > 1 and part.shape[0] == x.shape[-2] else part


@op("MatMulInteger")
def matmul_integer(
    call: Any, a: Tensor, b: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None
) -> Tensor:
    left = a.to(helix.float64) if a_zero is None else a.to(helix.float64) - _by_rows(a_zero.to(helix.float64), a)
    right = b.to(helix.float64) if b_zero is None else b.to(helix.float64) - b_zero.to(helix.float64)
    return guarded_matmul(call, left, right).to(helix.int32)


@op("QLinearMatMul")
def qlinear_matmul(
    call: Any,
    a: Tensor,
    a_scale: Tensor,
    a_zero: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero: Tensor,
    scale: Tensor,
    zero: Tensor,
) -> Tensor:
    wide = helix.float64
    left, right = a.to(wide) - _by_rows(a_zero.to(wide), a), b.to(wide) - b_zero.to(wide)
    factor = _by_rows(a_scale.to(wide), a) * b_scale.to(wide) / _by_rows(scale.to(wide), a)
    return _stored((guarded_matmul(call, left, right) * factor).round(), zero.to(wide), zero.dtype)


@op("QLinearConv")
def qlinear_conv(
    call: Any,
    x: Tensor,
    x_scale: Tensor,
    x_zero: Tensor,
    w: Tensor,
    w_scale: Tensor,
    w_zero: Tensor,
    scale: Tensor,
    zero: Tensor,
    bias: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    made = integer_conv(call, x, w, x_zero, w_zero, auto_pad, dilations, group, pads, strides)
    if bias is not None:
        made = made + along(bias.to(helix.float64), 1, x.ndim)
    each = w_scale.to(helix.float64)
    each = each.reshape(()) if each.numel() == 1 else along(each, 1, x.ndim)
    factor = x_scale.to(helix.float64).reshape(()) * each / scale.to(helix.float64).reshape(())
    return _stored((made * factor).round(), zero.to(helix.float64).reshape(()), zero.dtype)
