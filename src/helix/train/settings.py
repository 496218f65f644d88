"""Settings: every number and choice of a training, with its default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .. import optim
from ..optim import Optimizer, lr_scheduler


@dataclass(frozen=True)
class Settings:
    """The keyword arguments of Trainer."""

    epochs: int = 10
    max_steps: int | None = None
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.01
    momentum: float = 0.9
    schedule: str | Callable[[Optimizer, int], Any] = "cosine"
    warmup_steps: int = 0
    step_epochs: int = 10
    gamma: float = 0.1
    label_smoothing: float = 0.0
    grad_clip: float | None = None
    device: Any = "auto"
    seed: int = 0
    run_dir: str | Path | None = None
    checkpoint_every: int | None = None
    keep: int = 3
    log_every: int = 20
    progress: Any = "auto"

    @classmethod
    def of(cls, given: dict[str, Any]) -> Settings:
        known = [f.name for f in fields(cls)]
        for name in given:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                raise TypeError(
                    f"Trainer: unknown setting {name!r}"
                    + (f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}")
                )
        settings = cls(**given)
        for name in ("epochs", "batch_size", "log_every", "step_epochs"):
            if getattr(settings, name) < 1:
                raise ValueError(f"Trainer: {name} must be at least 1, got {getattr(settings, name)}")
        if settings.keep < 2:
            raise ValueError(
                f"Trainer: keep must be at least 2, so that a spoiled checkpoint has one behind it; got {settings.keep}"
            )
        return settings


def make_optimizer(optimizer, model, settings: Settings) -> Optimizer:
    """From a name, a function of named parameters, or an optimizer as it is."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    if callable(optimizer):
        return optimizer(model.named_parameters())
    if optimizer == "sgd":
        return optim.SGD(model.named_parameters(), settings.lr, settings.momentum, weight_decay=settings.weight_decay)
    kinds = {"adam": optim.Adam, "adamw": optim.AdamW}
    if optimizer not in kinds:
        raise ValueError(
            f"optimizer: unknown name {optimizer!r}; known: adamw, adam, sgd, or pass a function of named parameters"
        )
    return kinds[optimizer](model.named_parameters(), settings.lr, weight_decay=settings.weight_decay)


def make_schedule(optimizer: Optimizer, settings: Settings, epoch_steps: int, total_steps: int):
    """From a name, or a function of (optimizer, total steps)."""
    schedule = settings.schedule
    if callable(schedule):
        return schedule(optimizer, total_steps)
    if schedule == "constant":
        return lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    if schedule == "cosine":
        return lr_scheduler.WarmupCosineLR(optimizer, min(settings.warmup_steps, total_steps), total_steps)
    if schedule == "step":
        return lr_scheduler.StepLR(optimizer, settings.step_epochs * epoch_steps, settings.gamma)
    if schedule == "one_cycle":
        return lr_scheduler.OneCycleLR(optimizer, settings.lr, total_steps, cycle_momentum=False)
    if schedule == "plateau":
        return lr_scheduler.ReduceLROnPlateau(optimizer, factor=settings.gamma)
    raise ValueError(
        f"schedule: unknown name {schedule!r}; known: constant, cosine, step, one_cycle, plateau, or "
        "pass a function of (optimizer, total_steps)"
    )
