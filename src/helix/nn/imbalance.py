"""Losses for rare classes and small regions."""

from __future__ import annotations

from ..tensor import Tensor
from . import functional as F
from .loss import Reduced


class FocalLoss(Reduced):
    """Cross-entropy of classes in which easy samples count less; see `functional.focal_loss`."""

    weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, gamma: float = 2.0, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.gamma, self.ignore_index = gamma, ignore_index
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.focal_loss(input, target, self.weight, self.gamma, self.ignore_index, self.reduction)


class SigmoidFocalLoss(Reduced):
    """The same of yes-or-no questions; see `functional.sigmoid_focal_loss`."""

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.alpha, self.gamma = alpha, gamma

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.sigmoid_focal_loss(input, target, self.alpha, self.gamma, self.reduction)


class TverskyLoss(Reduced):
    """Overlap of regions, with weights for what is false and what is missed; see `functional.tversky_loss`."""

    def __init__(self, alpha: float = 0.5, beta: float = 0.5, smooth: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.alpha, self.beta, self.smooth = alpha, beta, smooth

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.tversky_loss(input, target, self.alpha, self.beta, self.smooth, self.reduction)


class DiceLoss(Reduced):
    """Overlap of regions; see `functional.dice_loss`."""

    def __init__(self, smooth: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.smooth = smooth

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.dice_loss(input, target, self.smooth, self.reduction)
