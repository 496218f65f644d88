"""Layer, RMS and group normalisation."""

from __future__ import annotations

from typing import Any

from .. import empty
from ..tensor import Tensor
from . import functional as F
from . import init
from .misfit import describe
from .module import Module
from .parameter import Parameter


def reset(layer: Any) -> None:
    """Scale one, shift zero."""
    if layer.weight is not None:
        init.ones_(layer.weight)
    if layer.bias is not None:
        init.zeros_(layer.bias)


class GroupNorm(Module):
    """Normalises groups of channels of each sample; Wu and He, ECCV 2018."""

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_channels ({num_channels}) must be a multiple of num_groups ({num_groups})"
            )
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(
                name, Parameter(empty(num_channels, device=device, dtype=dtype)) if wanted else None
            )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        reset(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def misfit(self, input) -> str | None:
        shape = tuple(getattr(input, "shape", ()))
        if len(shape) < 2:
            return f"input has {len(shape)} axes, the layer needs (N, C, …). {describe(input)}"
        if shape[1] != self.num_channels:
            return f"input has {shape[1]} channels, the layer was made for {self.num_channels}. {describe(input)}"
        return None

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class _TrailingNorm(Module):
    """Shared by layer and RMS norm: the last axes, of shape `normalized_shape`, are normalised together."""

    def _trailing(self, normalized_shape: int | tuple, eps: Any, elementwise_affine: bool) -> None:
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine

    def misfit(self, input) -> str | None:
        n = len(self.normalized_shape)
        got = tuple(getattr(input, "shape", ()))[-n:]
        if got == self.normalized_shape:
            return None
        return f"input ends in axes {got}, the layer was made for {self.normalized_shape}. {describe(input)}"

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LayerNorm(_TrailingNorm):
    """Ba, Kiros and Hinton, "Layer normalization", 2016."""

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | tuple,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device=None,
        dtype=None,
    ) -> None:
        self._trailing(normalized_shape, eps, elementwise_affine)
        for name, wanted in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            self.register_parameter(
                name, Parameter(empty(*self.normalized_shape, device=device, dtype=dtype)) if wanted else None
            )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        reset(self)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, bias={self.bias is not None}"

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)


class LayerNorm2d(LayerNorm):
    """Layer norm over the channels at each place of (N, C, H, W); torchvision's layer of this name, of ConvNeXt.

    Example:
        >>> helix.nn.LayerNorm2d(4)(helix.ones(2, 4, 3, 3)).shape
        (2, 4, 3, 3)
    """

    def forward(self, input: Tensor) -> Tensor:
        last = input.permute(0, 2, 3, 1)
        return F.layer_norm(last, self.normalized_shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)

    def misfit(self, input) -> str | None:
        channels = self.normalized_shape[0]
        if input.ndim == 4 and input.shape[1] == channels:
            return None
        return f"the layer takes (N, {channels}, H, W). {describe(input)}"


class RMSNorm(_TrailingNorm):
    """Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019."""

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | tuple,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device=None,
        dtype=None,
    ) -> None:
        self._trailing(normalized_shape, eps, elementwise_affine)
        self.register_parameter(
            "weight",
            Parameter(empty(*self.normalized_shape, device=device, dtype=dtype)) if elementwise_affine else None,
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)


class LocalResponseNorm(Module):
    """Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
