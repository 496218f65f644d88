"""U-Net: Ronneberger, Fischer and Brox, MICCAI 2015, with padding and batch norm.

Parts and names are those of the widely used PyTorch version (milesial/Pytorch-UNet), so that its weights load.
"""

from __future__ import annotations

from .. import cat, nn
from ..nn import functional as F
from ..nn.misfit import describe
from ..tensor import Tensor


class DoubleConv(nn.Module):
    """Twice: 3x3 convolution, batch norm, ReLU.

    Example:
        >>> helix.models.unet.DoubleConv(3, 8)(helix.ones(1, 3, 5, 5)).shape
        (1, 8, 5, 5)
    """

    def __init__(self, in_channels: int, out_channels: int, mid_channels: int | None = None) -> None:
        between = mid_channels or out_channels
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, between, 3, padding=1, bias=False),
            nn.BatchNorm2d(between),
            nn.ReLU(),
            nn.Conv2d(between, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.double_conv(x)


class Down(nn.Module):
    """Half the size, then DoubleConv."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(in_channels, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.maxpool_conv(x)


class Up(nn.Module):
    """Twice the size, beside what the way down had at that size, then DoubleConv."""

    def __init__(self, in_channels: int, out_channels: int, bilinear: bool) -> None:
        self.up: nn.Module
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(in_channels, out_channels, in_channels // 2)
        else:
            self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, 2, 2)
            self.conv = DoubleConv(in_channels, out_channels)

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        x = self.up(x)
        below, right = beside.shape[2] - x.shape[2], beside.shape[3] - x.shape[3]
        if below or right:
            x = F.pad(x, [right // 2, right - right // 2, below // 2, below - below // 2])
        return self.conv(cat([beside, x], 1))


class OutConv(nn.Module):
    """1x1 convolution to the classes."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        self.conv = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class UNet(nn.Module):
    """Images (N, n_channels, H, W), both sides 16 or more, to logits (N, n_classes, H, W) of each place.

    `width` are the channels at full size; each of the four halvings doubles them. `bilinear` interpolates on the way up
    where otherwise transposed convolutions learn to.

    Example:
        >>> helix.models.UNet(1, 2, width=4)(helix.ones(1, 1, 32, 40)).shape
        (1, 2, 32, 40)
    """

    def __init__(self, n_channels: int, n_classes: int, bilinear: bool = False, *, width: int = 64) -> None:
        if width < 2 or width % 2:
            raise ValueError(f"UNet: width must be even, got {width}")
        self.n_channels, self.n_classes, self.bilinear = n_channels, n_classes, bilinear
        self.inc = DoubleConv(n_channels, width)
        self.down1, self.down2 = Down(width, 2 * width), Down(2 * width, 4 * width)
        share = 2 if bilinear else 1
        self.down3, self.down4 = Down(4 * width, 8 * width), Down(8 * width, 16 * width // share)
        self.up1 = Up(16 * width, 8 * width // share, bilinear)
        self.up2 = Up(8 * width, 4 * width // share, bilinear)
        self.up3 = Up(4 * width, 2 * width // share, bilinear)
        self.up4 = Up(2 * width, width, bilinear)
        self.outc = OutConv(width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        first = self.inc(x)
        second = self.down1(first)
        third = self.down2(second)
        fourth = self.down3(third)
        x = self.up1(self.down4(fourth), fourth)
        x = self.up2(x, third)
        x = self.up3(x, second)
        return self.outc(self.up4(x, first))

    def misfit(self, input) -> str | None:
        if input.ndim == 4 and input.shape[1] == self.n_channels and min(input.shape[2:]) >= 16:
            return None
        return f"the network takes images (N, {self.n_channels}, H, W) of 16 or more on both sides. {describe(input)}"
