"""Reductions over axes, and along one."""

from __future__ import annotations

from typing import Any

import helix

from ..._core import Tensor
from ..table import op
from .common import arange, axes_of, axis_of, ints


def _log_sum_exp(x: Tensor, axes: list[int], keepdim: bool) -> Tensor:
    return helix.logsumexp(x, axes, keepdim).to(x.dtype) if axes else x


def _extreme(function: Any, empty: Any) -> Any:
    def compute(x: Tensor, axes: list[int], keepdim: bool) -> Tensor:
        if x.numel() == 0:
            shape = [1 if i in axes else size for i, size in enumerate(x.shape)]
            if not keepdim:
                shape = [size for i, size in enumerate(x.shape) if i not in axes]
            return helix.full(shape, empty(x.dtype), dtype=x.dtype, device=x.device)
        if x.dtype == helix.bool:
            return compute(x.to(helix.uint8), axes, keepdim).to(helix.bool)
        return function(x, axes, keepdim)

    return compute


def lowest(dtype: Any) -> Any:
    if dtype.is_floating_point:
        return float("-inf")
    return False if dtype == helix.bool else helix.iinfo(dtype).min


def highest(dtype: Any) -> Any:
    if dtype.is_floating_point:
        return float("inf")
    return True if dtype == helix.bool else helix.iinfo(dtype).max


def _product(x: Tensor, axes: list[int], keepdim: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keepdim=keepdim, dtype=x.dtype)
    return x


def _sum(x: Tensor, axes: list[int], keepdim: bool) -> Tensor:
    return x.sum(axes, keepdim=keepdim, dtype=x.dtype)


def _mean(x: Tensor, axes: list[int], keepdim: bool) -> Tensor:
    if x.dtype.is_floating_point:
        return x.mean(axes, keepdim=keepdim)
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    return helix.div(_sum(x, axes, keepdim), count, rounding_mode="trunc").to(x.dtype)


def _root(x: Tensor, like: Tensor) -> Tensor:
    return x.sqrt().to(like.dtype)


_REDUCE = {
    "ReduceSum": _sum,
    "ReduceMean": _mean,
    "ReduceProd": _product,
    "ReduceMax": _extreme(helix.amax, lowest),
    "ReduceMin": _extreme(helix.amin, highest),
    "ReduceL1": lambda x, axes, keepdim: _sum(x.abs(), axes, keepdim),
    "ReduceL2": lambda x, axes, keepdim: _root(_sum(x * x, axes, keepdim), x),
    "ReduceSumSquare": lambda x, axes, keepdim: _sum(x * x, axes, keepdim),
    "ReduceLogSum": lambda x, axes, keepdim: _sum(x, axes, keepdim).log().to(x.dtype),
    "ReduceLogSumExp": _log_sum_exp,
}


def _by_attribute(function: Any) -> Any:
    def compute(x: Tensor, *, axes: list[int] | None = None, keepdims: int = 1) -> Tensor:
        return function(x, axes_of(axes or list(range(x.ndim)), x.ndim), bool(keepdims))

    return compute


def _by_input(function: Any) -> Any:
    def compute(x: Tensor, axes: Tensor | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Tensor:
        wanted = [] if axes is None else ints(axes)
        if (
            not wanted and noop_with_empty_axes
        ):  # reduced along an axis of one element, so that squares and logarithms are taken
            return function(x.unsqueeze(0), [0], False)
        return function(x, axes_of(wanted or list(range(x.ndim)), x.ndim), bool(keepdims))

    return compute


for _name, _function in _REDUCE.items():
    op(_name)(_by_attribute(_function))
    op(_name, since=13 if _name == "ReduceSum" else 18, static=(1,))(_by_input(_function))


@op("ArgMax")
def argmax(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    return _arg(helix.argmax, x, axis, bool(keepdims), bool(select_last_index))


@op("ArgMin")
def argmin(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    return _arg(helix.argmin, x, axis, bool(keepdims), bool(select_last_index))


def _arg(function: Any, x: Tensor, axis: int, keepdim: bool, last: bool) -> Tensor:
    if not last:
        return function(x, axis, keepdim)
    return x.shape[axis] - 1 - function(x.flip(axis), axis, keepdim)


@op("TopK")
def top_k_1(x: Tensor, *, k: int, axis: int = -1) -> tuple[Tensor, Tensor]:
    return _top(x, k, axis, True)


@op("TopK", since=10, static=(1,))
def top_k(x: Tensor, k: Tensor, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Tensor, Tensor]:
    (count,) = ints(k)
    return _top(x, count, axis, bool(largest))


def _top(x: Tensor, count: int, axis: int, largest: bool) -> tuple[Tensor, Tensor]:
    """Of equal elements the first come first."""
    values, index = x.sort(axis, descending=largest, stable=True)
    return values.narrow(axis, 0, count), index.narrow(axis, 0, count)


def _cumulative(function: Any, neutral: int) -> Any:
    def compute(x: Tensor, axis: Tensor, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
        (dim,) = ints(axis)
        dim = axis_of(dim, x.ndim)
        x = x.flip(dim) if reverse else x
        made = function(x, dim, dtype=x.dtype)
        if exclusive and x.shape[dim]:
            first = helix.full_like(x.narrow(dim, 0, 1), neutral)
            made = helix.cat([first, made.narrow(dim, 0, x.shape[dim] - 1)], dim)
        return made.flip(dim) if reverse else made

    return compute


op("CumSum", static=(1,))(_cumulative(helix.cumsum, 0))
op("CumProd", static=(1,))(_cumulative(helix.cumprod, 1))


@op("ReverseSequence")
def reverse_sequence(x: Tensor, lengths: Tensor, *, batch_axis: int = 1, time_axis: int = 0) -> Tensor:
    x = x.movedim((batch_axis, time_axis), (0, 1))
    steps = arange(0, x.shape[1], x).unsqueeze(0)
    ends = lengths.unsqueeze(1)
    index = helix.where(steps < ends, ends - 1 - steps, steps)
    index = index.reshape((*index.shape, *[1] * (x.ndim - 2))).expand(x.shape)
    return x.gather(1, index).movedim((0, 1), (batch_axis, time_axis))
