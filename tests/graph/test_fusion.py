"""The fusion pass: which nodes become one, which may not, and that the bits stay."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import helix
from helix import nn
from helix.graph import Dim, Graph, Spec
from helix.graph.passes import fusion

from .random_graphs import inputs_of, program, same_bits

B = Dim("B")
ROWS, ROW, COLUMN = Spec((B, 768)), Spec((768,)), Spec((B, 1))


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def leaves(result: object) -> list[helix.Tensor]:
    return helix.graph.tree.flatten(result)[0]


def fused(function: Callable, *specs: Spec, size: int = 9) -> Graph:
    """The graph of a function after the pass, which computes the same bits and finds nothing the second time."""
    graph = helix.trace(function, *specs)
    made = graph.copy()
    fusion.run(made)
    made.check()
    inputs = [helix.randn([n if isinstance(n, int) else size for n in spec.shape]) for spec in specs]
    for mine, theirs in zip(leaves(made(*inputs)), leaves(graph(*inputs)), strict=True):
        assert mine.shape == theirs.shape and same_bits(mine, theirs)
    assert fusion.run(made) == 0
    return made


def _layer_norm(x, w, b):
    mean = x.mean(-1, keepdim=True)
    var = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / (var + 1e-5).sqrt() * w + b


def _softmax(x):
    e = (x - x.amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


WHOLE = {
    "gelu": (lambda x: 0.5 * x * (1 + (0.79788456 * (x + 0.044715 * x**3)).tanh()), (ROWS,)),
    "rms norm": (lambda x, w: x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * w, (ROWS, ROW)),
    "layer norm": (_layer_norm, (ROWS, ROW, ROW)),
    "softmax": (_softmax, (ROWS,)),
    "two chains that meet": (lambda x, y: (x * 2 + 1) * (y * 3 - 1).exp(), (ROWS, ROWS)),
    "a column": (lambda x, c: (x - c).relu() * c, (ROWS, COLUMN)),
    "dtypes": (lambda x: ((x > 0).to(helix.float16) * 3 + x.to(helix.float16)).to(helix.float64) / 7, (ROWS,)),
    "left out axes": (lambda x: [(y.sum(-1), y.amax(-1, keepdim=True)) for y in [x * x]], (ROWS,)),
    "several results": (lambda x: [(y, y * 2, (y + 1).log()) for y in [x.exp()]], (ROWS,)),
    "a column sum": (lambda x: (x * 2 + 1).sum(0), (ROWS,)),
    "a loss": (lambda x, y: ((x - y).abs() + 1).mean() * 0.5, (ROWS, ROWS)),
    "a bias gradient and what goes on": (
        lambda x, y: [(z, z.sum(0), z.amax(0, keepdim=True)) for z in [x * (y > 0).to(x.dtype)]],
        (ROWS, ROWS),
    ),
    "statistics": (lambda x: (x * x).mean((0, 1)).sqrt() + (x * x).sum((0, 1), keepdim=True), (Spec((B, 5, 300)),)),
    "a number of the sizes": (lambda x: (x * 2) / x.shape[0], (ROWS,)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_becomes_one(name: str) -> None:
    function, specs = WHOLE[name]
    made = fused(function, *specs)
    assert ops(made) == ["fused"]


@pytest.mark.parametrize(
    ("function", "specs", "kept"),
    [
        (lambda x: x.exp(), (ROWS,), ["exp"]),
        (lambda x: (x * 2 + 1).sum(1), (Spec((B, 70, 30)),), ["fused", "sum"]),
        (lambda x: (x * 2 + 1).sum(0), (Spec((B, 15)),), ["fused", "sum"]),
        (lambda x: x * 2 + x.sum(0), (ROWS,), ["fused", "sum"]),
        (lambda x: (x * 2 + 1).cumsum(0), (ROWS,), ["fused", "cumsum"]),
        (lambda x: x * 2 + helix.rand_like(x), (ROWS,), ["fused", "rand_like"]),
        (lambda x: x * 2 + 1, (Spec((3, 4)),), ["mul", "add"]),
        (lambda x: x * 2 + 1, (Spec((128, 128)),), ["mul", "add"]),
    ],
)
def test_stays_as_it_is(function: Callable, specs: tuple, kept: list[str]) -> None:
    graph = helix.trace(function, *specs)
    made = graph.copy()
    fusion.run(made)
    made.check()
    assert sorted(ops(made)) == sorted(kept)


def test_what_lies_between_two_members_keeps_them_apart() -> None:
    def function(x):
        y = x * 2 + 1
        return (y.cumsum(0) + y * 3).relu() - y

    made = fused(function, ROWS)
    assert ops(made) == ["fused", "cumsum", "fused"]


def test_many_results_are_shared_out() -> None:
    def function(x):
        made = [x * 1.5]
        for i in range(20):
            made.append(made[-1] + i)
        return tuple(made)

    made = fused(function, Spec((128, 128)))
    assert set(ops(made)) == {"fused"} and 2 < len(made) < 8


def test_long_chains_are_cut() -> None:
    def function(x):
        for i in range(300):
            x = x * 1.001 + i
        return x

    made = fused(function, Spec((64, 64)))
    assert set(ops(made)) == {"fused"} and len(made) == 10


def test_training_steps() -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), nn.GELU(), nn.Linear(64, 64))
    loss = helix.trace(lambda x: ((model(x) - x) ** 2).mean() + (x * model(x).sigmoid()).sum(), Spec((B, 64)))
    step = helix.graph.grad(loss, ["0.weight", "3.bias"], value=True)
    made = step.copy()
    assert fusion.run(made) and len(made) < len(step)
    x = helix.randn(33, 64)
    assert all(same_bits(a, b) for a, b in zip(leaves(made(x)), leaves(step(x)), strict=True))


def test_costs_count_every_step_and_no_value_between() -> None:
    graph = helix.trace(lambda x: (_softmax(x) * x).tanh(), Spec((16, 256)))
    made = graph.copy()
    fusion.run(made)
    assert made.cost().flops == graph.cost().flops
    assert made.cost().bytes == 2 * 16 * 256 * 4 < graph.cost().bytes


def test_fused_graphs_are_saved_and_differentiated(tmp_path) -> None:
    graph = helix.trace(lambda x: (_softmax(x) * x).tanh(), Spec((16, 256)))
    made = graph.copy()
    fusion.run(made)
    made.save(tmp_path / "fused.safetensors")
    x = helix.randn(16, 256)
    assert same_bits(helix.graph.load(tmp_path / "fused.safetensors")(x), graph(x))
    grads = [helix.graph.grad(helix.trace(lambda x, g=g: g(x).sum(), Spec((16, 256))), "x")(x) for g in (graph, made)]
    assert same_bits(*grads)


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_random_graphs_keep_their_bits(first: int, monkeypatch) -> None:
    monkeypatch.setattr(fusion, "LEAST_ITEMS", 0)
    monkeypatch.setattr(fusion, "LEAST_SAVED", 0)
    for number in range(first, first + 10):
        inputs = inputs_of(number)
        graph = helix.trace(program(number), *inputs)
        made = graph.copy()
        fusion.run(made)
        made.check()
        for mine, theirs in zip(leaves(made(*inputs)), leaves(graph(*inputs)), strict=True):
            assert same_bits(mine, theirs), number
