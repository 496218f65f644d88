"""Losses."""

from __future__ import annotations

from typing import Any

import helix

from ..._core import Tensor
from ..table import op


def _reduced(loss: Tensor, weight: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" else loss.sum() / weight.sum()


@op("NegativeLogLikelihoodLoss")
def negative_log_likelihood_loss(
    x: Tensor, target: Tensor, weight: Tensor | None = None, *, ignore_index: int | None = None, reduction: str = "mean"
) -> Tensor:
    index = target.to(helix.int64)
    kept = index == index if ignore_index is None else index != ignore_index
    index = helix.where(kept, index, index * 0)
    each = kept.to(x.dtype) if weight is None else weight[index] * kept.to(x.dtype)
    return _reduced(-x.gather(1, index.unsqueeze(1)).squeeze(1) * each, each, reduction)


@op("SoftmaxCrossEntropyLoss")
def softmax_cross_entropy_loss(
    call: Any,
    scores: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Any:
    log = scores.log_softmax(1)
    loss = negative_log_likelihood_loss(log, target, weight, ignore_index=ignore_index, reduction=reduction)
    return (loss, log) if call.outputs > 1 else loss
