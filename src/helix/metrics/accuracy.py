"""Accuracy."""

from __future__ import annotations

from .. import int64
from ..tensor import Tensor
from .classes import labels_in_rows, scores_in_rows
from .metric import Metric


class Accuracy(Metric):
    """The share of targets that are among the `top_k` likeliest classes.

    update(output, target): scores (N, C), (N, C, …) or (N, …, C) and classes (N, …); or classes, or scores of class 1
    against `threshold`, of the target's shape. Targets of `ignore_index` do not count.

    Example:
        >>> metric = helix.metrics.Accuracy()
        >>> metric.update(helix.tensor([[0.1, 0.9], [0.8, 0.2]]), helix.tensor([1, 1]))
        >>> metric.update(helix.tensor([[0.3, 0.7]]), helix.tensor([1]))
        >>> round(metric.compute().item(), 4)
        0.6667
    """

    def __init__(
        self, top_k: int = 1, ignore_index: int | None = None, threshold: float = 0.5, dim: int | None = None
    ) -> None:
        super().__init__()
        if top_k < 1:
            raise ValueError(f"Accuracy: top_k must be at least 1, got {top_k}")
        self.top_k, self.ignore_index, self.threshold, self.dim = top_k, ignore_index, threshold, dim
        self.add_sum("correct", dtype=int64)
        self.add_sum("total", dtype=int64)

    def take(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        if self.top_k == 1:
            found, wanted = labels_in_rows("Accuracy", output, target, self.dim, self.threshold)
            hits = found == wanted
        else:
            scores, wanted = scores_in_rows("Accuracy", output, target, self.dim)
            best = scores.topk(min(self.top_k, scores.shape[-1]), -1)[1]
            hits = (best == wanted.unsqueeze(-1)).any(-1)
        counted = wanted == wanted if self.ignore_index is None else wanted != self.ignore_index
        return {"correct": (hits & counted).sum(), "total": counted.sum()}

    def compute(self) -> Tensor:
        return self.correct.double() / self.total.double()
