"""ConvNeXt: Liu et al., "A ConvNet for the 2020s", CVPR 2022. Names and layout are torchvision's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from .. import full, nn
from ..nn import init
from ..tensor import Tensor


class CNBlock(nn.Module):
    """Depthwise 7x7 convolution, layer norm and a perceptron at each place, scaled, beside the input.

    Example:
        >>> helix.models.convnext.CNBlock(8)(helix.ones(1, 8, 5, 5)).shape
        (1, 8, 5, 5)
    """

    def __init__(self, dim: int, layer_scale: float = 1e-6, stochastic_depth_prob: float = 0.0) -> None:
        self.block = nn.Sequential(
            nn.Conv2d(dim, dim, 7, padding=3, groups=dim),
            nn.Permute([0, 2, 3, 1]),
            nn.LayerNorm(dim, eps=1e-6),
            nn.Linear(dim, 4 * dim),
            nn.GELU(),
            nn.Linear(4 * dim, dim),
            nn.Permute([0, 3, 1, 2]),
        )
        self.layer_scale = nn.Parameter(full((dim, 1, 1), layer_scale))
        self.stochastic_depth = nn.StochasticDepth(stochastic_depth_prob, "row")

    def forward(self, x: Tensor) -> Tensor:
        return x + self.stochastic_depth(self.layer_scale * self.block(x))


class ConvNeXt(nn.Module):
    """Images (N, in_channels, H, W) to logits (N, num_classes); `widths` and `depths` are those of the stages.

    Branches of later blocks fall away more often, up to `stochastic_depth_prob`.
    """

    def __init__(
        self,
        widths: Sequence[int] = (96, 192, 384, 768),
        depths: Sequence[int] = (3, 3, 9, 3),
        stochastic_depth_prob: float = 0.0,
        layer_scale: float = 1e-6,
        num_classes: int = 1000,
        *,
        in_channels: int = 3,
    ) -> None:
        if len(widths) != len(depths):
            raise ValueError(f"ConvNeXt: {len(widths)} widths for {len(depths)} depths")
        norm = partial(nn.LayerNorm2d, eps=1e-6)
        layers: list[nn.Module] = [
            nn.Conv2dNormActivation(in_channels, widths[0], 4, 4, 0, norm_layer=norm, activation_layer=None, bias=True)
        ]
        last, done = max(sum(depths) - 1, 1), 0
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            if i:
                layers.append(nn.Sequential(norm(widths[i - 1]), nn.Conv2d(widths[i - 1], width, 2, 2)))
            shares = [stochastic_depth_prob * (done + j) / last for j in range(depth)]
            layers.append(nn.Sequential(*(CNBlock(width, layer_scale, share) for share in shares)))
            done += depth
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(norm(widths[-1]), nn.Flatten(1), nn.Linear(widths[-1], num_classes))
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)))


def convnext_tiny(**options: Any) -> ConvNeXt:
    """28,589,128 parameters."""
    return ConvNeXt(**{"stochastic_depth_prob": 0.1, **options})
