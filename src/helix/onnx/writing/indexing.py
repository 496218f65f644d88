"""Reading and writing at places that tensors tell."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graph.ir import Node
from .edge import Edge
from .elementwise import truth
from .faults import unwritable
from .shapes import each, swapped
from .table import writes
from .writer import Writer


@each("index_select")
def index_select(w: Writer, x: Edge, dim: int, index: Edge) -> Edge:
    if not x.rank:
        return x
    index = index if index.rank else w.Unsqueeze(index, [0])
    return w.Gather(x, index if index.dtype == "int32" else index.to("int64"), axis=dim % x.rank)


@each("gather")
def gather(w: Writer, x: Edge, dim: int, index: Edge) -> Edge:
    if not index.rank or not x.rank:
        flat = w.Reshape(x, [-1])
        return w.Gather(flat, index, axis=0)
    return w.GatherElements(x, index, axis=dim % x.rank)


@each("embedding")
def embedding(w: Writer, index: Edge, weight: Edge, padding: Any) -> Edge:
    return w.Gather(weight, index, axis=0)


def _no_masks(node: Node) -> bool:
    indices = node.inputs[2 if node.op == "index_put" else 1 :]
    return all(value is None or value.dtype.name != "bool" for value in indices)


def _front(x_rank: int, indices: list[Edge | None]) -> tuple[list[int], list[int]]:
    """Axes that are indexed, and the others."""
    at = [i for i, index in enumerate(indices) if index is not None]
    return at, [axis for axis in range(x_rank) if axis not in at]


def _tuples(w: Writer, at: list[int], indices: list[Edge | None]) -> tuple[Edge, int]:
    """The indices as tuples in a last axis, negative ones counted from the end; and how many axes they have."""
    rank = max(index.rank for index in indices if index is not None)
    found: list[Any] = []
    for axis in at:
        index = indices[axis]
        assert index is not None
        found.append(index.to("int64"))
    if len(found) > 1:
        total = found[0]
        for index in found[1:]:
            total = total + index
        wide = w.Shape(total)
        found = [w.Expand(index, wide) for index in found]
    return w.Concat(*[w.Unsqueeze(index, [-1]) for index in found], axis=-1), rank


def _placed_axes(at: list[int], others: list[int], rank: int) -> list[int]:
    """Where the axes (indices first, then the others) belong in the result."""
    together = at == list(range(at[0], at[0] + len(at)))
    first = at[0] if together else 0
    return [*range(rank, rank + first), *range(rank), *range(rank + first, rank + len(others))]


def index(w: Writer, x: Edge, indices: list[Edge | None]) -> Edge:
    at, others = _front(x.rank, indices)
    if len(at) == 1:
        one = indices[at[0]]
        return w.Gather(x, one, axis=at[0])
    tuples, rank = _tuples(w, at, indices)
    moved = w.Transpose(x, perm=at + others) if at != list(range(len(at))) else x
    made = w.GatherND(moved, tuples)
    order = _placed_axes(at, others, rank)
    return w.Transpose(made, perm=order) if order != sorted(order) else made


def index_put(w: Writer, x: Edge, values: Edge, indices: list[Edge | None], accumulate: bool) -> Edge:
    at, others = _front(x.rank, indices)
    tuples, rank = _tuples(w, at, indices)
    moved = w.Transpose(x, perm=at + others) if at != list(range(len(at))) else x
    order = _placed_axes(at, others, rank)
    values = values.to(x.dtype)
    # values stretched to the result of reading, then the axes of the indices in front
    shape = w.Shape(index(w, x, indices))
    values = w.Expand(values, shape)
    if order != sorted(order):
        values = w.Transpose(values, perm=[order.index(i) for i in range(len(order))])
    made = w.ScatterND(moved, tuples, values, reduction="add" if accumulate else "none")
    back = [(at + others).index(axis) for axis in range(x.rank)]
    return w.Transpose(made, perm=back) if back != sorted(back) else made


@each("index", "index_put")
def index_or_mask(w: Writer, x: Edge, *rest: Any) -> Edge:
    assert w.node is not None
    if _no_masks(w.node):
        return index(w, x, *rest) if w.node.op == "index" else index_put(w, x, *rest)
    if w.node.op == "index_put" and _is_one_mask(w.node):
        values, indices, _ = rest
        mask = indices[0]
        deep = w.Unsqueeze(mask, list(range(mask.rank, x.rank))) if mask.rank < x.rank else mask
        return w.Where(deep, values.to(x.dtype), x)
    raise unwritable(w.node, "a mask picks as many elements as it has true ones; use helix.where")


def _is_one_mask(node: Node) -> bool:
    values, *masks = node.inputs[1:]
    single = values is not None and all(size == 1 for size in values.shape)
    return single and len(masks) == 1 and masks[0] is not None and not node.attributes[0]


@writes("masked_fill")
def masked_fill(w: Writer, x: Edge, mask: Edge, value: Edge) -> Edge:
    if w.dtype == "bool":
        return w.Or(w.And(mask, value), w.And(w.Not(mask), x))
    return w.Where(truth(w, mask), value.to(w.dtype), x.to(w.dtype))


_REDUCE = {
    None: "none",
    "none": "none",
    "add": "add",
    "multiply": "mul",
    "sum": "add",
    "prod": "mul",
    "amax": "max",
    "amin": "min",
}


def _scattered(w: Writer, x: Edge, dim: int, index: Edge, source: Edge, reduction: str) -> Edge:
    """Runtimes want updates of the index's shape."""
    source = source.to(x.dtype)
    if reduction != "none" and x.dtype in ("float16", "bfloat16"):
        wide = _scattered(w, x.to("float32"), dim, index, _like(source.to("float32"), source), reduction)
        return wide.to(x.dtype)
    if not x.rank:
        made = _scattered(w, _flat(w, x), 0, _flat(w, index), _flat(w, source), reduction)
        return w.Reshape(made, w.ints([]))
    if source.shape != index.shape:
        if not source.shape:
            source = w.Expand(source, w.Shape(index))
        else:
            n = source.rank
            source = w.Slice(source, w.ints([0] * n), w.Shape(index), w.ints(list(range(n))))
    return w.ScatterElements(x, index, source, axis=dim % x.rank, reduction=reduction)


