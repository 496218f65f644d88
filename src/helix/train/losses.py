"""Losses and metrics by name, and the ones that suit a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from .. import metrics
from ..metrics import Metric
from ..nn import functional as F
from ..tensor import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def _rows(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, length, classes) and (batch, length) as if every position were a sample."""
    if output.ndim == 3 and target.ndim == 2:
        return output.flatten(0, 1), target.flatten()
    return output, target


def cross_entropy(output: Tensor, target: Tensor, label_smoothing: float = 0.0) -> Tensor:
    output, target = _rows(output, target)
    return F.cross_entropy(output, target, label_smoothing=label_smoothing)


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "bce_with_logits": F.binary_cross_entropy_with_logits,
}
TASK_LOSS = {
    "classification": "cross_entropy",
    "language": "cross_entropy",
    "regression": "mse",
    "tagging": "cross_entropy",
}
IGNORED = -100  # a target that does not count


def loss_named(loss: str | Loss, task: str, label_smoothing: float = 0.0) -> Loss:
    """The loss function for a name, "auto" or a function."""
    if callable(loss):
        return loss
    name = TASK_LOSS.get(task, "mse") if loss == "auto" else loss
    if name not in LOSSES:
        raise ValueError(f"loss: unknown name {loss!r}; known: auto, {', '.join(LOSSES)}, or pass a function")
    if name == "cross_entropy" and label_smoothing:
        return partial(cross_entropy, label_smoothing=label_smoothing)
    return LOSSES[name]


METRICS: dict[str, Callable[[], Metric]] = {
    "accuracy": partial(metrics.Accuracy, ignore_index=IGNORED),
    "exact_match": partial(metrics.ExactMatch, ignore_index=IGNORED),
    "top5": partial(partial(metrics.Accuracy, ignore_index=IGNORED), 5),
    "precision": partial(metrics.Precision, ignore_index=IGNORED),
    "recall": partial(metrics.Recall, ignore_index=IGNORED),
    "f1": partial(metrics.F1Score, ignore_index=IGNORED),
    "iou": partial(metrics.IoU, ignore_index=IGNORED),
    "dice": partial(metrics.Dice, ignore_index=IGNORED),
    "auroc": partial(metrics.AUROC, ignore_index=IGNORED),
    "average_precision": partial(metrics.AveragePrecision, ignore_index=IGNORED),
    "calibration_error": partial(metrics.CalibrationError, ignore_index=IGNORED),
    "perplexity": metrics.Perplexity,
    "bits_per_byte": metrics.BitsPerByte,
    "mae": metrics.MeanAbsoluteError,
    "mse": metrics.MeanSquaredError,
    "rmse": partial(metrics.MeanSquaredError, False),
    "r2": metrics.R2Score,
    "explained_variance": metrics.ExplainedVariance,
    "pearson": metrics.PearsonCorrelation,
    "spearman": metrics.SpearmanCorrelation,
}
TASK_METRICS = {
    "classification": ("accuracy",),
    "language": ("accuracy",),
    "regression": ("mae",),
    "tagging": ("accuracy",),
}


def metrics_named(chosen, task: str) -> dict[str, Metric]:
    """Metrics by name: from names, metrics, functions of (output, target), a mapping of those, or what suits the task."""
    if isinstance(chosen, Mapping):
        return {name: next(iter(metrics_named([metric], task).values())) for name, metric in chosen.items()}
    found: dict[str, Metric] = {}
    for metric in TASK_METRICS.get(task, ()) if chosen is None else chosen:
        name, made = _metric(metric)
        if name in found:
            raise ValueError(f"metrics: two are called {name!r}; pass a mapping of names to metrics")
        found[name] = made
    return found


def _metric(metric) -> tuple[str, Metric]:
    if isinstance(metric, Metric):
        return type(metric).__name__.lower(), metric.fresh()
    if callable(metric):
        return metric.__name__, metrics.MeanOf(metric)
    if metric not in METRICS:
        known = ", ".join(METRICS)
        raise ValueError(f"metrics: unknown name {metric!r}; known: {known}, or pass a metric or a function")
    return metric, METRICS[metric]()
