"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

from .. import _core
from .elementwise import Elementwise, Formula
from .optimizer import Choices


class Adam(Elementwise):
    """Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015; weight decay is added to the gradient,
    or taken from the parameter itself when `decoupled_weight_decay`."""

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        **choices: Unpack[Choices],
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults, choices)

    def slots(self, group: dict[str, Any]) -> Mapping[str, float]:
        both = {"exp_avg": 0.0, "exp_avg_sq": 0.0}
        return both | {"max_exp_avg_sq": 0.0} if group["amsgrad"] else both

    def formula(self, group: dict[str, Any], numbers: Mapping[str, Any]) -> Formula:
        options = {key: group[key] for key in ("lr", "eps", "weight_decay", "amsgrad", "maximize")}
        options.update(beta1=group["betas"][0], beta2=group["betas"][1], step=numbers["step"] + 1)
        options["decoupled"] = group["decoupled_weight_decay"]
        return Formula(_core.adam_step, options)


class AdamW(Adam):
    """Adam with weight decay taken from the parameter itself; Loshchilov and Hutter, ICLR 2019."""

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        **choices: Unpack[Choices],
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad,
            maximize=maximize, decoupled_weight_decay=True, **choices,
        )  # fmt: skip
