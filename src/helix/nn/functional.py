"""helix.nn.functional: what layers compute, as functions of tensors.

Most are ops of the core (records marked HX_NN) and are taken over as they are; the rest are made of them here.
"""

from __future__ import annotations

from .. import _core
from ..tensor import Tensor

globals().update(_core.nn_functions())


def tanhshrink(input: Tensor) -> Tensor:
    return input - input.tanh()


def threshold(input: Tensor, threshold: float, value: float) -> Tensor:
    """input where it is above `threshold`, else `value`."""
    from .. import where

    return where(input > threshold, input, value)


def soft_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-target * input)) for targets of ±1."""
    loss = _core.nn_functions()["softplus"](-target * input)
    return {"mean": loss.mean, "sum": loss.sum, "none": lambda: loss}[reduction]()
