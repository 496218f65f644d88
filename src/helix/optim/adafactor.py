"""Adafactor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Unpack

from .. import finfo, maximum, zeros
from ..tensor import Tensor
from .optimizer import Choices, Entry, Optimizer, Update


class Adafactor(Optimizer):
    """Squared gradients of a matrix are kept as sums of rows and columns; Shazeer and Stern, "Adafactor: adaptive learning
    rates with sublinear memory cost", ICML 2018, in torch's form. Matrices are the last two axes.

    `eps` is (added to the squared gradients, smallest scale of a parameter); `d` the threshold of clipping.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **choices: Unpack[Choices],
    ) -> None:
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": tuple(eps),
            "d": d,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, choices)

    def check(self, options: Mapping[str, Any]) -> None:
        super().check(options)
        if options["beta2_decay"] > 0:
            raise ValueError(f"Adafactor: beta2_decay must not be above 0, got {options['beta2_decay']}")
        if options["d"] < 1:
            raise ValueError(f"Adafactor: d must be at least 1, got {options['d']}")
        if any(eps is not None and eps < 0 for eps in options["eps"]):
            raise ValueError(f"Adafactor: eps must not be negative, got {options['eps']}")

    def fits(self, key: str, value: Any, shape: Any) -> bool:
        if key == "row_var" and shape is not None:
            return tuple(value.shape) == (*shape[:-1], 1)
        if key == "col_var" and shape is not None:
            return tuple(value.shape) == (*shape[:-2], 1, shape[-1])
        return super().fits(key, value, shape)

    def updates(self, group: dict[str, Any], entries: list[Entry]) -> Iterator[Update]:
        for entry in entries:
            state = entry.state if "step" in entry.state else _first(entry)
            step, p = state["step"] + 1, entry.parameter
            floor, smallest = group["eps"]
            options = {
                "rate": float(min(group["lr"], step**-0.5)),
                "part": float(step ** group["beta2_decay"]),
                "keep": 1.0 - group["lr"] * group["weight_decay"],
                "limits": (finfo(p.dtype).eps if floor is None else floor, smallest, group["d"]),
                "maximize": group["maximize"],
            }
            averages = [state[key] for key in _averages_of(p)]
            yield Update(_step, [p, entry.gradient, *averages], options, {entry.name: state})


def _averages_of(parameter: Tensor) -> tuple[str, ...]:
    return ("variance",) if parameter.ndim < 2 else ("row_var", "col_var")


def _first(entry: Entry) -> dict[str, Any]:
    p = entry.parameter
    shapes = {"row_var": (*p.shape[:-1], 1), "col_var": (*p.shape[:-2], 1, *p.shape[-1:])}
    if p.ndim < 2:
        shapes = {"variance": tuple(p.shape)}
    made = {key: zeros(shape, dtype=p.dtype, device=p.device) for key, shape in shapes.items()}
    return {"step": 0, **entry.state, **made}


def _step(
    tensors: list[Tensor], rate: float, part: float, keep: float, limits: tuple[float, float, float], maximize: bool
) -> None:
    parameter, gradient, *averages = tensors
    gradient = gradient.to(parameter.dtype)
    floor, smallest, threshold = limits
    scale = rate * _rms(parameter).clamp(min=smallest)
    new = [average.lerp(value, part) for average, value in zip(averages, _squares(gradient), strict=True)]
    estimate = new[0] if gradient.ndim < 2 else _product(new[0], new[1], floor)
    update = estimate.clamp(min=floor * floor).rsqrt() * gradient
    move = update * (scale / maximum(_rms(update) / threshold, update.new_ones(())))
    for average, value in zip(averages, new, strict=True):
        average.copy_(value)
    parameter.mul_(keep)
    if maximize:
        parameter.add_(move)
    else:
        parameter.sub_(move)


def _squares(gradient: Tensor) -> list[Tensor]:
    squares = gradient * gradient
    return [squares] if gradient.ndim < 2 else [squares.mean(-1, keepdim=True), squares.mean(-2, keepdim=True)]


def _product(rows: Tensor, columns: Tensor, floor: float) -> Tensor:
    return rows @ columns / rows.mean(-2, keepdim=True).clamp(min=floor)


def _rms(x: Tensor) -> Tensor:
    return (x * x).mean().sqrt()
