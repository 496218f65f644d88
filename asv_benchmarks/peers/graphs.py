"""Workloads as graphs of ONNX operators."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .arrays import elementwise_inputs, product_inputs
from .data import normal
from .workloads import CONVOLUTIONS, POOLS

BFLOAT16 = 16  # onnx.TensorProto.BFLOAT16


@dataclass(frozen=True)
class Node:
    op: str
    inputs: str
    output: str = "Y"
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """Inputs that no node reads are left out."""

    nodes: list[Node]
    inputs: dict[str, np.ndarray]
    constants: dict[str, np.ndarray] = field(default_factory=dict)


# A, B, C are matrices, W and V rows.
ELEMENTWISE: dict[str, list[Node]] = {
    "add": [Node("Add", "A B")],
    "muladd": [Node("Mul", "A B", "T"), Node("Add", "T C")],
    "addbias": [Node("Add", "A W")],
    "exp": [Node("Exp", "A")],
    "tanh": [Node("Tanh", "A")],
    "gelu_tanh": [Node("Gelu", "A", attributes={"approximate": "tanh"})],
    "gelu_erf": [Node("Gelu", "A")],
    "softmax": [Node("Softmax", "A", attributes={"axis": -1})],
    "layernorm": [Node("LayerNormalization", "A W V", attributes={"axis": -1})],
    "rmsnorm": [
        Node("Mul", "A A", "square"),
        Node("ReduceMean", "square axis1", "mean"),
        Node("Add", "mean small", "sum"),
        Node("Sqrt", "sum", "root"),
        Node("Div", "A root", "even"),
        Node("Mul", "even W"),
    ],
    "transpose": [Node("Transpose", "A")],
    "cast_bf16": [Node("Cast", "A", attributes={"to": BFLOAT16})],
    "sum0": [Node("ReduceSum", "A axis0", attributes={"keepdims": 0})],
    "sum1": [Node("ReduceSum", "A axis1", attributes={"keepdims": 0})],
    "sumall": [Node("ReduceSum", "A", attributes={"keepdims": 0})],
}
CONSTANTS = {
    "axis0": np.array([0], np.int64),
    "axis1": np.array([1], np.int64),
    "small": np.array([1e-6], np.float32),
}


def graph_of(id: str) -> Graph | None:
    """The workload's graph; None where there is none of it here."""
    group, rest = id.split(".", 1)
    op, _, size = rest.rpartition("_")
    if group == "B" and op in ELEMENTWISE:
        a, b, c, w = elementwise_inputs(size)
        inputs = {"A": a, "B": b, "C": c, "W": w, "V": normal("v", w.shape[0])}
        return Graph(ELEMENTWISE[op], inputs, CONSTANTS)
    if group == "C" and rest.startswith("f32") and "layer" not in rest:
        return Graph([Node("MatMul", "A B")], dict(zip("AB", product_inputs(rest), strict=True)))
    if group == "D" and rest.endswith("_fwd"):
        return _image(rest.removesuffix("_fwd"))
    if group == "F" and rest.endswith("_fwd") and "causal" not in rest:
        return _attention(int(rest.split("_")[1]))
    return _layers() if id == "H.mlp_b1" else None


def _image(name: str) -> Graph | None:
    if name.startswith("maxpool"):
        attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        return Graph([Node("MaxPool", "X", attributes=attributes)], {"X": normal("px", *POOLS[name])})
    if name.startswith("avgpool"):
        attributes = {"kernel_shape": [2, 2], "strides": [2, 2]}
        return Graph([Node("AveragePool", "X", attributes=attributes)], {"X": normal("px", *POOLS[name])})
    if name not in CONVOLUTIONS:
        return None
    x_shape, w_shape, stride, padding, groups, _ = CONVOLUTIONS[name]
    axes = len(x_shape) - 2
    attributes = {"strides": [stride] * axes, "pads": [padding] * 2 * axes, "group": groups}
    weight = normal("cw", *w_shape, scale=0.1)
    return Graph([Node("Conv", "X W", attributes=attributes)], {"X": normal("cx", *x_shape)}, {"W": weight})


def _attention(n: int) -> Graph:
    nodes = [
        Node("Transpose", "K", "turned", {"perm": [0, 1, 3, 2]}),
        Node("MatMul", "Q turned", "scores"),
        Node("Mul", "scores eighth", "scaled"),
        Node("Softmax", "scaled", "shares", {"axis": -1}),
        Node("MatMul", "shares V"),
    ]
    inputs = {name.upper(): normal(name, 1, 8, n, 64) for name in "qkv"}
    return Graph(nodes, inputs, {"eighth": np.array([0.125], np.float32)})


def _layers() -> Graph:
    """784, 512, 512, 10 with relu between."""
    sizes, nodes, constants = (784, 512, 512, 10), [], {}
    for i, (columns, rows) in enumerate(zip(sizes, sizes[1:])):
        constants[f"W{i}"] = normal(f"W{i}", rows, columns, scale=columns**-0.5)
        constants[f"B{i}"] = normal(f"B{i}", rows, scale=0.1)
        result, before = ("Y" if i == 2 else f"L{i}"), ("X" if i == 0 else f"R{i - 1}")
        nodes.append(Node("Gemm", f"{before} W{i} B{i}", result, {"transB": 1}))
        if i < 2:
            nodes.append(Node("Relu", result, f"R{i}"))
    return Graph(nodes, {"X": normal("xi", 1, 784)}, constants)
