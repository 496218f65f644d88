"""Normalisations and softmax."""

from __future__ import annotations

from typing import Any

from ...graph.ir import Node
from .edge import Edge
from .table import taken, writes
from .writer import Writer


@writes("softmax", "log_softmax", when=lambda node: node.outputs[0].shape != ())
def softmax(w: Writer, x: Edge, dim: int, dtype: Any) -> Edge:
    assert w.node is not None
    return w.emit("Softmax" if w.node.op == "softmax" else "LogSoftmax", [x.to(w.dtype)], {"axis": dim % x.rank})


def _forward_only(node: Node) -> bool:
    return not any(taken(value) for value in node.outputs[1:])


@writes("native_layer_norm", when=lambda node: _forward_only(node) and node.outputs[0].dtype.name != "float64")
def layer_norm(w: Writer, x: Edge, weight: Edge | None, bias: Edge | None, shape: Any, eps: float) -> Any:
    import numpy as np

    scale = w.constant(np.ones(shape), x.dtype) if weight is None else weight.to(x.dtype)
    made = w.LayerNormalization(
        x, scale, None if bias is None else bias.to(x.dtype), axis=x.rank - len(shape), epsilon=eps
    )
    return made, None, None


def _single(node: Node) -> bool:
    """epsilon is a float32 in the format."""
    return len(node.outputs[0].shape) > 1 and node.outputs[0].dtype.name != "float64"


@writes("batch_norm_apply", when=_single)
def batch_norm(
    w: Writer, x: Edge, mean: Edge, variance: Edge, weight: Edge | None, bias: Edge | None, eps: float
) -> Edge:
    import numpy as np

    channels = mean.shape
    scale = w.constant(np.ones(channels), x.dtype) if weight is None else weight.to(x.dtype)
    shift = w.constant(np.zeros(channels), x.dtype) if bias is None else bias.to(x.dtype)
    return w.BatchNormalization(x, scale, shift, mean.to(x.dtype), variance.to(x.dtype), epsilon=eps)
