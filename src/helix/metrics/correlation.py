"""Correlations of two series."""

from __future__ import annotations

from ..tensor import Tensor
from .metric import Metric
from .moments import Moments
from .ranking import mean_ranks


class PearsonCorrelation(Moments):
    """The linear correlation of output and target; NaN if one of them does not vary.

    Example:
        >>> metric = helix.metrics.PearsonCorrelation()
        >>> metric.update(helix.tensor([1.0, 2.0, 3.0]), helix.tensor([2.0, 4.0, 6.0]))
        >>> round(metric.compute().item(), 6)
        1.0
    """

    def __init__(self) -> None:
        super().__init__(2)

    def take(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        return self.of_series(output, target)

    def compute(self) -> Tensor:
        _, _, products = self.counted()
        return products[0, 1] / (products[0, 0] * products[1, 1]).sqrt()


class SpearmanCorrelation(Metric):
    """The correlation of ranks, equal values sharing theirs; keeps all values."""

    def __init__(self) -> None:
        super().__init__()
        self.add_rows("outputs")
        self.add_rows("targets")

    def take(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        PearsonCorrelation().of_series(output, target)  # refuses unequal shapes
        return {"outputs": output.reshape(-1), "targets": target.reshape(-1)}

    def compute(self) -> Tensor:
        pearson = PearsonCorrelation()
        pearson.update(mean_ranks(self.rows("outputs")), mean_ranks(self.rows("targets")))
        return pearson.compute()
