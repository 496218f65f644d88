"""Optimizer steps, of ai.onnx.preview.training."""

from __future__ import annotations

from typing import Any

import helix

from ..._core import Tensor
from ..table import op

_DOMAIN = "ai.onnx.preview.training"


def _each(xs: tuple[Tensor, ...], kinds: int, update: Any) -> tuple[Tensor, ...]:
    """Updates tensor after tensor; results come kind by kind."""
    if not xs or len(xs) % kinds:
        raise ValueError(f"{len(xs)} tensors of {kinds} kinds")
    n = len(xs) // kinds
    made = [update(*[xs[i + k * n] for k in range(kinds)]) for i in range(n)]
    return tuple([value for column in zip(*made, strict=True) for value in column])


@op("Adagrad", domain=_DOMAIN)
def adagrad(
    rate: Tensor,
    count: Tensor,
    *xs: Tensor,
    decay_factor: float = 0.0,
    epsilon: float = 0.0,
    norm_coefficient: float = 0.0,
) -> tuple[Tensor, ...]:
    step = rate.reshape(()) / (1 + count.reshape(()).to(rate.dtype) * decay_factor)

    def update(x: Tensor, gradient: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
        gradient = norm_coefficient * x + gradient
        squares = squares + gradient * gradient
        return x - step * gradient / (squares.sqrt() + epsilon), squares

    return _each(xs, 3, update)


@op("Adam", domain=_DOMAIN)
def adam(
    rate: Tensor,
    count: Tensor,
    *xs: Tensor,
    alpha: float = 0.9,
    beta: float = 0.999,
    epsilon: float = 0.0,
    norm_coefficient: float = 0.0,
    norm_coefficient_post: float = 0.0,
) -> tuple[Tensor, ...]:
    t = count.reshape(()).to(rate.dtype)
    step = rate.reshape(())
    corrected = step * (1 - beta ** t.clamp_min(1)).sqrt() / (1 - alpha ** t.clamp_min(1))
    step = helix.where(t > 0, corrected, step)

    def update(x: Tensor, gradient: Tensor, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gradient = norm_coefficient * x + gradient
        v, h = alpha * v + (1 - alpha) * gradient, beta * h + (1 - beta) * gradient * gradient
        return (1 - norm_coefficient_post) * (x - step * v / (h.sqrt() + epsilon)), v, h

    return _each(xs, 4, update)


@op("Momentum", domain=_DOMAIN)
def momentum(
    rate: Tensor, count: Tensor, *xs: Tensor, alpha: float, beta: float, mode: str, norm_coefficient: float
) -> tuple[Tensor, ...]:
    factor = helix.where(count.reshape(()) > 0, rate.reshape(()) * 0 + beta, rate.reshape(()) * 0 + 1)

    def update(x: Tensor, gradient: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        gradient = norm_coefficient * x + gradient
        v = alpha * v + factor * gradient
        return x - rate.reshape(()) * (gradient + alpha * v if mode == "nesterov" else v), v

    return _each(xs, 3, update)
