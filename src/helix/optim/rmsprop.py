"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from .elementwise import Elementwise, Formula, rule
from .optimizer import Choices


class RMSprop(Elementwise):
    """Tieleman and Hinton, "Lecture 6.5: rmsprop", 2012; `centered` divides by an estimate of the standard deviation
    instead (Graves, "Generating sequences with recurrent neural networks", arXiv:1308.0850)."""

    not_negative = (*Elementwise.not_negative, "alpha")

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
        **choices: Unpack[Choices],
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults, choices)

    def slots(self, group: dict[str, Any]) -> Mapping[str, float]:
        slots = {"square_avg": 0.0}
        if group["centered"]:
            slots["grad_avg"] = 0.0
        if group["momentum"]:
            slots["momentum_buffer"] = 0.0
        return slots

    def formula(self, group: dict[str, Any], numbers: Mapping[str, Any]) -> Formula:
        name = "rmsprop" + "_centred" * bool(group["centered"]) + "_momentum" * bool(group["momentum"])
        of_rule = group["alpha"], 1 - group["alpha"], group["eps"], group["lr"], group["momentum"]
        return Formula(*rule(name, group, *of_rule, states=len(self.slots(group))))
