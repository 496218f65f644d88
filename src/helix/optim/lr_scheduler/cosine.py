"""Cosines; Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017."""

from __future__ import annotations

import math

from ..optimizer import Optimizer
from .base import LRScheduler


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from base to eta_min over T_max steps, and up again after that."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        self.floor = eta_min
        super().__init__(optimizer, last_epoch)

    def lr_at(self, step: int, base: float, index: int = 0) -> float:
        if step % (2 * self.T_max) == self.T_max:
            return self.eta_min
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * step / self.T_max)) / 2


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half cosines from base to eta_min, of T_0 steps and then each T_mult times as long."""

    absolute = True

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if T_0 < 1 or T_mult < 1 or not isinstance(T_0, int) or not isinstance(T_mult, int):
            raise ValueError(
                f"CosineAnnealingWarmRestarts: T_0 and T_mult must be whole numbers above 0, got {T_0} and {T_mult}"
            )
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def lr_at(self, step: float, base: float, index: int = 0) -> float:
        length: float = self.T_0
        while self.T_mult > 1 and step >= length:
            step, length = step - length, length * self.T_mult
        part = step % length / length
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * part)) / 2
