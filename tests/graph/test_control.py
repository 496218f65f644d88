"""Choices, scans and loops: the same eagerly and in a graph, with gradients of any order; and gradients of graphs."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import helix
from helix import nn
from helix.errors import ArgumentError, GradientError, ParameterError
from helix.graph import Dim, Spec, TraceError, grad

from ..ops.values import assert_same_bits

W = helix.tensor([2.0, -1.0, 0.5], requires_grad=True)


def choose(x: helix.Tensor) -> helix.Tensor:
    return helix.cond(x.sum() > 0, lambda x: (x * W).exp(), lambda x: x * x * W + helix.ones(3), x).sum()


def choose_twice(x: helix.Tensor) -> helix.Tensor:
    def inner(x: helix.Tensor) -> helix.Tensor:
        return helix.cond(x[0] > 0.5, lambda: (x * W).sin(), lambda: x.cos())

    return helix.cond(x.sum() > 0, inner, lambda x: x**3, x).sum()


def recurrence(x: helix.Tensor) -> helix.Tensor:
    rows = helix.stack([x, x * 2, x - 1, x * x])

    def body(carry: dict, row: helix.Tensor) -> tuple[dict, list]:
        state = (carry["state"] * W).tanh() + row
        return {"state": state, "count": carry["count"] + 1}, [state.sum(), state * 2]

    last, (sums, states) = helix.scan(body, {"state": helix.zeros(3), "count": helix.tensor(0)}, rows)
    return last["state"].sum() + (sums * sums).sum() + states.mean() + last["count"]


def backwards(x: helix.Tensor) -> helix.Tensor:
    last, sums = helix.scan(lambda c, r: (c * 0.5 + r * r, c * r), x.sum(), x, reverse=True)
    return last + (sums * x).sum()


def both(x: helix.Tensor) -> helix.Tensor:
    def body(carry: helix.Tensor, row: helix.Tensor) -> tuple[helix.Tensor, None]:
        return helix.cond(row > 0, lambda: carry * row, lambda: carry + row * W.sum()), None

    return helix.scan(body, helix.tensor(1.0), x)[0]


FUNCTIONS = [choose, choose_twice, recurrence, backwards, both]
POINTS = [helix.tensor([1.0, 2.0, -0.5]), helix.tensor([-1.0, -2.0, 0.5]), helix.tensor([0.3, 0.2, 0.1])]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_graph_and_function_agree(function: Callable) -> None:
    graph = helix.trace(function, Spec((3,)))
    graph.check()
    assert any(node.graphs for node in graph.nodes)
    first = grad(graph, ["x", *(v.name for v in graph.captured if v.source is W)])
    first.check()
    inside = helix.trace(lambda x: helix.autograd.grad(function(x.requires_grad_()), x)[0], Spec((3,)))
    second = grad(helix.trace(lambda x: (grad(graph, "x")(x) ** 2).sum(), Spec((3,))), "x")
    for point in POINTS:
        x = point.clone().requires_grad_()
        y = function(x)
        assert_same_bits(graph(point), y.detach(), "result")
        expected = helix.autograd.grad(y, [x, W], create_graph=True, allow_unused=True)
        for mine, theirs in zip(first(point), expected):
            assert helix.allclose(mine, helix.zeros(3) if theirs is None else theirs.detach(), rtol=1e-5, atol=1e-6)
        assert helix.allclose(inside(point), expected[0].detach(), rtol=1e-5, atol=1e-6)
        (twice,) = helix.autograd.grad((expected[0] ** 2).sum(), x)
        assert helix.allclose(second(point), twice, rtol=1e-4, atol=1e-4)


def test_while_loop() -> None:
    def function(x: helix.Tensor) -> tuple:
        return helix.while_loop(
            lambda a, n: a.sum() < 100, lambda a, n: (a * 2 + W.detach(), n + 1), x, helix.tensor(0)
        )

    graph = helix.trace(function, Spec((3,)))
    graph.check()
    for point in (helix.ones(3), helix.full((3,), 200.0)):
        for mine, theirs in zip(graph(point), function(point), strict=True):
            assert_same_bits(mine, theirs, "loop")
    x = helix.tensor([1.0, 1.0, 1.0], requires_grad=True)
    function(x)[0].sum().backward()
    assert x.grad is not None and x.grad.tolist() == [32.0] * 3  # five doublings
    with pytest.raises(GradientError, match="scan") as caught:
        helix.trace(lambda x: helix.autograd.grad(function(x.requires_grad_())[0].sum(), x), Spec((3,)))
    assert caught.value.code == "HX1503"


def test_eagerly_only_one_branch_runs() -> None:
    ran: list[str] = []
    helix.cond(True, lambda: ran.append("true"), lambda: ran.append("false"))
    assert ran == ["true"]
    total, sums = helix.scan(lambda c, x: (c + x, c), helix.tensor(0.0), helix.arange(4.0))
    assert total.item() == 6 and sums.tolist() == [0.0, 0.0, 1.0, 3.0]


def test_a_scan_over_a_dimension() -> None:
    T, B = Dim("T"), Dim("B")
    cell = nn.GRUCell(3, 4)

    def function(x: helix.Tensor) -> helix.Tensor:
        def body(carry: helix.Tensor, row: helix.Tensor) -> tuple[helix.Tensor, helix.Tensor]:
            carry = cell(row, carry)
            return carry, carry.sum(1)

        last, sums = helix.scan(body, helix.zeros(x.shape[1], 4), x)
        return last.mean() + sums.mean()

    graph = helix.trace(function, Spec((T, B, 3)))
    assert len(graph.find("scan")) == 1 and graph.find("scan")[0].outputs[1].shape == (T, B)
    names = ["x", *(name for name, _ in cell.named_parameters())]
    first = grad(graph, names, value=True)
    for shape in ((5, 2, 3), (2, 7, 3)):
        x = helix.randn(shape)
        assert helix.allclose(graph(x), function(x).detach(), rtol=1e-6)
        x.requires_grad_()
        value = function(x)
        found, gradients = first(x.detach())
        assert helix.allclose(found, value.detach(), rtol=1e-6)
        for mine, theirs in zip(gradients, helix.autograd.grad(value, [x, *cell.parameters()]), strict=True):
            assert helix.allclose(mine, theirs, rtol=1e-4, atol=1e-6)


BUFFER = helix.zeros(3)
REFUSED: list[tuple[Callable, type, str]] = [
    (lambda x: helix.cond(x[0] > 0, lambda: x, lambda: x[:2]), TraceError, "if_false"),
    (lambda x: helix.cond(x > 0, lambda: x, lambda: x), ParameterError, "one element"),
    (lambda x: helix.cond(x[0] > 0, lambda: BUFFER.add_(x), lambda: x), TraceError, "in place"),
    (lambda x: helix.scan(lambda c, r: (c.reshape(1), r), x[0], x), TraceError, "must return it"),
    (lambda x: helix.scan(lambda c, r: c + r, x[0], x), TraceError, "(carry, y)"),
    (lambda x: helix.scan(lambda c, r: (c, r), x[0], [x, x[:2]]), ArgumentError, "one length"),
    (lambda x: helix.while_loop(lambda a: a > 0, lambda a: a - 1, x), TraceError, "one element"),
    (lambda x: helix.while_loop(lambda a: a.sum() > 0, lambda a: a.double(), x), TraceError, "must return it"),
]


@pytest.mark.parametrize("index", range(len(REFUSED)))
def test_refusals(index: int) -> None:
    function, kind, text = REFUSED[index]
    with pytest.raises(kind, match=re.escape(text)) as caught:
        helix.trace(function, Spec((3,)))
    if kind is TraceError:
        assert f"{__file__}:" in str(caught.value)
    assert not helix._core.tracing()


# ---- gradients of graphs ----


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple]] = {
    "mlp": (lambda: nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 2)), (Dim("B"), 4)),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3),
            nn.ReLU(),
            nn.ConvTranspose2d(4, 2, 2),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Softmax(1),
        ),
        (3, 2, 7, 7),
    ),
    "attention": (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True), (Dim("B"), Dim("T"), 8)),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_graph_is_the_gradient(name: str) -> None:
    make, shape = MODELS[name]
    helix.manual_seed(2)
    model = make().double()
    loss = lambda x: (model(x) ** 2).sum()  # noqa: E731
    graph = helix.trace(loss, Spec(shape, helix.float64))
    names = ["x", *(n for n, _ in model.named_parameters())]
    gradient = grad(graph, names, value=True)
    gradient.check()
    sizes = {"B": 3, "T": 5}
    x = helix.randn(tuple(sizes[d.name] if isinstance(d, Dim) else d for d in shape), dtype=helix.float64)
    x.requires_grad_()
    helix.manual_seed(5)
    expected = loss(x)
    wanted = helix.autograd.grad(expected, [x, *model.parameters()])
    helix.manual_seed(5)
    value, found = gradient(x.detach())
    assert_same_bits(value, expected.detach(), "value")
    for mine, theirs, n in zip(found, wanted, names, strict=True):
        assert helix.allclose(mine, theirs, rtol=1e-9, atol=1e-12), n


def test_what_grad_refuses() -> None:
    graph = helix.trace(lambda x: x * 2, Spec((3,)))
    with pytest.raises(GradientError, match="only output") as caught:
        grad(graph)
    assert caught.value.code == "HX1505"
    with pytest.raises(ArgumentError, match="'y'"):
        grad(helix.trace(lambda x: x.sum(), Spec((3,))), "y")


def test_stopped_gradients_stay_stopped() -> None:
    def function(x: helix.Tensor) -> helix.Tensor:
        with helix.no_grad():
            scale = x.exp()
        return (x * x.detach() * scale).sum()

    x = helix.tensor([0.5, -1.0, 2.0], requires_grad=True)
    (expected,) = helix.autograd.grad(function(x), x)
    assert_same_bits(grad(helix.trace(function, Spec((3,))), "x")(x.detach()), expected, "stopped")
