"""How far numbers are from what they should be. All take update(output, target) of one shape; every element counts alike."""

from __future__ import annotations

from .. import where
from ..tensor import Tensor
from .moments import Moments


def _share_left(errors: Tensor, spread: Tensor) -> Tensor:
    """1 - errors / spread; without spread 1 if there are no errors, else 0."""
    flat = spread == 0
    return where(flat, where(errors == 0, 1.0, 0.0), 1 - errors / where(flat, 1.0, spread))


class MeanSquaredError(Moments):
    """The mean of squared errors, or with `squared=False` its root.

    Example:
        >>> metric = helix.metrics.MeanSquaredError()
        >>> metric.update(helix.tensor([1.0, 2.0]), helix.tensor([1.0, 4.0]))
        >>> metric.compute().item()
        2.0
    """

    def __init__(self, squared: bool = True) -> None:
        super().__init__(1)
        self.squared = squared

    def take(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        return self.of_series(_difference(self, output, target))

    def compute(self) -> Tensor:
        count, means, products = self.counted()
        value = means[0] * means[0] + products[0, 0] / count
        return value if self.squared else value.sqrt()


class MeanAbsoluteError(Moments):
    """The mean size of errors."""

    def __init__(self) -> None:
        super().__init__(1)

    def take(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        return self.of_series(_difference(self, output, target).abs())

    def compute(self) -> Tensor:
        count, means, _ = self.counted()
        return means[0] / (count > 0)


class R2Score(Moments):
    """The coefficient of determination: 1 less the squared errors' share of the target's spread.

    Example:
        >>> metric = helix.metrics.R2Score()
        >>> metric.update(helix.tensor([1.0, 2.0, 3.5]), helix.tensor([1.0, 2.0, 3.0]))
        >>> metric.compute().item()
        0.875
    """

    def __init__(self) -> None:
        super().__init__(2)

    def take(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        return self.of_series(_difference(self, output, target), target)

    def compute(self) -> Tensor:
        count, means, products = self.counted()
        return _share_left(products[0, 0] + count * means[0] * means[0], products[1, 1])


class ExplainedVariance(R2Score):
    """1 less the errors' variance as a share of the target's: R2 that forgives a constant error."""

    def compute(self) -> Tensor:
        _, _, products = self.counted()
        return _share_left(products[0, 0], products[1, 1])


def _difference(metric: Moments, output: Tensor, target: Tensor) -> Tensor:
    if tuple(output.shape) != tuple(target.shape):
        metric.of_series(output, target)  # says what is wrong
    return output.double() - target.double()
