"""Whether a model is right as often as it says."""

from __future__ import annotations

from .. import int64
from ..precision import widened
from ..tensor import Tensor
from .classes import scores_in_rows
from .confusion import quotient
from .metric import Metric


class CalibrationError(Metric):
    """The gap between confidence and accuracy in `bins` equal bins of confidence, weighted by their samples; Guo et al., "On
    calibration of modern neural networks", ICML 2017.

    update(output, target): (N, C) logits, or probabilities with `logits=False`, and classes (N); also with further axes.
    Targets of `ignore_index` do not count. `norm`: "l1" for the mean gap (ECE), "l2" for the root of the mean square, "max" for the largest (MCE).

    Example:
        >>> metric = helix.metrics.CalibrationError(bins=10, logits=False)
        >>> metric.update(helix.tensor([[0.75, 0.25], [0.75, 0.25]]), helix.tensor([0, 1]))
        >>> metric.compute().item()
        0.25
    """

    def __init__(
        self,
        bins: int = 15,
        norm: str = "l1",
        logits: bool = True,
        ignore_index: int | None = None,
        dim: int | None = None,
    ) -> None:
        super().__init__()
        if bins < 1:
            raise ValueError(f"CalibrationError: bins must be at least 1, got {bins}")
        if norm not in ("l1", "l2", "max"):
            raise ValueError(f"CalibrationError: norm must be 'l1', 'l2' or 'max', got {norm!r}")
        self.bins, self.norm, self.logits, self.ignore_index, self.dim = bins, norm, logits, ignore_index, dim
        self.add_sum("counts", (bins,), int64)
        self.add_sum("confidences", (bins,))
        self.add_sum("correct", (bins,), int64)

    def take(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        scores, wanted = scores_in_rows("CalibrationError", output, target, self.dim)
        shares = (widened(scores).softmax(-1) if self.logits else scores).double()
        confidence, found = shares.max(-1)
        places = (confidence * self.bins).ceil().long().clamp(1, self.bins) - 1
        hits = (found == wanted).long()
        counted = hits * 0 + 1 if self.ignore_index is None else (wanted != self.ignore_index).long()
        empty = hits.new_zeros(self.bins)
        return {
            "counts": empty.scatter_add(0, places, counted),
            "confidences": confidence.new_zeros(self.bins).scatter_add(0, places, confidence * counted),
            "correct": empty.scatter_add(0, places, hits * counted),
        }

    def compute(self) -> Tensor:
        counts = self.counts.double()
        gaps = quotient((self.confidences - self.correct.double()).abs(), counts)
        if self.norm == "max":
            return gaps.max()
        if self.norm == "l2":
            return (quotient(counts, counts.sum()) * gaps * gaps).sum().sqrt()
        return (quotient(counts, counts.sum()) * gaps).sum()
