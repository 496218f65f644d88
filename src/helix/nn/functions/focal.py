"""Focal losses: easy samples count less. Lin et al., "Focal loss for dense object detection", ICCV 2017."""

from __future__ import annotations

from ... import finfo
from ...errors import ParameterError
from ...tensor import Tensor
from .losses import binary_cross_entropy_with_logits, nll_loss
from .reduction import reduced
from .refuse import refuse

__all__ = ["focal_loss", "sigmoid_focal_loss"]


def _weight(op: str, miss: Tensor, gamma: float) -> Tensor | float:
    """miss ** gamma, whose gradient at 0 is finite for every gamma."""
    if gamma < 0:
        refuse(ParameterError, op, f"gamma must not be negative, got {gamma}.")
    return 1.0 if gamma == 0 else miss.clamp(min=finfo(miss.dtype).tiny) ** gamma


def focal_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    gamma: float = 2.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-weight * (1 - p)^gamma * log p of the target's class, p by softmax over axis 1.

    input: (N, C) or (N, C, d1, …) logits; target: class numbers of shape (N) or (N, d1, …); weight: (C). The mean is over
    the targets that are not `ignore_index`. Fails with HX1403 for a gamma below 0 and an unknown reduction.

    Example:
        >>> logits, target = helix.tensor([[2.0, 0.0], [0.0, 0.0]]), helix.tensor([0, 1])
        >>> round(helix.nn.functional.focal_loss(logits, target).item(), 4)
        0.0875
    """
    scores = input.log_softmax(1)
    plain = nll_loss(scores, target, ignore_index=ignore_index, reduction="none")
    losses = nll_loss(scores, target, weight, ignore_index=ignore_index, reduction="none")
    losses = losses * _weight("focal_loss", -(-plain).expm1(), gamma)
    if reduction == "mean":
        return losses.sum() / (target != ignore_index).sum()
    return reduced("focal_loss", losses, reduction)


def sigmoid_focal_loss(
    inputs: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "none"
) -> Tensor:
    """The same of independent yes-or-no questions, with torchvision's arguments; targets are 0 or 1 (or between), of the
    shape of the logits. A negative `alpha` leaves yes and no balanced.

    Example:
        >>> x, t = helix.tensor([0.0, 3.0]), helix.tensor([1.0, 0.0])
        >>> [round(v, 4) for v in helix.nn.functional.sigmoid_focal_loss(x, t).tolist()]
        [0.0433, 2.0747]
    """
    losses = binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    miss = inputs.sigmoid() * (1 - targets) + (-inputs).sigmoid() * targets
    losses = losses * _weight("sigmoid_focal_loss", miss, gamma)
    if alpha >= 0:
        losses = losses * (alpha * targets + (1 - alpha) * (1 - targets))
    return reduced("sigmoid_focal_loss", losses, reduction)
