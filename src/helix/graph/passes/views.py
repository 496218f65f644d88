"""Views and copies: reshapes and orders of axes that undo each other or can be one, and copies of what lies row by row already.
All rules hold bit for bit: no number is computed."""

from __future__ import annotations

from typing import Any

from ..analysis import is_view as shows
from ..ir import Graph, Node, Value
from .rewriter import RESHAPES, Call, Rule, is_dense, is_known, sweep

ORDERS = frozenset({"permute", "transpose", "t", "movedim"})
_STRETCHING = frozenset(
    {
        "add",
        "sub",
        "mul",
        "div",
        "maximum",
        "minimum",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "where",
        "logical_and",
        "logical_or",
    }
)


def run(graph: Graph) -> int:
    """Applies the rules below until none fits."""
    return sweep(graph, RULES)


def _source(node: Node) -> Value:
    (x, *_) = node.inputs
    if x is None:
        raise AssertionError(node.op)
    return x


def _same(node: Node) -> Value | None:
    """The same shape means the same elements."""
    x = _source(node)
    return x if x.shape == node.outputs[0].shape and is_known(x.shape) else None


def _reshaped(node: Node) -> Value | Call | None:
    """Reshapes of reshapes are one. `view` is `reshape`, which does not depend on how memory lies."""
    found, x = node.outputs[0].shape, _source(node)
    if not is_known(found):
        return None
    inner = x.node
    if inner is not None and inner.op in RESHAPES and (len(x.users) == 1 or shows(inner)):
        source = _source(inner)
        if is_known(source.shape):
            return source if source.shape == found else Call("reshape", (source,), (found,))
    return Call("reshape", (x,), (found,)) if node.op == "view" else None


def order_of(node: Node) -> tuple[int, ...]:
    """Which axis of the input each axis of the result is, of an op that only orders them."""
    n = len(node.outputs[0].shape)
    if node.op == "permute":
        return tuple([axis % n for axis in node.attributes[0]])
    order = list(range(n))
    if node.op == "t":
        return tuple(reversed(order))
    if node.op == "transpose":
        a, b = [axis % n for axis in node.attributes] if n else (0, 0)
        if n:
            order[a], order[b] = b, a
        return tuple(order)
    source, places = [[axis % n for axis in axes] for axes in node.attributes]
    rest = iter([axis for axis in order if axis not in source])
    moved = dict(zip(places, source, strict=True))
    return tuple([moved[axis] if axis in moved else next(rest) for axis in range(n)])


def _ordered(node: Node) -> Value | Call | None:
    """Orders of axes of such are one."""
    x, order = _source(node), order_of(node)
    inner = x.node
    if inner is not None and inner.op in ORDERS:
        x, before = _source(inner), order_of(inner)
        order = tuple([before[axis] for axis in order])
    elif order != tuple(range(len(order))):
        return None
    return x if order == tuple(range(len(order))) else Call("permute", (x,), (order,))


def _expanded(node: Node) -> Call | None:
    inner = _source(node).node
    known = inner is not None and inner.op == "expand" and is_known(node.outputs[0].shape)
    return Call("expand", inner.inputs, (node.outputs[0].shape,)) if known and inner is not None else None


def _flipped(node: Node) -> Value | None:
    inner = _source(node).node
    twice = inner is not None and inner.op == "flip" and inner.attributes == node.attributes
    return inner.inputs[0] if twice and inner is not None else None


def _whole(node: Node) -> Value | None:
    """A part that is all of it."""
    forwards = node.op == "narrow" or node.attributes[-1] == 1
    return _same(node) if forwards else None


def _copied(node: Node) -> Value | None:
    """A copy of what has memory of its own, row by row, or is given and not shown in another order."""
    x = _source(node)
    plain = x.dtype is node.outputs[0].dtype and (is_dense(x) or x.node is None)
    return x if plain else None


def _stretched(node: Node) -> Call | None:
    """An op that stretches its inputs to one another needs no `expand` before it."""
    out = node.outputs[0]
    tensors = [value for value in node.inputs if value is not None and value.kind != "number"]
    if not is_known(out.shape) or len({value.dtype for value in tensors[node.op == "where" :]}) > 1:
        return None
    for i, value in enumerate(node.inputs):
        if value is None or value.node is None or value.node.op != "expand":
            continue
        given = (*node.inputs[:i], value.node.inputs[0], *node.inputs[i + 1 :])
        if _together(given) == out.shape:
            return Call(node.op, given, node.attributes)
    return None


def _together(values: tuple[Value | None, ...]) -> tuple[Any, ...] | None:
    """The shape to which these stretch; None where that is not certain."""
    shapes = [value.shape for value in values if value is not None]
    made: list[Any] = []
    for axis in range(1, max(map(len, shapes)) + 1):
        sizes = {shape[-axis] for shape in shapes if len(shape) >= axis} - {1}
        if len(sizes) > 1 or not is_known(tuple(sizes)):
            return None
        made.insert(0, sizes.pop() if sizes else 1)
    return tuple(made)


def _stacked(node: Node) -> Value | None:
    """One of those that were stacked."""
    inner, (dim, index) = _source(node).node, node.attributes
    if inner is None or inner.op != "stack" or not isinstance(index, int):
        return None
    along = inner.attributes[0] % len(inner.outputs[0].shape)
    return inner.inputs[index] if along == dim and 0 <= index < len(inner.inputs) else None


RULES: dict[str, tuple[Rule, ...]] = {
    **dict.fromkeys(RESHAPES, (_same, _reshaped)),
    **dict.fromkeys(ORDERS, (_ordered,)),
    **dict.fromkeys(_STRETCHING, (_stretched,)),
    "expand": (_same, _expanded),
    "slice": (_whole,),
    "narrow": (_whole,),
    "flip": (_flipped,),
    "clone": (_copied,),
    "cast": (_copied,),
    "select": (_stacked,),
}
