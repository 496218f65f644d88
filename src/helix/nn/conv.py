"""Convolutions and transposed convolutions over one, two and three axes."""

from __future__ import annotations

import math
from typing import Any

from .. import empty
from ..tensor import Tensor
from . import functional as F
from . import init
from .linear import fits_bound
from .misfit import describe
from .module import Module
from .parameter import Parameter

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")
LAYOUT = {1: "NCL", 2: "NCHW", 3: "NCDHW"}


def tuple_of(value: int | tuple, n: int, name: str) -> tuple[int, ...]:
    """`value` once for each of n axes."""
    if isinstance(value, int):
        return (value,) * n
    values = tuple(value)
    if len(values) != n:
        raise ValueError(f"{name} must be one number or {n} of them, got {values}")
    return values


class _Convolution(Module):
    weight: Parameter
    bias: Parameter | None
    output_padding: tuple[int, ...]
    axes: int
    transposed = False

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding,
        dilation,
        groups,
        bias,
        padding_mode,
        device,
        dtype,
    ) -> None:
        n = self.axes
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{type(self).__name__}: in_channels ({in_channels}) and out_channels ({out_channels}) "
                f"must be multiples of groups ({groups})"
            )
        if padding_mode not in PADDING_MODES:
            raise ValueError(
                f"{type(self).__name__}: padding_mode must be one of {', '.join(PADDING_MODES)}; got {padding_mode!r}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = tuple_of(kernel_size, n, "kernel_size")
        self.stride = tuple_of(stride, n, "stride")
        self.dilation = tuple_of(dilation, n, "dilation")
        self.padding: Any = padding if isinstance(padding, str) else tuple_of(padding, n, "padding")
        self.padding_mode = padding_mode
        shape = (in_channels, out_channels // groups) if self.transposed else (out_channels, in_channels // groups)
        self.weight = Parameter(empty(*shape, *self.kernel_size, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = fits_bound(init.fans(self.weight)[0])
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def misfit(self, input, *_) -> str | None:
        shape, n = tuple(getattr(input, "shape", ())), self.axes
        if len(shape) not in (n + 1, n + 2):
            return (
                f"input has {len(shape)} axes, the layer takes {n + 2} ({LAYOUT[n]}) or {n + 1} ({LAYOUT[n][1:]}). "
                f"{describe(input)}"
            )
        if shape[-n - 1] != self.in_channels:
            swapped = (
                " The channels seem to stand last; permute them to axis 1." if shape[-1] == self.in_channels else ""
            )
            return (
                f"input has {shape[-n - 1]} channels, the layer was made for {self.in_channels}. "
                f"{describe(input)[:-1]}, layout {LAYOUT[n]}.{swapped}"
            )
        return None

    def extra_repr(self) -> str:
        n = self.axes
        parts = [f"{self.in_channels}, {self.out_channels}", f"kernel_size={self.kernel_size}", f"stride={self.stride}"]
        if self.padding != (0,) * n:
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * n:
            parts.append(f"dilation={self.dilation}")
        if self.transposed and self.output_padding != (0,) * n:
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class _Conv(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ) -> None:
        if padding not in ("same", "valid") and isinstance(padding, str):
            raise ValueError(f"{type(self).__name__}: padding must be numbers, 'same' or 'valid'; got {padding!r}")
        if padding == "same" and math.prod(tuple_of(stride, self.axes, "stride")) != 1:
            raise ValueError(f"{type(self).__name__}: padding='same' needs stride 1, got stride={stride}")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )

    def _margins(self) -> list[int]:
        """Padding as F.pad takes it: last axis first, (before, after) for each."""
        margins: list[int] = []
        for i in reversed(range(self.axes)):
            if self.padding == "same":
                total = self.dilation[i] * (self.kernel_size[i] - 1)
                margins += [total // 2, total - total // 2]
            else:
                margins += [0, 0] if self.padding == "valid" else [self.padding[i]] * 2
        return margins

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros" or isinstance(padding, str):
            margins = self._margins()
            even = margins[::2] == margins[1::2]
            if self.padding_mode != "zeros" or not even:
                input = F.pad(input, margins, **({} if self.padding_mode == "zeros" else {"mode": self.padding_mode}))
            padding = tuple(reversed(margins[::2])) if self.padding_mode == "zeros" and even else 0
        return self._function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """Convolution over (N, C, L); weight is [out, in/groups, k]."""

    axes, _function = 1, staticmethod(F.conv1d)


class Conv2d(_Conv):
    """Convolution over (N, C, H, W); weight is [out, in/groups, kh, kw]."""

    axes, _function = 2, staticmethod(F.conv2d)


class Conv3d(_Conv):
    """Convolution over (N, C, D, H, W); weight is [out, in/groups, kd, kh, kw]."""

    axes, _function = 3, staticmethod(F.conv3d)


class _ConvTranspose(_Convolution):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups: int = 1,
        bias: bool = True,
        dilation=1,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f"{type(self).__name__}: padding_mode must be 'zeros', got {padding_mode!r}")
        self.output_padding = tuple_of(output_padding, self.axes, "output_padding")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )

    def forward(self, input: Tensor, output_size=None) -> Tensor:
        extra = self.output_padding if output_size is None else self._extra(input, tuple(output_size))
        return self._function(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )

    def _extra(self, input: Tensor, size: tuple[int, ...]) -> tuple[int, ...]:
        """The output padding that gives `size`, among the sizes that one stride can give."""
        n = self.axes
        size = size[-n:]
        least = [
            (input.shape[i - n] - 1) * self.stride[i]
            - 2 * self.padding[i]
            + self.dilation[i] * (self.kernel_size[i] - 1)
            + 1
            for i in range(n)
        ]
        extra = tuple(wanted - low for wanted, low in zip(size, least, strict=True))
        if any(e < 0 or e >= max(self.stride[i], self.dilation[i]) for i, e in enumerate(extra)):
            most = [low + step - 1 for low, step in zip(least, self.stride, strict=True)]
            raise ValueError(
                f"{type(self).__name__}: output_size {size} is not possible for an input of shape "
                f"{tuple(input.shape)}; it must lie between {tuple(least)} and {tuple(most)}"
            )
        return extra


class ConvTranspose1d(_ConvTranspose):
    """The gradient of Conv1d as a layer; weight is [in, out/groups, k]."""

    axes, _function = 1, staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """The gradient of Conv2d as a layer; weight is [in, out/groups, kh, kw]."""

    axes, _function = 2, staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """The gradient of Conv3d as a layer; weight is [in, out/groups, kd, kh, kw]."""

    axes, _function = 3, staticmethod(F.conv_transpose3d)
