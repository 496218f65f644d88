"""Elementwise: the base of optimizers whose step is one formula for every element.

All parameters of a group that are in the same state go into one fused call (rule_step or an op of its own), which
reads and writes each element once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

from .. import _core, full_like, zeros_like
from ..tensor import Tensor
from .buckets import buckets
from .optimizer import Entry, Optimizer, Update


class Formula(NamedTuple):
    """The op of a step, its options, and the numbers that the states hold afterwards (besides `step`, which counts)."""

    function: Callable[..., None]
    options: dict[str, Any]
    numbers: Mapping[str, float] = {}


class Elementwise(Optimizer):
    """A subclass says `slots`, the tensors of a state, and `formula`, the step for given numbers of a state."""

    def slots(self, group: dict[str, Any]) -> Mapping[str, float]:
        """The tensors of a parameter's state, in the order of the op, and what they are filled with at first."""
        raise NotImplementedError(f"{type(self).__name__} does not say in slots() what a state holds")

    def numbers(self, group: dict[str, Any]) -> dict[str, Any]:
        """The numbers of a state before the first step."""
        return {"step": 0}

    def formula(self, group: dict[str, Any], numbers: Mapping[str, Any]) -> Formula:
        raise NotImplementedError(f"{type(self).__name__} does not say in formula() what a step is")

    def updates(self, group: dict[str, Any], entries: list[Entry]) -> Iterator[Update]:
        slots, first = self.slots(group), self.numbers(group)
        known = {*slots, *first}
        entries = [e if known <= e.state.keys() else e._replace(state=_fresh(e, slots, first)) for e in entries]
        numbers = itemgetter(*first) if first else lambda state: None
        for bucket in buckets(entries, lambda e: numbers(e.state)).values():
            of_bucket = {entry.name: entry.state for entry in bucket}
            number = {name: bucket[0].state[name] for name in first}
            formula = self.formula(group, number)
            tensors = [entry.parameter for entry in bucket] + [entry.gradient for entry in bucket]
            for slot in slots:
                tensors += [state[slot] for state in of_bucket.values()]
            if formula.numbers:
                of_bucket = {name: {**state, **formula.numbers} for name, state in of_bucket.items()}
            yield Update(formula.function, tensors, formula.options, of_bucket)


def _fresh(entry: Entry, slots: Mapping[str, float], first: dict[str, Any]) -> dict[str, Any]:
    """The state with what it lacks."""
    missing = {slot: value for slot, value in slots.items() if slot not in entry.state}
    return {**first, **entry.state, **{slot: _filled(entry.parameter, value) for slot, value in missing.items()}}


def rule(
    name: str,
    group: Mapping[str, Any],
    *numbers: float,
    states: int,
    decoupled: bool = False,
    keep: float | None = None,
    decay: float | None = None,
) -> tuple[Callable[..., None], dict[str, Any]]:
    """rule_step and its options: the weight decay of the group (from the parameter itself when `decoupled`) and the
    numbers of the rule."""
    weight_decay = group.get("weight_decay", 0.0) if decay is None else decay
    options: dict[str, Any] = {"rule": name, "states": states, "sign": -1.0 if group.get("maximize") else 1.0}
    options["decay"] = 0.0 if decoupled else weight_decay
    options["keep"] = keep if keep is not None else 1.0 - group["lr"] * weight_decay if decoupled else 1.0
    options.update({f"c{i}": float(number) for i, number in enumerate(numbers)})
    return _core.rule_step, options


def _filled(parameter: Tensor, value: float) -> Tensor:
    return zeros_like(parameter) if value == 0 else full_like(parameter, value)
