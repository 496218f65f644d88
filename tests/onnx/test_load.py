"""Models loaded, run, traced and trained."""

import numpy
import onnxruntime
import pytest
from onnx import TensorProto, helper

import helix
import helix.onnx
from helix.errors import ArgumentError, FormatError, ShapeError, TraceError, UnsupportedOpError
from helix.graph import Dim

from .models import MODELS, F, I, convolution, inputs_of, model, node, perceptron, shapes, tensor, value, weights


def expected(proto, inputs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    proto.ir_version = min(proto.ir_version, 10)
    return onnxruntime.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"]).run(None, inputs)


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    """A model, inputs, and what onnxruntime makes of them."""
    proto = MODELS[request.param]()
    inputs = inputs_of(proto)
    return proto.SerializeToString(), inputs, expected(proto, inputs)


def same(made, wanted):
    for got, want in zip(made, wanted, strict=True):
        numpy.testing.assert_allclose(got, want, 1e-5, 1e-6)


def test_run_gives_onnxruntimes_numbers(case):
    raw, inputs, wanted = case
    model = helix.onnx.load(raw)
    same(model.run(inputs), wanted)
    same(model.run(list(inputs.values())), wanted)
    name = model.outputs[-1].name
    same(model.run(inputs, [name]), wanted[-1:])


def test_the_graph_and_the_module_give_the_same(case):
    raw, inputs, wanted = case
    model = helix.onnx.load(raw)
    tensors = [helix.tensor(x) for x in inputs.values()]
    for compute in (model.graph, model.module()):
        made = compute(*tensors)
        same([x.detach().numpy() for x in (made if isinstance(made, tuple) else (made,))], wanted)


def test_the_graph_is_saved_and_computes_other_sizes(tmp_path):
    graph = helix.onnx.load(perceptron().SerializeToString()).graph
    assert [value.name for value in graph.inputs] == ["x"]
    assert set(graph.parameters) == {"layer.0.weight", "layer.0.bias", "out"}
    graph.save(tmp_path / "graph.safetensors")
    x = helix.randn(7, 4)
    assert (helix.graph.load(tmp_path / "graph.safetensors")(x) == graph(x)).all()


def test_chains_that_compute_shapes_do_not_stand_in_the_graph():
    proto = shapes()
    graph = helix.onnx.load(proto.SerializeToString()).graph
    assert {node.op for node in graph.nodes} <= {"reshape", "arange", "cast", "sum", "div", "full", "cat", "add", "mul"}
    for sizes in ((2, 3), (5, 9)):
        x = numpy.random.default_rng(0).standard_normal((*sizes, 4)).astype(numpy.float32)
        same([graph(helix.tensor(x)).numpy()], expected(proto, {"x": x}))


def test_ports_tell_names_dtypes_and_shapes():
    model = helix.onnx.load(shapes().SerializeToString())
    assert str(model.inputs) == "(x: float32[B, T, 4],)"
    assert isinstance(model.inputs[0].shape[0], Dim)
    assert model.outputs[0].dtype is helix.float32


def test_a_module_trains_and_the_model_runs_what_it_learnt():
    model = helix.onnx.load(convolution().SerializeToString())
    module = model.module()
    assert set(dict(module.named_parameters())) == {"w", "b", "g", "s"}
    assert set(dict(module.named_buffers())) == {"m", "v"}
    optimizer = helix.optim.SGD(module.parameters(), lr=0.1)
    x, losses = helix.randn(4, 3, 8, 8), []
    before = model.run([x])[0]
    for _ in range(5):
        loss = ((module(x) - 1) ** 2).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses == sorted(losses, reverse=True)
    assert abs(model.run([x])[0] - before).max() > 1e-3


def test_parameters_have_gradients_of_the_same_network():
    model = helix.onnx.load(perceptron().SerializeToString())
    module = model.module()
    x = helix.randn(3, 4)
    module(x).sum().backward()
    w, b, out = (
        model.tensors[name].detach().clone().requires_grad_() for name in ("layer.0.weight", "layer.0.bias", "out")
    )
    ((helix.nn.functional.linear(x, w, b)).relu() @ out).sum().backward()
    for name, leaf in (("layer.0.weight", w), ("layer.0.bias", b), ("out", out)):
        assert helix.allclose(dict(module.named_parameters())[name].grad, leaf.grad)


def test_names_that_modules_have_themselves_do_no_harm():
    names = ["forward", "__class__", "_parameters", "model", "a", "a.b", ".".join("x" * 200), "training", ""]
    tensors = [tensor(name or "empty", weights(2)) for name in names]
    nodes = [helper.make_node("Sum", [t.name for t in tensors], ["y"])]
    model_ = helix.onnx.load(model(nodes, [], [value("y", [2])], tensors).SerializeToString())
    module = model_.module()
    assert len(list(module.parameters())) == len(names)
    same([module().detach().numpy()], model_.run({}))


def test_shapes_that_depend_on_values_run_and_are_errors_in_a_trace():
    proto = model([node("NonZero", "x", "y")], [value("x", [3])], [value("y", [1, "n"], I)])
    model_ = helix.onnx.load(proto.SerializeToString())
    assert model_.run([numpy.array([0, 2, 3], numpy.float32)])[0].tolist() == [[1, 2]]
    with pytest.raises(TraceError, match="NonZero.*shape of the result depends on values"):
        model_.trace()


def test_an_input_that_tells_a_shape_is_given_as_constant():
    proto = model([node("Reshape", "x s", "y")], [value("x", ["n", 4]), value("s", [2], I)], [value("y", None)])
    model_ = helix.onnx.load(proto.SerializeToString())
    with pytest.raises(TraceError, match="constants="):
        model_.trace()
    graph = model_.trace(constants={"s": numpy.array([-1, 2])})
    assert graph(helix.ones(3, 4)).shape == (6, 2)


@pytest.mark.parametrize(
    ("inputs", "kind", "text"),
    [
        ({}, ArgumentError, "the input x: float32.B, 4. is missing"),
        ({"x": numpy.zeros((2, 4))}, ArgumentError, "must be float32, got float64"),
        ({"x": numpy.zeros((2, 5), numpy.float32)}, ShapeError, "got shape .2, 5."),
        ({"x": numpy.zeros((2, 4), numpy.float32), "z": 1}, ArgumentError, "no input 'z'"),
        ([0, 1], ArgumentError, "takes 1 inputs, got 2"),
        ({"x": ["a"]}, ArgumentError, "array of numbers"),
        ({"x": [[1.0], [1.0, 2.0]]}, ArgumentError, "must be a tensor or an array"),
    ],
)
def test_inputs_that_do_not_fit_are_errors(inputs, kind, text):
    with pytest.raises(kind, match=text):
        helix.onnx.load(perceptron().SerializeToString()).run(inputs)


def test_errors_of_a_run_name_the_node():
    proto = model([node("Add", "x w", "y")], [value("x", None)], [value("y", None)], [tensor("w", weights(3))])
    with pytest.raises(ShapeError) as caught:
        helix.onnx.load(proto.SerializeToString()).run([numpy.zeros(4, numpy.float32)])
    assert "in node 'y' (Add)" in caught.value.__notes__
    proto = model([node("Concat", "x x", "y", axis=5)], [value("x", [2])], [value("y", None)])
    with pytest.raises(FormatError, match=r"HX4022.*node 'y' \(Concat\).*axis 5.*float32\[2\]"):
        helix.onnx.load(proto.SerializeToString()).run([numpy.zeros(2, numpy.float32)])


def test_operators_and_types_that_are_not_there_are_named():
    proto = model([helper.make_node("Relux", ["x"], ["y"], name="n")], [value("x", [2])], [value("y", [2])])
    with pytest.raises(UnsupportedOpError, match=r"HX4021.*node 'n' \(Relux\)"):
        helix.onnx.load(proto.SerializeToString())
    proto = model(
        [node("Identity", "x", "y")], [value("x", [2], TensorProto.STRING)], [value("y", [2], TensorProto.STRING)]
    )
    with pytest.raises(UnsupportedOpError, match="string"):
        helix.onnx.load(proto.SerializeToString())


def test_a_newer_operator_set_is_told():
    proto = perceptron()
    proto.opset_import[0].version = 1000
    with pytest.raises(UnsupportedOpError, match="HX4021.*version 1000 of the operators.*update onnx"):
        helix.onnx.load(proto.SerializeToString())


def test_seeds_of_a_file_count():
    nodes = [node("RandomNormal", "", "y", shape=[4], seed=3.0)]
    model_ = helix.onnx.load(model(nodes, [], [value("y", [4])]).SerializeToString())
    assert (model_.run([])[0] == model_.run([])[0]).all()
    graph = model_.graph
    helix.manual_seed(0)
    first = graph()
    helix.manual_seed(0)
    assert (graph() == first).all() and (graph() != first).any()


def test_loads_onto_a_device_and_from_a_path(tmp_path):
    (tmp_path / "model.onnx").write_bytes(perceptron().SerializeToString())
    model_ = helix.onnx.load(tmp_path / "model.onnx", device="cpu")
    assert model_.run([numpy.zeros((1, 4), numpy.float32)])[0].shape == (1, 2)
    assert F == 1
