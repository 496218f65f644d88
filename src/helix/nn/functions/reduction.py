"""What becomes of the losses of single elements."""

from __future__ import annotations

from ...errors import ParameterError
from ...tensor import Tensor
from .refuse import refuse


def reduced(op: str, losses: Tensor, reduction: str) -> Tensor:
    """Their mean, their sum, or they themselves."""
    if reduction == "none":
        return losses
    if reduction not in ("mean", "sum"):
        refuse(ParameterError, op, f"reduction must be 'none', 'mean' or 'sum', got {reduction!r}.")
    return losses.mean() if reduction == "mean" else losses.sum()
