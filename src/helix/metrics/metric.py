"""Metric: numbers over a whole data set, taken in batch by batch.

    metric.update(output, target)   takes a batch in; nothing is read back from the device
    metric.compute()                the value over all that was taken in, a tensor
    metric.merge(other)             takes in what another metric of the same kind has seen
    metric.reset()                  back to nothing seen

The value does not depend on how the data were cut into batches. Counts are int64 and sums float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from .. import cat, float64, zeros, zeros_like
from .._core import dtype as DType
from ..autograd import no_grad
from ..errors import CheckpointError
from ..tensor import Tensor


class Metric:
    """The base of all metrics. A subclass names its states in `__init__` (`add_sum`, `add_rows`), and says `take`, which
    brings a batch into them, and `compute`."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._rows: dict[str, list[Tensor]] = {}

    def add_sum(self, name: str, shape: tuple[int, ...] = (), dtype: DType = float64) -> None:
        """A state that is added to."""
        self._sums[name] = zeros(shape, dtype=dtype)

    def add_rows(self, name: str) -> None:
        """A state that keeps all it is given; read with `rows`."""
        self._rows[name] = []

    def __getattr__(self, name: str) -> Tensor:
        sums = self.__dict__.get("_sums", {})
        if name in sums:
            return sums[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def rows(self, name: str) -> Tensor:
        """All that was kept under a name, as one tensor."""
        parts = self._rows[name]
        if not parts:
            raise ValueError(f"{type(self).__name__}: nothing was taken in yet")
        if len(parts) > 1:
            parts[:] = [cat([part.to(parts[-1].device) for part in parts])]
        return parts[0]

    def update(self, *batch: Any, **named: Any) -> None:
        """Takes a batch in."""
        with no_grad():
            taken = self.take(*(x.detach() if isinstance(x, Tensor) else x for x in batch), **named)
            for name, value in taken.items():
                if name in self._rows:
                    self._rows[name].append(value)
                else:
                    self._sums[name] = self._with(name, value)

    def take(self, *batch: Any, **named: Any) -> dict[str, Tensor]:
        """What a batch adds to each state."""
        raise NotImplementedError(f"{type(self).__name__} does not say in take() what a batch adds")

    def _with(self, name: str, added: Tensor) -> Tensor:
        before = self._sums.get(name)
        return added if before is None else self.joined(name, before.to(added.device), added)

    def joined(self, name: str, before: Tensor, added: Tensor) -> Tensor:
        return before + added

    def compute(self) -> Tensor:
        """The value over all that was taken in."""
        raise NotImplementedError(f"{type(self).__name__} does not say in compute() what its value is")

    def __call__(self, *batch: Any, **named: Any) -> Tensor:
        """The value of one batch alone; what was taken in before stays as it is."""
        alone = self.fresh()
        alone.update(*batch, **named)
        return alone.compute()

    def fresh(self) -> Self:
        """A metric with the same settings that has seen nothing."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._sums = {name: zeros_like(value) for name, value in self._sums.items()}
        other._rows = {name: [] for name in self._rows}
        return other

    def reset(self) -> None:
        self.__dict__.update(self.fresh().__dict__)

    def merge(self, other: Self) -> None:
        """Takes in all that `other` has seen."""
        kind = type(self).__name__
        if type(other) is not type(self):
            raise ValueError(f"{kind}: cannot merge a {type(other).__name__}")
        for name, value in other._sums.items():
            if name in self._sums and self._sums[name].shape != value.shape:
                raise ValueError(f"{kind}: cannot merge one of other settings")
        self._sums |= {name: self._with(name, value) for name, value in other._sums.items()}
        for name, parts in other._rows.items():
            self._rows[name] += parts

    def state_dict(self) -> dict[str, Tensor]:
        kept = {name: self.rows(name) for name, parts in self._rows.items() if parts}
        return {**self._sums, **kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, value in self._sums.items():
            if name not in state or tuple(state[name].shape) != tuple(value.shape):
                raise CheckpointError(
                    f"HX3004 {type(self).__name__}: the saved state has no {name} of shape {tuple(value.shape)}; "
                    "nothing was loaded."
                )
        values = {name: value.detach().clone() for name, value in state.items()}
        self._rows = {name: [values.pop(name)] if name in values else [] for name in self._rows}
        self._sums = values

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
