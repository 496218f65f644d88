"""The networks of helix.models over images, built of torch's layers from their papers, with the parts' published names."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn


def named(**parts: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(parts))


class Residual(nn.Module):
    """A block of ResNet: convolutions of the given sizes, the stride in the 3x3 one that comes first."""

    def __init__(self, inputs, widths, sizes, stride, groups=1, dilation=1):
        super().__init__()
        given, left = inputs, stride
        for i, (width, size) in enumerate(zip(widths, sizes, strict=True), 1):
            step, left = (left, 1) if size == 3 else (1, left)
            pad, steps = (dilation, dilation) if size == 3 else (0, 1)
            conv = nn.Conv2d(given, width, size, step, pad, steps, groups if size == 3 else 1, bias=False)
            self.add_module(f"conv{i}", conv)
            self.add_module(f"bn{i}", nn.BatchNorm2d(width))
            given = width
        self.count = len(sizes)
        self.downsample = None
        if stride != 1 or inputs != given:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, given, 1, stride, bias=False), nn.BatchNorm2d(given))

    def forward(self, x):
        shortcut = self.downsample(x) if self.downsample else x
        for i in range(1, self.count + 1):
            x = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x))
            x = torch.relu(x if i < self.count else x + shortcut)
        return x


class ResNet(nn.Module):
    def __init__(self, bottleneck, layers, stem, widths, classes, groups=1, base_width=64, dilated=False):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, stem, 7, 2, 3, bias=False), nn.BatchNorm2d(stem)
        given, self.stages = stem, len(layers)
        for i, (count, width) in enumerate(zip(layers, widths, strict=True), 1):
            inner = width * base_width // 64 * groups
            sizes, shape = ((1, 3, 1), (inner, inner, 4 * width)) if bottleneck else ((3, 3), (width, width))
            last = dilated and i == self.stages
            blocks = []
            for j in range(count):
                stride = 2 if i > 1 and j == 0 and not last else 1
                blocks.append(Residual(given, shape, sizes, stride, groups, 2 if last and j else 1))
                given = shape[-1]
            self.add_module(f"layer{i}", nn.Sequential(*blocks))
        self.fc = nn.Linear(given, classes)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for i in range(1, self.stages + 1):
            x = getattr(self, f"layer{i}")(x)
        return self.fc(x.mean((2, 3)))


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth, bn_size):
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, bn_size * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth)
        self.conv2 = nn.Conv2d(bn_size * growth, growth, 3, padding=1, bias=False)

    def forward(self, x):
        new = self.conv2(torch.relu(self.norm2(self.conv1(torch.relu(self.norm1(x))))))
        return torch.cat([x, new], 1)


class DenseNet(nn.Module):
    def __init__(self, growth, blocks, stem, bn_size, classes):
        super().__init__()
        parts = {"conv0": nn.Conv2d(3, stem, 7, 2, 3, bias=False), "norm0": nn.BatchNorm2d(stem),
                 "relu0": nn.ReLU(), "pool0": nn.MaxPool2d(3, 2, 1)}  # fmt: skip
        given = stem
        for i, count in enumerate(blocks, 1):
            layers = {f"denselayer{j + 1}": DenseLayer(given + j * growth, growth, bn_size) for j in range(count)}
            parts[f"denseblock{i}"] = named(**layers)
            given += count * growth
            if i < len(blocks):
                parts[f"transition{i}"] = named(
                    norm=nn.BatchNorm2d(given), relu=nn.ReLU(), conv=nn.Conv2d(given, given // 2, 1, bias=False),
                    pool=nn.AvgPool2d(2))  # fmt: skip
                given //= 2
        self.features = named(**parts, norm5=nn.BatchNorm2d(given))
        self.classifier = nn.Linear(given, classes)

    def forward(self, x):
        return self.classifier(torch.relu(self.features(x)).mean((2, 3)))


def brick(inputs, outputs, size=3, stride=1, groups=1, act=nn.ReLU6, **norm):
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs, **norm), *([act()] if act else []))


class Beside(nn.Module):
    """A branch, beside its input where `add` says so; its parts stand under `name`."""

    def __init__(self, name, add, *layers):
        super().__init__()
        self.add, self.name = add, name
        self.add_module(name, nn.Sequential(*layers))

    def forward(self, x):
        y = getattr(self, self.name)(x)
        return x + y if self.add else y


def inverted(inputs, outputs, stride, ratio):
    wide = inputs * ratio
    first = [brick(inputs, wide, 1)] if ratio != 1 else []
    last = [nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
    return Beside("conv", stride == 1 and inputs == outputs, *first, brick(wide, wide, 3, stride, wide), *last)


class Pooled(nn.Module):
    """Features, their means, a classifier."""

    def __init__(self, features, classifier):
        super().__init__()
        self.features, self.classifier = features, classifier

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def mobilenet_v2(settings, stem, last, classes):
    layers, given = [brick(3, stem, 3, 2)], stem
    for ratio, outputs, count, stride in settings:
        for i in range(count):
            layers.append(inverted(given, outputs, 1 if i else stride, ratio))
            given = outputs
    layers.append(brick(given, last, 1))
    return Pooled(nn.Sequential(*layers), nn.Sequential(nn.Dropout(0.0), nn.Linear(last, classes)))


class Gate(nn.Module):
    def __init__(self, channels, squeezed):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        return x * nn.functional.hardsigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


def mobilenet_v3(settings, last, classes):
    norm = {"eps": 0.001, "momentum": 0.01}
    layers = [brick(3, settings[0][0], 3, 2, act=nn.Hardswish, **norm)]
    for inputs, kernel, wide, outputs, gated, name, stride in settings:
        act = nn.Hardswish if name == "HS" else nn.ReLU
        first = [brick(inputs, wide, 1, act=act, **norm)] if wide != inputs else []
        gate = [Gate(wide, max(8, round(wide / 4 / 8) * 8))] if gated else []
        parts = [
            *first,
            brick(wide, wide, kernel, stride, wide, act, **norm),
            *gate,
            brick(wide, outputs, 1, act=None, **norm),
        ]
        layers.append(Beside("block", stride == 1 and inputs == outputs, *parts))
    before = 6 * outputs
    layers.append(brick(outputs, before, 1, act=nn.Hardswish, **norm))
    classifier = nn.Sequential(nn.Linear(before, last), nn.Hardswish(), nn.Dropout(0.0), nn.Linear(last, classes))
    return Pooled(nn.Sequential(*layers), classifier)


class ChannelNorm(nn.LayerNorm):
    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Turned(nn.Module):
    def __init__(self, *dims):
        super().__init__()
        self.dims = dims

    def forward(self, x):
        return x.permute(self.dims)


class CNBlock(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(dim, dim, 7, padding=3, groups=dim), Turned(0, 2, 3, 1), nn.LayerNorm(dim, eps=1e-6),
            nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim), Turned(0, 3, 1, 2))  # fmt: skip
        self.layer_scale = nn.Parameter(torch.full((dim, 1, 1), 1e-6))

    def forward(self, x):
        return x + self.layer_scale * self.block(x)


class ConvNeXt(nn.Module):
    def __init__(self, widths, depths, classes):
        super().__init__()
        layers = [nn.Sequential(nn.Conv2d(3, widths[0], 4, 4), ChannelNorm(widths[0], eps=1e-6))]
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            if i:
                layers.append(
                    nn.Sequential(ChannelNorm(widths[i - 1], eps=1e-6), nn.Conv2d(widths[i - 1], width, 2, 2))
                )
            layers.append(nn.Sequential(*(CNBlock(width) for _ in range(depth))))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            ChannelNorm(widths[-1], eps=1e-6), nn.Flatten(1), nn.Linear(widths[-1], classes)
        )

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3), keepdim=True))


def double_conv(inputs, outputs, between=None):
    parts = []
    for given, made in ((inputs, between or outputs), (between or outputs, outputs)):
        parts += [nn.Conv2d(given, made, 3, padding=1, bias=False), nn.BatchNorm2d(made), nn.ReLU()]
    return named(double_conv=nn.Sequential(*parts))


class Up(nn.Module):
    def __init__(self, inputs, outputs, bilinear):
        super().__init__()
        if bilinear:
            self.up = nn.UpsamplingBilinear2d(scale_factor=2)
            self.conv = double_conv(inputs, outputs, inputs // 2)
        else:
            self.up, self.conv = nn.ConvTranspose2d(inputs, inputs // 2, 2, 2), double_conv(inputs, outputs)

    def forward(self, x, beside):
        x = self.up(x)
        h, w = beside.shape[2] - x.shape[2], beside.shape[3] - x.shape[3]
        x = nn.functional.pad(x, (w // 2, w - w // 2, h // 2, h - h // 2))
        return self.conv(torch.cat([beside, x], 1))


class UNet(nn.Module):
    def __init__(self, channels, classes, width, bilinear):
        super().__init__()
        self.inc, half = double_conv(channels, width), 2 if bilinear else 1
        for i in range(4):
            outputs = width * 2 ** (i + 1) // (half if i == 3 else 1)
            down = named(maxpool_conv=nn.Sequential(nn.MaxPool2d(2), double_conv(width * 2**i, outputs)))
            self.add_module(f"down{i + 1}", down)
        for i in range(4):
            inputs = width * 2 ** (4 - i)
            self.add_module(f"up{i + 1}", Up(inputs, inputs // 2 // (half if i < 3 else 1), bilinear))
        self.outc = named(conv=nn.Conv2d(width, classes, 1))

    def forward(self, x):
        seen = [self.inc(x)]
        for i in range(4):
            seen.append(getattr(self, f"down{i + 1}")(seen[-1]))
        x = seen[-1]
        for i in range(4):
            x = getattr(self, f"up{i + 1}")(x, seen[3 - i])
        return self.outc(x)
