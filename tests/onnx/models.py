"""Small models, made by onnx's helper."""

from __future__ import annotations

from typing import Any

import numpy
from onnx import TensorProto, helper, numpy_helper

F, I = TensorProto.FLOAT, TensorProto.INT64
rng = numpy.random.default_rng(0)


def value(name: str, shape: Any, kind: int = F) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def tensor(name: str, array: Any, dtype: Any = numpy.float32) -> Any:
    return numpy_helper.from_array(numpy.asarray(array, dtype), name)


def model(nodes: list[Any], inputs: list[Any], outputs: list[Any], tensors: list[Any] = (), opset: int = 21, **more: Any) -> Any:  # fmt: skip
    graph = helper.make_graph(nodes, "made", inputs, outputs, list(tensors))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], **more)


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    """`inputs` and `outputs` are names with blanks between; _ leaves one out."""
    names = ["" if name == "_" else name for name in inputs.split()]
    return helper.make_node(op, names, outputs.split(), **attributes)


def weights(*shape: int) -> Any:
    return (rng.standard_normal(shape) / 3).astype(numpy.float32)


def perceptron() -> Any:
    nodes = [
        node("Gemm", "x layer.0.weight layer.0.bias", "h", transB=1),
        node("Relu", "h", "r"),
        node("MatMul", "r out", "y"),
    ]
    tensors = [
        tensor("layer.0.weight", weights(8, 4)),
        tensor("layer.0.bias", weights(8)),
        tensor("out", weights(8, 2)),
    ]
    return model(nodes, [value("x", ["B", 4])], [value("y", ["B", 2])], tensors)


def shapes() -> Any:
    """What exporters write for x.reshape(x.shape[0], -1, 2) + arange(x.shape[1])."""
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "b", axis=0),
        node("Unsqueeze", "b first", "b1"),
        node("Concat", "b1 rest", "target", axis=0),
        node("Reshape", "x target", "r"),
        node("Gather", "s one", "t", axis=0),
        node("Range", "zero t one", "steps"),
        node("Cast", "steps", "f", to=F),
        node("ReduceSum", "f _", "total", keepdims=0),
        node("Cast", "t", "tf", to=F),
        node("Div", "total tf", "mean"),
        node("Add", "r mean", "y"),
    ]
    tensors = [
        tensor("zero", 0, numpy.int64), tensor("one", 1, numpy.int64), tensor("first", [0], numpy.int64), tensor("rest", [-1, 2], numpy.int64),
    ]  # fmt: skip
    return model(nodes, [value("x", ["B", "T", 4])], [value("y", ["B", "n", 2])], tensors)


def convolution() -> Any:
    nodes = [
        node("Conv", "x w b", "c", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("BatchNormalization", "c g s m v", "n"),
        node("Relu", "n", "r"),
        node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("GlobalAveragePool", "p", "a"),
        node("Flatten", "a", "y"),
    ]
    tensors = [
        tensor("w", weights(4, 3, 3, 3)), tensor("b", weights(4)), tensor("g", weights(4)), tensor("s", weights(4)),
        tensor("m", weights(4)), tensor("v", weights(4) ** 2 + 1),
    ]  # fmt: skip
    return model(nodes, [value("x", ["N", 3, 8, 8])], [value("y", ["N", 4])], tensors)


def choice() -> Any:
    """x + 1 where its sum is positive, else x * 2."""
    then = helper.make_graph([node("Add", "x one", "a")], "then", [], [value("a", [3])])
    other = helper.make_graph([node("Add", "x x", "m")], "else", [], [value("m", [3])])
    nodes = [
        node("ReduceSum", "x _", "total", keepdims=0),
        node("Greater", "total zero", "c"),
        helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other),
    ]
    return model(nodes, [value("x", [3])], [value("y", [3])], [tensor("one", 1), tensor("zero", 0)])


def loop() -> Any:
    """Three rounds of h = tanh(h + x), which are collected."""
    body = helper.make_graph(
        [node("Identity", "c", "c2"), node("Add", "h x", "s"), node("Tanh", "s", "t"), node("Identity", "t", "row")],
        "body",
        [value("i", [], I), value("c", [], TensorProto.BOOL), value("h", [3])],
        [value("c2", [], TensorProto.BOOL), value("t", [3]), value("row", [3])],
    )
    nodes = [helper.make_node("Loop", ["n", "", "h0"], ["last", "rows"], body=body)]
    outputs = [value("last", [3]), value("rows", [3, 3])]
    return model(nodes, [value("x", [3])], outputs, [tensor("n", 3, numpy.int64), tensor("h0", [0, 0, 0])])


def recurrent() -> Any:
    tensors = [tensor("w", weights(2, 20, 3)), tensor("r", weights(2, 20, 5)), tensor("b", weights(2, 40))]
    nodes = [node("LSTM", "x w r b", "y h c", hidden_size=5, direction="bidirectional")]
    outputs = [value("y", ["T", 2, "B", 5]), value("h", [2, "B", 5]), value("c", [2, "B", 5])]
    return model(nodes, [value("x", [4, "B", 3])], outputs, tensors)


def functions() -> Any:
    """A function of the model's own, called twice, that refers to its attribute."""
    body = [helper.make_node("LeakyRelu", ["a"], ["b"]), node("Add", "b b", "c")]
    reference = body[0].attribute.add()
    reference.name, reference.ref_attr_name, reference.type = "alpha", "slope", 1
    made = helper.make_function("own", "Twice", ["a"], ["c"], body, [helper.make_opsetid("", 21)], ["slope"])
    nodes = [
        helper.make_node("Twice", ["x"], ["h"], domain="own", slope=0.5),
        helper.make_node("Twice", ["h"], ["y"], domain="own", slope=0.1),
    ]
    graph = helper.make_graph(nodes, "made", [value("x", [3])], [value("y", [3])])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("own", 1)], functions=[made]
    )


MODELS = {
    "perceptron": perceptron, "shapes": shapes, "convolution": convolution, "choice": choice, "loop": loop, "recurrent": recurrent,
    "functions": functions,
}  # fmt: skip


def inputs_of(proto: Any, sizes: int = 3) -> dict[str, Any]:
    """Random inputs, every open size alike."""
    draw = numpy.random.default_rng(1)
    made = {}
    for port in proto.graph.input:
        shape = [dim.dim_value or sizes for dim in port.type.tensor_type.shape.dim]
        made[port.name] = draw.standard_normal(shape).astype(numpy.float32)
    return made
