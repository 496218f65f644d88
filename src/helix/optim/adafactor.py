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
            options = {"group": group, "step": state["step"] + 1, "state": state}
            yield Update(_step, [entry.parameter, entry.gradient], options, {entry.name: state})


def _first(entry: Entry) -> dict[str, Any]:
    p = entry.parameter
    shapes = {"row_var": (*p.shape[:-1], 1), "col_var": (*p.shape[:-2], 1, *p.shape[-1:])}
    if p.ndim < 2:
        shapes = {"variance": tuple(p.shape)}
    made = {key: zeros(shape, dtype=p.dtype, device=p.device) for key, shape in shapes.items()}
    return {"step": 0, **entry.state, **made}


def _step(tensors: list[Tensor], group: dict[str, Any], step: int, state: dict[str, Any]) -> None:
    parameter, gradient = tensors[0], tensors[1].to(tensors[0].dtype)
    floor, smallest = group["eps"]
    floor = finfo(parameter.dtype).eps if floor is None else floor
    lr, part = group["lr"], step ** group["beta2_decay"]
    scale = min(lr, step**-0.5) * _rms(parameter).clamp(min=smallest)
    averages = _averages(gradient, part, state)
    estimate = averages["variance"] if gradient.ndim < 2 else _product(averages, floor)
    update = estimate.clamp(min=floor * floor).rsqrt() * gradient
    move = update * (scale / maximum(_rms(update) / group["d"], update.new_ones(())))
    for key, value in averages.items():
        state[key].copy_(value)
    parameter.mul_(1 - lr * group["weight_decay"])
    if group["maximize"]:
        parameter.add_(move)
    else:
        parameter.sub_(move)


def _averages(gradient: Tensor, part: float, state: dict[str, Any]) -> dict[str, Tensor]:
    squares = gradient * gradient
    found = {"variance": squares}
    if gradient.ndim > 1:
        found = {"row_var": squares.mean(-1, keepdim=True), "col_var": squares.mean(-2, keepdim=True)}
    return {key: state[key].lerp(value, part) for key, value in found.items()}


def _product(averages: dict[str, Tensor], floor: float) -> Tensor:
    rows, columns = averages["row_var"], averages["col_var"]
    return rows @ columns / rows.mean(-2, keepdim=True).clamp(min=floor)


def _rms(x: Tensor) -> Tensor:
    return (x * x).mean().sqrt()
