"""ASGD."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from .elementwise import Elementwise, Formula, rule
from .optimizer import Choices


class ASGD(Elementwise):
    """Averaged gradient descent; Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", SIAM J.
    Control Optim. 30, 1992. The averages are `ax` in the state; they begin after `t0` steps."""

    not_negative = ("lr", "weight_decay")

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        **choices: Unpack[Choices],
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, choices)

    def slots(self, group: dict[str, Any]) -> Mapping[str, float]:
        return {"ax": 0.0}

    def numbers(self, group: dict[str, Any]) -> dict[str, Any]:
        return {"step": 0, "eta": group["lr"], "mu": 1.0}

    def formula(self, group: dict[str, Any], numbers: Mapping[str, Any]) -> Formula:
        step, lr, lambd = numbers["step"] + 1, group["lr"], group["lambd"]
        call = rule("asgd", group, numbers["eta"], numbers["mu"], states=1, keep=1 - lambd * numbers["eta"])
        eta = lr / (1 + lambd * lr * step) ** group["alpha"]
        return Formula(*call, {"eta": eta, "mu": 1 / max(1, step - group["t0"])})
