"""Precision, recall and F scores."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .confusion import ConfusionMatrix, averaged, quotient


class _OfClasses(ConfusionMatrix):
    """A value of each class and its average: "micro" counts all decisions alike, "macro" all classes that occur, "weighted"
    classes by their targets, "binary" is class 1 alone, None gives all. `zero_division` stands for 0 / 0."""

    def __init__(
        self, num_classes: int | None = None, average: str | None = None, zero_division: float = 0.0, **options: Any
    ) -> None:
        super().__init__(num_classes, **options)
        if average not in (None, "micro", "macro", "weighted", "binary"):
            raise ValueError(
                f"{type(self).__name__}: average must be 'micro', 'macro', 'weighted', 'binary' or None, got {average!r}"
            )
        if average == "binary" and num_classes not in (None, 2):
            raise ValueError(f"{type(self).__name__}: average='binary' needs num_classes=2, got {num_classes}")
        self.average, self.zero_division = average, zero_division

    def compute(self) -> Tensor:
        both, predicted, wanted = self.hits()
        if self.average == "micro":
            return self.value(both.sum(), predicted.sum(), wanted.sum())
        values = self.value(both, predicted, wanted)
        if self.average == "binary":
            return values[1]
        return averaged(type(self).__name__, values, wanted, (predicted + wanted) > 0, self.average)

    def value(self, both: Tensor, predicted: Tensor, wanted: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not say in value() what it is of one class")


class Precision(_OfClasses):
    """Of what was predicted, the share that is right. Arguments as of `F1Score`."""

    def __init__(self, num_classes: int | None = None, average: str | None = "macro", **options: Any) -> None:
        super().__init__(num_classes, average, **options)

    def value(self, both: Tensor, predicted: Tensor, wanted: Tensor) -> Tensor:
        return quotient(both, predicted, self.zero_division)


class Recall(_OfClasses):
    """Of the targets, the share that was found. Arguments as of `F1Score`."""

    def __init__(self, num_classes: int | None = None, average: str | None = "macro", **options: Any) -> None:
        super().__init__(num_classes, average, **options)

    def value(self, both: Tensor, predicted: Tensor, wanted: Tensor) -> Tensor:
        return quotient(both, wanted, self.zero_division)


class FBetaScore(_OfClasses):
    """The weighted harmonic mean of precision and recall, (1 + beta^2) P R / (beta^2 P + R). Arguments as of `F1Score`."""

    def __init__(
        self, beta: float = 1.0, num_classes: int | None = None, average: str | None = "macro", **options: Any
    ) -> None:
        super().__init__(num_classes, average, **options)
        if not beta > 0:
            raise ValueError(f"{type(self).__name__}: beta must be above 0, got {beta}")
        self.beta = beta

    def value(self, both: Tensor, predicted: Tensor, wanted: Tensor) -> Tensor:
        square = self.beta**2
        return quotient((1 + square) * both, square * wanted + predicted, self.zero_division)


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall. `average`, `zero_division` and classes as scikit-learn has them; updates
    and the options `ignore_index`, `threshold` and `dim` as of `Accuracy`.

    Example:
        >>> metric = helix.metrics.F1Score(num_classes=3)
        >>> metric.update(helix.tensor([0, 2, 1, 1]), helix.tensor([0, 1, 1, 1]))
        >>> round(metric.compute().item(), 4)
        0.6
    """

    def __init__(self, num_classes: int | None = None, average: str | None = "macro", **options: Any) -> None:
        super().__init__(1.0, num_classes, average, **options)
