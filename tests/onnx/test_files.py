"""Files that mean harm: external data outside of the folder, bombs, depth, and 600 damaged files of a fixed seed."""

import os

import numpy
import onnx
import pytest
from onnx import helper

import helix.onnx
from helix.errors import FormatError, HelixError, MissingExtraError
from helix.onnx import Limits
from helix.onnx.external import parts_of

from .models import I, choice, model, node, perceptron, tensor, value, weights
from .mutations import run as mutated


def load(proto, **options):
    return helix.onnx.load(proto.SerializeToString(), **options)


def outside(location, offset=0, length=None, name="w"):
    """x + w, where w lies in another file."""
    w = tensor(name, weights(4))
    raw = w.raw_data
    w.ClearField("raw_data")
    onnx.external_data_helper.set_external_data(_filled(w, raw), location, offset, 16 if length is None else length)
    w.ClearField("raw_data")
    return model([node("Add", "x w", "y")], [value("x", [4])], [value("y", [4])], [w]), raw


def _filled(w, raw):
    w.raw_data = raw
    return w


def test_external_data_below_the_folder(tmp_path):
    proto, raw = outside("deep/w.bin", 4)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "w.bin").write_bytes(b"1234" + raw)
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    x = numpy.zeros(4, numpy.float32)
    for made in (helix.onnx.load(tmp_path / "model.onnx"), load(proto, folder=tmp_path)):
        assert (made.run([x])[0] == numpy.frombuffer(raw, numpy.float32)).all()
    with pytest.raises(FormatError, match="external_data=False"):
        load(proto, folder=tmp_path, external_data=False)
    with pytest.raises(FormatError, match="folder=path"):
        load(proto)


@pytest.mark.parametrize(
    "location",
    ["../w.bin", "a/../../w.bin", "/etc/passwd", "..", ".", "", "a\\..\\w", "C:w", "w\0.bin", "a/..", "w.bin/../w.bin"],
)
def test_locations_that_lead_elsewhere(location):
    with pytest.raises(FormatError, match="HX4020.*below the model's folder"):
        parts_of(location)


