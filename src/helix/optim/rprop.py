"""Rprop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from .elementwise import Elementwise, Formula, rule
from .optimizer import Choices


class Rprop(Elementwise):
    """Steps by the signs of gradients alone, for whole batches; Riedmiller and Braun, "A direct adaptive method for
    faster backpropagation learning", ICNN 1993."""

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        maximize: bool = False,
        **choices: Unpack[Choices],
    ) -> None:
        defaults = {"lr": lr, "etas": tuple(etas), "step_sizes": tuple(step_sizes), "maximize": maximize}
        super().__init__(params, defaults, choices)

    def check(self, options: Mapping[str, Any]) -> None:
        super().check(options)
        smaller, larger = options["etas"]
        if not 0 < smaller < 1 < larger:
            raise ValueError(f"Rprop: etas must hold a number below and one above 1, got {smaller} and {larger}")

    def slots(self, group: dict[str, Any]) -> Mapping[str, float]:
        return {"prev": 0.0, "step_size": group["lr"]}

    def formula(self, group: dict[str, Any], numbers: Mapping[str, Any]) -> Formula:
        return Formula(*rule("rprop", group, *group["etas"], *group["step_sizes"], states=2))
