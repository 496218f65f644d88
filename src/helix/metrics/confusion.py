"""How often each class was taken for each."""

from __future__ import annotations

from .. import int64, ones_like, where
from ..tensor import Tensor
from .classes import labels_in_rows, scores_in_rows
from .metric import Metric


class ConfusionMatrix(Metric):
    """Counts, (num_classes, num_classes): row of the target, column of the prediction. Arguments as of `Accuracy`.

    `num_classes` None: as many as the first scores have (2 for scores of class 1).
    `normalize`: None for counts, "true" for shares of rows, "pred" of columns, "all" of everything.

    Example:
        >>> metric = helix.metrics.ConfusionMatrix(2)
        >>> metric.update(helix.tensor([0, 1, 1]), helix.tensor([0, 0, 1]))
        >>> metric.compute().tolist()
        [[1, 1], [0, 1]]
    """

    def __init__(
        self,
        num_classes: int | None = None,
        normalize: str | None = None,
        ignore_index: int | None = None,
        threshold: float = 0.5,
        dim: int | None = None,
    ) -> None:
        super().__init__()
        if num_classes is not None and num_classes < 2:
            raise ValueError(f"{type(self).__name__}: num_classes must be at least 2, got {num_classes}")
        if normalize not in (None, "true", "pred", "all"):
            raise ValueError(f"{type(self).__name__}: normalize must be 'true', 'pred' or 'all', got {normalize!r}")
        self.num_classes, self.normalize, self.ignore_index = num_classes, normalize, ignore_index
        self.threshold, self.dim = threshold, dim
        if num_classes is not None:
            self.add_sum("counts", (num_classes, num_classes), int64)

    def _size(self, output: Tensor, target: Tensor) -> int:
        if "counts" in self._sums:
            return self.counts.shape[0]
        if self.num_classes is not None:
            return self.num_classes
        if tuple(output.shape) != tuple(target.shape):
            return scores_in_rows(type(self).__name__, output, target, self.dim)[0].shape[-1]
        if output.is_floating_point():
            return 2
        raise ValueError(f"{type(self).__name__}: predicted classes do not tell how many there are; give num_classes")

    def take(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        found, wanted = labels_in_rows(type(self).__name__, output, target, self.dim, self.threshold)
        size = self._size(output, target)
        places = wanted * size + found
        inside = (wanted >= 0) & (wanted < size) & (found >= 0) & (found < size)
        # A class outside the matrix has no place: scatter_add refuses it.
        places = where(inside, places, size * size + 1)
        if self.ignore_index is not None:
            places = where(wanted == self.ignore_index, size * size, places)
        counts = places.new_zeros(size * size + 1).scatter_add(0, places, ones_like(places))
        return {"counts": counts[: size * size].reshape(size, size)}

    def compute(self) -> Tensor:
        if self.normalize is None:
            return self.counts
        counts = self.counts.double()
        axes = {"true": 1, "pred": 0, "all": (0, 1)}[self.normalize]
        return counts / counts.sum(axes, keepdim=True).clamp(min=1)

    def hits(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of each class: how often it was found rightly, was predicted, and was the target."""
        counts = self.counts.double()
        return counts.diagonal(), counts.sum(0), counts.sum(1)


def quotient(above: Tensor, below: Tensor, otherwise: float = 0.0) -> Tensor:
    """above / below, and `otherwise` where that is 0 / 0."""
    return where(below == 0, otherwise, above / where(below == 0, 1.0, below))


def averaged(kind: str, values: Tensor, counts: Tensor, present: Tensor, average: str | None) -> Tensor:
    """Values of classes: all (None), their mean over the classes that occur, or weighted by the classes' targets."""
    if average is None:
        return values
    if average == "macro":
        return where(present, values, 0.0).sum() / present.sum()
    return quotient((values * counts).sum(), counts.sum())
