"""ResNet: He et al., "Deep residual learning for image recognition", CVPR 2016. Names and layout are torchvision's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .. import nn
from ..errors import ConfigError
from ..nn import init
from ..nn.misfit import describe
from ..tensor import Tensor
from .language import unsupported
from .parts import architecture_of

Norm = Callable[[int], nn.Module]


def _conv3x3(inputs: int, outputs: int, stride: int, groups: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, groups, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: (N, inplanes, H, W) to (N, planes, H/stride, W/stride).

    Example:
        >>> helix.models.resnet.BasicBlock(8, 8)(helix.ones(1, 8, 6, 6)).shape
        (1, 8, 6, 6)
    """

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm = nn.BatchNorm2d,
    ) -> None:
        if groups != 1 or base_width != 64 or dilation != 1:
            raise ValueError(
                "BasicBlock: groups, base_width and dilation are for Bottleneck; here they are 1, 64 and 1"
            )
        self.conv1, self.bn1 = _conv3x3(inplanes, planes, stride, 1, 1), norm_layer(planes)
        self.relu = nn.ReLU()
        self.conv2, self.bn2 = _conv3x3(planes, planes, 1, 1, 1), norm_layer(planes)
        self.downsample, self.stride = downsample, stride

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride) and 1x1 convolutions beside a shortcut; the result has 4 planes channels.

    Example:
        >>> helix.models.resnet.Bottleneck(16, 4)(helix.ones(1, 16, 6, 6)).shape
        (1, 16, 6, 6)
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm = nn.BatchNorm2d,
    ) -> None:
        width = planes * base_width // 64 * groups
        self.conv1, self.bn1 = nn.Conv2d(inplanes, width, 1, bias=False), norm_layer(width)
        self.conv2, self.bn2 = _conv3x3(width, width, stride, groups, dilation), norm_layer(width)
        self.conv3 = nn.Conv2d(width, planes * self.expansion, 1, bias=False)
        self.bn3 = norm_layer(planes * self.expansion)
        self.relu = nn.ReLU()
        self.downsample, self.stride = downsample, stride

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet(nn.Module):
    """Images (N, in_channels, H, W) to logits (N, num_classes); with num_classes=0 to features of the last stage, pooled.

    `layers` are the blocks of each stage and `widths` the planes of each; every stage after the first halves the size (the
    first too with `first_stride=2`), or widens its windows where `replace_stride_with_dilation` says so.
    """

    key_map: Sequence[tuple[str, str | None]] = ()

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: Norm = nn.BatchNorm2d,
        *,
        in_channels: int = 3,
        stem: int = 64,
        widths: Sequence[int] = (64, 128, 256, 512),
        first_stride: int = 1,
    ) -> None:
        if len(layers) > len(widths):
            raise ValueError(f"ResNet: {len(layers)} stages need as many widths, got {len(widths)}")
        dilate = replace_stride_with_dilation or [False] * (len(layers) - 1)
        if len(dilate) != len(layers) - 1:
            raise ValueError(f"ResNet: replace_stride_with_dilation must be {len(layers) - 1} flags, got {dilate}")
        self.inplanes, self.dilation = stem, 1
        self.groups, self.base_width, self._norm_layer = groups, width_per_group, norm_layer
        self.conv1 = nn.Conv2d(in_channels, stem, 7, 2, 3, bias=False)
        self.bn1, self.relu, self.maxpool = norm_layer(stem), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        strides = [first_stride] + [2] * (len(layers) - 1)
        for i, (count, width) in enumerate(zip(layers, widths, strict=False)):
            stage = self._stage(block, width, count, strides[i], dilate=bool(i and dilate[i - 1]))
            self.add_module(f"layer{i + 1}", stage)
        self.stages = len(layers)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc: nn.Module = nn.Linear(self.inplanes, num_classes) if num_classes else nn.Identity()
        self._reset(zero_init_residual)

    def _stage(
        self, block: type[BasicBlock | Bottleneck], planes: int, count: int, stride: int, dilate: bool
    ) -> nn.Sequential:
        before = self.dilation
        if dilate:
            self.dilation, stride = self.dilation * stride, 1
        outputs, shortcut = planes * block.expansion, None
        if stride != 1 or self.inplanes != outputs:
            conv = nn.Conv2d(self.inplanes, outputs, 1, stride, bias=False)
            shortcut = nn.Sequential(conv, self._norm_layer(outputs))
        ways = (self.groups, self.base_width)
        blocks = [block(self.inplanes, planes, stride, shortcut, *ways, before, self._norm_layer)]
        self.inplanes = outputs
        blocks += [block(outputs, planes, 1, None, *ways, self.dilation, self._norm_layer) for _ in range(1, count)]
        return nn.Sequential(*blocks)

    def _reset(self, zero_init_residual: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if zero_init_residual and isinstance(module, (BasicBlock, Bottleneck)):
                last: Any = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Any:
        for part in self._parts():
            x = part(x)
        return self.fc(self.avgpool(x).flatten(1))

    def _parts(self) -> Iterator[Callable[[Tensor], Tensor]]:
        """The stem, and then each stage."""
        yield lambda x: self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for i in range(self.stages):
            yield self.__dict__[f"layer{i + 1}"]

    def misfit(self, input) -> str | None:
        channels = self.conv1.in_channels
        if input.ndim == 4 and input.shape[1] == channels:
            return None
        return f"the network takes images (N, {channels}, H, W). {describe(input)}"

    @staticmethod
    def from_config(config: dict[str, Any]) -> ResNet:
        """A network of the shape that a config.json of transformers' ResNet says."""
        cls = architecture_of(config, ARCHITECTURES, "ResNetForImageClassification")
        unsupported("resnet", config, hidden_act="relu", downsample_in_bottleneck=False)
        kind, widths = config.get("layer_type", "bottleneck"), config["hidden_sizes"]
        block: type[BasicBlock | Bottleneck] = BasicBlock if kind == "basic" else Bottleneck
        if kind not in ("basic", "bottleneck") or any(width % block.expansion for width in widths):
            raise ConfigError(
                f"HX3012 resnet: layer_type = {kind!r} with hidden_sizes = {widths} is not supported; basic is, and "
                "bottleneck with multiples of 4.",
                code="HX3012",
                op="resnet",
            )
        headless = config.get("architectures") in (["ResNetModel"], ["ResNetBackbone"])
        model = cls(
            block,
            config["depths"],
            0 if headless else len(config.get("id2label", "01")),
            in_channels=config.get("num_channels", 3),
            stem=config.get("embedding_size", 64),
            widths=[width // block.expansion for width in widths],
            first_stride=2 if config.get("downsample_in_first_stage", False) else 1,
        )
        model.key_map = _names_of_transformers(len(widths))
        if isinstance(model, ResNetBackbone):
            model.chosen = _chosen(config, len(widths))
        return model


class ResNetBackbone(ResNet):
    """Images to a tuple of feature maps (N, channels, H, W): of the stages that the config's out_features names ("stem",
    "stage1", …), or out_indices counts; of the last unless told."""

    chosen: Sequence[int] = (-1,)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        found = [x]
        for part in self._parts():
            found.append(part(found[-1]))
        return tuple(found[1:][i] for i in self.chosen)


def _chosen(config: dict[str, Any], stages: int) -> list[int]:
    names = ["stem", *(f"stage{i + 1}" for i in range(stages))]
    wanted = config.get("out_features") or [names[i] for i in config.get("out_indices") or [-1]]
    return [i for i, name in enumerate(names) if name in wanted]


ARCHITECTURES: dict[str, type[ResNet]] = {
    "ResNetModel": ResNet,
    "ResNetForImageClassification": ResNet,
    "ResNetBackbone": ResNetBackbone,
}


def _names_of_transformers(stages: int) -> list[tuple[str, str | None]]:
    """From transformers' names to torchvision's."""
    found: list[tuple[str, str | None]] = [
        (r"^resnet\.", ""),
        (r"^embedder\.embedder\.convolution\.", "conv1."),
        (r"^embedder\.embedder\.normalization\.", "bn1."),
        (r"\.shortcut\.convolution\.", ".downsample.0."),
        (r"\.shortcut\.normalization\.", ".downsample.1."),
        (r"^classifier\.1\.", "fc."),
    ]
    found += [(rf"^encoder\.stages\.{i}\.layers\.", f"layer{i + 1}.") for i in range(stages)]
    for i in range(3):
        found += [
            (rf"\.layer\.{i}\.convolution\.", f".conv{i + 1}."),
            (rf"\.layer\.{i}\.normalization\.", f".bn{i + 1}."),
        ]
    return found


def resnet18(**options: Any) -> ResNet:
    """11,689,512 parameters.

    Example:
        >>> sum(p.numel() for p in helix.models.resnet18().parameters())
        11689512
    """
    return ResNet(BasicBlock, [2, 2, 2, 2], **options)


def resnet34(**options: Any) -> ResNet:
    """21,797,672 parameters."""
    return ResNet(BasicBlock, [3, 4, 6, 3], **options)


def resnet50(**options: Any) -> ResNet:
    """25,557,032 parameters."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **options)
