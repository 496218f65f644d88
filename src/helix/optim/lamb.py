"""LAMB."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Unpack

from .. import _core, empty_like, where, zeros_like
from ..tensor import Tensor
from .buckets import buckets
from .elementwise import rule
from .optimizer import Choices, Entry, Optimizer, Update


class LAMB(Optimizer):
    """Adam whose step has, tensor by tensor, the length of the parameter; You et al., "Large batch optimization for
    deep learning: training BERT in 76 minutes", ICLR 2020 (algorithm 2, with phi the identity).

    A parameter or direction of norm 0 is stepped as Adam would.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
        *,
        maximize: bool = False,
        **choices: Unpack[Choices],
    ) -> None:
        defaults = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults, choices)

    def updates(self, group: dict[str, Any], entries: list[Entry]) -> Iterator[Update]:
        beta1, beta2 = group["betas"]
        for (_, _, before), bucket in buckets(entries, lambda e: e.state.get("step", 0)).items():
            states = {e.name: e.state if "exp_avg" in e.state else _first(e) for e in bucket}
            corrections = 1 / (1 - beta1 ** (before + 1)), (1 - beta2 ** (before + 1)) ** -0.5
            of_rule = 1 - beta1, beta2, 1 - beta2, group["eps"], *corrections, group["weight_decay"]
            _, options = rule("lamb", group, *of_rule, states=3, decay=0.0)
            tensors = [e.parameter for e in bucket] + [e.gradient for e in bucket]
            tensors += [state[slot] for slot in ("exp_avg", "exp_avg_sq") for state in states.values()]
            trust = {"rule": "trust", "states": 0, "c0": group["lr"]}
            yield Update(_step, tensors, {"direction": options, "trust": trust}, states)


def _first(entry: Entry) -> dict[str, Any]:
    averages = {"exp_avg": zeros_like(entry.parameter), "exp_avg_sq": zeros_like(entry.parameter)}
    return {"step": 0, **entry.state, **averages}


def _step(tensors: list[Tensor], direction: dict[str, Any], trust: dict[str, Any]) -> None:
    parameters = tensors[: len(tensors) // 4]
    directions = [empty_like(parameter) for parameter in parameters]
    _core.rule_step(tensors + directions, **direction)
    lengths, of_directions = _core.norms_list(parameters), _core.norms_list(directions)
    usable = (lengths > 0).logical_and(of_directions > 0)
    factors = where(usable, lengths / where(usable, of_directions, 1.0), 1.0)
    _core.trust_step(factors, parameters + directions, **trust)