def _like(edge: Edge, shaped: Edge) -> Edge:
    edge.shape = shaped.shape
    return edge


def _flat(w: Writer, x: Edge) -> Edge:
    made = w.Reshape(x, [-1])
    made.shape = (1,)
    return made


@each("scatter", when=lambda node: node.attributes[1] in (None, "none") or not node.outputs[0].dtype.is_complex)
def scatter(w: Writer, x: Edge, dim: int, index: Edge, source: Edge, reduce: str | None) -> Edge:
    return _scattered(w, x, dim, index, source, _REDUCE[reduce])


@each("scatter_add")
def scatter_add(w: Writer, x: Edge, dim: int, index: Edge, source: Edge) -> Edge:
    return _scattered(w, x, dim, index, source, "add")


@writes("scatter_reduce", when=lambda node: node.attributes[1] != "mean" or node.outputs[0].dtype.is_floating_point)
def scatter_reduce(w: Writer, x: Edge, dim: int, index: Edge, source: Edge, reduce: str, whole: bool) -> Edge:
    ones = _like(w.Expand(w.constant(1, x.dtype), w.Shape(index)), index)
    if not whole:  # what is there gives way to what leaves the others as they are
        blank = _like(w.Expand(w.constant(_blank(reduce, x.dtype), x.dtype), w.Shape(index)), index)
        begun = _like(_scattered(w, x, dim, index, blank, "none"), x)
    else:
        begun = x
    made = _scattered(w, begun, dim, index, source, _REDUCE.get(reduce, "add"))
    if reduce != "mean":
        return made
    count = _scattered(w, _like(w.Expand(w.constant(int(whole), x.dtype), w.Shape(x)), x), dim, index, ones, "add")
    return made / w.Max(count, w.constant(1, x.dtype))


def _blank(reduce: str, dtype: str) -> float:
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    least = reduce == "amax"
    if "float" in dtype:
        return float("-inf") if least else float("inf")
    info = np.iinfo(dtype)
    return int(info.min if least else info.max)


def _along(w: Writer, x: Edge, dim: int, index: Edge) -> Edge:
    """The tuples that name rows of an axis: the axis is brought to the front."""
    return w.Unsqueeze(index if index.rank else w.Unsqueeze(index, [0]), [-1])


@each("index_add", "index_copy")
def index_write(w: Writer, x: Edge, dim: int, index: Edge, source: Edge, alpha: Any = 1) -> Edge:
    assert w.node is not None
    source = source.to(x.dtype)
    if alpha != 1:
        source = source * alpha
    reduction = "add" if w.node.op == "index_add" else "none"
    if reduction == "add" and x.dtype in ("float16", "bfloat16"):
        x, source = x.to("float32"), _like(source.to("float32"), source)
    if not x.rank:
        made = w.ScatterND(w.Reshape(x, [1]), w.Reshape(index, [-1, 1]), w.Reshape(source, [-1]), reduction=reduction)
        return w.Reshape(made, w.ints([]))
    axis = dim % x.rank
    rows = source if source.rank else w.Unsqueeze(source, [0])
    if rows.shape is None:
        rows.shape = (1,)
    made = w.ScatterND(
        swapped(w, x, 0, axis),
        _along(w, x, dim, index),
        swapped(w, rows, 0, axis) if axis else rows,
        reduction=reduction,
    )
    made.shape = x.shape
    return swapped(w, made, 0, axis)
