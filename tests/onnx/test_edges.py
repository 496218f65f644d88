"""Edge cases of operators: infinities, empty tensors, attributes at their limits, and indices that lead outside."""

import numpy
import pytest
from onnx import TensorProto, TypeProto, helper

import helix
import helix.onnx
from helix.errors import HelixError

from .models import model, tensor, value, weights
from .test_against_onnxruntime import expected

INF, SMALL, LARGE = numpy.inf, -(1 << 63), 1 << 62
I = numpy.int64
CODES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "int32": TensorProto.INT32, "uint8": TensorProto.UINT8, "float64": TensorProto.DOUBLE}  # fmt: skip
X = numpy.array([[-INF, INF, 100, -100, 1, -1, 0]], numpy.float32)
SQUARE = weights(3, 4) ** 2


def single(op, *inputs, opset=21, outputs=1, **attributes):
    """A model of one node, and its inputs; the first is fed, the others are initializers."""
    arrays = [part if isinstance(part, numpy.ndarray) else numpy.asarray(part, I) for part in inputs]
    names = [f"x{i}" for i in range(len(arrays))]
    nodes = [helper.make_node(op, names, [f"y{i}" for i in range(outputs)], **attributes)]
    made = [tensor(name, part, part.dtype) for name, part in zip(names[1:], arrays[1:], strict=True)]
    first = value("x0", arrays[0].shape, CODES[arrays[0].dtype.name])
    untyped = [helper.make_value_info(f"y{i}", TypeProto()) for i in range(outputs)]
    return model(nodes, [first], untyped, made, opset), {"x0": arrays[0]}


EDGES = {
    **{op: (op, X) for op in ("Softplus", "Elu", "Celu", "Selu", "ThresholdedRelu", "Shrink")},
    **{
        f"{op}-no-axes": (op, SQUARE, [], {"noop_with_empty_axes": 1})
        for op in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum")
    },
    "ReduceLogSum-int": ("ReduceLogSum", numpy.arange(1, 7, dtype=numpy.int32).reshape(2, 3), [1], {}),
    "ReduceLogSumExp-int": ("ReduceLogSumExp", numpy.arange(1, 7, dtype=numpy.int32).reshape(2, 3), [1], {}),
    "Hardmax-empty": ("Hardmax", weights(3, 0)),
    "TopK-1-ties": ("TopK", numpy.float32([3, 1, 3, 1, 2, 3]), {"opset": 1, "k": 2, "outputs": 2}),
    "Range-float64": ("Range", numpy.array(0.0), numpy.array(0.9), numpy.array(0.3), {}),
    "Slice-far": ("Slice", weights(5), [-1], [SMALL], [0], [SMALL], {}),
    "Slice-near": ("Slice", weights(5), [0], [5], [0], [LARGE], {}),
    "Resize-7/10": ("Resize", weights(1, 1, 10), numpy.zeros(0, numpy.float32), numpy.float32([1, 1, 0.7]), {}),
    "Resize-7-by-7/10": ("Resize", weights(1, 1, 7), numpy.zeros(0, numpy.float32), numpy.float32([1, 1, 0.7]), {}),
    "Resize-to-none": ("Resize", weights(1, 1, 3), numpy.zeros(0, numpy.float32), numpy.float32([1, 1, 0.1]), {"mode": "linear"}),
    "Upsample-13/10": ("Upsample", weights(1, 1, 10), numpy.float32([1, 1, 1.3]), {"opset": 9}),
    "Pad-takes-all": ("Pad", weights(2, 2), [1, -2, 0, 0], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", EDGES)
def test_edges_are_those_of_onnxruntime(name):
    op, *inputs = EDGES[name]
    attributes = inputs.pop() if isinstance(inputs[-1], dict) else {}
    proto, given = single(op, *inputs, **attributes)
    for got, want in zip(helix.onnx.load(proto.SerializeToString()).run(given), expected(proto, given), strict=True):
        assert got.shape == want.shape and got.dtype == want.dtype
        numpy.testing.assert_allclose(got, want, 1e-5, 1e-6)


def run(*args, **attributes):
    proto, given = single(*args, **attributes)
    return helix.onnx.load(proto.SerializeToString()).run(given)


def test_edges_that_onnxruntime_has_not():
    top = (1 << 63) - 1
    assert run("Range", numpy.array(top - 10), top - 1, 4)[0].tolist() == [top - 10, top - 6, top - 2]
    hot = run("OneHot", numpy.uint8([1, 250]), 300, numpy.float32([0, 1]))[0]
    assert hot.shape == (2, 300) and hot.sum() == 2 and hot[0, 1] == hot[1, 250] == 1
    slope = numpy.float32([1, 2, 3])
    made = run("PRelu", -numpy.ones((1, 3, 2, 3), numpy.float32), slope, opset=6)[0]
    assert (made == -slope.reshape(1, 3, 1, 1)).all()


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        ("Gather", [weights(3), [-4]]),
        ("GatherElements", [weights(3, 2), [[-4, 0]]]),
        ("GatherND", [weights(3, 2), [[-4]]]),
        ("ScatterElements", [weights(3, 2), [[-4, 0]], weights(1, 2)]),
        ("ScatterND", [weights(3, 2), [[-4]], weights(1, 2)]),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_an_index_before_the_first_element_is_an_error(op, inputs):
    with pytest.raises(HelixError):
        run(op, *inputs)


def test_axes_outside_are_errors():
    for axis in (3, -3):
        with pytest.raises(HelixError, match="HX4022.*Flatten"):
            run("Flatten", weights(2, 3), axis=axis)


@pytest.mark.parametrize("op", ["Elu", "Selu", "Celu", "Softplus", "Mish"])
def test_gradients_of_activations_are_finite_where_an_exponential_is_not(op):
    proto, _ = single(op, X)
    x = helix.tensor([[200.0, -200.0, 1.0]]).requires_grad_()
    nodes = helix.onnx.load(proto.SerializeToString()).program.steps
    nodes[0].handler.function(x, **nodes[0].keywords).sum().backward()
    assert x.grad.isfinite().all()
