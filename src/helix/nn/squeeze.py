"""Squeeze and excitation: channels weighed by what all of the image holds."""

from __future__ import annotations

from collections.abc import Callable

from ..tensor import Tensor
from .activation import ReLU, Sigmoid
from .conv import Conv2d
from .module import Module
from .pooling import AdaptiveAvgPool2d


class SqueezeExcitation(Module):
    """Scales the channels of (N, C, H, W) by a gate computed from their means; the shape stays.

    torchvision.ops' layer of this name: parts `fc1` (input to squeeze channels) and `fc2` (back), 1x1 convolutions. Hu, Shen
    and Sun, "Squeeze-and-excitation networks", CVPR 2018. Fails with LayerError unless the input has `input_channels`.

    Example:
        >>> helix.nn.SqueezeExcitation(8, 2)(helix.ones(1, 8, 3, 3)).shape
        (1, 8, 3, 3)
    """

    def __init__(
        self,
        input_channels: int,
        squeeze_channels: int,
        activation: Callable[..., Module] = ReLU,
        scale_activation: Callable[..., Module] = Sigmoid,
    ) -> None:
        self.avgpool = AdaptiveAvgPool2d(1)
        self.fc1 = Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = Conv2d(squeeze_channels, input_channels, 1)
        self.activation, self.scale_activation = activation(), scale_activation()

    def forward(self, input: Tensor) -> Tensor:
        gate = self.fc2(self.activation(self.fc1(self.avgpool(input))))
        return input * self.scale_activation(gate)

    def misfit(self, input) -> str | None:
        return self.fc1.misfit(input)
