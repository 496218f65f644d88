"""LARS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Unpack

from .. import _core, where, zeros_like
from ..tensor import Tensor
from .buckets import buckets
from .optimizer import Choices, Entry, Optimizer, Update


class LARS(Optimizer):
    """Momentum with a learning rate for each tensor, `trust * |p| / (|g| + weight_decay * |p|)` times lr; You, Gitman and
    Ginsburg, "Large batch training of convolutional networks", arXiv:1708.03888 (algorithm 1).

    A parameter or gradient of norm 0 is stepped with lr itself.
    """

    not_negative = (*Optimizer.not_negative, "trust_coefficient")

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 1e-3,
        eps: float = 1e-8,
        *,
        maximize: bool = False,
        **choices: Unpack[Choices],
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults, choices)

    def updates(self, group: dict[str, Any], entries: list[Entry]) -> Iterator[Update]:
        for bucket in buckets(entries, lambda e: None).values():
            states = {e.name: e.state for e in bucket if e.state}
            if group["momentum"]:
                states = {e.name: e.state if "momentum_buffer" in e.state else _first(e) for e in bucket}
            tensors = [e.parameter for e in bucket] + [e.gradient for e in bucket]
            tensors += [state["momentum_buffer"] for state in states.values()] if group["momentum"] else []
            step = {
                "rule": "trust_momentum" if group["momentum"] else "trust",
                "states": 1 if group["momentum"] else 0,
                "sign": -1.0 if group["maximize"] else 1.0,
                "decay": group["weight_decay"],
                "c0": group["lr"],
                "c1": group["momentum"],
            }
            numbers = {key: float(group[key]) for key in ("trust_coefficient", "weight_decay", "eps")}
            yield Update(_step, tensors, {"size": len(bucket), **numbers, "step": step}, states)


def _first(entry: Entry) -> dict[str, Any]:
    return {**entry.state, "momentum_buffer": zeros_like(entry.parameter)}


def _step(
    tensors: list[Tensor], size: int, trust_coefficient: float, weight_decay: float, eps: float, step: dict[str, Any]
) -> None:
    lengths, slopes = _core.norms_list(tensors[:size]), _core.norms_list(tensors[size : 2 * size])
    usable = (lengths > 0).logical_and(slopes > 0)
    below = slopes + weight_decay * lengths + eps
    _core.trust_step(where(usable, trust_coefficient * lengths / below, 1.0), tensors, **step)
