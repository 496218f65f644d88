"""Max pooling in windows that stand at random places; Graham, "Fractional max-pooling", 2014."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import functional as F
from .conv import tuple_of
from .pooling import _Pool


class _FractionalMaxPool(_Pool):
    _random_samples: Any  # a buffer; None draws anew in every call

    def __init__(
        self,
        kernel_size,
        output_size=None,
        output_ratio=None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        name, n = type(self).__name__, self.axes
        if (output_size is None) == (output_ratio is None):
            raise ValueError(f"{name}: exactly one of output_size and output_ratio must be given")
        self.kernel_size = tuple_of(kernel_size, n, "kernel_size")
        self.output_size = None if output_size is None else tuple_of(output_size, n, "output_size")
        self.output_ratio = None
        if output_ratio is not None:
            several = isinstance(output_ratio, (tuple, list))
            ratios = tuple(output_ratio) if several else (output_ratio,) * n
            if len(ratios) != n or not all(0 < ratio < 1 for ratio in ratios):
                raise ValueError(f"{name}: output_ratio must be {n} numbers between 0 and 1, got {output_ratio}")
            self.output_ratio = ratios
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, input: Tensor):
        return self._function(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest values in windows of `kernel_size`, for an output of `output_size` or a fraction of the input.

    input: (N, C, H, W) or (C, H, W). Windows stand at random, anew in every call.

    Example:
        >>> helix.nn.FractionalMaxPool2d(2, output_ratio=0.5)(helix.ones(1, 1, 6, 8)).shape
        (1, 1, 3, 4)
    """

    axes, _function = 2, staticmethod(F.fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPool):
    """FractionalMaxPool2d with one axis more: (N, C, D, H, W) or (C, D, H, W).

    Example:
        >>> helix.nn.FractionalMaxPool3d(2, output_size=2)(helix.ones(1, 4, 4, 4)).shape
        (1, 2, 2, 2)
    """

    axes, _function = 3, staticmethod(F.fractional_max_pool3d)
