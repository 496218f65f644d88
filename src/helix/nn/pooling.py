"""Pooling layers over one, two and three axes."""

from __future__ import annotations

from ..tensor import Tensor
from . import functional as F
from .conv import LAYOUT
from .misfit import describe
from .module import Module


class _Pool(Module):
    axes: int

    def misfit(self, input) -> str | None:
        rank = len(getattr(input, "shape", ()))
        if rank in (self.axes + 1, self.axes + 2):
            return None
        return (
            f"input has {rank} axes, the layer takes {self.axes + 2} ({LAYOUT[self.axes]}) or {self.axes + 1}. "
            f"{describe(input)}"
        )


class _MaxPool(_Pool):
    def __init__(
        self, kernel_size, stride=None, padding=0, dilation=1, return_indices: bool = False, ceil_mode: bool = False
    ) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor):
        return self._function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    axes, _function = 1, staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPool):
    axes, _function = 2, staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPool):
    axes, _function = 3, staticmethod(F.max_pool3d)


class _MaxUnpool(_Pool):
    """Puts values back where a max pool found them; `indices` are those it gave with `return_indices=True`."""

    def __init__(self, kernel_size, stride=None, padding=0) -> None:
        self.kernel_size, self.stride = self._each(kernel_size), self._each(kernel_size if stride is None else stride)
        self.padding = self._each(padding)

    def _each(self, value) -> tuple[int, ...]:
        return (value,) * self.axes if isinstance(value, int) else tuple(value)

    def forward(self, input: Tensor, indices: Tensor, output_size=None) -> Tensor:
        return self._function(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    axes, _function = 1, staticmethod(F.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    axes, _function = 2, staticmethod(F.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    axes, _function = 3, staticmethod(F.max_unpool3d)


class _LPPool(_Pool):
    def __init__(self, norm_type: float, kernel_size, stride=None, ceil_mode: bool = False) -> None:
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        return self._function(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    axes, _function = 1, staticmethod(F.lp_pool1d)


class LPPool2d(_LPPool):
    axes, _function = 2, staticmethod(F.lp_pool2d)


class LPPool3d(_LPPool):
    axes, _function = 3, staticmethod(F.lp_pool3d)


class _AvgPool(_Pool):
    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return self._function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    axes = 1

    def __init__(
        self, kernel_size, stride=None, padding=0, ceil_mode: bool = False, count_include_pad: bool = True
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool2d(_AvgPool):
    axes, _function = 2, staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPool):
    axes, _function = 3, staticmethod(F.avg_pool3d)


class _AdaptivePool(_Pool):
    def __init__(self, output_size) -> None:
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return self._function(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptivePool):
    axes, _function = 1, staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptivePool):
    axes, _function = 2, staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptivePool):
    axes, _function = 3, staticmethod(F.adaptive_avg_pool3d)


class _AdaptiveMaxPool(_AdaptivePool):
    def __init__(self, output_size, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor):
        return self._function(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    axes, _function = 1, staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    axes, _function = 2, staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    axes, _function = 3, staticmethod(F.adaptive_max_pool3d)
