"""Cycles of the learning rate, with the momentum going the other way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler

Numbers = float | Sequence[float]


class _Cycling(LRScheduler):
    """Keeps the bounds of a momentum that is cycled too."""

    absolute = True

    def _bounds(self, optimizer: Optimizer, cycle: bool, base: Numbers, top: Numbers) -> None:
        self.cycle_momentum = cycle
        if not cycle:
            return
        if not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError(
                f"{type(self).__name__}: {type(optimizer).__name__} has neither momentum nor betas to cycle; "
                "pass cycle_momentum=False"
            )
        self.base_momentums = self.each(optimizer, base, "base_momentum")
        self.max_momentums = self.each(optimizer, top, "max_momentum")


class CyclicLR(_Cycling):
    """Between base_lr and max_lr in triangles; Smith, "Cyclical learning rates for training neural networks", WACV 2017.

    mode: "triangular" keeps the height, "triangular2" halves it each cycle, "exp_range" multiplies it by gamma^step.
    `scale_fn` of the cycle (or of the step, with scale_mode "iterations") takes the mode's place.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Numbers,
        max_lr: Numbers,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Numbers = 0.8,
        max_momentum: Numbers = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(
                f"CyclicLR: mode must be 'triangular', 'triangular2' or 'exp_range' without a scale_fn, got {mode!r}"
            )
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(f"CyclicLR: scale_mode must be 'cycle' or 'iterations', got {scale_mode!r}")
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self.scale_fn = mode, gamma, scale_fn
        self.scale_mode = scale_mode if scale_fn else "iterations" if mode == "exp_range" else "cycle"
        self._bounds(optimizer, cycle_momentum, base_momentum, max_momentum)
        self.max_lrs = self.each(optimizer, max_lr, "max_lr")
        self.min_lrs = self.each(optimizer, base_lr, "base_lr")
        if last_epoch == -1:
            for group, low in zip(optimizer.param_groups, self.min_lrs, strict=True):
                group["lr"] = group["initial_lr"] = low
        super().__init__(optimizer, last_epoch)

    def _height(self, step: int) -> float:
        cycle = math.floor(1 + step / self.total_size)
        x = 1.0 + step / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        return height * self._scale(cycle if self.scale_mode == "cycle" else step)

    def _scale(self, x: float) -> float:
        if self.scale_fn is not None:
            return self.scale_fn(x)
        return {"triangular": 1.0, "triangular2": 2.0 ** (1 - x), "exp_range": self.gamma**x}[self.mode]

    def lr_at(self, step: int, base: float, index: int = 0) -> float:
        low = self.min_lrs[index]
        return low + (self.max_lrs[index] - low) * self._height(step)

    def momentum_at(self, step: int, index: int) -> float | None:
        if not self.cycle_momentum:
            return None
        low, high = self.base_momentums[index], self.max_momentums[index]
        return high - (high - low) * self._height(step)


class OneCycleLR(_Cycling):
    """Up to max_lr and far down again; Smith and Topin, "Super-convergence", 2018.

    The length is `total_steps`, or `epochs * steps_per_epoch`. `three_phase` goes down as it came up before it goes far
    down.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Numbers,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Numbers = 0.85,
        max_momentum: Numbers = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start must lie between 0 and 1, got {pct_start}")
        total_steps = (epochs or 0) * (steps_per_epoch or 0) if total_steps is None else total_steps
        if total_steps < 1:
            raise ValueError(
                "OneCycleLR: give total_steps, or epochs and steps_per_epoch, above 0, got "
                f"total_steps={total_steps}, epochs={epochs}, steps_per_epoch={steps_per_epoch}"
            )
        self.total_steps, self.anneal_strategy = total_steps, anneal_strategy
        self.max_lrs = self.each(optimizer, max_lr, "max_lr")
        self.div_factor, self.final_div_factor = div_factor, final_div_factor
        peak, last = float(pct_start * total_steps) - 1, float(total_steps - 1)
        # Where each phase ends, and the ends of learning rate and momentum in it.
        self._phases: list[tuple[float, tuple[str, str], tuple[str, str]]]
        self._phases = [(peak, ("first", "top"), ("high", "low")), (last, ("top", "least"), ("low", "high"))]
        if three_phase:
            back = float(2 * pct_start * total_steps) - 2
            self._phases = [
                (peak, ("first", "top"), ("high", "low")),
                (back, ("top", "first"), ("low", "high")),
                (last, ("first", "least"), ("high", "high")),
            ]
        self._bounds(optimizer, cycle_momentum, base_momentum, max_momentum)
        if last_epoch == -1:
            for group, top in zip(optimizer.param_groups, self.max_lrs, strict=True):
                group["initial_lr"] = top / div_factor
        super().__init__(optimizer, last_epoch)

    def _at(self, step: int, of_lr: bool, ends: dict[str, float]) -> float:
        start = 0.0
        for phase in self._phases:
            if step <= phase[0] or phase is self._phases[-1]:
                break
            start = phase[0]
        end, rates, momenta = phase
        a, b = (ends[name] for name in (rates if of_lr else momenta))
        return self._between(a, b, min((step - start) / (end - start), 1.0) if end > start else 1.0)

    def _between(self, start: float, end: float, part: float) -> float:
        if self.anneal_strategy == "linear":
            return (end - start) * part + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)

    def step(self, epoch: Any = None) -> None:
        if epoch is None and self.last_epoch >= self.total_steps:
            raise ValueError(f"OneCycleLR: the cycle of {self.total_steps} steps is over")
        super().step(epoch)

    def lr_at(self, step: int, base: float, index: int = 0) -> float:
        top = self.max_lrs[index]
        first = top / self.div_factor
        return self._at(step, True, {"first": first, "top": top, "least": first / self.final_div_factor})

    def momentum_at(self, step: int, index: int) -> float | None:
        if not self.cycle_momentum:
            return None
        return self._at(step, False, {"low": self.base_momentums[index], "high": self.max_momentums[index]})
