"""Passes: what each of them finds, what none of them may touch, and the driver. Random graphs go through all of them too."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import helix
from helix import nn
from helix.errors import ArgumentError
from helix.graph import Dim, Graph, Spec, optimize
from helix.graph.passes import PASSES

from .random_graphs import near, same_bits

X = Spec((4, 6))


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def through(name: str, function: Callable, *specs: Spec) -> Graph:
    """The graph of a function after one pass, which computes the same and finds nothing the second time."""
    graph = helix.trace(function, *specs)
    made = graph.copy()
    PASSES[name].run(made)
    made.check()
    inputs = [helix.randn(spec.shape) for spec in specs]
    for value, mine, theirs in zip(made.outputs, leaves(made(*inputs)), leaves(graph(*inputs)), strict=True):
        assert (value.shape, value.dtype) == (theirs.shape, theirs.dtype) and same_bits(mine, theirs)
    assert PASSES[name].run(made) == 0
    return made


def leaves(result: object) -> list[helix.Tensor]:
    return helix.graph.tree.flatten(result)[0]


# ---- common subexpressions ----


def test_what_is_computed_twice_is_computed_once() -> None:
    made = through("subexpressions", lambda x: (x.exp() * 2 + x.exp() * 2).sum(), X)
    assert ops(made) == ["exp", "mul", "add", "sum"]
    made = through("subexpressions", lambda x, y: (x * y).sum() + (y * x).sum(), X, X)
    assert ops(made) == ["mul", "sum", "add"]
    made = through("subexpressions", lambda x: x.max(1).values * x.max(1).indices, X)
    assert ops(made) == ["max", "cast", "mul"]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.round(decimals=0) + x.round(decimals=1),
        lambda x: x / 0.0 + x / -0.0,
        lambda x: x.sum(0) + x.sum(0, keepdim=True),
        lambda x, y: (x - y) * (y - x),
        lambda x: helix.rand_like(x) + helix.rand_like(x),
        lambda x: helix.nn.functional.dropout(x) + helix.nn.functional.dropout(x),
        lambda x: (x.exp(), x.exp()),
    ],
)
def test_what_differs_stays_apart(function: Callable) -> None:
    specs = [X] * function.__code__.co_argcount
    graph = helix.trace(function, *specs)
    made = optimize(graph, ["subexpressions"])
    assert graph.difference(made) is None


def test_results_of_their_own_stay_their_own() -> None:
    made = optimize(helix.trace(lambda x: (x.exp(), x.exp() * 2, x.exp()), X))
    first, _, last = made(helix.zeros(4, 6))
    first.zero_()
    assert last.sum().item() == 24 and ops(made).count("exp") == 2


def test_random_streams_stay_the_function_s() -> None:
    def function(x: helix.Tensor) -> helix.Tensor:
        helix.rand_like(x)
        return helix.rand_like(x) + helix.rand_like(x) * 0.5

    graph = helix.trace(function, X)
    made = optimize(graph)
    assert ops(made).count("rand_like") == 2 and made.draws == graph.draws == 3
    x = helix.zeros(4, 6)
    assert same_bits(made(x, generator=helix.Generator(3)), graph(x, generator=helix.Generator(3)))


def test_gradients_flow_as_before() -> None:
    graph = helix.trace(lambda x: (x.exp().detach() * x.exp()).sum() + x.exp().sum(), X)
    made = optimize(graph)
    x = helix.randn(4, 6)
    assert near(helix.graph.grad(made, "x")(x), helix.graph.grad(graph, "x")(x))


# ---- dead code ----


def test_what_nobody_takes_goes() -> None:
    kept = helix.randn(4, 6)

    def function(x: helix.Tensor) -> helix.Tensor:
        (x + kept).exp()
        return x * 2

    made = through("dead", function, X)
    assert ops(made) == ["mul"] and not made.captured


def test_effects_and_parameters_stay() -> None:
    layer = nn.BatchNorm1d(6)
    graph = helix.trace(layer, X)
    made = optimize(graph)
    assert len(made.effects) == len(graph.effects) > 0 and made.parameters.keys() == graph.parameters.keys()


# ---- all together ----


def test_optimize_makes_a_copy_and_enters_bodies() -> None:
    def function(x: helix.Tensor) -> helix.Tensor:
        return helix.cond(x.sum() > 0, lambda: x.exp() + x.exp(), lambda: x * 2)

    graph = helix.trace(function, X)
    made = optimize(graph)
    assert len(graph.find("cond")[0].graphs[0]) == 3 and len(made.find("cond")[0].graphs[0]) == 2
    for x in (helix.ones(4, 6), -helix.ones(4, 6)):
        assert same_bits(made(x), graph(x))


def test_symbolic_graphs() -> None:
    batch = Dim("B")
    model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 6))
    graph = helix.trace(lambda x: ((model(x) - x) ** 2 + (model(x) - x)).mean(), Spec((batch, 6)))
    step = helix.graph.grad(graph, ["0.weight", "3.bias"], value=True)
    made = optimize(step)
    assert made.dims == step.dims and len(made) < len(step)
    for size in (1, 3, 32):
        x = helix.randn(size, 6)
        for mine, theirs in zip(leaves(made(x)), leaves(step(x)), strict=True):
            assert same_bits(mine, theirs)


def test_passes_are_named_or_functions() -> None:
    graph = helix.trace(lambda x: x.exp() + x.exp(), X)
    seen = []
    assert optimize(graph, [lambda g: seen.append(len(g)) or 0, "subexpressions"]) is not graph
    assert seen == [3, 2]
    with pytest.raises(ArgumentError, match="subexpressions"):
        optimize(graph, ["nonsense"])


def test_passes_that_never_end_are_stopped() -> None:
    calls = []
    optimize(helix.trace(lambda x: x.exp(), X), [lambda g: calls.append(1) or 1] * 2)
    assert len(calls) == 64
