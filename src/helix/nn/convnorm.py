"""Convolution, norm and activation in a row, the brick of most convolutional networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .activation import ReLU
from .channelnorm import BatchNorm2d
from .containers import Sequential
from .conv import Conv2d, tuple_of
from .module import Module


class Conv2dNormActivation(Sequential):
    """Conv2d, a norm and an activation as layers 0, 1 and 2; torchvision.ops' block of this name.

    Without `padding` the size is kept at stride 1; without `bias` there is one only where there is no norm. `norm_layer`
    is called with the channels, `activation_layer` with nothing; None leaves either out. (N, C, H, W) to (N, out, H', W').
    `inplace` is accepted and has no meaning.

    Example:
        >>> block = helix.nn.Conv2dNormActivation(3, 8, stride=2)
        >>> [type(layer).__name__ for layer in block], block(helix.ones(2, 3, 6, 6)).shape
        (['Conv2d', 'BatchNorm2d', 'ReLU'], (2, 8, 3, 3))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...] = 3,
        stride: int | tuple[int, ...] = 1,
        padding: Any = None,
        groups: int = 1,
        norm_layer: Callable[..., Module] | None = BatchNorm2d,
        activation_layer: Callable[..., Module] | None = ReLU,
        dilation: int | tuple[int, ...] = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        if padding is None:
            sizes, steps = tuple_of(kernel_size, 2, "kernel_size"), tuple_of(dilation, 2, "dilation")
            padding = tuple((size - 1) // 2 * step for size, step in zip(sizes, steps, strict=True))
        bias = norm_layer is None if bias is None else bias
        layers: list[Module] = [Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer())
        super().__init__(*layers)
        self.out_channels = out_channels
