"""Graphs in files: what is loaded is what was saved, to the bit; what is not sound is refused."""

import json
import os
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path

import pytest

import helix
from helix import nn
from helix.autograd import Function
from helix.errors import FormatError
from helix.graph import Dim, Spec, files, from_json, grad, load

from .mutations import run as mutated
from .random_graphs import equal, inputs_of, program

GOLDEN = Path(__file__).parent / "golden" / "format1.safetensors"
Pair = namedtuple("Pair", "left right")


@dataclass
class Batch:
    x: helix.Tensor
    scale: float


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        square = x * x
        ctx.save_for_backward(x, square)
        return square * x

    @staticmethod
    def backward(ctx, g):
        x, square = ctx.saved_tensors
        return g * (square + 2 * x * x)


def _model():
    helix.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))


def _step():
    model = _model()

    def step(x):
        loss = (model(x) ** 2).mean()
        loss.backward()
        return loss

    return helix.trace(step, Spec((4, 3)))


def _scan():
    w = helix.tensor([[0.5, 1.0], [-1.0, 2.0]])

    def body(carry, row):
        carry = helix.cond(row.sum() > 0, lambda: carry @ w + row, lambda: carry * 0.5)
        return carry, carry.sum()

    return helix.trace(lambda x: helix.scan(body, helix.zeros(2), x), Spec((Dim("T"), 2)))


def _trees():
    def run(pair, batch):
        inf = helix.where(pair.left > 0, pair.left, float("-inf"))
        return {"a": [inf, pair.right * float("nan")], 1: Pair(batch.x * batch.scale, batch.x + 2.5), "n": None}

    return helix.trace(run, Pair(Spec((2,)), Spec((2, 3))), Batch(Spec((2,), helix.float64), 0.1))


def _loop():
    return helix.trace(lambda x: helix.while_loop(lambda y: y.sum() < 100, lambda y: y * 2 + x, x), Spec((2,)))


def _dims():
    return helix.trace(
        lambda x, y: (x.reshape(-1, 2).var(0), y.repeat(2, 1)[1:], helix.rand(2, 2)),
        Spec((Dim("B", max=64), Dim("T", multiple_of=2))),
        Spec((Dim("B", max=64), 3), helix.int64),
    )


def _gradient():
    return grad(helix.trace(lambda x: Cube.apply(x.sin()).sum(), Spec((3,))), value=True)


CASES = {"step": _step, "scan": _scan, "trees": _trees, "loop": _loop, "dims": _dims, "gradient": _gradient}


def round_trip(graph, folder):
    path = os.path.join(folder, "g.safetensors")
    graph.save(path)
    again = load(path)
    again.check()
    assert graph.difference(again) is None
    assert str(again) == str(graph)
    assert [n.place for n in again.nodes] == [n.place for n in graph.nodes]
    assert again.to_json() == graph.to_json()
    return again


@pytest.mark.parametrize("name", CASES)
def test_round_trip(name, tmp_path):
    graph = CASES[name]()
    again = round_trip(graph, tmp_path)
    assert (again.in_tree, again.out_tree) == (graph.in_tree, graph.out_tree)
    for mine, theirs in zip(graph.captured, again.captured, strict=True):
        assert (mine.kind, mine.name, mine.source.requires_grad) == (
            theirs.kind,
            theirs.name,
            theirs.source.requires_grad,
        )
        assert equal(mine.source, theirs.source)


def test_random_graphs_round_trip(tmp_path):
    for number in range(60):
        inputs = inputs_of(number)
        graph = helix.trace(program(number), *[Spec(x.shape, x.dtype) for x in inputs])
        again = round_trip(graph, tmp_path)
        for mine, theirs in zip(graph(*inputs), again(*inputs), strict=True):
            assert equal(mine, theirs)


def test_it_runs_as_before(tmp_path):
    x = helix.randn(4, 3)
    results = []
    for again in (False, True):
        graph = _step()
        graph = round_trip(graph, tmp_path) if again else graph
        value = graph(x, generator=helix.Generator(5))
        found = {v.name: v.source for v in graph.captured}
        results.append([value, found["1.running_mean"], found["0.weight"].grad, found["4.bias"].grad])
    for mine, theirs in zip(*results, strict=True):
        assert equal(mine, theirs)
    scan = round_trip(_scan(), tmp_path)
    rows = helix.randn(5, 2)
    assert equal(scan(rows)[1], _scan()(rows)[1])
    slope = grad(round_trip(helix.trace(lambda r: _scan()(r)[1].sum(), Spec((5, 2))), tmp_path), "r")
    assert slope(rows).shape == (5, 2)


