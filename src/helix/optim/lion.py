"""Lion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from .elementwise import Elementwise, Formula, rule
from .optimizer import Choices


class Lion(Elementwise):
    """The sign of a momentum, with weight decay from the parameter itself; Chen et al., "Symbolic discovery of
    optimization algorithms", NeurIPS 2023. Takes a third to a tenth of AdamW's learning rate."""

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **choices: Unpack[Choices],
    ) -> None:
        defaults = {"lr": lr, "betas": tuple(betas), "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults, choices)

    def slots(self, group: dict[str, Any]) -> Mapping[str, float]:
        return {"exp_avg": 0.0}

    def numbers(self, group: dict[str, Any]) -> dict[str, Any]:
        return {}

    def formula(self, group: dict[str, Any], numbers: Mapping[str, Any]) -> Formula:
        beta1, beta2 = group["betas"]
        of_rule = beta1, 1 - beta1, beta2, 1 - beta2, group["lr"]
        return Formula(*rule("lion", group, *of_rule, states=1, decoupled=True))
