"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from .elementwise import Elementwise, Formula, rule
from .optimizer import Choices


class Adagrad(Elementwise):
    """Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning", JMLR 12, 2011."""

    not_negative = (*Elementwise.not_negative, "lr_decay", "initial_accumulator_value")

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        **choices: Unpack[Choices],
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults, choices)

    def slots(self, group: dict[str, Any]) -> Mapping[str, float]:
        return {"sum": group["initial_accumulator_value"]}

    def formula(self, group: dict[str, Any], numbers: Mapping[str, Any]) -> Formula:
        size = group["lr"] / (1 + numbers["step"] * group["lr_decay"])
        return Formula(*rule("adagrad", group, group["eps"], size, states=1))
