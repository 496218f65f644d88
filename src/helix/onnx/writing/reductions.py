"""Reductions, running sums, and what is found by sorting."""

from __future__ import annotations

from typing import Any

from ...graph.ir import Node
from .edge import Edge
from .elementwise import truth
from .faults import unwritable
from .table import writes
from .writer import Writer


def axes_of(x: Edge, dim: Any) -> list[int]:
    """The axes of a reduction; all where none are named."""
    if dim is None or dim == ():
        return list(range(x.rank))
    return [axis % max(x.rank, 1) for axis in (dim if isinstance(dim, tuple) else (dim,))]


def reduced(w: Writer, operator: str, x: Edge, dim: Any, keepdim: bool) -> Edge:
    if not x.rank:
        return x
    return w.emit(operator, [x, axes_of(x, dim)], {"keepdims": int(bool(keepdim))})


@writes("sum")
def sum_(w: Writer, x: Edge, dim: Any, keepdim: bool, dtype: Any) -> Edge:
    return reduced(w, "ReduceSum", x.to(w.dtype), dim, keepdim)


@writes("mean")
def mean(w: Writer, x: Edge, dim: Any, keepdim: bool, dtype: Any) -> Edge:
    return reduced(w, "ReduceMean", x.to(w.dtype), dim, keepdim)


@writes("prod")
def prod(w: Writer, x: Edge, dim: Any, keepdim: bool, dtype: Any) -> Edge:
    return reduced(w, "ReduceProd", x.to(w.dtype), dim, keepdim)


@writes("amax", "amin")
def extreme(w: Writer, x: Edge, dim: Any, keepdim: bool) -> Edge:
    assert w.node is not None
    operator = "ReduceMax" if w.node.op == "amax" else "ReduceMin"
    made = reduced(w, operator, x, dim, keepdim)
    if not x.floating or not x.rank:
        return made
    bad = reduced(w, "ReduceMax", w.IsNaN(x).to("int32"), dim, keepdim)
    return w.Where(bad.to("bool"), w.constant(float("nan"), x.dtype), made)


@writes("max", "min")
def extreme_along(w: Writer, x: Edge, dim: Any, keepdim: bool) -> tuple[Edge | None, Edge | None]:
    assert w.node is not None
    if not x.rank:
        return x, w.constant(0, "int64")
    axis = axes_of(x, dim)[0]
    operator = "ArgMax" if w.node.op == "max" else "ArgMin"
    place = w.emit(operator, [x.to("int32") if x.dtype == "bool" else x], {"axis": axis, "keepdims": 1})
    if x.floating:  # NaN is what is looked for, wherever it stands
        bad = w.IsNaN(x).to("int32")
        place = w.Where(w.ReduceMax(bad, [axis], keepdims=1).to("bool"), w.ArgMax(bad, axis=axis, keepdims=1), place)
    value = w.GatherElements(x, place, axis=axis)
    if keepdim:
        return value, place
    return w.Squeeze(value, [axis]), w.Squeeze(place, [axis])


@writes("any", "all")
def any_(w: Writer, x: Edge, dim: Any, keepdim: bool) -> Edge:
    assert w.node is not None
    operator = "ReduceMax" if w.node.op == "any" else "ReduceMin"
    return truth(w, reduced(w, operator, truth(w, x).to("int32"), dim, keepdim)).to(w.dtype)


@writes("logsumexp", when=lambda node: node.inputs[0] is not None and node.inputs[0].shape != ())
def logsumexp(w: Writer, x: Edge, dim: Any, keepdim: bool) -> Edge:
    x = x.to(w.dtype)
    highest = w.ReduceMax(x, axes_of(x, dim), keepdims=1)
    highest = w.Where(w.IsInf(highest), w.constant(0, x.dtype), highest)
    made = w.Log(w.ReduceSum(w.Exp(x - highest), axes_of(x, dim), keepdims=1)) + highest
    return made if keepdim else w.Squeeze(made, axes_of(x, dim))


# ---- running -----------------------------------------------------------------------------------------------


@writes("cumsum")
def cumsum(w: Writer, x: Edge, dim: int, dtype: Any) -> Edge:
    x = x.to(w.dtype)
    return x if not x.shape else w.CumSum(x, w.constant(dim % x.rank, "int64"))


# ---- sorting -----------------------------------------------------------------------------------------------


def _ranked(w: Writer, x: Edge) -> Edge:
    """Numbers that stand in helix's order: NaN after infinity. Those of 64 bits are two sorts instead."""
    if x.dtype == "bool":
        return x.to("int32")
    if not x.floating or x.dtype == "float64":
        return x
    beyond = w.Min(x.to("float64"), w.constant(1e300, "float64"))
    return w.Where(w.IsNaN(x), w.constant(float("inf"), "float64"), beyond)


