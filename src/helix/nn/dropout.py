"""Dropout layers: they drop in train mode and pass the input on in eval mode."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import functional as F
from .module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"{type(self).__name__}: p must lie between 0 and 1, got {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Zeroes elements with probability p and scales the rest by 1/(1-p); Srivastava et al., JMLR 2014."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, True) if self.training and self.p else input


class _ChannelDropout(_Dropout):
    """Spatial dropout: zeroes whole channels of (N, C, …), so that neighbouring elements fall together.

    Tompson et al., "Efficient object localization using convolutional networks", CVPR 2015.
    """

    def forward(self, input: Tensor) -> Tensor:
        return self._function(input, self.p, True) if self.training and self.p else input


class Dropout1d(_ChannelDropout):
    """Channel dropout for (N, C, L) or (C, L)."""

    _function: Any = staticmethod(F.dropout1d)


class Dropout2d(_ChannelDropout):
    """Channel dropout for (N, C, H, W) or (C, H, W)."""

    _function: Any = staticmethod(F.dropout2d)


class Dropout3d(_ChannelDropout):
    """Channel dropout for (N, C, D, H, W) or (C, D, H, W)."""

    _function: Any = staticmethod(F.dropout3d)


class _AlphaDropout(_Dropout):
    def forward(self, input: Tensor) -> Tensor:
        return self._function(input, self.p, self.training)


class AlphaDropout(_AlphaDropout):
    """Dropout before or after SELU: dropped elements take its saturation value, and mean and variance are kept.

    Any floating-point shape; Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.

    Example:
        >>> helix.nn.AlphaDropout(0.2).eval()(helix.tensor([1.0, -2.0])).tolist()
        [1.0, -2.0]
    """

    _function: Any = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(_AlphaDropout):
    """Alpha dropout of whole channels of (N, C, …).

    Example:
        >>> helix.nn.FeatureAlphaDropout(0.2).eval()(helix.ones(1, 2, 3)).shape
        (1, 2, 3)
    """

    _function: Any = staticmethod(F.feature_alpha_dropout)
