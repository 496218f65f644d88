"""Schedules made of schedules."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Self

from ..optimizer import Optimizer
from .base import LRScheduler


class _Composed(LRScheduler):
    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
        kind = type(self).__name__
        if not schedulers:
            raise ValueError(f"{kind}: got no schedules")
        self.optimizer = optimizer or schedulers[0].optimizer
        for i, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise ValueError(f"{kind}: schedule {i} is a {type(scheduler).__name__}, which needs more than a step")
            if scheduler.optimizer is not self.optimizer:
                raise ValueError(f"{kind}: schedule {i} belongs to another optimizer")
        self.schedulers = list(schedulers)

    @property
    def base_lrs(self) -> list[float]:  # type: ignore[override]
        return self.schedulers[0].base_lrs

    def on(self, optimizer: Any) -> Self:
        other = super().on(optimizer)
        other.schedulers = [scheduler.on(optimizer) for scheduler in self.schedulers]
        return other

    def restart(self) -> None:
        """To before the first step, with the first learning rates."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self._forget()

    def _forget(self) -> None:
        self.last_epoch = -1
        for scheduler in self.schedulers:
            scheduler._forget() if isinstance(scheduler, _Composed) else setattr(scheduler, "last_epoch", -1)

    def state_dict(self) -> dict[str, Any]:
        states = [scheduler.state_dict() for scheduler in self.schedulers]
        return {"last_epoch": self.last_epoch, "_schedulers": states, "_last_lr": self.get_last_lr()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for scheduler, saved in zip(self.schedulers, state["_schedulers"], strict=True):
            scheduler.load_state_dict(saved)
        self.last_epoch = state["last_epoch"]
        for group, lr in zip(self.optimizer.param_groups, state["_last_lr"], strict=True):
            group["lr"] = lr


class SequentialLR(_Composed):
    """One schedule after the other: the next begins, from its own first step, at each milestone."""

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        super().__init__(schedulers, optimizer)
        if len(milestones) != len(self.schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(self.schedulers)} schedules need {len(self.schedulers) - 1} milestones, "
                f"got {len(milestones)}"
            )
        self.milestones = list(milestones)
        self.restart()
        self.last_epoch = last_epoch
        self.step()

    def step(self, epoch: int | None = None) -> None:
        if epoch is not None:
            self.restart()
            for _ in range(epoch + 1):
                self.step()
            return
        self.last_epoch += 1
        number = bisect_right(self.milestones, self.last_epoch)
        if number and self.milestones[number - 1] == self.last_epoch:
            self.schedulers[number].step(0)
        else:
            self.schedulers[number].step()


class ChainedScheduler(_Composed):
    """Several schedules at once: their factors multiply."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        super().__init__(schedulers, optimizer)
        self.last_epoch = self.schedulers[0].last_epoch

    def step(self, epoch: int | None = None) -> None:
        if epoch is not None:
            self.restart()
            for _ in range(epoch + 1):
                self.step()
            return
        self.last_epoch += 1
        for scheduler in self.schedulers:
            scheduler.step()
