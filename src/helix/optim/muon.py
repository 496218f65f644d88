"""Muon."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Unpack

from .. import addmm, bfloat16, float16, float32, float64, zeros_like
from ..tensor import Tensor
from .optimizer import Choices, Entry, Optimizer, Update

PRECISIONS = {"bfloat16": bfloat16, "float16": float16, "float32": float32, "float64": float64}


class Muon(Optimizer):
    """Momentum of matrices, made orthogonal by a Newton-Schulz iteration; Jordan et al., "Muon: an optimizer for hidden
    layers in neural networks", 2024, with torch's arguments. Only for matrices: embeddings, heads, biases and gains go
    to another optimizer.

    The iteration runs in `ns_dtype`, by default "bfloat16" as torch's does: a singular value near 1 is all it is to find.
    `adjust_lr_fn` is "original" (None means it too) or "match_rms_adamw" (Liu et al., arXiv:2502.16982).
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        ns_dtype: str = "bfloat16",
        **choices: Unpack[Choices],
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": tuple(ns_coefficients),
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
            "ns_dtype": ns_dtype,
        }
        super().__init__(params, defaults, choices)

    def check(self, options: Mapping[str, Any]) -> None:
        super().check(options)
        if options["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ValueError(
                f"Muon: adjust_lr_fn must be 'original' or 'match_rms_adamw', got {options['adjust_lr_fn']!r}"
            )
        if options["ns_dtype"] not in PRECISIONS:
            raise ValueError(f"Muon: ns_dtype must be one of {', '.join(PRECISIONS)}, got {options['ns_dtype']!r}")
        if len(options["ns_coefficients"]) != 3 or not 0 <= options["ns_steps"] < 100:
            raise ValueError(
                "Muon: ns_coefficients must be three numbers and ns_steps between 0 and 99, got "
                f"{options['ns_coefficients']} and {options['ns_steps']}"
            )

    def check_parameter(self, name: str, parameter: Tensor) -> None:
        if parameter.ndim != 2:
            raise ValueError(
                f"Muon: parameters must be matrices, {name!r} has shape {tuple(parameter.shape)}; "
                "give it to another optimizer, such as AdamW"
            )

    def updates(self, group: dict[str, Any], entries: list[Entry]) -> Iterator[Update]:
        for entry in entries:
            state = entry.state
            if "momentum_buffer" not in state:
                state = {**state, "momentum_buffer": zeros_like(entry.parameter)}
            rows, columns = entry.parameter.shape
            ratio = math.sqrt(max(1, rows / columns))
            if group["adjust_lr_fn"] == "match_rms_adamw":
                ratio = 0.2 * math.sqrt(max(rows, columns))
            options = {
                "momentum": float(group["momentum"]),
                "fresh": 1.0 - group["momentum"],
                "keep": 1.0 - group["lr"] * group["weight_decay"],
                "size": group["lr"] * ratio,
                "nesterov": group["nesterov"],
                "iteration": (group["ns_coefficients"], group["ns_steps"], group["eps"]),
                "precision": PRECISIONS[group["ns_dtype"]],
            }
            tensors = [entry.parameter, entry.gradient, state["momentum_buffer"]]
            yield Update(_step, tensors, options, {entry.name: state})


def _step(
    tensors: list[Tensor],
    momentum: float,
    fresh: float,
    keep: float,
    size: float,
    nesterov: bool,
    iteration: tuple[tuple[float, float, float], int, float],
    precision: Any,
) -> None:
    parameter, gradient, buffer = tensors
    gradient = gradient.to(buffer.dtype)
    average = buffer.lerp(gradient, fresh)
    update = gradient.lerp(average, momentum) if nesterov else average
    direction = orthogonal(update.to(precision), *iteration)
    moved = parameter * keep - direction.to(parameter.dtype) * size
    buffer.copy_(average)
    parameter.copy_(moved)


def orthogonal(matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """The matrix with its singular values brought near 1, by an odd polynomial of degree five, `steps` times."""
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x * x).sum().sqrt().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = addmm(x, addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
