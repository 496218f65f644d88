"""Constant folding: what only depends on numbers, and on tensors that the traced program itself made of Python values, is computed
once. Bit for bit, by the kernels that a run would call.

Parameters, buffers and tensors taken from outside are never folded: whoever holds them may change them between two runs.
"""

from __future__ import annotations

from typing import Any

from ... import _core
from ..._core import OpCall, Tensor, wrapped_number
from ...autograd import no_grad
from ...errors import HelixError
from ...precision import restored_autocast
from ..ir import Graph, Node, Value
from ..symbols import has_symbols
from .rewriter import Call, Rewriter, flags_of, is_known, number_of

MOST_BYTES = 1 << 16  # that all folded tensors of a graph may have together
_FILL = ("full", "zeros", "ones")
# Elementwise ops, whose result is filled where their inputs are.
_OF_FILLS = frozenset(
    {"add", "sub", "mul", "div", "neg", "abs", "square", "sqrt", "rsqrt", "reciprocal", "exp", "log", "cast", "pow", "sign", "maximum", "minimum"}
)  # fmt: skip


def run(graph: Graph) -> int:
    """Fills first, which stay fills of any size; then tensors, as far as there is room for them."""
    total = found = 0 if _core.tracing() else _fold_fills(graph) + _fold_tensors(graph)
    while found:
        found = _fold_fills(graph) + _fold_tensors(graph)
        total += found
    return total


# ---- fills -------------------------------------------------------------------------------------------------


def _fold_fills(graph: Graph) -> int:
    changes = Rewriter(graph)
    for node in list(graph.nodes):
        if node.op not in _OF_FILLS or not node.outputs[0].dtype.is_floating_point:
            continue
        out = node.outputs[0]
        makers = [_maker(value) for value in node.inputs if value is not None and value.kind != "number"]
        given = [_filling(value) for value in node.inputs]
        if not makers or not all(makers) or any(tensor is None for tensor in given) or not is_known(out.shape):
            continue
        made = _evaluated(node, given)
        if made is not None and made.shape == () and made.dtype is out.dtype:
            device = makers[0].device if makers[0] is not None else None
            changes.rewrite(node, Call("full", (), (out.shape, made.item(), out.dtype), device))
    return changes.finish()


def _maker(value: Value) -> Node | None:
    """The node that fills a tensor which other nodes only show in another shape."""
    while value.node is not None and value.node.inputs and value.node.inputs[0] is not None:
        value = value.node.inputs[0]
    return value.node if value.node is not None and value.node.op in _FILL else None


def _filling(value: Value | None) -> Tensor | None:
    """One number of the value's dtype, where it is filled with it; a tensor like any other unless it is a Python number."""
    found = number_of(value)
    if value is None or found is None:
        return None
    made: Tensor = wrapped_number(found, value.dtype)
    return made if value.kind == "number" else made.clone()


# ---- tensors -----------------------------------------------------------------------------------------------


def _fold_tensors(graph: Graph) -> int:
    """Computes what is constant, and keeps what other nodes take of it."""
    changes = Rewriter(graph)
    written = {effect.target for effect in graph.effects}
    known: dict[Value, Tensor] = {
        value: value.source
        for value in graph.captured
        if value.fixed and value not in written and not value.source.requires_grad
    }
    room = MOST_BYTES - sum(value.source.nbytes for value in graph.captured if value.name.startswith("folded"))
    for node in graph.nodes:
        _compute(node, known, room)
    for node in graph.nodes:
        out = node.outputs[0] if len(node.outputs) == 1 else None
        if out is None or out not in known or node.op in _FILL or changes.is_shown(out):
            continue  # what a run returns, its caller may write
        tensor = known[out]
        if tensor.nbytes > room or all(user.outputs and user.outputs[0] in known for user in out.users.counts):
            continue
        value = Value("constant", tensor.shape, tensor.dtype, _name(graph), tensor)
        value.fixed = True
        room -= tensor.nbytes
        graph.captured.append(value)
        changes.replace(out, value)
    return changes.finish()


def _name(graph: Graph) -> str:
    taken = {value.name for value in (*graph.inputs, *graph.captured)}
    return next(name for i in range(len(taken) + 1) if (name := f"folded{i}") not in taken)


def _compute(node: Node, known: dict[Value, Tensor], room: int) -> None:
    for value in node.inputs:
        if value is not None and value.kind != "number" and value not in known:
            return
    flags = flags_of(node.op)
    if node.graphs or node.writes or len(node.outputs) != 1 or flags & {"random", "values", "internal"}:
        return
    out = node.outputs[0]
    if has_symbols(out.shape) or out.dtype.itemsize * _count(out.shape) > room or has_symbols(node.attributes):
        return
    given = [None if value is None else _known(value, known) for value in node.inputs]
    if any(value is not None and tensor is None for value, tensor in zip(node.inputs, given, strict=True)):
        return  # a number with dimensions
    made = _evaluated(node, given)
    if made is not None and (made.shape, made.dtype) == (out.shape, out.dtype):
        known[out] = made


def _known(value: Value, known: dict[Value, Tensor]) -> Tensor | None:
    if value.kind != "number":
        return known.get(value)
    made: Tensor | None = None if has_symbols(value.source) else wrapped_number(value.source, value.dtype)
    return made


def _count(shape: tuple[Any, ...]) -> int:
    made = 1
    for size in shape:
        made *= size
    return made


def _evaluated(node: Node, given: list[Tensor | None]) -> Tensor | None:
    """What a run would get; None where it would get an error."""
    if any(has_symbols(attribute) for attribute in node.attributes):
        return None
    try:
        with no_grad(), restored_autocast((None, None)):
            call: Any = OpCall(node.op, node.attributes, node.list_length, node.device)
            made = call(given)
    except HelixError:
        return None
    return made[0] if len(made) == 1 else None
