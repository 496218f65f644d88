"""Adamax."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from .elementwise import Elementwise, Formula, rule
from .optimizer import Choices


class Adamax(Elementwise):
    """Adam with the infinity norm; Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, section 7."""

    def __init__(
        self,
        params: Iterable,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **choices: Unpack[Choices],
    ) -> None:
        defaults = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults, choices)

    def slots(self, group: dict[str, Any]) -> Mapping[str, float]:
        return {"exp_avg": 0.0, "exp_inf": 0.0}

    def formula(self, group: dict[str, Any], numbers: Mapping[str, Any]) -> Formula:
        beta1, beta2 = group["betas"]
        size = group["lr"] / (1 - beta1 ** (numbers["step"] + 1))
        return Formula(*rule("adamax", group, 1 - beta1, beta2, group["eps"], size, states=2))
