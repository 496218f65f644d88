"""Settings: every number and choice of a training, with its default."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import Any

from .. import optim
from ..optim import Optimizer, lr_scheduler
from .compression import compressor_named


@dataclass(frozen=True)
class Settings:
    """The keyword arguments of Trainer.

    A step of the optimizer takes `accumulate` batches of `batch_size` samples, each cut into pieces of `micro_batch` samples;
    "auto" halves the pieces while a step does not fit into memory. The step is the same however it is cut, but for layers
    that look at a whole batch or draw random numbers. `precision` is float32, bfloat16 or float16; parameters stay float32.
    `grad_clip` limits the gradients' `clip_norm`-norm (1, 2 or inf), `clip_value` each element. What to do about a loss or
    a gradient that is not finite says `nonfinite`: "error", "skip" (the step is left out) or "ignore". `ema` is the decay of
    averaged weights, with which the model is tested. `compress` ("topk", "int8", "sign", "powersgd" or a compressor of
    `helix.train.compression`) steps with what a wire would carry of the gradients; what was lost comes next time. `patience`
    epochs without a better `monitor` end the run; the checkpoint of the best epoch is kept. `workers` threads fetch batches
    ahead. `compile` runs forward and backward as `helix.compile` does.
    """

    epochs: int = 10
    max_steps: int | None = None
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.01
    momentum: float = 0.9
    optimizer_options: dict[str, Any] = field(default_factory=dict)
    schedule: str | Callable[[Optimizer, int], Any] = "cosine"
    warmup_steps: int = 0
    step_epochs: int = 10
    gamma: float = 0.1
    label_smoothing: float = 0.0
    accumulate: int = 1
    micro_batch: int | str | None = None
    precision: Any = "float32"
    grad_clip: float | None = None
    clip_norm: float = 2.0
    clip_value: float | None = None
    nonfinite: str = "error"
    ema: float | None = None
    compress: Any = None
    compress_options: dict[str, Any] = field(default_factory=dict)
    patience: int | None = None
    monitor: str | None = None
    device: Any = "auto"
    seed: int = 0
    run_dir: str | Path | None = None
    checkpoint_every: int | None = None
    keep: int = 3
    log_every: int = 20
    progress: Any = "auto"
    tensorboard: bool = False
    workers: int = 0
    compile: bool = False

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
        settings._check_choices()
        for name in ("epochs", "batch_size", "accumulate", "log_every", "step_epochs", "max_steps", "checkpoint_every"):
            if (getattr(settings, name) or 0) < 1 and getattr(settings, name) is not None:
                raise ValueError(f"Trainer: {name} must be at least 1, got {getattr(settings, name)}")
        if settings.keep < 2:
            raise ValueError(
                f"Trainer: keep must be at least 2, so that a spoiled checkpoint has one behind it; got {settings.keep}"
            )
        return settings

    def _check_choices(self) -> None:
        if self.compress is not None:
            compressor_named(self.compress, self.compress_options, self.seed)
        elif self.compress_options:
            raise ValueError("Trainer: compress_options need compress, the name of a compressor")
        if self.nonfinite not in ("error", "skip", "ignore"):
            raise ValueError(f"Trainer: nonfinite must be error, skip or ignore, got {self.nonfinite!r}")
        if self.clip_norm not in (1.0, 2.0, math.inf):
            raise ValueError(f"Trainer: clip_norm must be 1, 2 or inf, got {self.clip_norm}")
        rows = self.micro_batch
        if not (rows is None or rows == "auto" or (isinstance(rows, int) and rows >= 1)):
            raise ValueError(f'Trainer: micro_batch must be "auto" or a number of samples, got {rows!r}')


MADE: tuple[Any, ...] = (Optimizer, optim.Lookahead)  # taken as they are


def make_optimizer(optimizer, model, settings: Settings) -> Optimizer:
    """From a name, a function of named parameters, or an optimizer as it is."""
    if isinstance(optimizer, MADE):
        mine = {id(parameter) for parameter in model.parameters()}
        if not any(id(parameter) in mine for group in optimizer.param_groups for parameter in group["params"]):
            raise ValueError(
                "optimizer: none of its parameters is the model's; those of a model that was moved to a device are new ones. "
                "Make the optimizer after model.to(device), or pass a name or a function of named parameters."
            )
        return optimizer
    if callable(optimizer):
        return optimizer(model.named_parameters())
    if optimizer not in OPTIMIZERS:
        raise ValueError(
            f"optimizer: unknown name {optimizer!r}; known: {', '.join(OPTIMIZERS)}, or pass a function of named parameters"
        )
    kind = OPTIMIZERS[optimizer]
    known = signature(kind).parameters
    given = {"weight_decay": settings.weight_decay} if "weight_decay" in known else {}
    if optimizer in ("sgd", "lars"):
        given["momentum"] = settings.momentum
    return kind(model.named_parameters(), lr=settings.lr, **{**given, **settings.optimizer_options})


# What a training can name: one closure-free step a batch.
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    kind.__name__.lower(): kind
    for kind in (
        optim.AdamW, optim.Adam, optim.SGD, optim.RMSprop, optim.NAdam, optim.RAdam, optim.Adamax, optim.Adagrad, optim.Adadelta,
        optim.Adafactor, optim.Lion, optim.LAMB, optim.LARS, optim.SOAP, optim.Rprop, optim.ASGD,
    )
}  # fmt: skip


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
