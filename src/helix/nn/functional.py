"""helix.nn.functional: what layers compute, as functions of tensors.

Most are ops of the core (records marked HX_NN) and are taken over as they are; the rest are made of them here.
"""

from __future__ import annotations

from .. import _core
from ..tensor import Tensor

globals().update(_core.nn_functions())


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`y[..., k] = input1 @ weight[k] @ input2`; weight is [out, in1, in2]."""
    from .. import einsum
    result = einsum("...i,kij,...j->...k", input1, weight, input2)
    return result if bias is None else result + bias


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """Divides by the p-norm along `dim`, taken as at least `eps`."""
    return input / (input.abs() ** p).sum(dim, keepdim=True).pow(1.0 / p).clamp(min=eps)


def softmin(input: Tensor, dim: int) -> Tensor:
    return (-input).softmax(dim)


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
