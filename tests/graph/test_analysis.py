"""Costs of nodes and graphs, lives of values, and the memory of a run beside what the pool measures."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

import helix
from helix import nn
from helix.errors import GraphError
from helix.graph import Dim, Graph, Spec
from helix.graph.analysis import cost, is_view, liveness, peak_bytes

F = nn.functional


# ---- costs ----


COSTS: list[tuple[Callable, tuple, int, int]] = [
    (lambda x, y: x @ y, ((4, 8), (8, 16)), 2 * 4 * 8 * 16, 4 * (32 + 128 + 64)),
    (lambda x, w: F.conv2d(x, w), ((2, 3, 8, 8), (5, 3, 3, 3)), 2 * 2 * 5 * 36 * 27, 4 * (384 + 135 + 360)),
    (lambda x: x + 1, ((7, 3),), 21, 4 * 42),
    (lambda x: x.sum(1), ((7, 3),), 21, 4 * 28),
    (lambda x: x.transpose(0, 1), ((7, 3),), 0, 0),
    (lambda x: x[2:], ((7, 3),), 0, 0),
    (lambda x: x.softmax(-1), ((7, 3),), 5 * 21, 4 * 42),
    (lambda q: F.scaled_dot_product_attention(q, q, q), ((2, 4, 16, 8),), 2 * 8 * 16 * 16 * 16, 0),
]


@pytest.mark.parametrize("index", range(len(COSTS)))
def test_costs_are_exact(index: int) -> None:
    function, shapes, flops, moved = COSTS[index]
    found = helix.trace(function, *map(Spec, shapes)).cost()
    assert found.flops == flops
    if moved:
        assert found.bytes == moved and found.intensity == flops / moved


def test_control_flow() -> None:
    def body(carry: helix.Tensor, row: helix.Tensor) -> tuple[helix.Tensor, None]:
        return carry * row + 1, None

    graph = helix.trace(lambda x: helix.scan(body, x[0], x)[0], Spec((10, 4)))
    assert cost(graph.find("scan")[0]).flops == 10 * 2 * 4
    choice = helix.trace(lambda x: helix.cond(x[0] > 0, lambda: x.softmax(0), lambda: x + 1), Spec((4,)))
    assert cost(choice.find("cond")[0]).flops == 20


def test_dimensions_need_sizes() -> None:
    graph = helix.trace(lambda x: x * 2, Spec((Dim("B"), 4)))
    with pytest.raises(GraphError, match="HX4001"):
        graph.cost()
    assert graph.at(B=3).cost().flops == 12


# ---- lives ----


def test_liveness_and_peak() -> None:
    graph = helix.trace(lambda x: ((x * 2).exp().reshape(32, 32)[:, 0] + 1).sum(), Spec((1024,)))
    lives = {life.value.node.op if life.value.node else life.value.kind: life for life in liveness(graph)}
    ops = [node.op for node in graph.nodes]
    assert set(lives) == {"input", "mul", "exp", "add", "sum"}  # what only shows memory has none
    assert (lives["mul"].first, lives["mul"].last) == (0, 1)
    assert lives["exp"].last == ops.index("add")  # as long as the view that shows it
    assert peak_bytes(graph) == 3 * 4096
    assert [is_view(node) for node in graph.nodes] == [op in ("reshape", "slice", "select") for op in ops]


def test_a_reshape_of_a_permuted_view_is_a_copy() -> None:
    graph = helix.trace(lambda x: x.transpose(0, 1).reshape(-1) * 2, Spec((64, 64)))
    assert [is_view(node) for node in graph.nodes] == [True, False, False]
    assert peak_bytes(graph) == 3 * 4 * 4096


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple]] = {
    "mlp": (lambda: nn.Sequential(nn.Linear(128, 512), nn.GELU(), nn.LayerNorm(512), nn.Linear(512, 10)), (512, 128)),
    "cnn": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(4096, 10),
        ),
        (32, 3, 32, 32),
    ),
    "transformer": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, 256, batch_first=True), 2),
        (16, 64, 64),
    ),
    "lstm": (lambda: nn.LSTM(32, 64, num_layers=2, batch_first=True), (32, 64, 32)),
    "step": (
        lambda: nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 4)),
        (1024, 64),
    ),
}


def held(graph: Graph, x: helix.Tensor) -> int:
    """What the pool says of a run's peak, node by node, with what was there before it."""
    graph.executor()(x)
    gc.collect()
    before = helix.memory_stats()["live_bytes"]
    helix.reset_peak_memory()
    result = graph.executor()(x)
    peak = int(helix.memory_stats()["peak_bytes"]) - int(before)
    del result
    return peak + sum(v.source.nbytes for v in graph.captured) + x.nbytes


@pytest.mark.parametrize("name", MODELS)
def test_the_peak_is_what_the_pool_measures(name: str) -> None:
    make, shape = MODELS[name]
    model, x = make(), helix.randn(shape)
    parameters = list(model.parameters())
    if name == "step":
        graph = helix.trace(lambda x: helix.autograd.grad((model(x) ** 2).mean(), parameters), x)
    else:
        graph = helix.trace(model, x)
    measured = held(graph, x)
    assert abs(graph.peak_bytes() - measured) <= 0.1 * measured, (graph.peak_bytes(), measured)


# ---- all together ----


def test_statistics_and_summary() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    graph = helix.trace(model, Spec((3, 4)))
    found = graph.statistics()
    assert (found.nodes, found.ops, found.depth) == (3, {"linear": 2, "relu": 1}, 3)
    assert (found.parameters, found.parameter_bytes) == (58, 232)
    assert found.flops == 2 * 3 * 4 * 8 + 24 + 2 * 3 * 8 * 2
    lines = graph.summary().split("\n")
    assert lines[0].split() == ["module", "op", "result", "MFLOP", "MB", "FLOP/byte"]
    assert lines[1].split()[:4] == ["0", "linear", "float32[3,", "8]"]
    assert lines[-1].startswith("3 nodes, depth 3; 58 parameters")
