"""How well scores rank: the areas under the ROC and precision-recall curves. Both keep all scores, and are exact."""

from __future__ import annotations

from .. import int64, searchsorted, stack
from ..errors import ShapeError
from ..tensor import Tensor
from .classes import scores_in_rows
from .confusion import averaged
from .metric import Metric


class _Ranking(Metric):
    """update(scores, target): scores of class 1 (N) with targets 0 or 1; or scores (N, C) with classes (N), each class
    against the rest and then their mean ("macro"), their mean weighted by targets ("weighted"), or all (None). Targets of
    `ignore_index` do not count."""

    def __init__(self, average: str | None = "macro", ignore_index: int | None = None) -> None:
        super().__init__()
        if average not in (None, "macro", "weighted"):
            raise ValueError(f"{type(self).__name__}: average must be 'macro', 'weighted' or None, got {average!r}")
        self.average, self.ignore_index = average, ignore_index
        self.add_rows("scores")
        self.add_rows("targets")

    def take(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        kind = type(self).__name__
        if tuple(output.shape) == tuple(target.shape):
            output, target = output.reshape(-1), target.reshape(-1)
        else:
            output, target = scores_in_rows(kind, output, target, None)
        kept = self._rows["scores"]
        if kept and kept[0].ndim != output.ndim:
            raise ShapeError(f"HX1001 {kind}: scores of one class and of several in turn.", op=kind, code="HX1001")
        return {"scores": output, "targets": target.long()}

    def compute(self) -> Tensor:
        scores, targets = self.rows("scores"), self.rows("targets")
        if self.ignore_index is not None:
            counted = targets != self.ignore_index
            scores, targets = scores[counted], targets[counted]
        if scores.ndim == 1:
            return self.binary(scores, targets.double())
        wanted = [(targets == k).double() for k in range(scores.shape[1])]
        values = stack([self.binary(scores[:, k], yes) for k, yes in enumerate(wanted)])
        counts = stack([yes.sum() for yes in wanted])
        return averaged(type(self).__name__, values, counts, counts >= 0, self.average)

    def binary(self, scores: Tensor, yes: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not say in binary() what it is of one class")


class AUROC(_Ranking):
    """The area under the ROC curve: the share of pairs of a yes and a no in which the yes has the higher score, a tie
    counting half. NaN where there are no yeses or no noes.

    Example:
        >>> metric = helix.metrics.AUROC()
        >>> metric.update(helix.tensor([0.1, 0.4, 0.35, 0.8]), helix.tensor([0, 0, 1, 1]))
        >>> metric.compute().item()
        0.75
    """

    def binary(self, scores: Tensor, yes: Tensor) -> Tensor:
        many, found = yes.sum(), (mean_ranks(scores) * yes).sum()
        return (found - many * (many + 1) / 2) / (many * (yes.numel() - many))


class AveragePrecision(_Ranking):
    """The precision at each threshold, weighted by the recall it adds: the area under the precision-recall curve without
    interpolation. NaN where there are no yeses.

    Example:
        >>> metric = helix.metrics.AveragePrecision()
        >>> metric.update(helix.tensor([0.1, 0.4, 0.35, 0.8]), helix.tensor([0, 0, 1, 1]))
        >>> round(metric.compute().item(), 4)
        0.8333
    """

    def binary(self, scores: Tensor, yes: Tensor) -> Tensor:
        order = (-scores).argsort(stable=True)
        sorted_scores, found = (-scores)[order], yes[order].cumsum(0)
        ends = searchsorted(sorted_scores, sorted_scores, right=True).to(int64)
        return (yes[order] * found[ends - 1] / ends.double()).sum() / yes.sum()


def mean_ranks(values: Tensor) -> Tensor:
    """Ranks from 1, equal values sharing the mean of theirs."""
    ordered = values.sort()[0]
    below, upto = searchsorted(ordered, values), searchsorted(ordered, values, right=True)
    return (below + upto + 1).double() / 2
