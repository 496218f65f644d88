"""Passes: what each of them finds, what none of them may touch, and the driver. Random graphs go through all of them too."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import helix
from helix import nn
from helix.errors import ArgumentError, GraphError
from helix.graph import Dim, Graph, Spec, optimize
from helix.graph.passes import PASSES
from helix.graph.passes.rewriter import Call, number_of, sweep

from . import random_algebra
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


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x.exp().reshape(-1), x.exp()),
        lambda x: (x.exp()[:2], x.exp()[:2]),
        lambda x: ((x.exp().t() * 2).t(), x.exp().t(), x.exp()),
        lambda x: (x + helix.tensor([1.0] * 6) * 2, (helix.tensor([1.0] * 6) * 2).reshape(2, 3)),
        lambda x: (lambda y: (x + y, y.reshape(2, 3)))(helix.tensor([1.0] * 6) * 2),
    ],
)
def test_results_that_are_written_change_no_other(function: Callable) -> None:
    graph = optimize(helix.trace(function, X))
    wanted = [result.clone() for result in graph(helix.zeros(4, 6))]
    for _ in range(3):
        results = graph(helix.zeros(4, 6))
        for i, result in enumerate(results):
            assert same_bits(result, wanted[i])
            result.fill_(9.0)


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


@helix.no_grad()
def _fixed(function: Callable) -> helix.Tensor:
    return function()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: -_fixed(lambda: -x) + x * 3,
        lambda x: _fixed(lambda: x.to(helix.float64)).to(helix.float32) * x,
        lambda x: _fixed(x.t).t() * 2 + x,
        lambda x: (_fixed(x.t) * 2).t() + x,
        lambda x: _fixed(lambda: x.reshape(24)).reshape(8, 3) + x.reshape(8, 3),
        lambda x: x + _fixed(lambda: -x),
        lambda x: x * 2 + _fixed(lambda: x[:1].expand(4, 6)),
    ],
)
def test_gradients_that_were_stopped_stay_so(function: Callable) -> None:
    graph = helix.trace(lambda x: function(x).sum(), X)
    x = helix.randn(4, 6)
    assert near(helix.graph.grad(optimize(graph), "x")(x), helix.graph.grad(graph, "x")(x))


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


# ---- algebra, views, constants ----


@pytest.mark.parametrize("first", range(0, 300, 100))
def test_random_algebra(first: int) -> None:
    for number in range(first, first + 100):
        assert random_algebra.check(number) is None, number


SIMPLER: dict[str, tuple[Callable, list[str]]] = {
    "neutral numbers": (lambda x: ((x * 1 - 0) / 1).exp() ** 1.0 + -0.0, ["exp"]),
    "an exponential plus zero": (lambda x: (x.exp() + 0).log(), ["exp", "log"]),
    "signs": (lambda x: x.exp().neg().neg() + -x.cos(), ["exp", "cos", "sub"]),
    "a square": (lambda x: (-x) ** 2, ["square"]),
    "a quotient by a power of two": (lambda x: x / 8, ["mul"]),
    "casts there and back": (lambda x: x.exp().double().float() * 2, ["exp", "mul"]),
    "transposes": (lambda x: x.exp().t().transpose(0, 1).sin().permute(1, 0).movedim(0, 1) * 2, ["exp", "sin", "mul"]),
    "reshapes": (lambda x: x.exp().reshape(-1).unsqueeze(0).view(2, 12).reshape(4, 6) + 1, ["exp", "add"]),
    "copies": (lambda x: x.exp().clone().contiguous().clone() * 2, ["exp", "mul"]),
    "parts that are all": (lambda x: x.exp()[:, :][0:4].narrow(1, 0, 6) * 2, ["exp", "mul"]),
    "what is stretched anyway": (lambda x: x + x[:1].expand(4, 6), ["slice", "add"]),
    "one of a stack": (lambda x: helix.stack([x, x.exp()])[1] * 2, ["exp", "mul"]),
    "equal branches": (lambda x: helix.where(x > 0, x.exp(), x.exp()) * 2, ["exp", "mul"]),
    "constants": (lambda x: x * (helix.tensor([1.0, 2.0, 3.0]) * 2 + 1).repeat(2), ["mul"]),
    "fills": (lambda x: x * (helix.ones(4, 6) / 24).sqrt(), ["mul"]),
}


@pytest.mark.parametrize("name", SIMPLER)
def test_simpler_forms(name: str) -> None:
    function, expected = SIMPLER[name]
    graph = helix.trace(function, X)
    made = optimize(graph)
    assert ops(made) == expected
    for x in (
        helix.randn(4, 6),
        helix.full((4, 6), float("nan")),
        helix.full((4, 6), float("-inf")),
        -helix.zeros(4, 6),
    ):
        assert same_bits(made(x), graph(x))


KEPT: dict[str, Callable] = {
    "x + 0, where -0 becomes 0": lambda x: x + 0,
    "x * 0, which is NaN for infinity": lambda x: x * 0,
    "x - x": lambda x: x - x,
    "x / x": lambda x: x / x,
    "log of exp": lambda x: x.exp().log(),
    "log of softmax": lambda x: x.softmax(1).log(),
    "a cast that rounds": lambda x: x.half().float(),
    "a quotient by three": lambda x: x / 3,
    "a sum along one": lambda x: x.unsqueeze(0).exp().sum(0),
    "-(x - y), which is -0 where y - x is 0": lambda x: -(x - x.exp()),
    "results that are inputs": lambda x: x.clone(),
    "a result that shows an input": lambda x: x * 1,
    "a number that wraps around": lambda x: x.to(helix.int8) * helix.full((4, 6), 300, dtype=helix.int8),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_only_looks_simpler_is_kept(name: str) -> None:
    graph = helix.trace(KEPT[name], X)
    assert ops(optimize(graph)) == ops(graph)


def test_the_square_of_a_length_is_not_that_of_the_complex_number() -> None:
    graph = helix.trace(lambda x: x.abs().square(), Spec((2,), helix.complex64))
    assert optimize(graph)(helix.tensor([3 + 4j, 1j])).tolist() == [25.0, 1.0]


def test_constants_from_outside_are_not_folded() -> None:
    scale = helix.tensor([2.0])
    made = optimize(helix.trace(lambda x: x * (scale * 3), X))
    scale.fill_(5.0)
    assert made(helix.ones(4, 6)).tolist()[0][0] == 15


def test_folding_has_a_bound() -> None:
    graph = helix.trace(lambda x: x + (helix.tensor([1.0, 2.0]) * 2).repeat(50_000), Spec((100_000,)))
    made = optimize(graph)
    assert sum(value.source.nbytes for value in made.captured) <= 1 << 16 and len(made) > 1
    x = helix.randn(100_000)
    assert same_bits(made(x), graph(x))


def test_views_of_dimensions() -> None:
    batch = Dim("B")
    graph = helix.trace(lambda x: x.exp().reshape(-1).view(-1, 6).t().t() / 2 + 0.0 * x, Spec((batch, 6)))
    made = optimize(graph)
    assert ops(made) == ["exp", "mul", "mul", "add"]
    for size in (1, 5):
        x = helix.randn(size, 6)
        assert same_bits(made(x), graph(x))


# ---- planted faults ----


def _x_plus_zero(node: helix.graph.Node) -> helix.graph.Value | None:
    return node.inputs[0] if number_of(node.inputs[1]) == 0 else None


def _other_order(node: helix.graph.Node) -> Call:
    return Call("permute", node.inputs, (tuple(range(len(node.outputs[0].shape))),))


FAULTS: dict[str, tuple[str, Callable]] = {
    "x + 0 is x": ("add", _x_plus_zero),
    "x - y is y - x": ("sub", lambda node: Call("sub", node.inputs[::-1], node.attributes) if node.place[2] else None),
    "abs is nothing": ("abs", lambda node: node.inputs[0]),
    "square is abs": ("square", lambda node: Call("abs", node.inputs)),
    "an order of axes is lost": ("permute", lambda node: None if node.attributes[0] == tuple(range(len(node.attributes[0]))) else _other_order(node)),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_seen(name: str) -> None:
    op, rule = FAULTS[name]
    table = {"faulty": lambda graph: sweep(graph, {op: (rule,)})}
    assert any(random_algebra.check(number, table) for number in range(400))


# ---- memory ----


def stack() -> tuple[Graph, Spec]:
    model = nn.Sequential(*[part for _ in range(6) for part in (nn.Linear(32, 32), nn.GELU(), nn.Dropout(0.2))])
    parameters = list(model.parameters())
    spec = Spec((4096, 32))
    return helix.trace(lambda x: helix.autograd.grad((model(x) ** 2).mean(), parameters), spec), spec


@pytest.mark.parametrize("share", [0.9, 0.75, 0.65])
def test_values_are_computed_again_to_fit(share: float) -> None:
    graph, spec = stack()
    budget = int(graph.peak_bytes() * share)
    made = optimize(graph, (), memory=budget)
    made.check()
    assert made.peak_bytes() <= budget and made.draws == graph.draws and len(made) > len(graph)
    x = helix.randn(spec.shape)
    found, expected = made(x, generator=helix.Generator(5)), graph(x, generator=helix.Generator(5))
    assert all(same_bits(a, b) for a, b in zip(found, expected, strict=True))
    assert made.difference(optimize(made, (), memory=budget)) is None


def test_memory_that_cannot_be_reached_is_an_error_that_tells_the_least() -> None:
    graph, _ = stack()
    with pytest.raises(GraphError, match="does not fit into 1000 bytes") as caught:
        optimize(graph, memory=1000)
    least = int(caught.value.expected.split()[-1])
    assert 1000 < least < graph.peak_bytes() and optimize(graph, memory=least).peak_bytes() <= least


def test_memory_of_dimensions_is_not_known() -> None:
    with pytest.raises(GraphError, match="give its dimensions"):
        optimize(helix.trace(lambda x: x.exp() * 2, Spec((Dim("B"), 4))), memory=100)


# ---- layout ----


def test_orders_of_axes_meet() -> None:
    made = through("layout", lambda x: (x.t().exp() * 2).sin().t(), X)
    assert ops(optimize(made)) == ["exp", "mul", "sin"]
    made = through("layout", lambda x, y: (x.t() + y.transpose(0, 1)).t() * 2, X, X)
    assert ops(made) == ["add", "mul"]


@pytest.mark.parametrize("join", [helix.stack, helix.cat])
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_parts_are_joined_in_the_order_that_is_wanted(join: Callable, dim: int) -> None:
    parts = [Spec((2, 3, 4))] * 3
    made = through("layout", lambda *x: join(x, dim).transpose(0, 2).reshape(-1), *parts)
    assert ops(made) == ["permute"] * 3 + [join.__name__, "reshape"]
    made = through("layout", lambda *x: join(x, dim).transpose(0, 2).sum(0), *parts)
    assert ops(made) == [join.__name__, "transpose", "sum"]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.t().exp().sum(0).exp(),
        lambda x: (x.t() + x.t()[:, :1]).t(),
        lambda x: x.t().softmax(1).t(),
        lambda x: x.t().tril().t(),
        lambda x: x.t().index_fill(0, helix.tensor([1]), 5.0).t(),
        lambda x: (lambda y: (y, y.t() * 2))(x.t().exp()),
    ],
)
def test_orders_that_matter_stay(function: Callable) -> None:
    graph = helix.trace(function, X)
    made = optimize(graph, ["layout"])
    assert graph.difference(made) is None


# ---- gradients ----


def loosely(function: Callable, *specs: Spec) -> Graph:
    graph = helix.trace(function, *specs)
    made = optimize(graph, ["gradients"])
    made.check()
    inputs = [helix.randn(spec.shape) for spec in specs]
    for mine, theirs in zip(leaves(made(*inputs)), leaves(graph(*inputs)), strict=True):
        assert mine.shape == theirs.shape and helix.allclose(mine, theirs, rtol=1e-6, atol=1e-7)
    assert PASSES["gradients"].run(made) == 0
    return made


def test_parts_of_gradients_are_joined() -> None:
    def function(x: helix.Tensor) -> helix.Tensor:
        a, b, c = x.chunk(3, 1)
        return (a.exp() * b + c.sin()).sum()

    step = helix.graph.grad(helix.trace(function, X), "x")
    assert len(step.find("slice_backward")) == 3
    made = optimize(step, ["gradients"])
    assert not made.find("slice_backward") and len(made.find("cat")) == 1
    x = helix.randn(4, 6)
    assert near(made(x), step(x)) and PASSES["gradients"].run(made) == 0


def test_rows_of_gradients_are_stacked() -> None:
    def function(x: helix.Tensor) -> helix.Tensor:
        c, a, b = (x[row] for row in (2, 0, -1))
        return (a.exp() * b * x[1] + c.sin()).sum()

    step = helix.graph.grad(helix.trace(function, X), "x")
    made = optimize(step, ["gradients"])
    assert not made.find("select_backward") and len(made.find("stack")) == 1
    x = helix.randn(4, 6)
    assert near(made(x), step(x))


def test_parts_that_do_not_cover_stay() -> None:
    step = helix.graph.grad(helix.trace(lambda x: (x[:3].exp() * x[0]).sum() + x[1].sum(), X), "x")
    assert {"slice_backward", "select_backward"} <= set(ops(optimize(step, ["gradients"])))
    step = helix.graph.grad(helix.trace(lambda x: (x[:, :3].exp() * x[:, 2:5]).sum(), X), "x")
    assert optimize(step, ["gradients"]).find("slice_backward")


def test_sums_without_need() -> None:
    assert ops(loosely(lambda x: x + helix.zeros(4, 6) * 1, X))[-1] == "add"
    assert ops(loosely(lambda x: (x + helix.zeros(4, 6)).exp(), X)) == ["exp"]
    assert ops(loosely(lambda x: x.exp()[None].expand(5, 4, 6).sum(0, keepdim=True), X)) == ["exp", "unsqueeze", "mul"]
    assert ops(loosely(lambda x: x.exp().unsqueeze(0).sum(0) * 2, X)) == ["exp", "unsqueeze", "reshape", "mul"]
    assert ops(loosely(lambda x: x.exp().sum(0), X)) == ["exp", "sum"]