def test_a_user_s_containers_fit(tmp_path):
    again = round_trip(_trees(), tmp_path)
    x, y = helix.tensor([1.0, -1.0]), helix.ones(2, 3)
    made = again(Pair(x, y), Batch(x.to(helix.float64), 0.1))
    assert made["a"][0].tolist() == [1.0, float("-inf")]
    assert made[1].left.tolist() == [0.1, -0.1]
    assert made["n"] is None


def test_format_1_is_read():
    """The file was written when the format was made. It must load for ever, and give these numbers."""
    graph = load(GOLDEN)
    x = helix.arange(12, dtype=helix.float32).reshape(4, 3) / 10 - 0.5
    loss = graph(x, generator=helix.Generator(1))
    assert loss.item() == pytest.approx(GOLDEN_LOSS, rel=1e-5)
    assert graph.parameters["0.weight"].grad.shape == (4, 3)


GOLDEN_LOSS = 0.43149837851524353


def test_a_record_with_a_new_order_of_parameters():
    """What a later version may change: attributes by name, in another order, or with a new one that has a default."""
    graph = helix.trace(lambda x: x.sum(1, keepdim=True), Spec((2, 3)))
    data = json.loads(graph.to_json())
    assert data["ops"]["sum"] == [["input"], ["dim", "keepdim", "dtype"]]
    data["ops"]["sum"] = [["input"], ["keepdim", "dim"]]
    data["graph"]["nodes"][0]["attributes"] = [True, [1]]
    assert graph.difference(from_json(json.dumps(data))) is None


def refuse(change, match, tensors=None):
    graph = helix.trace(_model(), Spec((4, 3)))
    data = json.loads(graph.to_json())
    change(data)
    with pytest.raises(FormatError, match=match) as caught:
        from_json(json.dumps(data), files.tensors_of(graph) if tensors is None else tensors)
    assert caught.value.code == "HX4010"


def node(data, op):
    return next(n for n in data["graph"]["nodes"] if n["op"] == op)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda d: d.update(format=2), "format 2, this helix reads format 1"),
        (lambda d: d.pop("format"), "format"),
        (lambda d: d.update(more=1), "more"),
        (lambda d: node(d, "relu").update(op="explode"), "explode"),
        (lambda d: d["ops"]["linear"][0].__setitem__(1, "w"), "linear takes the tensors input, weight, bias"),
        (lambda d: d["ops"]["dropout_apply"][1].append("q"), "dropout"),
        (lambda d: d["ops"]["dropout_apply"][1].__setitem__(0, "chance"), "no parameter 'chance'"),
        (lambda d: node(d, "dropout_apply")["attributes"].__setitem__(0, "much"), "p cannot be"),
        (lambda d: node(d, "relu")["outputs"][0][1].__setitem__(0, 9), r"relu gives float32\[4, 4\]"),
        (lambda d: node(d, "relu").update(inputs=[999]), "taken where there are"),
        (lambda d: node(d, "relu").update(inputs=[None]), "absent"),
        (lambda d: d["graph"]["nodes"].reverse(), "taken where there are"),
        (lambda d: d["graph"]["captured"][0].update(shape=[3, 4]), "the graph says"),
        (lambda d: d["graph"]["captured"][0].update(name="w"), "absent"),
        (lambda d: node(d, "relu").update(device="abacus:3"), "device"),
        (lambda d: d["graph"]["inputs"][0].update(shape=[1 << 61, 1 << 61]), "graph"),
        (lambda d: d["graph"].update(dims=[{"name": "B"}]), "no input tells dimension B"),
        (lambda d: d["graph"]["in_tree"]["parts"].pop(), "another number"),
    ],
)
def test_unsound(change, match):
    refuse(change, match)


def test_too_much():
    for text in (
        "[" * 100_000,
        '{"format":' + "[" * 5000 + "]" * 5000 + "}",
        "{",
        "\x00",
        '{"format": 1e999}',
        '{"format": 1}',
    ):
        with pytest.raises(FormatError):
            from_json(text)
    refuse(lambda d: None, "absent", {})
    with pytest.raises(FormatError, match="bytes"):
        from_json(b" " * (files.MAX_BYTES + 1))


def test_what_is_no_data_is_not_saved(tmp_path):
    graph = helix.trace(lambda x, f: f(x), Spec((2,)), helix.exp)
    with pytest.raises(FormatError, match="HX4011"):
        graph.save(tmp_path / "g.safetensors")
    helix.io.save_file({"x": helix.ones(2)}, tmp_path / "t.safetensors")
    with pytest.raises(FormatError, match="no graph"):
        load(tmp_path / "t.safetensors")


def test_500_damaged_files():
    outcome = mutated(0, 500)
    assert sum(outcome.values()) == 500
    assert outcome.get("loaded", 0) < 200


if __name__ == "__main__":
    golden = _step()
    for made in golden.nodes:
        made.place = (made.place[0], "model.py", made.place[2])
    golden.save(GOLDEN)
