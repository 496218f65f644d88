"""Gradients: what backward passes add up without need. Zeros that are added go, parts that are placed among zeros and added are
joined, sums of what was stretched are products, and sums along axes of size 1 are reshapes.

Equal numbers: NaN and infinities stay, the sign of a zero may differ; sums of what was stretched differ in the last bits (1e-6).
"""

from __future__ import annotations

from math import prod

from ..ir import Graph, Node, Value
from .rewriter import Call, Rewriter, Rule, is_known, is_real, number_of, sweep


def run(graph: Graph) -> int:
    """Joins parts first, then applies the rules below until none fits."""
    return _join_parts(graph) + sweep(graph, RULES)


def _zeros_added(node: Node) -> Value | None:
    a, b = node.inputs
    if node.attributes != (1,) or not is_real(node.outputs[0]):
        return None
    return a if number_of(b) == 0 else b if number_of(a) == 0 else None


def _sum_of_stretched(node: Node) -> Call | None:
    """The sum along axes that were stretched, and no others."""
    x, out = node.inputs[0], node.outputs[0]
    inner = x.node if x is not None else None
    source = inner.inputs[0] if inner is not None and inner.op == "expand" else None
    if x is None or source is None or not out.dtype.is_floating_point or source.dtype is not out.dtype:
        return None
    axes = {axis % len(x.shape) for axis in node.attributes[0] or range(len(x.shape))}
    shape = (*[1] * (len(x.shape) - len(source.shape)), *source.shape)
    if any(shape[axis] != 1 or not isinstance(x.shape[axis], int) for axis in axes) or source.shape != out.shape:
        return None
    times = prod(x.shape[axis] for axis in axes)
    return Call("mul", (source, Value("number", (), out.dtype, source=float(times))))


def _sum_of_one(node: Node) -> Call | None:
    x, out = node.inputs[0], node.outputs[0]
    if x is None or x.dtype is not out.dtype or not is_known(out.shape):
        return None
    axes = {axis % len(x.shape) for axis in node.attributes[0] or range(len(x.shape))} if x.shape else set()
    return Call("reshape", (x,), (out.shape,)) if all(x.shape[axis] == 1 for axis in axes) else None


RULES: dict[str, tuple[Rule, ...]] = {"add": (_zeros_added,), "sum": (_sum_of_one, _sum_of_stretched)}


# ---- parts -------------------------------------------------------------------------------------------------


def _join_parts(graph: Graph) -> int:
    """Sums of `slice_backward`, or of `select_backward`, whose parts cover an axis, each place once, are one `cat` or `stack`."""
    changes = Rewriter(graph)
    for node in reversed(graph.nodes):
        (old, *more) = node.outputs or (None,)
        if node.op != "add" or old is None or more or (not old.users and old not in changes.ends):
            continue
        parts = _parts(node, [])
        joined = None if parts is None else _covering(parts, old)
        if joined is None:
            continue
        dim, tensors = joined
        op = "cat" if parts and parts[0].op == "slice_backward" else "stack"
        made = Node(op, tuple(tensors), (dim,), len(tensors), node.place, node.no_grad, node.device)
        (new,) = made.gives((old.shape, old.dtype))
        if changes.may(old, new):
            graph.insert(made, graph.position(node))
            changes.replace(old, new)
    return changes.finish()


def _parts(node: Node, found: list[Node]) -> list[Node] | None:
    """The parts that a tree of sums adds, which nobody else takes."""
    for value in node.inputs:
        inner = value.node if value is not None else None
        if inner is None or value is None or len(value.users) != 1 or node.attributes != (1,):
            return None
        if inner.op in ("slice_backward", "select_backward"):
            found.append(inner)
        elif inner.op != "add" or _parts(inner, found) is None:
            return None
    return found


def _covering(parts: list[Node], whole: Value) -> tuple[int, list[Value]] | None:
    """The axis and the parts along it, if they cover it."""
    op, dim = parts[0].op, parts[0].attributes[0]
    spans: list[tuple[int, int, Value]] = []
    for part in parts:
        span, value = _span(part), part.inputs[0]
        if (
            part.op != op
            or part.attributes[0] != dim
            or span is None
            or value is None
            or value.dtype is not whole.dtype
        ):
            return None
        if part.outputs[0].shape != whole.shape:
            return None
        spans.append((*span, value))
    spans.sort(key=lambda span: span[0])
    ends = [0, *[end for _, end, _ in spans]]
    whole_axis = [start for start, _, _ in spans] == ends[:-1] and ends[-1] == whole.shape[dim]
    return (dim, [value for _, _, value in spans]) if whole_axis else None


def _span(part: Node) -> tuple[int, int] | None:
    """From where to where a part lies along its axis, if it has no gaps and lies within."""
    if part.op == "select_backward":
        _, index, _ = part.attributes
        size = part.outputs[0].shape[part.attributes[0]]
        if not isinstance(index, int) or not isinstance(size, int):
            return None
        return index % size, index % size + 1
    _, start, end, step, _ = part.attributes
    if step != 1 or not isinstance(start, int) or not isinstance(end, int) or end <= start:
        return None
    return start, end
