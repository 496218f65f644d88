"""Functions that draw: dropout in its forms, randomized ReLU, Gumbel's softmax."""

from __future__ import annotations

import math
from typing import Any

from ... import _core, empty_like, rand, where, zeros_like
from ...errors import ParameterError
from ...tensor import Tensor
from .refuse import refuse

__all__ = [
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
    "gumbel_softmax",
    "rrelu",
    "rrelu_",
]

_rrelu_slope = (1.0 / 8, 1.0 / 3)
# What SELU tends to far below 0: -scale * alpha (Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017).
_SATURATION = -1.7580993408473766


def _dropout(name: str, op: str) -> Any:
    plain = _core.op_named(op)

    def function(
        input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Any = None
    ) -> Tensor:
        made = plain(input, p, training, generator=generator)
        return input.copy_(made) if inplace and made is not input else made

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (plain.__doc__ or "").replace("training=True, *", "training=True, inplace=False, *", 1)
    return function


dropout: Any = _dropout("dropout", "dropout")
dropout1d: Any = _dropout("dropout1d", "feature_dropout")
dropout2d: Any = _dropout("dropout2d", "feature_dropout")
dropout3d: Any = _dropout("dropout3d", "feature_dropout")


def _check_share(op: str, p: float) -> None:
    if not 0 <= p <= 1:
        refuse(ParameterError, op, f"p must lie between 0 and 1, got {p}.")


def _alpha(input: Tensor, shape: tuple[int, ...], p: float, generator: Any) -> Tensor:
    if p == 1:
        return input * 0
    kept = rand(shape, dtype=input.dtype, device=input.device, generator=generator) >= p
    factor = 1 / math.sqrt((1 - p) * (1 + p * _SATURATION**2))
    return where(kept, input, _SATURATION) * factor - factor * p * _SATURATION


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Any = None
) -> Tensor:
    """Dropout that keeps mean and variance of what SELU gives: dropped elements take its saturation value.

    Klambauer et al., NeurIPS 2017. Fails with HX1403 unless p lies in [0, 1].

    Example:
        >>> helix.nn.functional.alpha_dropout(helix.tensor([1.0, 2.0]), training=False).tolist()
        [1.0, 2.0]
    """
    _check_share("alpha_dropout", p)
    if not training or p == 0:
        return input
    made = _alpha(input, input.shape, p, generator)
    return input.copy_(made) if inplace else made


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Any = None
) -> Tensor:
    """alpha_dropout of whole channels: input is (batch, channels, ...).

    Fails with HX1403 unless p lies in [0, 1].

    Example:
        >>> helix.nn.functional.feature_alpha_dropout(helix.ones(1, 2, 3), p=0.0, training=True).shape
        (1, 2, 3)
    """
    _check_share("feature_alpha_dropout", p)
    if not training or p == 0:
        return input
    shape = (*input.shape[:2], *(1 for _ in input.shape[2:]))
    made = _alpha(input, shape, p, generator)
    return input.copy_(made) if inplace else made


def rrelu(
    input: Tensor,
    lower: float = _rrelu_slope[0],
    upper: float = _rrelu_slope[1],
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Any = None,
) -> Tensor:
    """ReLU with slopes below 0 that are drawn from [lower, upper) in training, and their mean otherwise.

    Xu et al., "Empirical evaluation of rectified activations in convolutional network", 2015.

    Example:
        >>> helix.nn.functional.rrelu(helix.tensor([-4.0, 2.0]), 0.25, 0.75).tolist()
        [-2.0, 2.0]
    """
    if lower > upper:
        refuse(ParameterError, "rrelu", f"lower must not be above upper, got {lower} and {upper}.")
    slope: Any = (lower + upper) / 2
    if training:
        slope = rand(input.shape, dtype=input.dtype, device=input.device, generator=generator) * (upper - lower) + lower
    made = where(input > 0, input, input * slope)
    return input.copy_(made) if inplace else made


def rrelu_(
    input: Tensor,
    lower: float = _rrelu_slope[0],
    upper: float = _rrelu_slope[1],
    training: bool = False,
    *,
    generator: Any = None,
) -> Tensor:
    """rrelu in place.

    Example:
        >>> helix.nn.functional.rrelu_(helix.tensor([-4.0, 2.0]), 0.25, 0.75).tolist()
        [-2.0, 2.0]
    """
    return rrelu(input, lower, upper, training, True, generator=generator)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample of a softened categorical distribution; with `hard`, its largest element as a one-hot vector.

    The gradient is that of the soft sample. `eps` is accepted and has no meaning. Jang et al., "Categorical
    reparameterization with Gumbel-softmax", ICLR 2017.

    Example:
        >>> helix.nn.functional.gumbel_softmax(helix.zeros(2, 5), hard=True).sum(-1).tolist()
        [1.0, 1.0]
    """
    noise = -empty_like(logits).exponential_().log()
    soft = ((logits + noise) / tau).softmax(dim)
    if not hard:
        return soft
    one_hot = zeros_like(soft).scatter(dim, soft.detach().argmax(dim, keepdim=True), 1.0)
    return one_hot - soft.detach() + soft
