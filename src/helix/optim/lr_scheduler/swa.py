"""SWALR."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..optimizer import Optimizer
from .base import LRScheduler


class SWALR(LRScheduler):
    """Anneals each group's lr, from what it is when this is made, to `swa_lr` within `anneal_epochs` steps, and keeps it
    there; Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI 2018."""

    absolute = True

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | Sequence[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"SWALR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        if anneal_epochs < 0:
            raise ValueError(f"SWALR: anneal_epochs must not be negative, got {anneal_epochs}")
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        self.swa_lrs = self.each(optimizer, swa_lr, "swa_lr")
        self._from = [group["lr"] for group in optimizer.param_groups]
        super().__init__(optimizer, last_epoch)
        self.base_lrs = self._from

    def lr_at(self, step: int, base: float, index: int = 0) -> float:
        part = min(1.0, step / self.anneal_epochs) if self.anneal_epochs else 1.0
        if self.anneal_strategy == "cos":
            part = (1 - math.cos(math.pi * part)) / 2
        return self.swa_lrs[index] * part + self._from[index] * (1 - part)

    def load_state_dict(self, state: dict) -> None:
        self._from = list(state["base_lrs"])
        super().load_state_dict(state)
