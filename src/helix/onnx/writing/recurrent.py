"""Recurrent layers as ONNX's own; its gates stand in another order."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graph.ir import Node, Value
from ...graph.symbols import Expr
from .edge import Edge
from .table import ended, taken, writes
from .writer import Writer

TANH, RELU, LSTM, GRU = range(4)
# The place of each of ONNX's gates among helix's: i, o, f, c of i, f, g, o; and z, r, h of r, z, n.
_ORDER = {TANH: (0,), RELU: (0,), LSTM: (0, 3, 1, 2), GRU: (1, 0, 2)}


def _last_cells(node: Node) -> list[Node] | None:
    """The nodes that take the cells, if all of them take those of the last step."""
    reverse, cells = node.attributes[1], node.outputs[1]
    last = 0 if reverse else cells.shape[0] - 1 if isinstance(cells.shape[0], (int, Expr)) else None
    found = [user for user in cells.users if user.op == "select" and user.attributes[0] == 0]
    plain = (
        not ended(cells)
        and len(found) == len(cells.users)
        and all(user.attributes[1] in (last, 0 if reverse else -1) for user in found)
    )
    return found if plain else None


def _plain(node: Node) -> bool:
    lengths = node.inputs[5]
    return lengths is None and not taken(node.outputs[2]) and _last_cells(node) is not None


@writes("recurrence", when=_plain)
def recurrence(
    w: Writer, gates: Edge, weight: Edge, bias: Edge | None, hidden: Edge, cell: Edge | None, lengths: None,
    kind: int, reverse: bool, keep: bool,
) -> tuple[Edge, None, None]:  # fmt: skip
    assert w.node is not None and weight.shape is not None
    size = weight.shape[1]
    order = _ORDER[kind]
    places = w.ints([gate * size + i for gate in order for i in range(size)])
    x, turned, first = _input_side(w, w.node.inputs[0], gates, len(order) * size)
    biases = [_turned(w, part, places, w.dtype, len(order) * size) for part in (first, bias)]
    joined = None if first is None and bias is None else w.Unsqueeze(w.Concat(*biases, axis=0), [0])
    rows = [w.Unsqueeze(w.Gather(part, places, axis=0), [0]) for part in (turned, weight)]
    options: dict[str, Any] = {"hidden_size": size, "direction": "reverse" if reverse else "forward"}
    start = w.Unsqueeze(hidden.to(w.dtype), [0])
    if kind == LSTM:
        assert cell is not None
        begun = w.Unsqueeze(cell.to(w.dtype), [0])
        states, _, end = w.LSTM(x, *rows, joined, None, start, begun, outputs=3, **options)
        for user in _last_cells(w.node) or ():
            w.provide(user.outputs[0], w.Squeeze(end, [0]))
    elif kind == GRU:
        states = w.GRU(x, *rows, joined, None, start, linear_before_reset=1, **options)
    else:
        states = w.RNN(x, *rows, joined, None, start, activations=["Tanh" if kind == TANH else "Relu"], **options)
    return w.Squeeze(states, [1]), None, None


def _input_side(w: Writer, value: Value | None, gates: Edge, width: int) -> tuple[Edge, Edge, Edge | None]:
    """What comes in and its weight and bias: of the product that made the gates, or the gates themselves."""
    maker = value.node if value is not None else None
    if maker is not None and maker.op == "linear" and len(maker.inputs[0].shape) == 3:  # type: ignore[union-attr]
        x, weight, bias = [None if part is None else w.tensor(part) for part in maker.inputs]
        return x, weight, bias  # type: ignore[return-value]
    return gates, w.constant(np.eye(width), gates.dtype), None


def _turned(w: Writer, bias: Edge | None, places: Edge, dtype: str, width: int) -> Edge:
    return w.constant(np.zeros(width), dtype) if bias is None else w.Gather(bias.to(dtype), places, axis=0)
