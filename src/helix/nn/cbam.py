"""CBAM: attention over channels, then over places; Woo et al., "CBAM", ECCV 2018.

Parts and names are those of the authors' code, so that its weights load.
"""

from __future__ import annotations

from .. import cat
from ..tensor import Tensor
from .activation import ReLU
from .channelnorm import BatchNorm2d
from .containers import Sequential
from .conv import Conv2d
from .linear import Linear
from .misfit import describe
from .module import Module
from .reshape import Flatten


class ChannelGate(Module):
    """Scales the channels of (N, C, H, W): one perceptron over their means and over their maxima, summed, sigmoid.

    Example:
        >>> helix.nn.ChannelGate(32)(helix.ones(1, 32, 2, 2)).shape
        (1, 32, 2, 2)
    """

    def __init__(self, gate_channels: int, reduction_ratio: int = 16) -> None:
        if not 1 <= reduction_ratio <= gate_channels:
            raise ValueError(
                f"{type(self).__name__}: reduction_ratio must lie between 1 and the {gate_channels} channels, "
                f"got {reduction_ratio}"
            )
        self.gate_channels = gate_channels
        between = gate_channels // reduction_ratio
        self.mlp = Sequential(Flatten(), Linear(gate_channels, between), ReLU(), Linear(between, gate_channels))

    def forward(self, input: Tensor) -> Tensor:
        gate = self.mlp(input.mean((2, 3))) + self.mlp(input.amax((2, 3)))
        return input * gate.sigmoid().unsqueeze(-1).unsqueeze(-1)

    def misfit(self, input) -> str | None:
        if input.ndim == 4 and input.shape[1] == self.gate_channels:
            return None
        return f"the layer takes (N, {self.gate_channels}, H, W). {describe(input)}"


class _SpatialConv(Module):
    def __init__(self, kernel_size: int) -> None:
        self.conv = Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = BatchNorm2d(1, momentum=0.01)

    def forward(self, input: Tensor) -> Tensor:
        return self.bn(self.conv(input))


class SpatialGate(Module):
    """Scales the places of (N, C, H, W): a convolution over the channels' maximum and mean at each place, sigmoid.

    Example:
        >>> helix.nn.SpatialGate()(helix.ones(1, 3, 8, 8)).shape
        (1, 3, 8, 8)
    """

    def __init__(self, kernel_size: int = 7) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f"{type(self).__name__}: kernel_size must be odd, got {kernel_size}")
        self.spatial = _SpatialConv(kernel_size)

    def forward(self, input: Tensor) -> Tensor:
        seen = cat([input.amax(1, keepdim=True), input.mean(1, keepdim=True)], 1)
        return input * self.spatial(seen).sigmoid()

    def misfit(self, input) -> str | None:
        return None if input.ndim == 4 else f"the layer takes (N, C, H, W). {describe(input)}"


class CBAM(Module):
    """ChannelGate, then SpatialGate (unless `no_spatial`), over (N, C, H, W); the shape stays.

    Example:
        >>> helix.nn.CBAM(16, reduction_ratio=4)(helix.ones(2, 16, 8, 8)).shape
        (2, 16, 8, 8)
    """

    def __init__(self, gate_channels: int, reduction_ratio: int = 16, no_spatial: bool = False) -> None:
        self.ChannelGate = ChannelGate(gate_channels, reduction_ratio)
        self.no_spatial = no_spatial
        if not no_spatial:
            self.SpatialGate = SpatialGate()

    def forward(self, input: Tensor) -> Tensor:
        scaled = self.ChannelGate(input)
        return scaled if self.no_spatial else self.SpatialGate(scaled)
