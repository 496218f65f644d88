"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import _core, zeros_like
from ..tensor import Tensor
from .buckets import buckets
from .optimizer import Optimizer


class Adam(Optimizer):
    """Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015; weight decay is added to the gradient."""

    decoupled = False

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
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": tuple(betas),
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
            },
        )

    def check(self, options) -> None:
        super().check(options)
        for i, beta in enumerate(options["betas"]):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"{type(self).__name__}: betas[{i}] must be at least 0 and below 1, got {beta}")

    def update(self, group: dict[str, Any], named: list[tuple[str, Tensor]]) -> None:
        for name, parameter in named:
            if name not in self.state:
                self.state[name] = self._fresh(parameter, group["amsgrad"])
            self.state[name]["step"] += 1
        for (_, _, step), bucket in buckets(named, lambda name: self.state[name]["step"]).items():
            self._update_bucket(group, bucket, step)

    def _fresh(self, parameter: Tensor, amsgrad: bool) -> dict[str, Any]:
        state = {"step": 0, "exp_avg": zeros_like(parameter), "exp_avg_sq": zeros_like(parameter)}
        if amsgrad:
            state["max_exp_avg_sq"] = zeros_like(parameter)
        return state

    def _update_bucket(self, group: dict[str, Any], bucket: list[tuple[str, Tensor]], step: int) -> None:
        parameters = [p for _, p in bucket]
        tensors = parameters + [p.grad for p in parameters]
        for key in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq"):
            tensors += [self.state[name][key] for name, _ in bucket]
        beta1, beta2 = group["betas"]
        _core.adam_step(
            tensors,
            group["lr"],
            beta1=beta1,
            beta2=beta2,
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            step=step,
            decoupled=self.decoupled,
            amsgrad=group["amsgrad"],
            maximize=group["maximize"],
        )


class AdamW(Adam):
    """Adam with weight decay taken from the parameter itself; Loshchilov and Hutter, ICLR 2019."""

    decoupled = True

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
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
