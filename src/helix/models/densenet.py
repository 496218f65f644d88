"""DenseNet: Huang et al., "Densely connected convolutional networks", CVPR 2017. Names and layout are torchvision's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import cat, nn
from ..nn import functional as F
from ..nn import init
from ..tensor import Tensor


class DenseLayer(nn.Module):
    """Norm, ReLU and convolution, 1x1 then 3x3: all features so far, a list, to `growth_rate` new ones.

    Example:
        >>> layer = helix.models.densenet.DenseLayer(8, growth_rate=4, bn_size=2)
        >>> layer([helix.ones(1, 6, 5, 5), helix.ones(1, 2, 5, 5)]).shape
        (1, 4, 5, 5)
    """

    def __init__(self, num_input_features: int, growth_rate: int, bn_size: int, drop_rate: float = 0.0) -> None:
        between = bn_size * growth_rate
        self.norm1, self.relu1 = nn.BatchNorm2d(num_input_features), nn.ReLU()
        self.conv1 = nn.Conv2d(num_input_features, between, 1, bias=False)
        self.norm2, self.relu2 = nn.BatchNorm2d(between), nn.ReLU()
        self.conv2 = nn.Conv2d(between, growth_rate, 3, padding=1, bias=False)
        self.drop_rate = float(drop_rate)

    def forward(self, features: Sequence[Tensor] | Tensor) -> Tensor:
        x = features if isinstance(features, Tensor) else cat(list(features), 1)
        x = self.conv1(self.relu1(self.norm1(x)))
        x = self.conv2(self.relu2(self.norm2(x)))
        return F.dropout(x, self.drop_rate, self.training) if self.drop_rate else x


class DenseBlock(nn.ModuleDict):
    """Layers that each see the results of all before; the result is all of them, beside the input."""

    def __init__(
        self, num_layers: int, num_input_features: int, bn_size: int, growth_rate: int, drop_rate: float
    ) -> None:
        for i in range(num_layers):
            layer = DenseLayer(num_input_features + i * growth_rate, growth_rate, bn_size, drop_rate)
            self.add_module(f"denselayer{i + 1}", layer)

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.values():
            features.append(layer(features))
        return cat(features, 1)


class Transition(nn.Sequential):
    """Halves the size: norm, ReLU, 1x1 convolution, average pool."""

    def __init__(self, num_input_features: int, num_output_features: int) -> None:
        super().__init__(
            {
                "norm": nn.BatchNorm2d(num_input_features),
                "relu": nn.ReLU(),
                "conv": nn.Conv2d(num_input_features, num_output_features, 1, bias=False),
                "pool": nn.AvgPool2d(2, 2),
            }
        )


class DenseNet(nn.Module):
    """Images (N, in_channels, H, W) to logits (N, num_classes); `block_config` are the layers of each dense block."""

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: Sequence[int] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0.0,
        num_classes: int = 1000,
        *,
        in_channels: int = 3,
    ) -> None:
        features: dict[str, nn.Module] = {
            "conv0": nn.Conv2d(in_channels, num_init_features, 7, 2, 3, bias=False),
            "norm0": nn.BatchNorm2d(num_init_features),
            "relu0": nn.ReLU(),
            "pool0": nn.MaxPool2d(3, 2, 1),
        }
        count = num_init_features
        for i, layers in enumerate(block_config, 1):
            features[f"denseblock{i}"] = DenseBlock(layers, count, bn_size, growth_rate, drop_rate)
            count += layers * growth_rate
            if i < len(block_config):
                features[f"transition{i}"] = Transition(count, count // 2)
                count //= 2
        features["norm5"] = nn.BatchNorm2d(count)
        self.features = nn.Sequential(features)
        self.classifier = nn.Linear(count, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.Linear) and module.bias is not None:
                init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.features(x))
        return self.classifier(F.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


def densenet121(**options: Any) -> DenseNet:
    """7,978,856 parameters."""
    return DenseNet(32, (6, 12, 24, 16), 64, **options)
