"""A custom autograd.Function within a trace keeps its gradient, or says why it has none."""

import pytest

import helix
from helix.autograd import Function
from helix.errors import GradientError, TraceError
from helix.graph import Dim, Spec, custom, grad


class Bent(Function):
    """A square whose gradient is three times too large: nobody else's."""

    @staticmethod
    def forward(ctx, x, factor):
        middle = x * x
        ctx.factor, ctx.middle = factor, middle
        result = middle * factor
        ctx.save_for_backward(x, result)
        return result

    @staticmethod
    def backward(ctx, g):
        x, result = ctx.saved_tensors
        return g * (6 * ctx.factor * x + 0 * result + 0 * ctx.middle), None


class Halves(Function):
    """Two results, one of them without a gradient; a weight from outside."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        sign = x > y
        ctx.mark_non_differentiable(sign)
        return x * y, sign, "told"

    @staticmethod
    def backward(ctx, g, unused, told):
        x, y = ctx.saved_tensors
        return g * y * 2, g * x


class Exponential(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y


weight = helix.tensor([0.5, -1.0, 2.0], requires_grad=True)


def bent(x):
    return (Bent.apply(x * weight, 0.5) * x).sum()


def halves(x):
    product, sign, told = Halves.apply(x, x.sin())
    assert told == "told"
    return helix.where(sign, product, product * 3).sum()


def twice(x):
    return (Exponential.apply(x) ** 2).sum()


X = helix.tensor([0.3, -0.7, 1.1])


def eager(function, order=1):
    x = X.clone().requires_grad_()
    value = function(x)
    for _ in range(order):
        (value,) = helix.autograd.grad(value.sum(), x, create_graph=True)
    return value.detach().numpy()


@pytest.mark.parametrize("function", [bent, halves, twice])
def test_its_gradient_is_in_the_graph(function):
    graph = helix.trace(function, Spec((3,)))
    graph.check()
    assert [node.op for node in graph.nodes].count("function") == 1
    assert graph(X).item() == function(X).item()
    first = grad(graph, "x")
    assert first(X).numpy() == pytest.approx(eager(function), rel=1e-6)
    second = grad(helix.trace(lambda x: first(x).sum(), Spec((3,))), "x")
    assert second(X).numpy() == pytest.approx(eager(function, 2), rel=1e-5)


def test_a_lost_gradient_is_found(monkeypatch):
    """The fault there was: forward recorded without gradients, and nothing for backward."""
    monkeypatch.setattr(Bent, "inline", True)
    found = grad(helix.trace(bent, Spec((3,))), "x")(X).numpy()
    assert found != pytest.approx(eager(bent), rel=1e-6)


def test_backward_within_a_trace():
    def step(x):
        leaf = x.detach().requires_grad_()
        (found,) = helix.autograd.grad(bent(leaf), leaf)
        return found

    assert helix.trace(step, Spec((3,)))(X).numpy() == pytest.approx(eager(bent), rel=1e-6)


def test_with_dimensions_and_in_samples():
    graph = helix.trace(lambda x: (Bent.apply(x, 2.0).sum(1) ** 2).sum(), Spec((Dim("B"), 3)))
    x = helix.stack([X, X * 2, X - 1])
    leaf = x.clone().requires_grad_()
    (expected,) = helix.autograd.grad((Bent.apply(leaf, 2.0).sum(1) ** 2).sum(), leaf)
    assert grad(graph, "x")(x).numpy() == pytest.approx(expected.numpy(), rel=1e-5)
    samples = helix.func.vmap(helix.func.grad(bent))(x)
    assert samples[0].detach().numpy() == pytest.approx(eager(bent), rel=1e-5)
    assert graph.at(B=3).cost().flops >= 27


def test_a_loss_in_pieces_of_helix_itself():
    model = helix.nn.functional.linear_cross_entropy
    w = helix.randn(7, 4)
    t = helix.tensor([1, 2, 6, 0, 3])

    def loss(x):
        return model(x, w, t)

    x = helix.randn(5, 4)
    leaf = x.clone().requires_grad_()
    (expected,) = helix.autograd.grad(loss(leaf), leaf)
    assert grad(helix.trace(loss, Spec((5, 4))), "x")(x).numpy() == pytest.approx(expected.numpy(), rel=1e-4, abs=1e-6)


class Wild(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * helix.rand_like(g)


class Blind(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2


class Peeping(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * g.sum().item()


def test_what_cannot_be_kept_is_told():
    with pytest.raises(TraceError, match="Wild.*random.*no_grad"):
        helix.trace(Wild.apply, Spec((3,)))
    with helix.no_grad():
        assert Wild.apply(X).shape == (3,)
    for function in (Blind, Peeping):
        graph = helix.trace(lambda x, f=function: f.apply(x).sum(), Spec((3,)))
        assert graph(X).item() == pytest.approx(1.4, rel=1e-5)
        with pytest.raises(GradientError, match=function.__name__):
            grad(graph)


def test_forward_and_backward_share_nothing_but_what_is_kept():
    (node,) = helix.trace(bent, Spec((3,))).find(custom.OP)
    forward, backward = node.graphs
    forward.check()
    backward.check()
    assert len(node.outputs) == 2  # the result, and the square
    assert {n.op for n in forward.nodes} == {"mul"}
