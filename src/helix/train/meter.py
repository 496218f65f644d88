"""Meter: what was measured over the samples so far, exact enough to be taken up again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .. import dtypes, tensor
from ..metrics import Metric
from ..tensor import Tensor


class Meter:
    """Sums of named values, each weighted by the number of samples it was taken over, and metrics.

    What `take` gives to the metrics counts when `add` ends the step, and is forgotten by `drop`.
    """

    def __init__(self, metrics: Mapping[str, Metric] | None = None) -> None:
        self.metrics = {name: metric.fresh() for name, metric in (metrics or {}).items()}
        self._looked = False
        self.reset()

    def take(self, output: Tensor, target: Tensor) -> None:
        """Shows a part of the step to the metrics; reads nothing back."""
        for metric in self._step.values():
            metric.update(output, target)
        if not self._looked:
            self._look()

    def _look(self) -> None:
        """Refuses, at the first batch, metrics whose values are not numbers."""
        for name, metric in self._step.items():
            shape = tuple(metric.compute().shape)
            if shape:
                raise ValueError(
                    f"metrics: the value of {name!r} is no number but has shape {shape}; choose an average, or measure it "
                    "after the training"
                )
        self._looked = True

    def now(self) -> dict[str, float]:
        """The metrics of this step alone; those that need all samples at once are left out."""
        return {name: metric.compute().item() for name, metric in self._step.items() if not metric._rows}

    def add(self, values: dict[str, float], samples: int) -> None:
        """Ends the step with values that are means over its samples."""
        for name, value in values.items():
            if name not in self.metrics:
                self.sums[name] = self.sums.get(name, 0.0) + value * samples
        self.count += samples
        for name, metric in self.metrics.items():
            metric.merge(self._step[name])
        self.drop()

    def drop(self) -> None:
        self._step = {name: metric.fresh() for name, metric in self.metrics.items()}

    def means(self) -> dict[str, float]:
        """The loss, the metrics, and what else was added; NaN where every step was left out."""
        if not self.count:
            return dict.fromkeys(("loss", *self.metrics), math.nan)
        means = {name: total / self.count for name, total in self.sums.items()}
        loss = {"loss": means.pop("loss")} if "loss" in means else {}
        return {**loss, **{name: metric.compute().item() for name, metric in self.metrics.items()}, **means}

    def reset(self) -> None:
        self.sums: dict[str, float] = {}
        self.count = 0
        for metric in self.metrics.values():
            metric.reset()
        self.drop()

    def state_dict(self) -> dict[str, Any]:
        states = {name: metric.state_dict() for name, metric in self.metrics.items()}
        return {"sums": dict(self.sums), "count": self.count, "metrics": states}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.reset()
        self.sums, self.count = dict(state["sums"]), state["count"]
        for name, metric in self.metrics.items():
            if name in state.get("metrics", {}):
                saved = state["metrics"][name]
                metric.load_state_dict({key: _tensor(value) for key, value in saved.items()})


def _tensor(value: Any) -> Tensor:
    """A state of a metric; as [dtype, nested lists] in checkpoints before format 3."""
    if isinstance(value, Tensor):
        return value
    dtype, values = value
    return tensor(values, dtype=dtypes.TYPES[dtype.rpartition(".")[2]])
