"""The overlap of predicted and wanted regions, over all pixels of all images."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .confusion import quotient
from .fscore import F1Score, _OfClasses


class IoU(_OfClasses):
    """Intersection over union (Jaccard index) of each class, and its average. Arguments as of `F1Score`.

    Example:
        >>> metric = helix.metrics.IoU(num_classes=2, average=None)
        >>> metric.update(helix.tensor([[0, 1, 1]]), helix.tensor([[0, 0, 1]]))
        >>> metric.compute().tolist()
        [0.5, 0.5]
    """

    def __init__(self, num_classes: int | None = None, average: str | None = "macro", **options: Any) -> None:
        super().__init__(num_classes, average, **options)

    def value(self, both: Tensor, predicted: Tensor, wanted: Tensor) -> Tensor:
        return quotient(both, predicted + wanted - both, self.zero_division)


class Dice(F1Score):
    """2 TP / (2 TP + FP + FN) of each class, which is its F1 score over pixels, and its average."""
