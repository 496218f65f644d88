"""LRScheduler: a learning rate for every step, from the one each group began with.

A schedule says `lr_at`, a function of the step alone. Stepping multiplies what stands in the group (above `floor`) by the
ratio of two neighbouring values of it, as torch's chainable forms do: several schedules over one optimizer multiply, and
a learning rate changed by hand stays changed. Where nobody has touched it, the group holds `lr_at` to the last bit.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from ..optimizer import Optimizer


class LRScheduler:
    """Sets each group's `lr` when made and at every `step()`; `last_epoch` is the number of steps made."""

    floor: float = 0.0
    absolute = False  # sets lr whatever stands there

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{type(self).__name__}: group {i} has no initial_lr, which going on from last_epoch={last_epoch} "
                    "needs: load the optimizer's state first"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def lr_at(self, step: int, base: float, index: int = 0) -> float:
        """The learning rate of group `index` at a step, for the lr `base` that it began with."""
        raise NotImplementedError(f"{type(self).__name__} does not say in lr_at() what the learning rate is")

    def momentum_at(self, step: int, index: int) -> float | None:
        """The momentum (or first beta) of group `index` at a step; None leaves it alone."""
        return None

    def step(self, epoch: int | None = None) -> None:
        """One step further, or to the step `epoch`."""
        step = self.last_epoch + 1 if epoch is None else epoch
        new = []
        for i, (group, base) in enumerate(zip(self.optimizer.param_groups, self.base_lrs, strict=True)):
            at = self.lr_at(step, base, i)
            new.append(at if epoch is not None or self.absolute else self._following(group["lr"], step, base, i, at))
        self.last_epoch = step
        self._set(new)

    def _following(self, lr: float, step: int, base: float, index: int, at: float) -> float:
        before = base if step == 0 else self.lr_at(step - 1, base, index)
        if lr == before:
            return at
        if before == self.floor:
            return lr + (at - before)
        return self.floor + (lr - self.floor) * ((at - self.floor) / (before - self.floor))

    def _set(self, rates: Sequence[float]) -> None:
        for i, (group, lr) in enumerate(zip(self.optimizer.param_groups, rates, strict=True)):
            group["lr"] = lr
            momentum = self.momentum_at(self.last_epoch, i)
            if momentum is not None and "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            elif momentum is not None:
                group["momentum"] = momentum

    def get_last_lr(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs), "_last_lr": self.get_last_lr()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes the step over, and sets the groups' learning rates as they were then."""
        self.last_epoch, self.base_lrs = state["last_epoch"], list(state["base_lrs"])
        rates = state.get("_last_lr")
        if rates is None:
            rates = [self.lr_at(self.last_epoch, base, i) for i, base in enumerate(self.base_lrs)]
        self._set(rates)

    # ---- looking ahead ---------------------------------------------------------------------------------------

    def on(self, optimizer: Any) -> Self:
        """This schedule in its present state, over the groups of another optimizer."""
        other = copy.copy(self)
        other.optimizer = optimizer
        return other

    def rates(self, steps: int) -> list[list[float]]:
        """The learning rates of the groups now and at the `steps - 1` steps that follow; nothing is changed."""
        ahead = self.on(_Groups([dict(group) for group in self.optimizer.param_groups]))
        found = [ahead.get_last_lr()]
        for _ in range(steps - 1):
            ahead.step()
            found.append(ahead.get_last_lr())
        return found

    def plot(self, steps: int, path: str | Path | None = None) -> str:
        """A picture (SVG) of the learning rates of the next `steps` steps, written to `path` if given."""
        from .picture import draw

        return draw(self, steps, path)

    @staticmethod
    def each(optimizer: Optimizer, value: float | Sequence[float], name: str) -> list[float]:
        """One value for each group, from one for all or a sequence."""
        count = len(optimizer.param_groups)
        values = list(value) if isinstance(value, Sequence) else [value] * count
        if len(values) != count:
            raise ValueError(f"{name}: expected a number or one for each of the {count} groups, got {len(values)}")
        return values


class _Groups:
    """What a schedule needs of an optimizer."""

    def __init__(self, param_groups: list[dict[str, Any]]) -> None:
        self.param_groups = param_groups
