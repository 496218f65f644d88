"""SGD with momentum, Nesterov momentum, dampening and weight decay (torch's rule)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .. import _core, zeros_like
from ..tensor import Tensor
from .buckets import buckets
from .optimizer import Optimizer, Update


class SGD(Optimizer):
    """`b = momentum * b + (1 - dampening) * g;  p -= lr * b`, with `g` plus `momentum * b` for Nesterov."""

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def check(self, options) -> None:
        super().check(options)
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs a momentum above 0 and a dampening of 0, got "
                f"momentum={options['momentum']}, dampening={options['dampening']}"
            )

    def updates(self, group: dict[str, Any], named: list[tuple[str, Tensor]]) -> Iterator[Update]:
        for (_, _, first), bucket in buckets(named, lambda name: name not in self.state).items():
            states: dict[str, dict[str, Any]] = {}
            if group["momentum"]:
                states = {n: {"momentum_buffer": zeros_like(p)} if first else self.state[n] for n, p in bucket}
            tensors = [p for _, p in bucket] + [p.grad for _, p in bucket]
            tensors += [state["momentum_buffer"] for state in states.values()]
            options = {key: group[key] for key in ("lr", "momentum", "weight_decay", "nesterov", "maximize")}
            options["dampening"] = 0.0 if first else group["dampening"]
            yield Update(_core.sgd_step, tensors, options, states)
