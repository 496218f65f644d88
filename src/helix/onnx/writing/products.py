"""Matrix products and attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...graph.ir import Node
from .edge import Edge
from .elementwise import both
from .shapes import swapped
from .sizes import Size
from .table import taken, writes
from .writer import Writer


@writes("matmul", "mm", "bmm", "mv", "dot")
def matmul(w: Writer, a: Edge, b: Edge) -> Edge:
    return w.MatMul(*both(w, a, b, w.dtype))


@writes("det", when=lambda node: node.outputs[0].dtype.name == "float32")
def det(w: Writer, x: Edge) -> Edge:
    return w.Det(x)


@writes("linear")
def linear(w: Writer, x: Edge, weight: Edge, bias: Edge | None) -> Edge:
    if x.rank == 2 and weight.rank == 2:
        return w.Gemm(x, weight, bias, transB=1)
    made = w.MatMul(x, swapped(w, weight, 0, 1) if weight.rank == 2 else weight)
    return made if bias is None else made + bias


_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}


@writes("linear_activation", when=lambda node: node.attributes[0] in _ACTIVATIONS)
def linear_activation(w: Writer, x: Edge, weight: Edge, bias: Edge | None, activation: str) -> Edge:
    return w.emit(_ACTIVATIONS[activation], [linear(w, x, weight, bias)], {})


def _plain(node: Node) -> bool:
    return not taken(node.outputs[1]) and not node.attributes[2]


@writes("attention", when=_plain)
def attention(
    w: Writer, q: Edge, k: Edge, v: Edge, mask: Edge | None, bias: Edge | None, causal: bool, scale: float, *_: Any
) -> Any:
    """softmax(q k^T scale + mask) v in primitive operators, which every runtime fuses."""
    k, v = _shared(w, q, k), _shared(w, q, v)
    like = q.dtype
    width = q.shape[-1] if q.shape else 1
    # in float64 a row of numbers: runtimes make one number a float32 attribute of the product
    factor = w.constant(np.full(width, scale), like) if like == "float64" and isinstance(width, int) else scale
    scores = w.MatMul(q * factor, swapped(w, k, -2 % k.rank, -1 % k.rank))
    if mask is not None:
        added = w.Where(mask, w.constant(0, like), w.constant(float("-inf"), like)) if mask.dtype == "bool" else mask
        scores = scores + added.to(like)
    rows, keys = w.sizes.of(q, -2), w.sizes.of(k, -2)
    if bias is not None:
        scores = scores + _by_distance(w, bias, rows, keys).to(like)
    if causal:
        below = w.Trilu(w.Expand(w.constant(True, "bool"), [rows, keys]), upper=0)
        scores = w.Where(below, scores, w.constant(float("-inf"), like))
    weights = w.Softmax(scores, axis=-1)
    if mask is not None or bias is not None:  # a row that sees no key gives 0
        weights = w.Where(w.IsNaN(weights), w.constant(0, like), weights)
    return w.MatMul(weights, v), None


def _by_distance(w: Writer, bias: Edge, rows: Size, keys: Size) -> Edge:
    """What stands at j - i + rows - 1, for row i and key j."""
    one, zero = w.constant(1, "int64"), w.constant(0, "int64")
    count = [w.Squeeze(w.sizes.one(size), [0]) for size in (rows, keys)]
    i, j = [w.Range(zero, end, one) for end in count]
    return w.Gather(bias, w.Unsqueeze(j, [0]) - w.Unsqueeze(i, [1]) + (count[0] - 1), axis=-1)


def _shared(w: Writer, q: Edge, x: Edge) -> Edge:
    """Heads of keys and values that several heads of queries share stand side by side."""
    if x.rank < 3 or x.shape[-3] == q.shape[-3]:
        return x
    heads, all_heads = x.shape[-3], q.shape[-3]
    lead = [w.sizes.of(x, axis) for axis in range(x.rank - 3)]
    tail = [w.sizes.of(x, -2), w.sizes.of(x, -1)]
    wide = w.Expand(w.Unsqueeze(x, [x.rank - 2]), [*lead, heads, all_heads // heads, *tail])
    return w.reshape(wide, [*lead, all_heads, *tail])
