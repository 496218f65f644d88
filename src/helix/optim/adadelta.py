"""Adadelta."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from .elementwise import Elementwise, Formula, rule
from .optimizer import Choices


class Adadelta(Elementwise):
    """Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701."""

    def __init__(
        self,
        params: Iterable,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **choices: Unpack[Choices],
    ) -> None:
        defaults = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults, choices)

    def check(self, options: Mapping[str, Any]) -> None:
        super().check(options)
        if not 0 <= options["rho"] <= 1:
            raise ValueError(f"Adadelta: rho must lie between 0 and 1, got {options['rho']}")

    def slots(self, group: dict[str, Any]) -> Mapping[str, float]:
        return {"square_avg": 0.0, "acc_delta": 0.0}

    def formula(self, group: dict[str, Any], numbers: Mapping[str, Any]) -> Formula:
        rho = group["rho"]
        return Formula(*rule("adadelta", group, rho, 1 - rho, group["eps"], group["lr"], states=2))