def chosen(w: Writer, x: Edge, k: Edge, axis: int, largest: bool) -> tuple[Edge, Edge]:
    """Values and places of the k largest or smallest; of equal ones the first comes first."""
    if x.dtype == "float64":
        place = _sorted_wide(w, x, axis, largest)
        place = w.Slice(place, w.ints([0]), k, w.ints([axis]))
    else:
        _, place = w.TopK(_ranked(w, x), k, axis=axis, largest=int(largest), outputs=2)
    return w.GatherElements(x, place, axis=axis), place


def _sorted_wide(w: Writer, x: Edge, axis: int, largest: bool) -> Edge:
    """The places in order: sorted with NaN as infinity, then, in that order, by whether they are NaN."""
    size = w.sizes.one(w.sizes.of(x, axis))
    bad = w.IsNaN(x)
    key = w.Where(bad, w.constant(float("inf"), x.dtype), x)
    _, place = w.TopK(key, size, axis=axis, largest=int(largest), outputs=2)
    bad = w.GatherElements(bad.to("int32"), place, axis=axis)
    _, again = w.TopK(bad, size, axis=axis, largest=int(largest), outputs=2)
    return w.GatherElements(place, again, axis=axis)


@writes("sort")
def sort(w: Writer, x: Edge, dim: int, descending: bool, stable: bool) -> tuple[Edge, Edge]:
    if not x.rank:
        return x, w.constant(0, "int64")
    axis = dim % x.rank
    return chosen(w, x, w.sizes.one(w.sizes.of(x, axis)), axis, descending)


@writes("topk")
def topk(w: Writer, x: Edge, k: Any, dim: int, largest: bool, ordered: bool) -> tuple[Edge, Edge]:
    if not x.rank:
        return (x, w.constant(0, "int64")) if k else (w.Reshape(x, [0]), w.ints([]))
    return chosen(w, x, w.sizes.one(k), dim % x.rank, largest)


@writes("kthvalue")
def kthvalue(w: Writer, x: Edge, k: Any, dim: int, keepdim: bool) -> tuple[Edge, Edge]:
    return _nth(w, x, k, dim, keepdim)


@writes("median")
def median(w: Writer, x: Edge, dim: int, keepdim: bool) -> tuple[Edge, Edge]:
    assert w.node is not None
    size = x.shape[dim] if x.shape else 1
    if not isinstance(size, int):
        raise unwritable(w.node, "the size of the axis must be known; give a number instead of a dimension")
    value, place = _nth(w, x, (size + 1) // 2, dim, True)
    if x.floating and x.rank:
        axis = dim % x.rank
        bad = w.IsNaN(x).to("int32")
        place = w.Where(w.ReduceMax(bad, [axis], keepdims=1).to("bool"), w.ArgMax(bad, axis=axis, keepdims=1), place)
        value = w.GatherElements(x, place, axis=axis)
    if keepdim or not x.rank:
        return value, place
    return w.Squeeze(value, [dim % x.rank]), w.Squeeze(place, [dim % x.rank])


def _nth(w: Writer, x: Edge, k: Any, dim: int, keepdim: bool) -> tuple[Edge, Edge]:
    if not x.rank:
        return x, w.constant(0, "int64")
    axis = dim % x.rank
    values, places = chosen(w, x, w.sizes.one(k), axis, False)
    last = w.ints([-1])
    values, places = w.Gather(values, last, axis=axis), w.Gather(places, last, axis=axis)
    return (values, places) if keepdim else (w.Squeeze(values, [axis]), w.Squeeze(places, [axis]))


def _is_flat(node: Node) -> bool:
    value = node.inputs[0]
    return value is not None and len(value.shape) == 1


@writes("searchsorted", when=_is_flat)
def searchsorted(w: Writer, ordered: Edge, x: Edge, narrow: bool, right: bool, side: Any) -> Edge:
    """How many of the sorted numbers are smaller, or not larger."""
    from .elementwise import promoted

    ordered, x = promoted(w, ordered, x)
    right = right or side == "right"
    before = w.emit("LessOrEqual" if right else "Less", [ordered, w.Unsqueeze(x, [-1])], {})
    if x.floating:  # NaN is the largest: it comes after all that are none
        there = w.Not(w.IsNaN(ordered))
        after = w.And(w.IsNaN(w.Unsqueeze(x, [-1])), w.Or(there, w.Equal(there, there)) if right else there)
        before = w.Or(before, after)
    return w.ReduceSum(before.to("int64"), [-1], keepdims=0).to(w.dtype)
