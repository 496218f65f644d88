"""RAdam."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from .elementwise import Elementwise, Formula, rule
from .optimizer import Choices


class RAdam(Elementwise):
    """Adam whose first steps are those of momentum, until the variance is known well enough; Liu et al., "On the
    variance of the adaptive learning rate and beyond", ICLR 2020."""

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
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
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, choices)

    def slots(self, group: dict[str, Any]) -> Mapping[str, float]:
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0}

    def formula(self, group: dict[str, Any], numbers: Mapping[str, Any]) -> Formula:
        (beta1, beta2), step = group["betas"], numbers["step"] + 1
        correction = 1 - beta2**step
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * beta2**step / correction
        size, plain = group["lr"] / (1 - beta1**step), length <= 5
        if not plain:
            of_length, of_longest = (length - 4) * (length - 2) / length, (longest - 4) * (longest - 2) / longest
            size *= (of_length / of_longest * correction) ** 0.5
        return Formula(
            *rule(
                "radam", group, 1 - beta1, beta2, 1 - beta2, group["eps"], size, float(plain),
                states=2, decoupled=group["decoupled_weight_decay"],
            )
        )  # fmt: skip
