"""Convolutions."""

from __future__ import annotations

from math import prod
from typing import Any

import helix
import helix.nn.functional as F

from ..._core import Tensor
from ..table import op
from .common import along

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def pads_for(auto_pad: str, size: list[int], kernel: list[int], strides: list[int], dilations: list[int], pads: list[int] | None) -> list[int]:  # fmt: skip
    """Pads in front of each spatial axis, then behind each."""
    n = len(size)
    if auto_pad in ("", "NOTSET"):
        made = pads or [0] * 2 * n
        if len(made) != 2 * n:
            raise ValueError(f"{len(made)} pads for {n} spatial axes")
        return list(made)
    if auto_pad == "VALID":
        return [0] * 2 * n
    front, behind = [], []
    for i in range(n):
        reach = dilations[i] * (kernel[i] - 1) + 1
        more = max(0, (-(-size[i] // strides[i]) - 1) * strides[i] + reach - size[i])
        small = more // 2
        front.append(small if auto_pad == "SAME_UPPER" else more - small)
        behind.append(more - front[-1])
    return front + behind


def required(call: Any, x: Tensor, pads: list[int], channels: int) -> None:
    n = x.ndim - 2
    if len(pads) != 2 * n or min(pads, default=0) < 0:
        raise ValueError(f"pads {pads[:20]} for {n} spatial axes")
    padded = prod(x.shape[i + 2] + pads[i] + pads[i + n] for i in range(n))
    call.require(x.shape[0] * padded * max(channels, x.shape[1]))


def convolve(
    call: Any,
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    auto_pad: str,
    dilations: Any,
    group: int,
    pads: Any,
    strides: Any,
) -> Tensor:
    n = x.ndim - 2
    if n not in _CONV:
        raise ValueError(f"{n} spatial axes")
    dilations, strides = dilations or [1] * n, strides or [1] * n
    kernel = list(w.shape[2:])
    pads = pads_for(auto_pad, list(x.shape[2:]), kernel, strides, dilations, pads)
    required(call, x, pads, w.shape[0])
    if pads[:n] == pads[n:]:
        return _CONV[n](x, w, b, stride=strides, padding=pads[:n], dilation=dilations, groups=group)
    order = [pads[i + side * n] for i in reversed(range(n)) for side in (0, 1)]
    return _CONV[n](F.pad(x, order), w, b, stride=strides, dilation=dilations, groups=group)


@op("Conv")
def conv(
    call: Any,
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    if kernel_shape is not None and list(w.shape[2:]) != list(kernel_shape):
        raise ValueError(f"kernel_shape {kernel_shape} is not that of the weight, {w.shape}")
    return convolve(call, x, w, b, auto_pad, dilations, group, pads, strides)


@op("CausalConvWithState")
def causal_conv_with_state(
    x: Tensor, w: Tensor, b: Tensor | None = None, past: Tensor | None = None, *, activation: str = "none"
) -> tuple[Tensor, Tensor]:
    taps = w.shape[2]
    padded = F.pad(x, (taps - 1, 0)) if past is None else helix.cat([past, x], 2)
    made = F.conv1d(padded, w, b, groups=x.shape[1])
    made = made * helix.sigmoid(made) if activation in ("silu", "swish") else made
    return made, padded.narrow(2, padded.shape[2] - (taps - 1), taps - 1)


@op("ConvInteger")
def conv_integer(
    call: Any,
    x: Tensor,
    w: Tensor,
    x_zero: Tensor | None = None,
    w_zero: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    return integer_conv(call, x, w, x_zero, w_zero, auto_pad, dilations, group, pads, strides).to(helix.int32)


def integer_conv(
    call: Any, x: Tensor, w: Tensor, x_zero: Tensor | None, w_zero: Tensor | None, auto_pad: str, dilations: Any, group: int,
    pads: Any, strides: Any,
) -> Tensor:  # fmt: skip
    """The exact sums, as float64: they are below 2^53."""
    a = x.to(helix.float64) if x_zero is None else x.to(helix.float64) - x_zero.to(helix.float64).reshape(())
    b = w.to(helix.float64)
    if w_zero is not None:
        zero = w_zero.to(helix.float64)
        b = b - (zero.reshape(()) if zero.numel() == 1 else along(zero, 0, b.ndim))
    return convolve(call, a, b, None, auto_pad, dilations, group, pads, strides)


@op("ConvTranspose")
def conv_transpose(
    call: Any,
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    output_padding: list[int] | None = None,
    output_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    n = x.ndim - 2
    if n not in _TRANSPOSED:
        raise ValueError(f"{n} spatial axes")
    dilations, strides, extra = dilations or [1] * n, strides or [1] * n, output_padding or [0] * n
    reach = [dilations[i] * (w.shape[i + 2] - 1) + 1 for i in range(n)]
    whole = [strides[i] * (x.shape[i + 2] - 1) + reach[i] + extra[i] for i in range(n)]
    wanted = list(output_shape)[-n:] if output_shape else None
    if wanted is None and auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [x.shape[i + 2] * strides[i] for i in range(n)]
    if wanted is not None:
        pads = [0] * 2 * n
        for i in range(n):
            more = whole[i] - wanted[i]
            pads[i] = more // 2 if auto_pad == "SAME_UPPER" else more - more // 2
            pads[i + n] = more - pads[i]
    pads = list(pads or [0] * 2 * n)
    call.require(
        x.shape[0]
        * w.shape[1]
        * group
        * prod(max(0, whole[i] - min(0, pads[i]) - min(0, pads[i + n])) for i in range(n))
    )
    made = _TRANSPOSED[n](x, w, None, stride=strides, groups=group, dilation=dilations)
    for i in range(n):
        made = _cut(made, 2 + i, pads[i], whole[i] - pads[i] - pads[i + n])
    return made if b is None else made + along(b, 1, x.ndim)


def _cut(x: Tensor, axis: int, start: int, length: int) -> Tensor:
    """`length` of an axis from `start` on; zeros where it has none."""
    if length < 0:
        raise ValueError("pads take away more than there is")
    size = x.shape[axis]
    begin, stop = max(0, start), min(size, start + length)
    made = x.narrow(axis, begin, max(0, stop - begin))
    front, behind = max(0, -start), length - max(0, -start) - max(0, stop - begin)
    if front or behind:
        made = F.pad(made, [0, 0] * (x.ndim - 1 - axis) + [front, behind])
    return made


@op("DeformConv")
def deform_conv(
    call: Any,
    x: Tensor,
    w: Tensor,
    offset: Tensor,
    b: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    offset_group: int = 1,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """Each tap of the kernel reads where its offset points, between the elements; source: Dai et al., "Deformable convolutional
    networks" (2017)."""
    n, channels, height, width = x.shape
    kh, kw = w.shape[2:]
    (dh, dw), (sh, sw) = dilations or [1, 1], strides or [1, 1]
    top, left = (pads or [0] * 4)[:2]
    oh, ow = offset.shape[2:]
    call.require(n * channels * kh * kw * oh * ow)
    taps = kh * kw
    moved = offset.reshape((n * offset_group, taps, 2, oh, ow))
    rows = helix.arange(kh, dtype=x.dtype, device=x.device).repeat_interleave(kw).reshape((taps, 1, 1)) * dh - top
    columns = helix.arange(kw, dtype=x.dtype, device=x.device).repeat(kh).reshape((taps, 1, 1)) * dw - left
    y = moved.select(2, 0) + rows + (helix.arange(oh, dtype=x.dtype, device=x.device) * sh).reshape((oh, 1))
    z = moved.select(2, 1) + columns + helix.arange(ow, dtype=x.dtype, device=x.device) * sw
    grid = helix.stack([(2 * z + 1) / width - 1, (2 * y + 1) / height - 1], -1).reshape(
        (n * offset_group, taps, oh * ow, 2)
    )
    read = F.grid_sample(x.reshape((n * offset_group, -1, height, width)), grid, align_corners=False)
    if mask is not None:
        read = read * mask.reshape((n * offset_group, 1, taps, oh * ow))
    read = read.reshape((n, group, (channels // group) * taps, oh * ow))
    made = (w.reshape((1, group, w.shape[0] // group, -1)) @ read).reshape((n, w.shape[0], oh, ow))
    return made if b is None else made + along(b, 1, 4)
