"""Operators that read or write where indices say."""

from __future__ import annotations

from typing import Any

import helix

from ..._core import Tensor
from ..table import op
from .common import arange, axis_of, flat, ints

NOWHERE = 1 << 62  # a place that no tensor has


def _inside(index: Tensor, size: int) -> Tensor:
    return helix.where(index < 0, index + size, index).to(helix.int64)


@op("Gather")
def gather(call: Any, x: Tensor, index: Tensor, *, axis: int = 0) -> Tensor:
    axis = axis_of(axis, x.ndim)
    call.require(x.numel() // max(1, x.shape[axis]) * index.numel())
    made = x.index_select(axis, index.reshape((-1,)).to(helix.int64))
    return made.reshape((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))


@op("GatherElements")
def gather_elements(x: Tensor, index: Tensor, *, axis: int = 0) -> Tensor:
    axis = axis_of(axis, x.ndim)
    return x.gather(axis, index.to(helix.int64))


def _rows(index: Tensor, shape: tuple[int, ...], batch: int, like: Tensor) -> Tensor:
    """Where the tuples of indices point, as positions in the flattened axes that they name, batches counted through."""
    depth = index.shape[-1]
    at = helix.zeros(index.shape[:-1], dtype=helix.int64, device=like.device)
    for i in range(batch):
        step = arange(0, shape[i], like).reshape([-1 if k == i else 1 for k in range(index.ndim - 1)])
        at = at * shape[i] + step
    outside = None
    for i in range(depth):
        part, size = index.select(-1, i), shape[batch + i]
        at = at * size + _inside(part, size)
        if helix._core.tracing():  # values are not known yet: what reads or writes there refuses
            off = (part < -size) | (part >= size)
            outside = off if outside is None else outside | off
    return at if outside is None else at.masked_fill(outside, NOWHERE)


def _require_inside(index: Tensor, shape: tuple[int, ...], batch: int) -> None:
    if index.ndim == 0 or index.shape[-1] + batch > len(shape):
        raise ValueError(f"indices of shape {index.shape} are too deep for {shape}")
    if helix._core.tracing() or not index.numel():
        return
    for i in range(index.shape[-1]):
        part, size = index.select(-1, i), shape[batch + i]
        if part.min().item() < -size or part.max().item() >= size:
            raise ValueError(f"an index is outside of axis {batch + i}, which has {size}")


@op("GatherND")
def gather_nd(call: Any, x: Tensor, index: Tensor, *, batch_dims: int = 0) -> Tensor:
    _require_inside(index, x.shape, batch_dims)
    named = batch_dims + index.shape[-1]
    rest = x.shape[named:]
    at = _rows(index, x.shape, batch_dims, x)
    flat_x = x.reshape((-1, *rest)) if x.numel() else x.reshape((_count(x.shape[:named]), *rest))
    call.require(_count(at.shape) * _count(rest))
    return flat_x.index_select(0, at.reshape((-1,))).reshape((*at.shape, *rest))


def _count(shape: Any) -> int:
    made = 1
    for size in shape:
        made *= size
    return made


_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@op("Scatter", "ScatterElements")
def scatter_elements(x: Tensor, index: Tensor, updates: Tensor, *, axis: int = 0, reduction: str = "none") -> Tensor:
    axis = axis_of(axis, x.ndim)
    index = index.to(helix.int64)
    if reduction == "none":
        return x.scatter(axis, index, updates)
    return x.scatter_reduce(axis, index, updates, _REDUCTIONS[reduction])


@op("ScatterND")
def scatter_nd(x: Tensor, index: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    _require_inside(index, x.shape, 0)
    depth = index.shape[-1]
    rest = x.shape[depth:]
    if tuple(updates.shape) != (*index.shape[:-1], *rest):
        raise ValueError(f"updates of shape {updates.shape} do not fit")
    if not updates.numel():
        return x
    at = _rows(index, x.shape, 0, x).reshape((-1,))
    rows, values = x.reshape((_count(x.shape[:depth]), -1)), updates.reshape((at.shape[0], -1))
    at = at.unsqueeze(1).expand(values.shape)
    if reduction == "none":
        made = rows.scatter(0, at, values)
    else:
        made = rows.scatter_reduce(0, at, values, _REDUCTIONS[reduction])
    return made.reshape(x.shape)


@op("TensorScatter")
def tensor_scatter(
    cache: Tensor, update: Tensor, start: Tensor | None = None, *, axis: int = -2, mode: str = "linear"
) -> Tensor:
    axis = axis_of(axis, cache.ndim)
    steps = arange(0, update.shape[axis], cache).unsqueeze(0)
    at = steps.expand((cache.shape[0], update.shape[axis])) if start is None else steps + start.unsqueeze(1)
    at = helix.remainder(at, cache.shape[axis]) if mode == "circular" else at
    at = at.reshape([cache.shape[0] if i == 0 else update.shape[axis] if i == axis else 1 for i in range(cache.ndim)])
    return cache.scatter(axis, at.expand(update.shape), update)


@op("OneHot", static=(1,))
def one_hot(call: Any, index: Tensor, depth: Tensor, values: Tensor, *, axis: int = -1) -> Tensor:
    count = int(flat(depth.tolist())[0])
    call.require(index.numel() * count)
    axis = axis_of(axis, index.ndim + 1)
    index = index if index.dtype.is_floating_point else index.to(helix.int64)
    index = helix.where(index < 0, index + count, index).unsqueeze(axis)
    places = arange(0, count, index).reshape([-1 if i == axis else 1 for i in range(index.ndim)])
    return helix.where(index == places.to(index.dtype), values.select(0, 1), values.select(0, 0))


@op("NonZero")
def non_zero(x: Tensor) -> Tensor:
    return x.reshape((1,)).nonzero().transpose(0, 1)[:0] if x.ndim == 0 else x.nonzero().transpose(0, 1)


@op("Compress")
def compress(x: Tensor, condition: Tensor, *, axis: int | None = None) -> Tensor:
    if axis is None:
        x, axis = x.reshape((-1,)), 0
    axis = axis_of(axis, x.ndim)
    found = condition.narrow(0, 0, min(condition.shape[0], x.shape[axis])).nonzero().reshape((-1,))
    return x.index_select(axis, found)


@op("Unique")
def unique(call: Any, x: Tensor, *, axis: int | None = None, sorted: int = 1) -> tuple[Tensor, ...]:
    """Of equal slices the first stands for all; without `sorted` they come in the order in which they appear."""
    if axis is None:
        x, axis = x.reshape((-1,)), 0
    axis = axis_of(axis, x.ndim)
    values, inverse, counts = helix.unique(x, return_inverse=True, return_counts=True, dim=axis)
    inverse = inverse.reshape((-1,))
    n, total = counts.shape[0], inverse.shape[0]
    places = arange(0, total, x)
    first = helix.full((n,), total, dtype=helix.int64, device=x.device).scatter_reduce(0, inverse, places, "amin")
    if not sorted:
        order = first.argsort(stable=True)
        values, first, counts = values.index_select(axis, order), first[order], counts[order]
        inverse = order.argsort()[inverse]
    return (values, first, inverse, counts)[: call.outputs]


@op("NonMaxSuppression")
def non_max_suppression(
    call: Any,
    boxes: Tensor,
    scores: Tensor,
    most: Tensor | None = None,
    overlap: Tensor | None = None,
    least: Tensor | None = None,
    *,
    center_point_box: int = 0,
) -> Tensor:
    """The best boxes of each class, without those that overlap a better one too much."""
    limit = 0 if most is None else ints(most)[0]
    threshold = 0.0 if overlap is None else float(flat(overlap.tolist())[0])
    floor = None if least is None else float(flat(least.tolist())[0])
    found = []
    for b in range(scores.shape[0]):
        places = corners(boxes[b], bool(center_point_box))
        for c in range(scores.shape[1]):
            row = scores[b, c]
            order = row.argsort(descending=True, stable=True)
            order = order if floor is None else order[row[order] > floor]
            kept: list[int] = []
            while order.numel() and len(kept) < limit:
                best = int(order[0].item())
                kept.append(best)
                order = order[1:]
                call.run.tick()
                order = order[overlap_of(places[best], places[order]) <= threshold]
            found += [(b, c, i) for i in kept]
    return helix.tensor(found, dtype=helix.int64, device=boxes.device).reshape((len(found), 3))


def corners(boxes: Tensor, centers: bool) -> Tensor:
    """Boxes as (low, low, high, high)."""
    if centers:
        middle, half = boxes[:, :2], boxes[:, 2:] / 2
        return helix.cat([middle - half, middle + half], 1)
    first, second = boxes[:, :2], boxes[:, 2:]
    return helix.cat([helix.minimum(first, second), helix.maximum(first, second)], 1)


def overlap_of(box: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union of a box with each of others."""
    low, high = boxes[:, :2], boxes[:, 2:]
    sides = (helix.minimum(high, box[2:]) - helix.maximum(low, box[:2])).clamp_min(0)
    inter = sides.prod(-1)
    union = (box[2:] - box[:2]).prod(-1) + (high - low).prod(-1) - inter
    return helix.where(union > 0, inter / helix.where(union > 0, union, union * 0 + 1), inter * 0)
