"""Callback: what a user of Trainer can hang into a run; and the ones that most runs want."""

from __future__ import annotations

import math
from typing import Any


class Callback:
    """Override what you need. `values` are the numbers of the step or epoch; `trainer.stop()` ends the run.

    What a callback has to remember when a run is resumed goes through `state_dict` and `load_state_dict`: what JSON can hold,
    and tensors.
    """

    def on_start(self, trainer, session, values: dict[str, Any]) -> None:
        pass

    def on_step(self, trainer, session, values: dict[str, Any]) -> None:
        pass

    def on_epoch(self, trainer, session, values: dict[str, Any]) -> None:
        pass

    def on_end(self, trainer, session, values: dict[str, Any]) -> None:
        pass

    def close(self) -> None:
        """Called last, also when a signal or an error ended the run."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


def is_better(value: float, best: float | None, mode: str, min_delta: float = 0.0) -> bool:
    """Whether a value beats the best so far by more than min_delta; NaN never does."""
    if math.isnan(value):
        return False
    if best is None:
        return True
    return value < best - min_delta if mode == "min" else value > best + min_delta


def mode_of(monitor: str, mode: str) -> str:
    """ "auto" is "min" for losses and errors, "max" for the rest."""
    if mode not in ("auto", "min", "max"):
        raise ValueError(f"mode must be auto, min or max, got {mode!r}")
    small = ("loss", "mae", "mse", "rmse", "error", "perplexity")
    return mode if mode != "auto" else "min" if monitor.endswith(small) else "max"


def monitored(values: dict[str, Any], monitor: str, asker: str) -> float:
    """The number of an epoch that is watched."""
    if monitor not in values:
        known = ", ".join(key for key in values if key.startswith(("train_", "test_")))
        raise ValueError(f"{asker}: the epochs have no {monitor!r}; they have: {known}")
    return values[monitor]


class Monitor(Callback):
    """The best value of one number of the epochs, and how many epochs it is ago."""

    def __init__(self, monitor: str = "test_loss", mode: str = "auto", min_delta: float = 0.0) -> None:
        self.monitor, self.mode, self.min_delta = monitor, mode_of(monitor, mode), min_delta
        self.best: float | None = None
        self.best_epoch, self.waited = 0, 0

    def on_epoch(self, trainer, session, values: dict[str, Any]) -> None:
        value = monitored(values, self.monitor, type(self).__name__)
        self.waited += 1
        if is_better(value, self.best, self.mode, self.min_delta):
            self.best, self.best_epoch, self.waited = value, values["epoch"], 0

    @property
    def is_best_now(self) -> bool:
        return self.best is not None and self.waited == 0

    def state_dict(self) -> dict[str, Any]:
        return {"monitor": self.monitor, "best": self.best, "best_epoch": self.best_epoch, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.best_epoch, self.waited = state["best"], state["best_epoch"], state["waited"]


class EarlyStopping(Monitor):
    """Ends the run when `monitor` has not improved by more than `min_delta` for `patience` epochs."""

    def __init__(
        self, monitor: str = "test_loss", patience: int = 10, mode: str = "auto", min_delta: float = 0.0
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if patience < 1:
            raise ValueError(f"EarlyStopping: patience must be at least 1, got {patience}")
        self.patience = patience

    def on_start(self, trainer, session, values: dict[str, Any]) -> None:
        if self.waited >= self.patience:  # taken up from the end of a run that had been ended
            trainer.stop()

    def on_epoch(self, trainer, session, values: dict[str, Any]) -> None:
        super().on_epoch(trainer, session, values)
        if self.waited >= self.patience:
            trainer.stop()
