"""Schedules that begin with a rise: the first step has base / warmup_steps, the last of the rise has base."""

from __future__ import annotations

import math

from ..optimizer import Optimizer
from .base import LRScheduler


def _check(name: str, **steps: int) -> None:
    for argument, value in steps.items():
        if value < 0:
            raise ValueError(f"{name}: {argument} must not be negative, got {value}")


class WarmupCosineLR(LRScheduler):
    """A linear rise over `warmup_steps`, then half a cosine down to base * final_factor at `total_steps`."""

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_steps: int,
        total_steps: int,
        final_factor: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if not 0 <= warmup_steps <= total_steps:
            raise ValueError(
                f"WarmupCosineLR: warmup_steps ({warmup_steps}) must lie between 0 and total_steps ({total_steps})"
            )
        self.warmup_steps, self.total_steps, self.final_factor = warmup_steps, total_steps, final_factor
        super().__init__(optimizer, last_epoch)

    def lr_at(self, step: int, base: float, index: int = 0) -> float:
        if step < self.warmup_steps:
            return base * (step + 1) / self.warmup_steps
        part = min(1.0, (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps))
        return base * (self.final_factor + (1 - self.final_factor) * (1 + math.cos(math.pi * part)) / 2)


class WarmupStableDecayLR(LRScheduler):
    """WSD: a rise, a plateau, and a fall to base * final_factor; Hu et al., "MiniCPM", 2024.

    decay: "linear", "cosine", or "sqrt" for 1 - sqrt(part), the best in Hägele et al., "Scaling laws and compute-optimal
    training beyond fixed training durations", NeurIPS 2024.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_steps: int,
        stable_steps: int,
        decay_steps: int,
        final_factor: float = 0.0,
        decay: str = "sqrt",
        last_epoch: int = -1,
    ) -> None:
        _check("WarmupStableDecayLR", warmup_steps=warmup_steps, stable_steps=stable_steps, decay_steps=decay_steps)
        if decay not in ("linear", "cosine", "sqrt"):
            raise ValueError(f"WarmupStableDecayLR: decay must be 'linear', 'cosine' or 'sqrt', got {decay!r}")
        self.warmup_steps, self.stable_steps, self.decay_steps = warmup_steps, stable_steps, decay_steps
        self.final_factor, self.decay = final_factor, decay
        super().__init__(optimizer, last_epoch)

    def lr_at(self, step: int, base: float, index: int = 0) -> float:
        if step < self.warmup_steps:
            return base * (step + 1) / self.warmup_steps
        into = step - self.warmup_steps - self.stable_steps
        if into <= 0:
            return base
        part = min(1.0, into / self.decay_steps) if self.decay_steps else 1.0
        left = {"linear": 1 - part, "cosine": (1 + math.cos(math.pi * part)) / 2, "sqrt": 1 - math.sqrt(part)}
        return base * (self.final_factor + (1 - self.final_factor) * left[self.decay])


class InverseSquareRootLR(LRScheduler):
    """A linear rise over `warmup_steps`, then base * sqrt(warmup_steps / step); Vaswani et al., "Attention is all you
    need", NeurIPS 2017."""

    def __init__(self, optimizer: Optimizer, warmup_steps: int, last_epoch: int = -1) -> None:
        if warmup_steps < 1:
            raise ValueError(f"InverseSquareRootLR: warmup_steps must be at least 1, got {warmup_steps}")
        self.warmup_steps = warmup_steps
        super().__init__(optimizer, last_epoch)

    def lr_at(self, step: int, base: float, index: int = 0) -> float:
        return base * min((step + 1) / self.warmup_steps, math.sqrt(self.warmup_steps / (step + 1)))
