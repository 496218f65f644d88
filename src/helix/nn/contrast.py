"""Losses of pairs and hinges that torch lacks."""

from __future__ import annotations

from ..tensor import Tensor
from . import functional as F
from .loss import Reduced


class InfoNCELoss(Reduced):
    """Each query's own key among all keys; see `functional.info_nce_loss`."""

    def __init__(self, temperature: float = 0.07, symmetric: bool = False, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.temperature, self.symmetric = temperature, symmetric

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        return F.info_nce_loss(query, key, self.temperature, self.symmetric, self.reduction)


class ContrastiveLoss(Reduced):
    """Pairs together or apart; see `functional.contrastive_loss`."""

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.contrastive_loss(input1, input2, target, self.margin, reduction=self.reduction)


class HingeLoss(Reduced):
    """max(0, 1 - target * input), or its square; see `functional.hinge_loss`."""

    def __init__(self, squared: bool = False, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.squared = squared

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.hinge_loss(input, target, self.squared, self.reduction)
