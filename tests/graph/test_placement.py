"""Graphs on several devices: the same numbers, transfers where they must be and no more, cuts that fit."""

from __future__ import annotations

from pathlib import Path

import pytest

import helix
from helix import nn
from helix.errors import ArgumentError, GraphError, HelixError
from helix.graph import Graph, Spec, load, place, split


def model() -> nn.Module:
    helix.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Sequential(nn.Linear(16, 16), nn.Tanh()), nn.Linear(16, 4))


def where(graph: Graph) -> list[tuple[str, str]]:
    return [(node.op, str(node.device)) for node in graph.nodes]


def test_modules_run_where_the_rules_say(tmp_path: Path) -> None:
    x = helix.randn(3, 8)
    graph = helix.trace(model(), x)
    placed = graph.place({"2": "sim:0", "3": "sim:1", "2.1": "cpu"})
    assert where(placed) == [
        ("linear", "cpu"),
        ("relu", "cpu"),
        ("transfer", "sim:0"),
        ("linear", "sim:0"),
        ("transfer", "cpu"),
        ("tanh", "cpu"),
        ("transfer", "sim:1"),
        ("linear", "sim:1"),
        ("transfer", "cpu"),
    ]
    placed.check()
    assert helix.allclose(placed(x), graph(x), rtol=1e-5, atol=1e-6) and str(placed(x).device) == "cpu"
    assert str(placed.parameters["3.weight"].device) == "sim:1" and str(graph.parameters["3.weight"].device) == "cpu"
    moved = sum(4 * n for n in (3 * 16, 3 * 16, 3 * 16, 3 * 4))
    assert placed.cost().bytes - graph.cost().bytes == 2 * moved and placed.cost().flops == graph.cost().flops
    placed.save(tmp_path / "placed.safetensors")
    again = load(tmp_path / "placed.safetensors")
    assert where(again) == where(placed) and helix.equal(again(x), placed(x))
    gathered = load(tmp_path / "placed.safetensors", device="cpu")
    assert helix.equal(gathered(x), graph(x)) and placed.to_svg()


def test_a_value_is_sent_once_and_random_streams_and_effects_are_kept() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            self.norm = nn.BatchNorm1d(4)

        def forward(self, x: helix.Tensor) -> helix.Tensor:
            return self.norm(x).relu() + self.norm(x * 2)

    net = Twice()
    norm = net.norm
    graph = helix.trace(net, Spec((6, 4)))
    x = helix.randn(6, 4)
    placed = place(graph, {"norm": "sim"})
    sent = [node for node in placed.nodes if node.op == "transfer" and node.inputs[0] is placed.inputs[0]]
    assert len(sent) == 1
    before = norm.running_mean.clone()
    found = placed(x)
    assert helix.equal(norm.running_mean, before)  # the copy on the device has moved
    assert helix.allclose(found, graph(x), rtol=1e-4, atol=1e-5)
    assert helix.allclose(placed.parameters["norm.running_mean"].to("cpu"), norm.running_mean, rtol=1e-4, atol=1e-6)


def test_bodies_go_along() -> None:
    def run(x: helix.Tensor) -> helix.Tensor:
        return helix.cond(x.sum() > 0, lambda: x + helix.ones(4), lambda: x * 2)

    graph = helix.trace(run, Spec((4,)))
    placed = graph.place({"": "sim"})
    for x in (helix.ones(4), -helix.ones(4)):
        assert placed(x.to("sim")).to("cpu").tolist() == graph(x).tolist()
    assert {str(n.device) for body in placed.find("cond")[0].graphs for n in body.nodes} == {"sim:0"}


def test_a_gradient_graph_on_two_devices() -> None:
    net = model()
    loss = helix.trace(lambda x: (net(x) ** 2).mean(), Spec((5, 8)))
    slope = helix.graph.grad(loss, ["0.weight", "3.weight"], value=True)
    x = helix.randn(5, 8)
    placed = place(slope, {"3": "sim"})
    assert "sim:0" in {device for _, device in where(placed)}
    for a, b in zip(placed(x)[1], slope(x)[1], strict=True):
        assert helix.allclose(a, b, rtol=1e-4, atol=1e-6)


def test_cuts_fit_and_are_balanced() -> None:
    net = nn.Sequential(*[nn.Linear(32, 32) for _ in range(8)])
    graph = helix.trace(net, Spec((4, 32)))
    x = helix.randn(4, 32)
    one = 4 * (32 * 32 + 32)
    placed = split(graph, {"cpu": "1MB", "sim:0": "1MB"})
    assert [str(node.device) for node in placed.find("linear")] == ["cpu"] * 4 + ["sim:0"] * 4
    assert len(placed.find("transfer")) == 2 and helix.allclose(placed(x), graph(x), rtol=1e-4, atol=1e-6)
    tight = split(graph, {"cpu": 3 * one + 2048, "sim:0": "1MB"})
    assert [str(node.device) for node in tight.find("linear")] == ["cpu"] * 3 + ["sim:0"] * 5
    with pytest.raises(ArgumentError, match=r"does not fit: linear \(.*, in 4\)"):
        split(graph, {"cpu": 2 * one + 2048, "sim:0": 2 * one + 2048})


def test_refusals() -> None:
    graph = helix.trace(model(), Spec((3, 8)))
    with pytest.raises(ArgumentError, match="belongs to '7'"):
        graph.place({"7": "sim"})
    with pytest.raises(HelixError, match="nowhere"):
        graph.place({"2": "nowhere"})
    placed = graph.place({"2": "sim"})
    with pytest.raises(GraphError, match="placed already"):
        placed.place({"3": "sim"})
