"""Session: everything that changes while a model is trained, and its way into a checkpoint and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ..autograd import no_grad
from ..data import Loader
from ..errors import ConfigError, TrainingError
from ..nn import Module
from ..optim import Optimizer
from ..random import get_rng_state, set_rng_state
from . import checkpoint
from .average import Average
from .callback import Callback
from .gradients import Gradients
from .meter import Meter


class Session:
    """Model, optimizer, schedule, loader, running means and the number of the step."""

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        schedule,
        loader: Loader,
        total_steps: int,
        gradients: Gradients,
        meter: Meter,
        average: Average | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.model, self.optimizer, self.schedule, self.loader = model, optimizer, schedule, loader
        self.gradients, self.average, self.callbacks = gradients, average, tuple(callbacks)
        self.meter = meter
        self.step = 0
        self.total_steps = total_steps
        self.saved_step: int | None = None

    @property
    def epoch(self) -> int:
        return self.loader.epoch

    def save(self, folder: Path, keep: int) -> Path:
        """Writes a checkpoint; refuses to, if a parameter is not finite."""
        spoiled = first_not_finite(self.model)
        if spoiled is not None:
            raise TrainingError(
                f"HX3202 parameter {spoiled!r} is not finite after step {self.step}; the checkpoint "
                f"was not written. {self.advice()}"
            )
        state = {
            "epoch": self.epoch,
            "rng": get_rng_state(),
            "loader": self.loader.state_dict(),
            "schedule": self.schedule.state_dict(),
            "meter": self.meter.state_dict(),
            "total_steps": self.total_steps,
            "gradients": self.gradients.state_dict(),
            "callbacks": [callback.state_dict() for callback in self.callbacks],
        }
        average = None
        if self.average is not None:
            average, state["average_steps"] = self.average.tensors, self.average.steps
        path = checkpoint.save(
            folder, self.step, self.model.state_dict(), self.optimizer.state_dict(), state, keep, average
        )
        self.saved_step = self.step
        return path

    def restore(self, folder: Path) -> None:
        """Takes up the newest good checkpoint: from here on, every number is as if nothing had happened."""
        saved = checkpoint.load(checkpoint.newest(folder))
        self.model.load_state_dict(saved.model)
        self.schedule.load_state_dict(saved.state["schedule"])
        self.optimizer.load_state_dict(saved.optimizer)
        self.loader.load_state_dict(saved.state["loader"])
        self.meter.load_state_dict(saved.state["meter"])
        if "gradients" in saved.state:
            self.gradients.load_state_dict(saved.state["gradients"])
        self._restore_callbacks(saved.state.get("callbacks", []))
        if self.average is not None and saved.average is not None:
            self.average.load(saved.average, saved.state["average_steps"])
        elif self.average is not None:
            self.average.load(saved.model, 0)  # an average that begins here
        set_rng_state(saved.state["rng"])
        self.step = self.saved_step = saved.step

    def _restore_callbacks(self, states: list[dict]) -> None:
        if states and len(states) != len(self.callbacks):
            raise ConfigError(
                f"HX3106 the checkpoint is of a run with {len(states)} callbacks, this one has {len(self.callbacks)}; give the "
                "same ones in the same order."
            )
        for callback, state in zip(self.callbacks, states):
            callback.load_state_dict(state)

    def advice(self) -> str:
        kept = f"The checkpoint of step {self.saved_step} is good. " if self.saved_step is not None else ""
        return f"{kept}A smaller lr or grad_clip=1.0 usually helps."

    def check_loss(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise TrainingError(
                f"HX3201 the loss is {loss} at step {self.step + 1} (epoch {self.epoch + 1}, batch "
                f"{self.loader.position}); training stopped before the model was changed. "
                f"{self.advice()}"
            )


def first_not_finite(model: Module) -> str | None:
    """The name of a parameter that holds NaN or infinity, or of a buffer that holds NaN: masks are infinite on purpose."""
    parameters = {name for name, _ in model.named_parameters()}
    with no_grad():
        for name, tensor in model.state_dict().items():
            largest = tensor.abs().max().item() if tensor.is_floating_point() and tensor.numel() else 0.0
            if math.isnan(largest) or (math.isinf(largest) and name in parameters):
                return name
    return None
