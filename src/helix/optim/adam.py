"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .. import _core, zeros_like
from ..tensor import Tensor
from .buckets import buckets
from .optimizer import Optimizer, Update


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

    def updates(self, group: dict[str, Any], named: list[tuple[str, Tensor]]) -> Iterator[Update]:
        states = {name: self.state.get(name) or self._fresh(p, group["amsgrad"]) for name, p in named}
        for (_, _, step), bucket in buckets(named, lambda name: states[name]["step"]).items():
            yield self._update(group, bucket, {name: states[name] for name, _ in bucket}, step + 1)

    def _fresh(self, parameter: Tensor, amsgrad: bool) -> dict[str, Any]:
        state = {"step": 0, "exp_avg": zeros_like(parameter), "exp_avg_sq": zeros_like(parameter)}
        if amsgrad:
            state["max_exp_avg_sq"] = zeros_like(parameter)
        return state

    def _update(self, group: dict[str, Any], bucket: list[tuple[str, Tensor]], states: dict, step: int) -> Update:
        parameters = [p for _, p in bucket]
        tensors = parameters + [p.grad for p in parameters]
        for key in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq"):
            tensors += [state[key] for state in states.values()]
        options = {key: group[key] for key in ("lr", "eps", "weight_decay", "amsgrad", "maximize")}
        options.update(beta1=group["betas"][0], beta2=group["betas"][1], step=step, decoupled=self.decoupled)
        return Update(_core.adam_step, tensors, options, states)


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
