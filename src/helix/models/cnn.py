"""A small convolutional network for images of any size from 8x8 on."""

from __future__ import annotations

from .. import nn


def cnn(input_shape: tuple[int, ...], classes: int, width: int = 32, dropout: float = 0.2) -> nn.Sequential:
    """Stages of two 3x3 convolutions and a halving, until sides are 4 or less; then one linear layer."""
    channels, height, lanes = input_shape
    layers: list[nn.Module] = []
    while min(height, lanes) > 2 and (not layers or min(height, lanes) > 4):
        for _ in range(2):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
        height, lanes, width = height // 2, lanes // 2, min(2 * width, 256)
    if not layers:
        raise ValueError(f"cnn: images of {input_shape[1:]} are too small; both sides must be 3 or more")
    layers += [
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2 if min(height, lanes) >= 2 else 1),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(width * (4 if min(height, lanes) >= 2 else 1), classes),
    ]
    return nn.Sequential(*layers)
