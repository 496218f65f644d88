"""Losses of the overlap of two regions, for segmentation."""

from __future__ import annotations

from ...errors import ShapeError
from ...tensor import Tensor
from .reduction import reduced
from .refuse import refuse

__all__ = ["dice_loss", "tversky_loss"]


def _regions(op: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Shares of classes and what they should be, both (N, C, pixels)."""
    if input.ndim < 2:
        refuse(ShapeError, op, f"input must have a batch and a class axis, got shape {tuple(input.shape)}.")
    if target.shape == input.shape:
        shares, wanted = input.sigmoid(), target.to(input.dtype)
    elif target.shape == (input.shape[0], *input.shape[2:]):
        shares = input.softmax(1)
        wanted = input.new_zeros(input.shape).scatter(1, target.unsqueeze(1), 1.0)
    else:
        text = f"target must have the shape of input, {tuple(input.shape)}, or that without its class axis"
        refuse(ShapeError, op, f"{text}, got {tuple(target.shape)}.")
    count = input.shape[0], input.shape[1], -1
    return shares.reshape(count), wanted.reshape(count)


def tversky_loss(
    input: Tensor,
    target: Tensor,
    alpha: float = 0.5,
    beta: float = 0.5,
    smooth: float = 1.0,
    reduction: str = "mean",
) -> Tensor:
    """1 - (TP + smooth) / (TP + alpha * FP + beta * FN + smooth) of each sample and class; Salehi et al., MLMI 2017.

    input: (N, C, …) logits. target: class numbers (N, …), shares by softmax; or 0s and 1s of the input's shape, each class a
    question of its own. With reduction "none" the result is (N, C). Fails with HX1001 for other shapes.

    Example:
        >>> logits = helix.tensor([[[9.0, 9.0], [-9.0, -9.0]]])
        >>> round(helix.nn.functional.tversky_loss(logits, helix.tensor([[0, 0]]), smooth=0.0).item(), 3)
        0.5
    """
    shares, wanted = _regions("tversky_loss", input, target)
    both = (shares * wanted).sum(-1)
    false, missed = shares.sum(-1) - both, wanted.sum(-1) - both
    losses = 1 - (both + smooth) / (both + alpha * false + beta * missed + smooth)
    return reduced("tversky_loss", losses, reduction)


def dice_loss(input: Tensor, target: Tensor, smooth: float = 1.0, reduction: str = "mean") -> Tensor:
    """1 - (2 TP + smooth) / (2 TP + FP + FN + smooth) of each sample and class; Milletari, Navab and Ahmadi, "V-Net", 3DV
    2016. Arguments as of `tversky_loss`.

    Example:
        >>> logits = helix.tensor([[[9.0, -9.0]]])
        >>> round(helix.nn.functional.dice_loss(logits, helix.tensor([[[1.0, 1.0]]])).item(), 3)
        0.25
    """
    return tversky_loss(input, target, 0.5, 0.5, smooth / 2, reduction)
