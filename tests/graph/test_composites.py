"""Composites written by hand become ops; what is almost one, or is needed otherwise, stays."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import pytest

import helix
from helix import nn
from helix.graph import Dim, Graph, Spec
from helix.graph.passes import composites

F = nn.functional
B = Dim("B")
X, W, V = Spec((B, 8)), Spec((16, 8)), Spec((8, 16))
ROW, LONG = Spec((8,)), Spec((16,))
Q = Spec((2, 3, 5, 8))
T = Spec((B,), helix.int64)


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def leaves(result: object) -> list[helix.Tensor]:
    return helix.graph.tree.flatten(result)[0]


def made_of(function: Callable, *specs: Spec) -> Graph:
    """The graph after the pass, which gives the same numbers and finds nothing the second time."""
    graph = helix.trace(function, *specs)
    made = graph.copy()
    composites.run(made)
    made.check()
    shapes = [[n if isinstance(n, int) else 6 for n in spec.shape] for spec in specs]
    inputs = [
        helix.arange(shape[0]) % 4 if spec.dtype is helix.int64 else helix.randn(shape)
        for spec, shape in zip(specs, shapes, strict=True)
    ]
    for mine, theirs in zip(leaves(made(*inputs)), leaves(graph(*inputs)), strict=True):
        assert helix.allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    assert composites.run(made) == 0
    return made


def _gelu(x, w, b):
    y = x @ w.T + b
    return 0.5 * y * (1 + helix.tanh(sqrt(2 / helix.pi) * (y + 0.044715 * y**3)))


def _softmax(x):
    e = (x - x.amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


def _layer_norm(x, w, b):
    centered = x - x.mean(-1, keepdim=True)
    normed = centered / ((centered**2).mean(-1, keepdim=True) + 1e-5).sqrt()
    normed = normed if w is None else normed * w
    return normed if b is None else normed + b


def _attention(q, k, v):
    return _softmax(q @ k.transpose(-2, -1) / sqrt(8)) @ v


def _masked(q, k, v, mask):
    return (q @ k.mT * 0.3 + mask).softmax(-1) @ v


def _filled(q, k, v):
    return (q @ k.mT / sqrt(8)).masked_fill(helix.ones(5, 5).tril() == 0, -float("inf")).softmax(-1) @ v


def _forbidden(q, k, v):
    later = helix.ones(5, 5, dtype=helix.bool).triu(1)
    return helix.where(later, -float("inf"), q @ k.mT).softmax(-1) @ v


def _softmax_of_fixed_top(x):
    e = (x - x.amax(-1, keepdim=True).detach()).exp()
    return e / e.sum(-1, keepdim=True)


def _logsumexp(x):
    top = x.amax(-1, keepdim=True)
    return (x - top).exp().sum(-1, keepdim=True).log() + top


def _log_softmax(x):
    y = x - x.amax(-1, keepdim=True)
    return y - y.exp().sum(-1, keepdim=True).log()


def _causal(q, k, v):
    return helix.where(helix.ones(5, 5, dtype=helix.bool).tril(), q @ k.mT, -float("inf")).softmax(-1) @ v


FOUND = {
    "linear": (lambda x, w, b: x @ w.T + b, (X, W, LONG), "linear"),
    "addmm": (lambda x, w, b: b + x @ w, (X, V, LONG), "addmm"),
    "linear with relu": (lambda x, w, b: F.relu(x @ w.T + b), (X, W, LONG), "linear_activation"),
    "linear with gelu by hand": (_gelu, (X, W, LONG), "linear_activation"),
    "silu": (lambda x: x * x.sigmoid(), (X,), "silu"),
    "gelu of erf": (lambda x: x * 0.5 * (1.0 + helix.erf(x / sqrt(2))), (X,), "gelu"),
    "gelu of tanh": (lambda x: 0.5 * (x * (1 + helix.tanh(0.7978845608 * (x + 0.044715 * (x * x * x))))), (X,), "gelu"),
    "softmax": (_softmax, (X,), "softmax"),
    "log softmax": (lambda x: x - x.logsumexp(-1, keepdim=True), (X,), "log_softmax"),
    "softmax whose maximum stops gradients": (_softmax_of_fixed_top, (X,), "softmax"),
    "logarithm of softmax": (lambda x: _softmax(x).log(), (X,), "log_softmax"),
    "logsumexp": (_logsumexp, (X,), "logsumexp"),
    "log softmax of logsumexp": (lambda x: x - _logsumexp(x), (X,), "log_softmax"),
    "log softmax in parts": (_log_softmax, (X,), "log_softmax"),
    "rms norm of a root": (lambda x, w: x / ((x * x).mean(-1, keepdim=True) + 1e-6).sqrt() * w, (X, ROW), "rms_norm"),
    "rms norm alone": (lambda x: x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt(), (X,), "rms_norm"),
    "layer norm alone": (lambda x: _layer_norm(x, None, None), (X,), "layer_norm"),
    "layer norm times a row": (lambda x, w: _layer_norm(x, w, None), (X, ROW), "layer_norm"),
    "rms norm": (lambda x, w: w * (x * (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt()), (X, ROW), "rms_norm"),
    "layer norm": (_layer_norm, (X, ROW, ROW), "layer_norm"),
    "layer norm of var": (
        lambda x, w, b: (
            (x - x.mean(-1, keepdim=True)) * (x.var(-1, unbiased=False, keepdim=True) + 1e-5).rsqrt() * w + b
        ),
        (X, ROW, ROW),
        "layer_norm",
    ),
    "attention": (_attention, (Q, Q, Q), "scaled_dot_product_attention"),
    "attention with a mask": (_masked, (Q, Q, Q, Spec((5, 5))), "scaled_dot_product_attention"),
    "attention with forbidden places": (_filled, (Q, Q, Q), "scaled_dot_product_attention"),
    "attention to what comes before": (_forbidden, (Q, Q, Q), "scaled_dot_product_attention"),
    "causal attention": (_causal, (Q, Q, Q), "scaled_dot_product_attention"),
    "cross entropy": (lambda x, t: F.nll_loss(x.log_softmax(-1), t), (X, T), "native_cross_entropy"),
}


@pytest.mark.parametrize("name", FOUND)
def test_found(name: str) -> None:
    function, specs, op = FOUND[name]
    made = made_of(function, *specs)
    rest = [
        o
        for o in ops(made)
        if o not in ("permute", "transpose", "ones", "tril", "triu", "eq", "logical_not", "sum", "div", "empty", "full")
    ]
    assert rest == [op]


ALMOST = {
    "a maximum of something else": lambda x: [
        (e / e.sum(-1, keepdim=True)) for e in [(x - (2 * x).amax(-1, True)).exp()]
    ],
    "another maximum behind the sum": lambda x: (
        (x - x.amax(-1, True)).exp().sum(-1, True).log() + (x + 1).amax(-1, True)
    ),
    "a maximum over another axis": lambda x: [y - y.exp().sum(-1, True).log() for y in [x - x.amax(0, True)]],
    "another factor": lambda x: 0.5 * x * (1 + helix.tanh(0.8 * (x + 0.044715 * x**3))),
    "another input": lambda x: x * (x + 1).sigmoid(),
    "an axis for the maximum, another for the sum": lambda x: (
        (x - x.amax(0, keepdim=True)).exp() / (x - x.amax(0, keepdim=True)).exp().sum(-1, keepdim=True)
    ),
    "a part that is taken": lambda x: [(y, x * y) for y in [x.sigmoid()]],
    "unbiased": lambda x: (
        (x - x.mean(-1, keepdim=True)) * (x.var(-1, keepdim=True) + 1e-5).rsqrt() * helix.ones(8) + helix.ones(8)
    ),
    "a negative eps": lambda x: x * (x.square().mean(-1, keepdim=True) + -1e-6).rsqrt() * helix.ones(8),
}


@pytest.mark.parametrize("name", ALMOST)
def test_almost(name: str) -> None:
    graph = helix.trace(ALMOST[name], X)
    made = graph.copy()
    assert composites.run(made) == 0 and graph.difference(made) is None


@helix.no_grad()
def _fixed(function: Callable) -> helix.Tensor:
    return function()


STOPPED: dict[str, tuple[Callable, tuple]] = {
    "a product": (lambda x, w, b: _fixed(lambda: x @ w) + b, (X, V, LONG)),
    "a gate": (lambda x: x * _fixed(x.sigmoid), (X,)),
    "a sum": (lambda x: x - _fixed(lambda: x.logsumexp(-1, keepdim=True)), (X,)),
}


@pytest.mark.parametrize("name", STOPPED)
def test_parts_that_stop_gradients_stay(name: str) -> None:
    function, specs = STOPPED[name]
    graph = helix.trace(function, *specs)
    made = graph.copy()
    assert composites.run(made) == 0 and graph.difference(made) is None


def test_an_order_of_axes_that_stops_gradients_stays() -> None:
    made = made_of(lambda x, w, b: x @ _fixed(lambda: w.T) + b, X, W, LONG)
    assert ops(made) == ["permute", "addmm"]


def test_a_mask_to_which_scores_stretch_is_no_attention() -> None:
    one = Spec((2, 3, 1, 8))
    for mask in (Spec((5, 5)), Spec((4, 1, 1, 1, 5))):
        assert "scaled_dot_product_attention" not in ops(made_of(_masked, one, Q, Q, mask))


def test_a_linear_layer_whose_result_is_returned_stays() -> None:
    made = made_of(lambda x, w, b: [(y, F.relu(y)) for y in [F.linear(x, w, b)]], X, W, LONG)
    assert "linear_activation" not in ops(made)


def test_training_steps_give_the_same_gradients() -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    graph = helix.trace(lambda x, t: F.nll_loss(model(x).log_softmax(-1), t), X, T)
    made = graph.copy()
    assert composites.run(made)
    x, t = helix.randn(6, 8), helix.arange(6) % 4
    names = ["0.weight", "2.bias"]
    for a, b in zip(helix.graph.grad(made, names)(x, t), helix.graph.grad(graph, names)(x, t), strict=True):
        assert helix.allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "kind", [helix.float16, helix.bfloat16, helix.float32, helix.float64], ids=lambda kind: kind.name
)
def test_cross_entropy_keeps_its_dtype(kind: helix.dtype) -> None:
    """The op tells the weights of the targets wider than half types."""
    graph = helix.trace(lambda x, t: F.nll_loss(x.log_softmax(-1), t), Spec((6, 8), kind), Spec((6,), helix.int64))
    made = graph.copy()
    composites.run(made)
    assert made.find("native_cross_entropy")
    x, t = helix.randn(6, 8).to(kind), helix.arange(6)
    mine, theirs = made(x, t), graph(x, t)
    assert mine.dtype is theirs.dtype is kind
    assert helix.allclose(mine, theirs, rtol=1e-2 if kind.itemsize == 2 else 1e-5)
