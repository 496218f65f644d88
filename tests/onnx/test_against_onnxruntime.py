"""Operators with many forms, beside onnxruntime; and the shipped models."""

import glob
import os

import numpy
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

import helix
import helix.onnx

from .models import I, model, node, tensor, value, weights

DATA = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")


def expected(proto, inputs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    proto.ir_version = min(proto.ir_version, 10)
    return onnxruntime.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"]).run(None, inputs)


def check(proto, inputs, atol=2e-6):
    wanted = expected(proto, inputs)
    made = helix.onnx.load(proto.SerializeToString()).run(inputs)
    for got, want in zip(made, wanted, strict=True):
        assert got.shape == want.shape and got.dtype == want.dtype
        numpy.testing.assert_allclose(got, want, 1e-5, atol)


RECURRENT = {
    "RNN": [{}, {"activations": ["Relu"]}, {"clip": 0.3}, {"direction": "reverse"}, {"activations": ["Affine"], "activation_alpha": [0.5], "activation_beta": [0.1]}],
    "GRU": [{}, {"linear_before_reset": 1}, {"linear_before_reset": 1, "direction": "bidirectional"}, {"direction": "reverse"}, {"clip": 0.3}],
    "LSTM": [{}, {"direction": "reverse"}, {"direction": "bidirectional"}, {"clip": 0.3}, {"activations": ["HardSigmoid", "Relu", "Softsign"]}, {"peephole": True}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("op", "options"), [(op, options) for op, rows in RECURRENT.items() for options in rows], ids=str
)
@pytest.mark.parametrize("lengths", [None, [4, 2, 1]], ids=["whole", "lengths"])
def test_recurrent(op, options, lengths):
    options = dict(options)
    gates, n = {"RNN": 1, "GRU": 3, "LSTM": 4}[op], 5
    directions = 2 if options.get("direction") == "bidirectional" else 1
    tensors = [
        tensor("w", weights(directions, gates * n, 3)), tensor("r", weights(directions, gates * n, n)),
        tensor("b", weights(directions, 2 * gates * n)), tensor("h0", weights(directions, 3, n)),
    ]  # fmt: skip
    names = ["x", "w", "r", "b", "", "h0"]
    if lengths:
        tensors.append(tensor("lengths", lengths, numpy.int32))
        names[4] = "lengths"
    if options.pop("peephole", False):
        tensors.append(tensor("p", weights(directions, 3 * n)))
        names += ["", "p"]
    outputs = ["y", "h", "c"] if op == "LSTM" else ["y", "h"]
    proto = model([helper.make_node(op, names, outputs, hidden_size=n, **options)], [value("x", [4, 3, 3])], [value(o, None) for o in outputs], tensors)  # fmt: skip
    check(proto, {"x": weights(4, 3, 3)})


SPATIAL = [
    ("Conv", [2, 3, 7, 6], [4, 3, 3, 2], {"pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2]}),
    ("Conv", [2, 4, 7, 6], [4, 2, 3, 3], {"auto_pad": "SAME_LOWER", "group": 2, "strides": [2, 2]}),
    ("Conv", [2, 3, 9], [4, 3, 3], {"auto_pad": "SAME_UPPER"}),
    ("Conv", [1, 2, 4, 5, 6], [3, 2, 2, 2, 2], {"pads": [1, 1, 1, 0, 0, 0]}),
    ("ConvTranspose", [2, 3, 4, 5], [3, 2, 3, 3], {"strides": [2, 3], "pads": [1, 0, 0, 1], "output_padding": [1, 0]}),
    ("ConvTranspose", [2, 4, 4, 5], [4, 2, 3, 3], {"group": 2, "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("MaxPool", [2, 3, 7, 8], None, {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1], "ceil_mode": 1}),
    ("MaxPool", [2, 3, 9], None, {"kernel_shape": [3], "dilations": [2], "strides": [2]}),
    ("AveragePool", [2, 3, 7, 8], None, {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1], "count_include_pad": 1}),
    ("AveragePool", [2, 3, 7, 8], None, {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("LpPool", [2, 3, 7, 8], None, {"kernel_shape": [3, 3], "p": 3}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("op", "shape", "kernel", "options"), SPATIAL, ids=[f"{row[0]}{i}" for i, row in enumerate(SPATIAL)]
)
def test_spatial(op, shape, kernel, options):
    tensors = [] if kernel is None else [tensor("w", weights(*kernel))]
    proto = model(
        [node(op, "x w" if kernel else "x", "y", **options)], [value("x", shape)], [value("y", None)], tensors
    )
    check(proto, {"x": weights(*shape)})


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("transform", ["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"])
@pytest.mark.parametrize("sizes", [[7, 9], [2, 3], [1, 4], [8, 10]], ids=str)
def test_resize(mode, transform, sizes):
    nodes = [node("Resize", "x _ _ s", "y", mode=mode, coordinate_transformation_mode=transform, nearest_mode="floor")]
    proto = model(nodes, [value("x", [1, 2, 4, 5])], [value("y", None)], [tensor("s", [1, 2, *sizes], numpy.int64)])
    check(proto, {"x": weights(1, 2, 4, 5)})


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_pad(mode):
    tensors = [tensor("p", [0, 2, 1, -1], numpy.int64)]
    proto = model([node("Pad", "x p", "y", mode=mode)], [value("x", [3, 4])], [value("y", None)], tensors)
    check(proto, {"x": weights(3, 4)})


@pytest.mark.parametrize(
    "steps", [([1], [9], [1], [2]), ([-1, 5], [-10, 0], [0, 1], [-1, -2]), ([0], [0], [0], [1])], ids=str
)
def test_slice(steps):
    tensors = [tensor(name, part, numpy.int64) for name, part in zip("seax", steps, strict=True)]
    proto = model([node("Slice", "d s e a x", "y")], [value("d", [4, 6])], [value("y", None)], tensors)
    check(proto, {"d": weights(4, 6)})


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_scatter(reduction):
    index = numpy.array([[0, 1], [2, 2]])[[0, 1] if reduction != "none" else [0, 0]]
    tensors = [tensor("i", index[:, :1] if reduction != "none" else index[:1, :1], numpy.int64)]
    rows = len(index) if reduction != "none" else 1
    proto = model([node("ScatterND", "x i u", "y", reduction=reduction)], [value("x", [3, 4]), value("u", [rows, 4])], [value("y", None)], tensors)  # fmt: skip
    check(proto, {"x": weights(3, 4), "u": weights(rows, 4)})


def test_integers_divide_as_in_c():
    nodes = [node("Div", "a b", "q"), node("Mod", "a b", "m"), node("Mod", "a b", "f", fmod=1)]
    proto = model(nodes, [value("a", [4], I), value("b", [4], I)], [value(name, [4], I) for name in "qmf"])
    check(proto, {"a": numpy.array([7, -7, 7, -7]), "b": numpy.array([2, 2, -2, -2])})


def _loaded(path, kind):
    with open(path, "rb") as file:
        raw = file.read()
    if kind.WhichOneof("value") == "sequence_type":
        return numpy_helper.to_list(onnx.SequenceProto.FromString(raw))
    return numpy_helper.to_array(onnx.TensorProto.FromString(raw))


def _numbered(folder, what):
    return sorted(glob.glob(f"{folder}/{what}_*.pb"), key=lambda path: int(path.rsplit("_", 1)[1][:-3]))


def test_models_of_exporters():
    """Those of the onnx package, by PyTorch's exporter; all but two kinds: texts, and Gradient."""
    seen = 0
    for path in sorted(glob.glob(f"{DATA}/[sp]*/*/model.onnx")):
        if "strnorm" in path or "gradient" in path:
            continue
        made, proto = helix.onnx.load(path), onnx.load(path)
        for folder in glob.glob(f"{os.path.dirname(path)}/test_data_set*"):
            inputs = {
                port.name: _loaded(p, port.type) for port, p in zip(proto.graph.input, _numbered(folder, "input"))
            }
            wanted = [_loaded(p, port.type) for port, p in zip(proto.graph.output, _numbered(folder, "output"))]
            for got, want in zip(made.run(inputs), wanted, strict=True):
                numpy.testing.assert_allclose(got, want, 1e-3, 1e-5, err_msg=path)
            seen += 1
    assert seen >= 130


@pytest.mark.parametrize("name", ["squeezenet", "inception_v1", "shufflenet"])
def test_whole_networks(name):
    made = helix.onnx.load(f"{DATA}/light/light_{name}.onnx")
    shape = made.inputs[0].shape
    x = (numpy.arange(numpy.prod(shape)) / numpy.prod(shape)).reshape(shape).astype(numpy.float32)
    want = _loaded(
        f"{DATA}/light/light_{name}_output_0.pb", onnx.load(f"{DATA}/light/light_{name}.onnx").graph.output[0].type
    )
    numpy.testing.assert_allclose(made.run([x])[0], want, 1e-4, 1e-7)
    assert (made.graph(helix.tensor(x)).numpy() == made.run([x])[0]).all()
