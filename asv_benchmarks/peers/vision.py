"""ResNet-18 of either library's layers: for images of 32x32 as in section 4.2 of the paper, or with its stem for 224x224."""

from __future__ import annotations

from typing import Any

STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels, stride of the first block


def resnet18(lib: Any, classes: int = 10, large: bool = False) -> Any:
    nn: Any = lib.nn
    relu: Any = lib.F.relu

    def norm_after(inputs: int, outputs: int, size: int, stride: int) -> Any:
        conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(outputs))

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.first, self.second = norm_after(inputs, outputs, 3, stride), norm_after(outputs, outputs, 3, 1)
            self.shortcut = norm_after(inputs, outputs, 1, stride) if stride != 1 else nn.Identity()

        def forward(self, x: Any) -> Any:
            return relu(self.second(relu(self.first(x))) + self.shortcut(x))

    layers = [norm_after(3, 64, 7, 2) if large else norm_after(3, 64, 3, 1), nn.ReLU()]
    layers += [nn.MaxPool2d(3, 2, 1)] if large else []
    inputs = 64
    for outputs, stride in STAGES:
        layers += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))
