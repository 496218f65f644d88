"""Losses and metrics by name, and the ones that suit a task."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

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


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """The share of samples whose likeliest class is the target, among targets that count."""
    output, target = _rows(output, target)
    count = (target != IGNORED).sum().clamp(min=1)
    return (output.argmax(-1) == target).sum().to(output.dtype) / count.to(output.dtype)


def mean_absolute_error(output: Tensor, target: Tensor) -> Tensor:
    return (output - target).abs().mean()


METRICS: dict[str, Loss] = {"accuracy": accuracy, "mae": mean_absolute_error}
TASK_METRICS = {
    "classification": ("accuracy",),
    "language": ("accuracy",),
    "regression": ("mae",),
    "tagging": ("accuracy",),
}


def metrics_named(metrics, task: str) -> dict[str, Loss]:
    """Metric functions by name: from names, from functions, or those that suit the task."""
    chosen = TASK_METRICS.get(task, ()) if metrics is None else metrics
    found: dict[str, Loss] = {}
    for metric in chosen:
        if callable(metric):
            found[metric.__name__] = metric
        elif metric in METRICS:
            found[metric] = METRICS[metric]
        else:
            raise ValueError(f"metrics: unknown name {metric!r}; known: {', '.join(METRICS)}, or pass a function")
    return found
