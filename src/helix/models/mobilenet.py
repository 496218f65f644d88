"""MobileNet V2 and V3: Sandler et al., CVPR 2018; Howard et al., ICCV 2019. Names and layout are torchvision's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from .. import nn
from ..nn import init
from ..tensor import Tensor


def make_divisible(value: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `value`, but not below nine tenths of it.

    Example:
        >>> helix.models.mobilenet.make_divisible(11), helix.models.mobilenet.make_divisible(3)
        (16, 8)
    """
    near = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return near + divisor if near < 0.9 * value else near


def _reset(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, mode="fan_out")
        elif isinstance(module, nn.Linear):
            init.normal_(module.weight, 0.0, 0.01)
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
            init.zeros_(module.bias)


# ---- V2 ----

# expansion, channels, blocks, stride of the first: table 2 of the paper
V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(nn.Module):
    """Widen (1x1), depthwise 3x3, narrow (1x1, no activation); a shortcut where shapes allow.

    Example:
        >>> helix.models.mobilenet.InvertedResidual(8, 12, stride=2, expand_ratio=6)(helix.ones(1, 8, 6, 6)).shape
        (1, 12, 3, 3)
    """

    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: float) -> None:
        if stride not in (1, 2):
            raise ValueError(f"InvertedResidual: stride must be 1 or 2, got {stride}")
        between = round(inp * expand_ratio)
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(nn.Conv2dNormActivation(inp, between, 1, activation_layer=nn.ReLU6))
        layers += [
            nn.Conv2dNormActivation(between, between, 3, stride, groups=between, activation_layer=nn.ReLU6),
            nn.Conv2d(between, oup, 1, bias=False),
            nn.BatchNorm2d(oup),
        ]
        self.conv = nn.Sequential(*layers)
        self.use_res_connect = stride == 1 and inp == oup

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """Images (N, 3, H, W) to logits (N, num_classes); `width_mult` scales all channels."""

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] = V2,
        round_nearest: int = 8,
        dropout: float = 0.2,
    ) -> None:
        channels = make_divisible(32 * width_mult, round_nearest)
        self.last_channel = make_divisible(1280 * max(1.0, width_mult), round_nearest)
        layers: list[nn.Module] = [nn.Conv2dNormActivation(3, channels, stride=2, activation_layer=nn.ReLU6)]
        for expansion, wanted, count, first_stride in inverted_residual_setting:
            outputs = make_divisible(wanted * width_mult, round_nearest)
            for i in range(count):
                layers.append(InvertedResidual(channels, outputs, 1 if i else first_stride, expansion))
                channels = outputs
        layers.append(nn.Conv2dNormActivation(channels, self.last_channel, 1, activation_layer=nn.ReLU6))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.last_channel, num_classes))
        _reset(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


def mobilenet_v2(**options: Any) -> MobileNetV2:
    """3,504,872 parameters."""
    return MobileNetV2(**options)


# ---- V3 ----


class Setting(NamedTuple):
    """One row of tables 1 and 2 of the paper."""

    inputs: int
    kernel: int
    expanded: int
    outputs: int
    use_se: bool
    activation: str  # RE or HS
    stride: int

    def scaled(self, width_mult: float) -> Setting:
        sizes = (make_divisible(size * width_mult) for size in (self.inputs, self.expanded, self.outputs))
        inputs, expanded, outputs = sizes
        return self._replace(inputs=inputs, expanded=expanded, outputs=outputs)


V3_SMALL = tuple(Setting(*row) for row in (
    (16, 3, 16, 16, True, "RE", 2), (16, 3, 72, 24, False, "RE", 2), (24, 3, 88, 24, False, "RE", 1),
    (24, 5, 96, 40, True, "HS", 2), (40, 5, 240, 40, True, "HS", 1), (40, 5, 240, 40, True, "HS", 1),
    (40, 5, 120, 48, True, "HS", 1), (48, 5, 144, 48, True, "HS", 1), (48, 5, 288, 96, True, "HS", 2),
    (96, 5, 576, 96, True, "HS", 1), (96, 5, 576, 96, True, "HS", 1)))  # fmt: skip
V3_LARGE = tuple(Setting(*row) for row in (
    (16, 3, 16, 16, False, "RE", 1), (16, 3, 64, 24, False, "RE", 2), (24, 3, 72, 24, False, "RE", 1),
    (24, 5, 72, 40, True, "RE", 2), (40, 5, 120, 40, True, "RE", 1), (40, 5, 120, 40, True, "RE", 1),
    (40, 3, 240, 80, False, "HS", 2), (80, 3, 200, 80, False, "HS", 1), (80, 3, 184, 80, False, "HS", 1),
    (80, 3, 184, 80, False, "HS", 1), (80, 3, 480, 112, True, "HS", 1), (112, 3, 672, 112, True, "HS", 1),
    (112, 5, 672, 160, True, "HS", 2), (160, 5, 960, 160, True, "HS", 1), (160, 5, 960, 160, True, "HS", 1)))  # fmt: skip

_norm: Callable[..., nn.Module] = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)


class InvertedResidualV3(nn.Module):
    """InvertedResidual with other kernels and activations, and squeeze and excitation before it narrows."""

    def __init__(self, setting: Setting) -> None:
        kind = nn.Hardswish if setting.activation == "HS" else nn.ReLU
        wide, brick = setting.expanded, partial(nn.Conv2dNormActivation, norm_layer=_norm)
        layers: list[nn.Module] = []
        if wide != setting.inputs:
            layers.append(brick(setting.inputs, wide, 1, activation_layer=kind))
        layers.append(brick(wide, wide, setting.kernel, setting.stride, groups=wide, activation_layer=kind))
        if setting.use_se:
            layers.append(nn.SqueezeExcitation(wide, make_divisible(wide // 4), scale_activation=nn.Hardsigmoid))
        layers.append(brick(wide, setting.outputs, 1, activation_layer=None))
        self.block = nn.Sequential(*layers)
        self.use_res_connect = setting.stride == 1 and setting.inputs == setting.outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self.use_res_connect else self.block(x)


class MobileNetV3(nn.Module):
    """Images (N, 3, H, W) to logits (N, num_classes)."""

    def __init__(
        self,
        settings: Sequence[Setting],
        last_channel: int,
        num_classes: int = 1000,
        dropout: float = 0.2,
        width_mult: float = 1.0,
    ) -> None:
        rows = [setting.scaled(width_mult) for setting in settings]
        brick = partial(nn.Conv2dNormActivation, norm_layer=_norm, activation_layer=nn.Hardswish)
        before, hidden = 6 * rows[-1].outputs, make_divisible(last_channel * width_mult)
        self.features = nn.Sequential(
            brick(3, rows[0].inputs, 3, 2), *map(InvertedResidualV3, rows), brick(rows[-1].outputs, before, 1)
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(before, hidden), nn.Hardswish(), nn.Dropout(dropout), nn.Linear(hidden, num_classes)
        )
        _reset(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def mobilenet_v3_small(**options: Any) -> MobileNetV3:
    """2,542,856 parameters."""
    return MobileNetV3(V3_SMALL, 1024, **options)


def mobilenet_v3_large(**options: Any) -> MobileNetV3:
    """5,483,032 parameters."""
    return MobileNetV3(V3_LARGE, 1280, **options)
