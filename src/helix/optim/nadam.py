"""NAdam."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from .elementwise import Elementwise, Formula, rule
from .optimizer import Choices


class NAdam(Elementwise):
    """Adam with Nesterov momentum; Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016."""

    not_negative = (*Elementwise.not_negative, "momentum_decay")

    def __init__(
        self,
        params: Iterable,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **choices: Unpack[Choices],
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, choices)

    def slots(self, group: dict[str, Any]) -> Mapping[str, float]:
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0}

    def numbers(self, group: dict[str, Any]) -> dict[str, Any]:
        return {"step": 0, "mu_product": 1.0}

    def formula(self, group: dict[str, Any], numbers: Mapping[str, Any]) -> Formula:
        (beta1, beta2), lr, step = group["betas"], group["lr"], numbers["step"] + 1
        now, coming = (beta1 * (1 - 0.5 * 0.96 ** (at * group["momentum_decay"])) for at in (step, step + 1))
        product = numbers["mu_product"] * now
        of_gradient, of_mean = lr * (1 - now) / (1 - product), lr * coming / (1 - product * coming)
        scale = (1 - beta2**step) ** -0.5
        call = rule(
            "nadam", group, 1 - beta1, beta2, 1 - beta2, group["eps"], scale, of_gradient, of_mean,
            states=2, decoupled=group["decoupled_weight_decay"],
        )  # fmt: skip
        return Formula(*call, {"mu_product": product})
