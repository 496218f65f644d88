"""The mean of any function over samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import int64, tensor
from ..tensor import Tensor
from .metric import Metric


class MeanOf(Metric):
    """The mean of function(output, target), which is a mean over the batch, weighted by the samples of each batch.

    Example:
        >>> metric = helix.metrics.MeanOf(lambda output, target: (output - target).abs().max())
        >>> metric.update(helix.tensor([1.0, 2.0]), helix.tensor([1.0, 1.0]))
        >>> metric.update(helix.tensor([1.0]), helix.tensor([5.0]))
        >>> metric.compute().item()
        2.0
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.add_sum("total")
        self.add_sum("count", dtype=int64)

    def take(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        value = self.function(output, target)
        value = value.detach().double() if isinstance(value, Tensor) else tensor(value).double()
        count = len(target)
        return {"total": value * count, "count": tensor(count)}

    def compute(self) -> Tensor:
        return self.total / self.count.double().to(self.total.device)
