"""Gradient rules that other engines had wrong: eager, graph and compiled gradients beside finite differences, and beside the fault
itself; then every op's gradient in a graph beside its eager one, which gradcheck has seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import helix
from helix import nn
from helix.autograd import gradcheck
from helix.errors import GradientError, TraceError
from helix.graph import Spec, grad

from ..ops.cases import each_sample
from ..ops.records import has
from ..ops.sample import Sample
from ..ops.test_gradients import as_function, is_differentiable
from ..ops.values import seed_of

F = nn.functional
RNG = np.random.default_rng(7)


def numerical(function: Callable, arrays: list[np.ndarray], which: int, step: float = 1e-6) -> np.ndarray:
    found = np.zeros_like(arrays[which])
    for index in np.ndindex(*found.shape):
        sides = []
        for sign in (1, -1):
            moved = [a.copy() for a in arrays]
            moved[which][index] += sign * step
            sides.append(function(*[helix.tensor(a) for a in moved]).item())
        found[index] = (sides[0] - sides[1]) / (2 * step)
    return found


WEIGHTS = helix.tensor(RNG.normal(size=(3, 4)))


def softmax_of_rows(x: helix.Tensor) -> helix.Tensor:
    return (F.softmax(x, dim=-1) * WEIGHTS).sum()


def softmax_summed_over_everything(x: np.ndarray) -> np.ndarray:
    s = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    g = WEIGHTS.numpy()
    return s * (g - (g * s).sum())


def gelu_by_tanh(x: helix.Tensor) -> helix.Tensor:
    return F.gelu(x, approximate="tanh").sum()


def gelu_slope_of_the_sigmoid_form(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-1.702 * x))


def convolution_bias(b: helix.Tensor) -> helix.Tensor:
    return (F.conv2d(IMAGE, KERNEL, b) * PLACES).sum()


IMAGE, KERNEL = helix.tensor(RNG.normal(size=(2, 2, 5, 5))), helix.tensor(RNG.normal(size=(3, 2, 3, 3)))
PLACES = helix.tensor(RNG.normal(size=(2, 3, 3, 3)))


def bias_as_one_sum(b: np.ndarray) -> np.ndarray:
    return np.full(b.shape, PLACES.numpy().sum())


def broadcast_in_the_middle(x: helix.Tensor) -> helix.Tensor:
    row = x.exp()
    return ((row + WEIGHTS) * WEIGHTS).sin().sum()


def one_row_of_the_broadcast(x: np.ndarray) -> np.ndarray:
    w = WEIGHTS.numpy()
    return (np.cos((np.exp(x) + w) * w) * w * np.exp(x))[0]


def exponent(p: helix.Tensor) -> helix.Tensor:
    return (helix.tensor(np.array([0.5, 1.5, 3.0])) ** p).sum()


WRONG: list[tuple[Callable, tuple[int, ...], Callable]] = [
    (softmax_of_rows, (3, 4), softmax_summed_over_everything),
    (gelu_by_tanh, (5,), gelu_slope_of_the_sigmoid_form),
    (convolution_bias, (3,), bias_as_one_sum),
    (broadcast_in_the_middle, (4,), one_row_of_the_broadcast),
    (exponent, (3,), np.zeros_like),
]


@pytest.mark.parametrize("index", range(len(WRONG)), ids=[case[0].__name__ for case in WRONG])
def test_rules_beside_their_known_faults(index: int) -> None:
    function, shape, fault = WRONG[index]
    x = RNG.uniform(0.3, 1.5, shape)
    expected = numerical(function, [x], 0)
    for found in gradients(function, x):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    assert not np.allclose(fault(x), expected, rtol=1e-3)  # the fault would be seen


def gradients(function: Callable, x: np.ndarray) -> list[np.ndarray]:
    """Of one number: eagerly, by the graph of the gradient, and through a compiled function."""
    given = [helix.tensor(x, requires_grad=True) for _ in range(2)]
    function(given[0]).backward()
    helix.compile(function, fallback="error")(given[1]).backward()
    graph = helix.trace(function, Spec(x.shape, helix.float64))
    slope = grad(graph, graph.inputs[0].name)(helix.tensor(x))
    return [slope.numpy(), *[leaf.grad.numpy() for leaf in given if leaf.grad is not None]]


UP = nn.ConvTranspose2d(2, 3, 3, 2, padding=1, groups=1, dtype=helix.float64)
CNN = nn.Sequential(
    nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)
).double()
CNN.eval()

DROPPED: dict[str, Callable] = {
    "adaptive_avg_pool2d": lambda x: (F.adaptive_avg_pool2d(x, 2) ** 2).sum(),
    "conv_transpose2d": lambda x: (F.conv_transpose2d(x, KERNEL[:2]) ** 2).sum(),
    "AdaptiveAvgPool2d": lambda x: (nn.AdaptiveAvgPool2d((1, 3))(x) ** 2).sum(),
    "ConvTranspose2d": lambda x: (UP(x) ** 2).sum(),
    "a small CNN": lambda x: F.cross_entropy(CNN(x), helix.tensor([1])),
    "var of an axis": lambda x: (x.var(1) * x.var(1)).sum(),
    "var of two axes, kept": lambda x: (x.var((0, 2), correction=0, keepdim=True) * x).sum(),
    "standard deviation": lambda x: (x.std(-1) ** 2 * x.mean(-1)).sum(),
    "var of all": lambda x: x.var() ** 2,
    "var and mean": lambda x: sum(part.square().sum() for part in helix.var_mean(x, -1)),
    "exponent of both": lambda x: (x.abs() ** (x * 0.5)).sum(),
    "mean of an axis": lambda x: (x.mean(2) ** 3).sum(),
}


@pytest.mark.parametrize("name", DROPPED)
def test_no_op_drops_its_gradient(name: str) -> None:
    x = RNG.normal(size=(1, 2, 4, 4))
    expected = numerical(DROPPED[name], [x], 0)
    assert np.abs(expected).max() > 1e-3
    for found in gradients(DROPPED[name], x):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_a_layer_before_a_pool_gets_its_gradient() -> None:
    """The convolution of a classifier, in eager code, in one graph of the step, and compiled."""
    x, target = helix.tensor(RNG.normal(size=(2, 2, 5, 5))), helix.tensor([0, 1])

    def step(x: helix.Tensor) -> helix.Tensor:
        loss = F.cross_entropy(CNN(x), target)
        loss.backward()
        return loss.detach()

    found = []
    for run in (step, helix.trace(step, Spec(x.shape, x.dtype)), helix.compile(step, fallback="error")):
        CNN.zero_grad()
        run(x)
        found.append([parameter.grad.numpy().copy() for parameter in CNN.parameters()])
    parameters = [p.detach().clone().requires_grad_() for p in CNN.parameters()]
    names = [name for name, _ in CNN.named_parameters()]
    loss = lambda *p: F.cross_entropy(helix.func.functional_call(CNN, dict(zip(names, p, strict=True)), x), target)  # noqa: E731
    assert gradcheck(loss, tuple(parameters))
    for gradients_of_run in found[1:]:
        for mine, eager in zip(gradients_of_run, found[0], strict=True):
            np.testing.assert_allclose(mine, eager, rtol=1e-9, atol=1e-12)
    assert all(np.abs(g).max() > 1e-6 for g in found[0])


# ---- every op --------------------------------------------------------------------------------------------------


def needs_values(sample: Sample) -> bool:
    return has(sample.op, "values") or (sample.op == "ctc_loss" and sample.name == "one list")


def weighed(results: tuple[helix.Tensor, ...]) -> helix.Tensor:
    """A number in which every element of the results has another weight."""
    total = helix.zeros((), dtype=helix.float64)
    for result in results:
        real = result.real + 2 * result.imag if result.is_complex() else result
        weights = helix.linspace(0.5, 1.5, real.numel(), dtype=helix.float64).reshape(real.shape)
        total = total + (real * weights).sum()
    return total


def check_gradient_graph(sample: Sample, function: Callable, leaves: list[helix.Tensor]) -> None:
    expected = helix.autograd.grad(weighed(function(*leaves)), leaves, allow_unused=True)
    trace_of = lambda *xs: weighed(function(*[x.requires_grad_() for x in xs]))  # noqa: E731
    graph = helix.trace(trace_of, *[Spec(x.shape, x.dtype) for x in leaves])
    helix.manual_seed(seed_of(sample))
    found = grad(graph, [value.name for value in graph.inputs])(*[x.detach() for x in leaves])
    for mine, eager in zip(found, expected, strict=True):
        theirs = helix.zeros_like(mine) if eager is None else eager
        assert helix.allclose(mine, theirs, rtol=1e-7, atol=1e-9, equal_nan=True), sample.op


@each_sample(lambda sample: is_differentiable(sample) and not needs_values(sample))
def test_the_gradient_graph_of_every_op_is_its_gradient(sample: Sample) -> None:
    check_gradient_graph(sample, *as_function(sample))


def test_a_fault_planted_in_the_graph_alone_is_seen() -> None:
    sample = Sample("softmax", ())
    wrong = lambda x: ((x if not helix._core.tracing() else x * 1.001).softmax(-1),)  # noqa: E731
    with pytest.raises(AssertionError, match="softmax"):
        check_gradient_graph(sample, wrong, [helix.tensor(RNG.normal(size=(3, 4)), requires_grad=True)])


@pytest.mark.parametrize("name", ["special_airy_ai", "signbit", "isnan", "argmax", "count_nonzero", "zeros_like"])
def test_a_missing_rule_is_an_error(name: str) -> None:
    """Never a gradient of zeros: neither eagerly nor in a graph."""
    function = lambda x: helix._core.op_named(name)(x).sum() + 0.0  # noqa: E731
    x = helix.tensor([0.3, 0.7], dtype=helix.float64, requires_grad=True)
    with pytest.raises(GradientError):
        function(x).backward()
    with pytest.raises(GradientError):
        grad(helix.trace(function, Spec((2,), helix.float64)), "x")


def test_what_has_no_rule_is_an_error() -> None:
    with pytest.raises(GradientError, match="not differentiable"):
        grad(helix.trace(lambda x: helix.heaviside(x, x).sum(), Spec((3,))), "x")
    with pytest.raises(GradientError):
        grad(helix.trace(lambda x: x.round().sum().detach(), Spec((3,))), "x")


@pytest.mark.parametrize("wrt", ["y", ["x", "y"], ["y", "w"]])
def test_inputs_without_influence_have_zeros(wrt: str | list[str]) -> None:
    layer = nn.Linear(2, 2)
    graph = helix.trace(lambda x, y, w: (layer(x) ** 2).sum(), Spec((3, 2)), Spec((2,)), Spec(()))
    made = grad(graph, wrt)
    found = made(helix.randn(3, 2), helix.randn(2), helix.randn(()))
    zeros = (found,) if isinstance(wrt, str) else [g for name, g in zip(wrt, found, strict=True) if name != "x"]
    assert all(g.abs().sum().item() == 0 for g in zeros) and zeros[0].shape == (2,)


def test_steps_and_streams_need_a_trace() -> None:
    from helix._core import trace_draws, trace_region

    with pytest.raises(TraceError, match="no trace is running"):
        trace_draws(3)
    with pytest.raises(TraceError, match="no trace is running"):
        trace_region(0, [helix.zeros(2)], [((2,), helix.float32)])


def test_a_determinant_of_what_is_not_finite_has_no_gradient_and_no_error() -> None:
    """The one rule of a graph needs singular values, which such a matrix has not; the others of the batch keep theirs."""
    x = helix.randn(3, 2, 2, dtype=helix.float64)
    x[1, 0, 0] = float("nan")
    leaf = x.clone().requires_grad_()
    helix.det(leaf).sum().backward()
    (found,) = grad(helix.trace(lambda x: helix.det(x).sum(), Spec((3, 2, 2), helix.float64)))(x)
    assert found.isnan().all(-1).all(-1).tolist() == [False, True, False]
    assert helix.allclose(found[::2], leaf.grad[::2], rtol=1e-9)
