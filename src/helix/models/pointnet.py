"""PointNet: Qi et al., "PointNet: deep learning on point sets for 3D classification and segmentation", CVPR 2017."""

from __future__ import annotations

from typing import Any

from .. import eye, nn, no_grad
from ..nn import init
from ..tensor import Tensor


def _shared(*widths: int) -> nn.Sequential:
    """The same layers for every point: (batch, widths[0], points) to (batch, widths[-1], points)."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Conv1d(inputs, outputs, 1), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class TNet(nn.Module):
    """A matrix (size, size) for each set, the identity at first: (batch, size, points) to (batch, size, size)."""

    def __init__(self, size: int, width: int) -> None:
        self.size, self.points = size, _shared(size, width, 2 * width)
        self.whole = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, size * size))
        last: Any = self.whole[-1]
        init.zeros_(last.weight)
        with no_grad():
            last.bias.copy_(eye(size).flatten())

    def forward(self, x: Tensor) -> Tensor:
        return self.whole(self.points(x).amax(-1)).unflatten(-1, (self.size, self.size))


class PointNet(nn.Module):
    """A class for a set of points, whatever their order: (batch, points, dimensions) to (batch, classes).

    `regular(x)` is the mean distance of the feature transforms from orthogonal ones, which the paper adds to the loss.

    Example:
        >>> helix.models.PointNet(classes=5, width=8)(helix.randn(2, 30, 3)).shape
        (2, 5)
    """

    def __init__(self, classes: int, dimensions: int = 3, width: int = 64, dropout: float = 0.3) -> None:
        self.dimensions = dimensions
        self.input_transform, self.first = TNet(dimensions, width), _shared(dimensions, width, width)
        self.feature_transform, self.second = TNet(width, width), _shared(width, width, 2 * width, 16 * width)
        self.head = nn.Sequential(
            nn.Linear(16 * width, 4 * width),
            nn.BatchNorm1d(4 * width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4 * width, classes),
        )

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.transpose(1, 2)
        x = self.first(self.input_transform(x).transpose(1, 2) @ x)
        return x, self.feature_transform(x)

    def forward(self, x: Tensor) -> Tensor:
        features, transform = self._features(x)
        return self.head(self.second(transform.transpose(1, 2) @ features).amax(-1))

    def regular(self, x: Tensor) -> Tensor:
        _, transform = self._features(x)
        one = eye(transform.shape[-1], dtype=transform.dtype, device=transform.device)
        return (transform @ transform.transpose(1, 2) - one).square().sum((1, 2)).sqrt().mean()

    def misfit(self, x) -> str | None:
        shape = tuple(x.shape)
        if len(shape) == 3 and shape[2] == self.dimensions and shape[1]:
            return None
        return f"points have shape {shape}, the model takes (batch, points, {self.dimensions})."
