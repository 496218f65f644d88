"""Gradient rules that other engines had wrong: the gradient graph beside finite differences, and beside the fault itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import helix
from helix import nn
from helix.errors import GradientError, TraceError
from helix.graph import Spec, grad

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
    found = grad(
        helix.trace(function, Spec(shape, helix.float64)), "x" if "x" in _names(function) else _names(function)[0]
    )
    expected = numerical(function, [x], 0)
    np.testing.assert_allclose(found(helix.tensor(x)).numpy(), expected, rtol=1e-6, atol=1e-8)
    assert not np.allclose(fault(x), expected, rtol=1e-3)  # the fault would be seen


def _names(function: Callable) -> list[str]:
    return list(function.__code__.co_varnames[: function.__code__.co_argcount])


DROPPED: dict[str, Callable] = {
    "adaptive_avg_pool2d": lambda x: (F.adaptive_avg_pool2d(x, 2) ** 2).sum(),
    "conv_transpose2d": lambda x: (F.conv_transpose2d(x, KERNEL[:2]) ** 2).sum(),
    "var of an axis": lambda x: (x.var(1) * x.var(1)).sum(),
    "var of all": lambda x: x.var() ** 2,
    "mean of an axis": lambda x: (x.mean(2) ** 3).sum(),
}


@pytest.mark.parametrize("name", DROPPED)
def test_no_op_drops_its_gradient(name: str) -> None:
    x = RNG.normal(size=(1, 2, 4, 4))
    found = grad(helix.trace(DROPPED[name], Spec(x.shape, helix.float64)), "x")(helix.tensor(x)).numpy()
    np.testing.assert_allclose(found, numerical(DROPPED[name], [x], 0), rtol=1e-5, atol=1e-7)
    assert np.abs(found).max() > 1e-3


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
