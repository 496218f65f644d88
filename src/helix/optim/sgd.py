"""SGD with momentum, Nesterov momentum, dampening and weight decay (torch's rule)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Unpack

from .. import _core, zeros_like
from .buckets import buckets
from .optimizer import Choices, Entry, Optimizer, Update


class SGD(Optimizer):
    """`b = momentum * b + (1 - dampening) * g;  p -= lr * b`, with `g` plus `momentum * b` for Nesterov.

    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.

    Example:
        >>> p = helix.nn.Parameter(helix.ones(2))
        >>> optimizer = helix.optim.SGD([p], lr=0.25)
        >>> (p * p).sum().backward()
        >>> _ = optimizer.step()
        >>> p.tolist()
        [0.5, 0.5]
    """

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
        **choices: Unpack[Choices],
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults, choices)

    def check(self, options: Mapping[str, Any]) -> None:
        super().check(options)
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs a momentum above 0 and a dampening of 0, got "
                f"momentum={options['momentum']}, dampening={options['dampening']}"
            )

    def updates(self, group: dict[str, Any], entries: list[Entry]) -> Iterator[Update]:
        momentum = group["momentum"]
        for (_, _, first), bucket in buckets(entries, lambda e: "momentum_buffer" not in e.state).items():
            states = {e.name: e.state for e in bucket if e.state or momentum}
            if momentum and first:
                states = {e.name: {**e.state, "momentum_buffer": zeros_like(e.parameter)} for e in bucket}
            tensors = [e.parameter for e in bucket] + [e.gradient for e in bucket]
            tensors += [state["momentum_buffer"] for state in states.values()] if momentum else []
            options = {key: group[key] for key in ("lr", "momentum", "weight_decay", "nesterov", "maximize")}
            options["dampening"] = 0.0 if first else group["dampening"]
            yield Update(_core.sgd_step, tensors, options, states)
