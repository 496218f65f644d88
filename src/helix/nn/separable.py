"""Depthwise separable convolution: each channel by itself over space, then all channels at each place."""

from __future__ import annotations

from ..tensor import Tensor
from .conv import Conv1d, Conv2d, Conv3d, _Conv
from .module import Module


class _Separable(Module):
    _kind: type[_Conv]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        depth_multiplier: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ) -> None:
        if depth_multiplier < 1:
            raise ValueError(f"{type(self).__name__}: depth_multiplier must be 1 or more, got {depth_multiplier}")
        between = in_channels * depth_multiplier
        place = {"device": device, "dtype": dtype}
        self.depthwise = self._kind(
            in_channels, between, kernel_size, stride, padding, dilation, in_channels, False, padding_mode, **place
        )
        self.pointwise = self._kind(between, out_channels, 1, bias=bias, **place)

    def forward(self, input: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(input))


class SeparableConv1d(_Separable):
    """Depthwise separable convolution over (N, C, L).

    `depthwise` gives `depth_multiplier` results for each channel, `pointwise` mixes them (with the bias). Sifre, "Rigid-motion
    scattering for image classification", 2014; Chollet, "Xception", CVPR 2017.

    Example:
        >>> helix.nn.SeparableConv1d(4, 6, 3, padding=1)(helix.ones(2, 4, 5)).shape
        (2, 6, 5)
    """

    _kind = Conv1d


class SeparableConv2d(_Separable):
    """Depthwise separable convolution over (N, C, H, W).

    Example:
        >>> layer = helix.nn.SeparableConv2d(4, 6, 3)
        >>> {name: p.shape for name, p in layer.named_parameters()}
        {'depthwise.weight': (4, 1, 3, 3), 'pointwise.weight': (6, 4, 1, 1), 'pointwise.bias': (6,)}
    """

    _kind = Conv2d


class SeparableConv3d(_Separable):
    """Depthwise separable convolution over (N, C, D, H, W).

    Example:
        >>> helix.nn.SeparableConv3d(2, 3, 2)(helix.ones(1, 2, 3, 3, 3)).shape
        (1, 3, 2, 2, 2)
    """

    _kind = Conv3d
