"""Normalisations."""

from __future__ import annotations

from typing import Any

import helix
import helix.nn.functional as F

from ..._core import Tensor
from ..table import op
from .common import along, axis_of, spread


def _scaled(x: Tensor, mean: Tensor, var: Tensor, scale: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    n = x.ndim
    factor = scale / (var + epsilon).sqrt()
    return (x - along(mean, 1, n)) * along(factor, 1, n) + along(bias, 1, n) if n > 1 else (x - mean) * factor + bias


@op("BatchNormalization")
def batch_norm_1(
    call: Any,
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    *,
    epsilon: float = 1e-5,
    **ignored: Any,
) -> Tensor:
    if x.dtype == scale.dtype == mean.dtype and x.ndim > 1:
        return F.batch_norm(x, mean, var, scale, bias, False, 0.0, epsilon)
    return _scaled(x, mean, var, scale, bias, epsilon).to(x.dtype)


@op("BatchNormalization", since=14)
def batch_norm(
    call: Any,
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> Any:
    if not training_mode:
        return batch_norm_1(call, x, scale, bias, mean, var, epsilon=epsilon)
    axes = [i for i in range(x.ndim) if i != 1]
    now_mean, now_var = x.mean(axes), x.var(axes, correction=0)
    made = _scaled(x, now_mean, now_var, scale, bias, epsilon)
    running = [old * momentum + new * (1 - momentum) for old, new in ((mean, now_mean), (var, now_var))]
    return (made.to(x.dtype), *running)[: call.outputs]


@op("InstanceNormalization")
def instance_norm(call: Any, x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    spread(call, x, along(scale, 1, x.ndim), along(bias, 1, x.ndim))
    axes = list(range(2, x.ndim))
    mean = x.mean(axes, keepdim=True)
    var = x.var(axes, correction=0, keepdim=True)
    return (x - mean) / (var + epsilon).sqrt() * along(scale, 1, x.ndim) + along(bias, 1, x.ndim)


@op("LayerNormalization")
def layer_norm(
    call: Any,
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Any:
    axis = axis_of(axis, x.ndim)
    shape = x.shape[axis:]
    if call.outputs == 1 and scale.shape == shape and (bias is None or bias.shape == shape):
        return F.layer_norm(x, shape, scale, bias, epsilon)
    spread(call, x, scale)
    axes = list(range(axis, x.ndim))
    wide = x.to(helix.float32) if stash_type == 1 and x.dtype.itemsize < 4 else x
    mean = wide.mean(axes, keepdim=True)
    inverse = (wide.var(axes, correction=0, keepdim=True) + epsilon).rsqrt()
    made = ((wide - mean) * inverse).to(x.dtype) * scale
    return (made if bias is None else made + bias, mean, inverse)[: call.outputs]


@op("RMSNormalization")
def rms_norm(
    call: Any, x: Tensor, scale: Tensor, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    axis = axis_of(axis, x.ndim)
    if scale.shape == x.shape[axis:] and x.dtype == scale.dtype:
        return F.rms_norm(x, x.shape[axis:], scale, epsilon)
    spread(call, x, scale)
    wide = x.to(helix.float32) if stash_type == 1 and x.dtype.itemsize < 4 else x
    made = wide * ((wide * wide).mean(list(range(axis, x.ndim)), keepdim=True) + epsilon).rsqrt()
    return made.to(x.dtype) * scale


@op("GroupNormalization", since=21)
def group_norm(
    x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    return F.group_norm(x, num_groups, scale, bias, epsilon)


@op("LpNormalization")
def lp_norm(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    size = x.abs().sum(axis, keepdim=True) if p == 1 else (x * x).sum(axis, keepdim=True).sqrt()
    return helix.where(size == 0, x * 0, x / helix.where(size == 0, size + 1, size))


@op("LRN")
def lrn(call: Any, x: Tensor, *, alpha: float = 0.0001, beta: float = 0.75, bias: float = 1.0, size: int) -> Tensor:
    if not 0 < size < 1 << 16:
        raise ValueError(f"size {size}")
    low = (size - 1) // 2
    squares = F.pad((x * x).movedim(1, -1), (low, size - 1 - low))
    total = squares.unfold(-1, size, 1).sum(-1).movedim(-1, 1)
    return x / (bias + alpha / size * total) ** beta