@pytest.fixture
def folder(tmp_path):
    """A folder of a model, beside which lies a secret."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "w.bin").write_bytes(bytes(64))
    inside = tmp_path / "model"
    inside.mkdir()
    (inside / "real.bin").write_bytes(bytes(64))
    return inside


def test_links_pipes_and_second_names_are_refused(folder):
    secret = folder.parent / "secret"
    (folder / "link.bin").symlink_to(secret / "w.bin")
    (folder / "near.bin").symlink_to("real.bin")
    (folder / "way").symlink_to(secret)
    os.link(secret / "w.bin", folder / "hard.bin")
    os.mkfifo(folder / "pipe.bin")
    (folder / "dir.bin").mkdir()
    for location in ("link.bin", "near.bin", "way/w.bin", "hard.bin", "pipe.bin", "dir.bin", "absent.bin"):
        with pytest.raises(FormatError, match="HX4020.*external data"):
            load(outside(location)[0], folder=folder)
    assert load(outside("real.bin")[0], folder=folder).run([numpy.zeros(4, numpy.float32)])[0].tolist() == [0] * 4


@pytest.mark.parametrize(
    ("offset", "length"), [(60, 16), (-1, 16), (0, 12), (0, 1 << 40), ("x", 16), (1 << 63, 16), ("0x10", 16)]
)
def test_ranges_must_fit_tensor_and_file(folder, offset, length):
    proto, _ = outside("real.bin")
    for entry in proto.graph.initializer[0].external_data:
        if entry.key in ("offset", "length"):
            entry.value = str({"offset": offset, "length": length}[entry.key])
    with pytest.raises(FormatError, match="HX4020"):
        load(proto, folder=folder)


def bombs():
    big = [1 << 20, 1 << 20]
    x, y = [value("x", [2])], [value("y", None)]

    def of(op, inputs, tensors=(), **attributes):
        return model([node(op, inputs, "y", **attributes)], x, y, list(tensors))

    shape = tensor("s", big, numpy.int64)
    yield of("ConstantOfShape", "s", [shape])
    yield of("Expand", "x s", [tensor("s", [1 << 40, 2], numpy.int64)])
    yield of("Tile", "x s", [tensor("s", [1 << 40], numpy.int64)])
    yield of(
        "Range", "a b c", [tensor("a", 0, numpy.int64), tensor("b", 1 << 60, numpy.int64), tensor("c", 1, numpy.int64)]
    )
    yield of("Pad", "x s", [tensor("s", [1 << 40, 1 << 40], numpy.int64)])
    yield of("RandomNormal", "", shape=big)
    yield of(
        "OneHot", "i d v", [tensor("i", [1, 2], numpy.int64), tensor("d", 1 << 40, numpy.int64), tensor("v", [0, 1])]
    )
    yield of("Resize", "x _ s", [tensor("s", [1e9])])
    yield of("HannWindow", "s", [tensor("s", 1 << 40, numpy.int64)])
    yield of("MatMul", "a b", [tensor("a", numpy.ones((1 << 15, 1))), tensor("b", numpy.ones((1, 1 << 15)))])
    yield of("Add", "a b", [tensor("a", numpy.ones((1 << 15, 1))), tensor("b", numpy.ones((1, 1 << 15)))])
    yield of(
        "Conv",
        "a b",
        [tensor("a", numpy.ones((1, 1, 2, 2))), tensor("b", numpy.ones((1, 1, 2, 2)))],
        pads=[1 << 20] * 4,
    )
    yield of("MaxPool", "a", [tensor("a", numpy.ones((1, 1, 2, 2)))], kernel_shape=[2, 2], pads=[1 << 20] * 4)
    yield of(
        "ConvTranspose",
        "a b",
        [tensor("a", numpy.ones((1, 1, 2, 2))), tensor("b", numpy.ones((1, 1, 2, 2)))],
        strides=[1 << 30] * 2,
    )
    far = [tensor("s", [1 << 40, -2, 0, 0], numpy.int64), tensor("a", numpy.ones((2, 2)))]
    yield of("Pad", "a s", far)
    yield of("Pad", "a s", [tensor("s", [0, 1 << 40, 0, 0], numpy.int64), tensor("a", numpy.ones((0, 2)))], mode="edge")
    yield of(
        "MaxRoiPool", "a b", [tensor("a", numpy.ones((1, 1, 2, 2))), tensor("b", numpy.ones((1, 5)))], pooled_shape=big
    )
    column, row = tensor("a", numpy.ones((1 << 13, 1))), tensor("c", numpy.ones((1, 1 << 13)))
    yield of("Gemm", "a b c", [column, tensor("b", [[1]]), row])
    yield of("LayerNormalization", "a s", [column, tensor("s", numpy.ones(1 << 13))])
    yield of("PRelu", "a c", [column, row])
    yield of("ConstantOfShape", "s", [tensor("s", [1 << 40, 0, 3], numpy.int64)])
    doubling = [node("Concat", f"v{i} v{i}", f"v{i + 1}", axis=0) for i in range(60)]
    yield model([node("Identity", "x", "v0"), *doubling, node("Identity", "v60", "y")], x, y)


@pytest.mark.parametrize("proto", list(bombs()), ids=lambda proto: proto.graph.node[0].op_type)
def test_bombs_are_refused_before_they_are_made(proto):
    with pytest.raises(HelixError, match=r"elements, \d+ are allowed") as caught:
        load(proto, limits=Limits(value_elements=1 << 24)).run([numpy.zeros(2, numpy.float32)])
    assert caught.value.code == "HX4022"


def test_loops_without_end_end():
    body = helper.make_graph(
        [node("Identity", "c", "d")], "b", [value("i", [], I), value("c", [], 9)], [value("d", [], 9)]
    )
    proto = model(
        [helper.make_node("Loop", ["", ""], [], body=body), node("Identity", "x", "y")],
        [value("x", [1])],
        [value("y", [1])],
    )
    with pytest.raises(FormatError, match="more than 1000 steps"):
        load(proto, limits=Limits(steps=1000)).run([numpy.zeros(1, numpy.float32)])


def slow():
    """What goes on for long though it makes little."""
    x, y = [value("x", [2])], [helper.make_value_info("y", onnx.TypeProto())]

    def of(op, inputs, *tensors, **attributes):
        return model([node(op, inputs, "y", **attributes)], x, y, list(tensors))

    parts = [tensor("a", numpy.ones((2000, 1, 1))), tensor("w", numpy.ones((1, 1, 1)))]
    yield of("RNN", "a w w", *parts, hidden_size=1, clip=0.5)
    yield of("SplitToSequence", "a", parts[0])
    yield of("SplitToSequence", "a s", parts[0], tensor("s", 1, numpy.int64))
    numbers = {"ngram_counts": [0, 1], "ngram_indexes": [0, 1], "pool_int64s": [1, 1, 2], "mode": "TF"}
    grams = {"min_gram_length": 1, "max_gram_length": 2, "max_skip_count": 1 << 62}
    yield of("TfIdfVectorizer", "i", tensor("i", numpy.ones(2000), numpy.int64), **numbers, **grams)
    rois = [tensor("a", numpy.ones((1, 1, 2, 2))), tensor("b", numpy.zeros((1, 5)))]
    yield of("MaxRoiPool", "a b", *rois, pooled_shape=[1 << 10, 1 << 10])
    corners = numpy.arange(2000.0)[:, None] + numpy.array([0, 0, 0.5, 0.5])
    boxes = [tensor("b", corners[None]), tensor("s", numpy.ones((1, 1, 2000))), tensor("n", [2000], numpy.int64)]
    yield of("NonMaxSuppression", "b s n", *boxes)


@pytest.mark.parametrize("proto", list(slow()), ids=lambda proto: proto.graph.node[0].op_type)
def test_rounds_within_an_operator_are_steps_too(proto):
    with pytest.raises(FormatError, match="more than 1000 steps"):
        load(proto, limits=Limits(steps=1000)).run([numpy.zeros(2, numpy.float32)])


def test_bytes_that_are_no_truth_values_become_some():
    truths = tensor("t", [True] * 8, bool)
    truths.raw_data = bytes([0, 1, 2, 255, 0, 128, 1, 0])
    nodes = [node("Cast", "t", "i", to=I), node("NonZero", "t", "n")]
    made = load(model(nodes, [], [value("i", [8], I), value("n", None, I)], [truths])).run([])
    assert [part.tolist() for part in made] == [[0, 1, 1, 1, 0, 1, 1, 0], [[1, 2, 3, 5, 6]]]


def test_a_body_that_is_made_for_each_run_is_counted_once():
    names = "q k v"
    proto = model(
        [node("Attention", f"{names} m", "y")],
        [value(n, [1, 2, 3, 4]) for n in names.split()],
        [value("y", None)],
        [tensor("m", numpy.zeros((3, 3)))],
        23,
    )
    made = load(proto, limits=Limits(nodes=80))
    for _ in range(8):
        assert made.run([weights(1, 2, 3, 4)] * 3)[0].shape == (1, 2, 3, 4)


def test_functions_that_call_themselves_or_double():
    def function(name, callee):
        calls = [
            helper.make_node(callee, ["a"], ["b"], domain="own"),
            helper.make_node(callee, ["b"], ["c"], domain="own"),
        ]
        return helper.make_function("own", name, ["a"], ["c"], calls, [helper.make_opsetid("own", 1)])

    graph = helper.make_graph(
        [helper.make_node("f0", ["x"], ["y"], domain="own")], "g", [value("x", [1])], [value("y", [1])]
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    for functions in ([function("f0", "f0")], [function(f"f{i}", f"f{i + 1}") for i in range(40)]):
        with pytest.raises(FormatError, match="HX4020.*(deeper than 32|more than 100000 nodes)"):
            load(helper.make_model(graph, opset_imports=opsets, functions=functions))


def nested(depth):
    graph = helper.make_graph([node("Identity", "x", "o")], "g", [], [value("o", [1])])
    for _ in range(depth):
        inner = helper.make_node("If", ["c"], ["o"], then_branch=graph, else_branch=graph)
        graph = helper.make_graph([inner], "g", [], [value("o", [1])])
    return model(list(graph.node), [value("x", [1]), value("c", [], 9)], [value("o", [1])])


LIMITED = {
    "nodes": (lambda: model([node("Relu", "x", "h"), node("Relu", "h", "y")], [value("x", [1])], [value("y", [1])]), 2, "nodes"),
    "depth": (lambda: nested(3), 3, "nested deeper"),
    "list_length": (lambda: model([node("Constant", "", "y", value_ints=[1] * 10)], [], [value("y", [10], I)]), 10, "a list of 10"),
    "text_bytes": (lambda: model([node("Relu", "x", "y" * 50)], [value("x", [1])], [value("y" * 50, [1])]), 50, "50 characters"),
    "rank": (lambda: model([node("Identity", "w", "y")], [], [value("y", None)], [tensor("w", numpy.ones([1] * 5))]), 5, "shape"),
    "initializer_elements": (perceptron, 32 + 8 + 16, "more than 55 elements"),
}  # fmt: skip


@pytest.mark.parametrize("limit", LIMITED)
def test_each_limit_lets_pass_what_is_just_below(limit):
    make, most, text = LIMITED[limit]
    load(make(), limits=Limits(**{limit: most}))
    with pytest.raises(FormatError, match=f"HX4020.*{text}"):
        load(make(), limits=Limits(**{limit: most - 1}))


def test_the_limit_of_bytes(tmp_path):
    raw = perceptron().SerializeToString()
    helix.onnx.load(raw, limits=Limits(model_bytes=len(raw)))
    (tmp_path / "m.onnx").write_bytes(raw)
    for source in (raw, tmp_path / "m.onnx"):
        with pytest.raises(FormatError, match=f"{len(raw)} bytes"):
            helix.onnx.load(source, limits=Limits(model_bytes=len(raw) - 1))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda m: m.graph.node[0].input.__setitem__(0, "later"), "not made before"),
        (lambda m: m.graph.node[1].output.__setitem__(0, "h"), "there already"),
        (lambda m: m.graph.output[0].__setattr__("name", "absent"), "output 'absent' is not made"),
        (lambda m: m.graph.initializer[0].dims.__setitem__(0, 1 << 40), "elements"),
        (lambda m: m.graph.initializer[0].dims.__setitem__(0, -8), "shape"),
        (lambda m: m.graph.initializer[0].dims.__setitem__(0, 9), "bytes"),
        (lambda m: m.graph.initializer[1].__setattr__("name", "layer.0.weight"), "two initializers"),
        (lambda m: m.ClearField("opset_import"), "does not tell the version"),
        (lambda m: m.graph.node[0].attribute[0].__setattr__("name", "transZ"), "which Gemm has not"),
        (lambda m: m.graph.node[1].input.append("h"), "2 inputs"),
    ],
)
def test_what_is_not_sound_is_told(change, text):
    proto = perceptron()
    change(proto)
    with pytest.raises(FormatError, match=f"HX4020.*{text}"):
        load(proto)


def test_no_message_at_all():
    for raw in (b"", b"\xff" * 40, b"not a model"):
        with pytest.raises(FormatError, match="HX4020"):
            helix.onnx.load(raw)


def test_damaged_files_give_typed_errors():
    found = mutated(0, 600)
    assert sum(found.values()) == 600
    assert found["HX4020"] > 100 and found["traced"] > 50


def test_the_package_is_named_where_it_is_absent(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"HX2201.*pip install helix\[onnx\]"):
        load(choice())
