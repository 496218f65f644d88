"""Activations."""

from __future__ import annotations

from typing import Any

import helix
import helix.nn.functional as F

from ..._core import Tensor
from ..table import op
from .common import along, axis_of, spread

op("Relu")(lambda x: helix.relu(x))
op("Sigmoid")(lambda x: helix.sigmoid(x))
op("Softsign")(lambda x: F.softsign(x))
op("HardSwish")(lambda x: x * (x / 6 + 0.5).clamp(0, 1))


@op("Softplus")
def softplus(x: Tensor) -> Tensor:
    return helix.logaddexp(x, helix.zeros_like(x))


op("Mish")(lambda x: x * softplus(x).tanh())


@op("Elu")
def elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return helix.where(x > 0, x, alpha * _below(x).expm1())


def _below(x: Tensor) -> Tensor:
    """x where it is negative, else 0, so that an exponential that is not chosen is finite, and its gradient too."""
    return x.clamp_max(0)


@op("Celu")
def celu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return x.clamp_min(0) + (alpha * helix.expm1(_below(x / alpha))).clamp_max(0)


@op("Selu")
def selu(x: Tensor, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875) -> Tensor:
    return gamma * helix.where(x > 0, x, alpha * _below(x).expm1())


@op("LeakyRelu")
def leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    return F.leaky_relu(x, alpha)


@op("PRelu")
def prelu_1(call: Any, x: Tensor, slope: Tensor) -> Tensor:
    """A vector is of the channels."""
    return prelu(call, x, along(slope, 1, x.ndim) if slope.ndim == 1 and slope.shape[0] > 1 else slope)


@op("PRelu", since=7)
def prelu(call: Any, x: Tensor, slope: Tensor) -> Tensor:
    """A vector that does not fit the last axis is taken for the channels, as some exporters write it."""
    if slope.ndim == 1 and x.ndim > 2 and slope.shape[0] not in (1, x.shape[-1]):
        slope = along(slope, 1, x.ndim)
    spread(call, x, slope)
    return helix.where(x < 0, slope * x, x)


@op("ThresholdedRelu")
def thresholded_relu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return helix.where(x > alpha, x, helix.zeros_like(x))


@op("HardSigmoid")
def hard_sigmoid(x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    return (alpha * x + beta).clamp(0, 1)


@op("Shrink")
def shrink(x: Tensor, *, bias: float = 0.0, lambd: float = 0.5) -> Tensor:
    return helix.where(x < -lambd, x + bias, helix.where(x > lambd, x - bias, helix.zeros_like(x))).to(x.dtype)


@op("Gelu")
def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    return F.gelu(x, approximate=approximate)


@op("Swish")
def swish(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return x * helix.sigmoid(alpha * x)


@op("SwiGLU")
def swiglu(a: Tensor, b: Tensor, *, alpha: float = 1.0) -> Tensor:
    if a.shape != b.shape:
        raise ValueError("both inputs must have one shape")
    return swish(a, alpha=alpha) * b


def _flattened(function: Any, x: Tensor, axis: int) -> Tensor:
    """Versions before 13 take all axes from one on together."""
    axis = axis_of(axis, x.ndim) if x.ndim else 0
    rows = 1
    for size in x.shape[:axis]:
        rows *= size
    return function(x.reshape((rows, -1)) if x.numel() else x.reshape((rows, 0)), 1).reshape(x.shape)


def _hardmax(x: Tensor, axis: int) -> Tensor:
    if x.numel() == 0:
        return x
    best = x.argmax(axis, keepdim=True)
    return helix.zeros_like(x).scatter(axis, best, helix.ones_like(best, dtype=x.dtype))


for _name, _function in (("Softmax", helix.softmax), ("LogSoftmax", helix.log_softmax), ("Hardmax", _hardmax)):

    def _old(x: Tensor, *, axis: int = 1, function: Any = _function) -> Tensor:
        return _flattened(function, x, axis)

    def _new(x: Tensor, *, axis: int = -1, function: Any = _function) -> Tensor:
        return function(x, axis)

    op(_name)(_old)
    op(_name, since=13)(_new)


@op("Dropout")
def dropout(call: Any, x: Tensor, **ignored: Any) -> Any:
    """Versions before 12 say nothing of training: they pass their input on."""
    return (x, helix.ones_like(x, dtype=helix.bool))[: call.outputs] if call.outputs > 1 else x


@op("Dropout", since=12, static=(2,), random=True)
def dropout_12(
    call: Any, x: Tensor, ratio: Tensor | None = None, training: Tensor | None = None, *, seed: int | None = None
) -> Any:
    rate = 0.5 if ratio is None else ratio.item()
    if training is None or not training.item() or rate == 0:
        return dropout(call, x)
    kept = helix.rand(x.shape, device=x.device) >= rate
    made = helix.where(kept, x / (1 - rate), helix.zeros_like(x))
    return (made, kept) if call.outputs > 1 else made
