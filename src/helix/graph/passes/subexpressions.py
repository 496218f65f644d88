"""Common subexpressions: what is computed twice is computed once, the first time."""

from __future__ import annotations

from typing import Any

from ..ir import Graph, Node, Value
from ..records import record_of
from .rewriter import Rewriter, flags_of, is_real

_EITHER_WAY = frozenset(
    {"mul", "maximum", "minimum", "fmax", "fmin", "eq", "ne", "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or",
     "bitwise_xor"}
)  # fmt: skip


def run(graph: Graph) -> int:
    """Bit for bit. Nodes that write, control flow, and random nodes of different streams stay."""
    changes = Rewriter(graph)
    known: dict[tuple[Any, ...], Node] = {}
    for node in list(graph.nodes):
        key = _key(node)
        if key is None:
            continue
        first = known.get(key)
        if first is None or not _merge(node, first, changes):
            known[key] = node
    return changes.finish()


def _merge(node: Node, first: Node, changes: Rewriter) -> bool:
    pairs = [(o, n) for o, n in zip(node.outputs, first.outputs, strict=True) if o.users or o in changes.ends]
    if not all(changes.may(old, new, alike=True) for old, new in pairs):
        return False
    for old, new in pairs:
        changes.replace(old, new)
    return True


def _key(node: Node) -> tuple[Any, ...] | None:
    """Equal for nodes that compute the same; None for those that are left alone."""
    if node.writes or node.graphs or ("random" in flags_of(node.op) and not _is_drawn(node)):
        return None
    inputs = tuple([_name(value) for value in node.inputs])
    if is_real(node.outputs[0]) and (node.op in _EITHER_WAY or (node.op == "add" and node.attributes == (1,))):
        inputs = tuple(sorted(inputs, key=repr))
    return node.op, inputs, _exact(node.attributes), node.list_length, node.device


def _is_drawn(node: Node) -> bool:
    """Is its stream told?"""
    kinds = [parameter["kind"] for parameter in record_of(node.op).attributes.values()]
    return all(a is not None for a, kind in zip(node.attributes, kinds, strict=True) if "Generator" in kind)


def _name(value: Value | None) -> Any:
    if value is None or value.kind != "number":
        return id(value)
    return _exact(value.source), value.dtype.name


def _exact(value: Any) -> Any:
    """A key that tells 1, 1.0 and True apart, and 0.0 from -0.0."""
    if type(value) is tuple:
        return tuple([_exact(part) for part in value])
    return type(value), repr(value) if type(value) in (float, complex) else value
