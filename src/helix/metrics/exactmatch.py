"""Exact match; torchmetrics' name."""

from __future__ import annotations

from .. import int64, ones_like
from ..tensor import Tensor
from .classes import labels_in_rows
from .metric import Metric


class ExactMatch(Metric):
    """The share of samples all of whose targets are right: whole sequences, whole images.

    update(output, target): scores (N, C, …) or (N, …, C), or classes, and classes (N, …). Targets of `ignore_index` do not
    count, so that a sample of nothing else is right.

    Example:
        >>> metric = helix.metrics.ExactMatch(ignore_index=-100)
        >>> metric(helix.tensor([[1, 2, 0], [1, 2, 3]]), helix.tensor([[1, 2, -100], [1, 2, 2]])).item()
        0.5
    """

    def __init__(self, ignore_index: int | None = None, dim: int | None = None) -> None:
        super().__init__()
        self.ignore_index, self.dim = ignore_index, dim
        self.add_sum("correct", dtype=int64)
        self.add_sum("total", dtype=int64)

    def take(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        found, wanted = labels_in_rows("ExactMatch", output, target, self.dim)
        right = found == wanted
        if self.ignore_index is not None:
            right = right | (wanted == self.ignore_index)
        samples = right.reshape(target.shape[0], -1).all(1)
        return {"correct": samples.sum(), "total": ones_like(samples, dtype=int64).sum()}

    def compute(self) -> Tensor:
        return self.correct.double() / self.total.double()
