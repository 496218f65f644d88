"""Schedules that multiply the first learning rate by a factor of the step."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

from ..optimizer import Optimizer
from .base import LRScheduler

Factor = Callable[[int], float]


def _functions(optimizer: Optimizer, given: Factor | Sequence[Factor]) -> list[Factor]:
    count = len(optimizer.param_groups)
    functions = [given] * count if callable(given) else list(given)
    if len(functions) != count:
        raise ValueError(f"lr_lambda: {len(functions)} functions for {count} groups")
    return functions


class LambdaLR(LRScheduler):
    """base * function(step); one function, or one for each group."""

    absolute = True

    def __init__(self, optimizer: Optimizer, lr_lambda: Factor | Sequence[Factor], last_epoch: int = -1) -> None:
        self.lr_lambdas = _functions(optimizer, lr_lambda)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, step: int, base: float, index: int = 0) -> float:
        return base * self.lr_lambdas[index](step)


class MultiplicativeLR(LRScheduler):
    """The learning rate times function(step), at each step after the first."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Factor | Sequence[Factor], last_epoch: int = -1) -> None:
        self.lr_lambdas = _functions(optimizer, lr_lambda)
        super().__init__(optimizer, last_epoch)

    def lr_at(self, step: int, base: float, index: int = 0) -> float:
        for at in range(1, step + 1):
            base *= self.lr_lambdas[index](at)
        return base

    def step(self, epoch: int | None = None) -> None:
        if epoch is not None:
            super().step(epoch)
            return
        self.last_epoch += 1
        pairs = zip(self.get_last_lr(), self.lr_lambdas, strict=True)
        self._set([lr * function(self.last_epoch) if self.last_epoch > 0 else lr for lr, function in pairs])


class ConstantLR(LRScheduler):
    """base * factor for `total_iters` steps, then base."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"ConstantLR: factor must lie between 0 and 1, got {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def lr_at(self, step: int, base: float, index: int = 0) -> float:
        return base * (self.factor if step < self.total_iters else 1.0)


class LinearLR(LRScheduler):
    """From base * start_factor to base * end_factor over `total_iters` steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(
                "LinearLR: start_factor must be above 0 and both factors at most 1, got "
                f"{start_factor} and {end_factor}"
            )
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def lr_at(self, step: int, base: float, index: int = 0) -> float:
        part = min(step, self.total_iters) / self.total_iters if self.total_iters else 1.0
        return base * (self.start_factor + (self.end_factor - self.start_factor) * part)


class PolynomialLR(LRScheduler):
    """base * (1 - step / total_iters)^power, 0 from `total_iters` on."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def lr_at(self, step: int, base: float, index: int = 0) -> float:
        return base * (1.0 - min(step, self.total_iters) / self.total_iters) ** self.power


class StepLR(LRScheduler):
    """base * gamma^(step // step_size)."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if step_size < 1:
            raise ValueError(f"StepLR: step_size must be at least 1, got {step_size}")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def lr_at(self, step: int, base: float, index: int = 0) -> float:
        return base * self.gamma ** (step // self.step_size)


class MultiStepLR(LRScheduler):
    """base * gamma^(number of milestones passed); a milestone named twice counts twice."""

    def __init__(
        self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def lr_at(self, step: int, base: float, index: int = 0) -> float:
        return base * self.gamma ** bisect_right(self.milestones, step)


class ExponentialLR(LRScheduler):
    """base * gamma^step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def lr_at(self, step: int, base: float, index: int = 0) -> float:
        return base * self.gamma**step
