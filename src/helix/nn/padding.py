"""Padding layers. `padding` is one number, or (before, after) for each axis, the last axis first."""

from __future__ import annotations

from ..tensor import Tensor
from . import functional as F
from .module import Module


class _Pad(Module):
    axes: int
    mode = "constant"

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        self.padding = (padding,) * (2 * self.axes) if isinstance(padding, int) else tuple(padding)
        if len(self.padding) != 2 * self.axes:
            raise ValueError(f"{type(self).__name__}: padding must be one number or {2 * self.axes}, got {padding}")

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, mode=self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: int | tuple[int, ...], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, value=self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    axes = 1


class ConstantPad2d(_ConstantPad):
    axes = 2


class ConstantPad3d(_ConstantPad):
    axes = 3


class ZeroPad1d(_Pad):
    axes = 1


class ZeroPad2d(_Pad):
    axes = 2


class ZeroPad3d(_Pad):
    axes = 3


class ReflectionPad1d(_Pad):
    axes, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    axes, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    axes, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    axes, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    axes, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    axes, mode = 3, "replicate"


class CircularPad1d(_Pad):
    axes, mode = 1, "circular"


class CircularPad2d(_Pad):
    axes, mode = 2, "circular"


class CircularPad3d(_Pad):
    axes, mode = 3, "circular"
