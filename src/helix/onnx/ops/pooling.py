"""Pooling: a window goes over the spatial axes."""

from __future__ import annotations

from math import prod
from typing import Any

import helix

from ..._core import Tensor
from ..table import op
from .common import arange
from .conv import pads_for
from .reduction import lowest


class Windows:
    """Where windows lie: for each spatial axis pads in front and behind, and how many windows there are."""

    def __init__(
        self,
        call: Any,
        x: Tensor,
        kernel: list[int],
        strides: Any,
        dilations: Any,
        pads: Any,
        auto_pad: str,
        ceil_mode: int,
    ) -> None:
        self.n = n = x.ndim - 2
        if n < 1 or len(kernel) != n or min(kernel) < 1:
            raise ValueError(f"kernel {kernel} for {n} spatial axes")
        self.kernel, self.strides, self.dilations = list(kernel), strides or [1] * n, dilations or [1] * n
        if min(*self.strides, *self.dilations) < 1 or not len(self.strides) == len(self.dilations) == n:
            raise ValueError(f"strides {self.strides}, dilations {self.dilations} for {n} spatial axes")
        size = list(x.shape[2:])
        self.pads = pads_for(auto_pad, size, kernel, self.strides, self.dilations, pads)
        if min(self.pads) < 0:
            raise ValueError(f"pads {self.pads}")
        self.counts, self.more = [], []
        for i in range(n):
            reach = self.dilations[i] * (kernel[i] - 1) + 1
            room = size[i] + self.pads[i] + self.pads[i + n] - reach
            count = (-(-room // self.strides[i]) if ceil_mode else room // self.strides[i]) + 1
            if ceil_mode and (count - 1) * self.strides[i] >= size[i] + self.pads[i]:
                count -= 1
            self.counts.append(max(0, count))
            self.more.append(max(0, (count - 1) * self.strides[i] + reach - size[i] - self.pads[i]))
        whole = prod(size[i] + self.pads[i] + self.more[i] for i in range(n))
        call.require(x.shape[0] * x.shape[1] * max(whole, prod(self.counts) * prod(kernel)))

    def of(self, x: Tensor, fill: Any) -> Tensor:
        """(batch, channels, *counts, elements of a window)."""
        for i in range(self.n):
            axis = 2 + i
            blocks = [
                helix.full([k if j == axis else m for j, m in enumerate(x.shape)], fill, dtype=x.dtype, device=x.device)
                for k in (self.pads[i], self.more[i])
            ]
            x = helix.cat([blocks[0], x, blocks[1]], axis)
        for i in range(self.n):
            reach = self.dilations[i] * (self.kernel[i] - 1) + 1
            x = x.unfold(2 + i, reach, self.strides[i])[..., :: self.dilations[i]]
            x = x.narrow(2 + i, 0, self.counts[i])
        return x.reshape((*x.shape[: 2 + self.n], -1))


_MAX = {1: helix.max_pool1d, 2: helix.max_pool2d, 3: helix.max_pool3d}
_AVERAGE = {1: helix.avg_pool1d, 2: helix.avg_pool2d, 3: helix.avg_pool3d}


def _is_plain(w: Windows, x: Tensor, auto_pad: str) -> bool:
    """Can the native pools do it?"""
    half = all(p <= k // 2 for p, k in zip(w.pads, w.kernel * 2))
    return x.dtype.is_floating_point and w.n <= 3 and half and w.pads[: w.n] == w.pads[w.n :] and min(w.counts) > 0


@op("MaxPool")
def max_pool(
    call: Any,
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    kernel_shape: list[int],
    pads: list[int] | None = None,
    storage_order: int = 0,
    strides: list[int] | None = None,
) -> Any:
    w = Windows(call, x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    if not call.wants(1):
        if _is_plain(w, x, auto_pad) and not ceil_mode:
            return _MAX[w.n](x, w.kernel, w.strides, w.pads[: w.n], w.dilations)
        return w.of(x, lowest(x.dtype)).amax(-1)
    windows = w.of(x, lowest(x.dtype))
    size = x.shape[2:]
    order = range(w.n) if not storage_order else reversed(range(w.n))
    places = helix.zeros([1] * x.ndim, dtype=helix.int64, device=x.device)
    for i in order:
        places = places * size[i] + arange(0, size[i], x).reshape([-1 if k == 2 + i else 1 for k in range(x.ndim)])
    at = w.of(places.expand((1, 1, *size)), -1).expand(windows.shape)
    values, best = windows.max(-1)
    planes = arange(0, x.shape[0] * x.shape[1], x).reshape((x.shape[0], x.shape[1], *[1] * w.n)) * prod(size)
    return values, at.gather(-1, best.unsqueeze(-1)).squeeze(-1) + planes


@op("AveragePool")
def average_pool(
    call: Any,
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: list[int] | None = None,
    kernel_shape: list[int],
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    w = Windows(call, x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    if _is_plain(w, x, auto_pad) and not ceil_mode and max(w.dilations) == 1:
        return _AVERAGE[w.n](x, w.kernel, w.strides, w.pads[: w.n], count_include_pad=bool(count_include_pad))
    return w.of(x, 0).sum(-1) / _counted(w, x, bool(count_include_pad))


def _counted(w: Windows, x: Tensor, pads_too: bool) -> Tensor:
    """How many elements each window has; those behind the pads, where sizes are rounded up, never count."""
    ones = helix.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
    if not pads_too:
        return w.of(ones, 0).sum(-1)
    for i in range(w.n):
        blocks = [
            helix.ones([k if j == 2 + i else m for j, m in enumerate(ones.shape)], dtype=x.dtype, device=x.device)
            for k in (w.pads[i], w.pads[i + w.n])
        ]
        ones = helix.cat([blocks[0], ones, blocks[1]], 2 + i)
    inner = Windows.__new__(Windows)
    inner.n, inner.kernel, inner.strides, inner.dilations, inner.counts = (
        w.n,
        w.kernel,
        w.strides,
        w.dilations,
        w.counts,
    )
    inner.pads = [0] * 2 * w.n
    inner.more = [max(0, w.more[i] - w.pads[i + w.n]) for i in range(w.n)]
    return inner.of(ones, 0).sum(-1)


@op("LpPool")
def lp_pool(
    call: Any,
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    kernel_shape: list[int],
    p: int = 2,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    w = Windows(call, x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    return (w.of(x, 0).abs() ** p).sum(-1) ** (1.0 / p)


@op("GlobalAveragePool")
def global_average_pool(x: Tensor) -> Tensor:
    return x.mean(list(range(2, x.ndim)), keepdim=True)


@op("GlobalMaxPool")
def global_max_pool(x: Tensor) -> Tensor:
    return x.amax(list(range(2, x.ndim)), keepdim=True)


@op("GlobalLpPool")
def global_lp_pool(x: Tensor, *, p: int = 2) -> Tensor:
    return (x.abs() ** p).sum(list(range(2, x.ndim)), keepdim=True) ** (1.0 / p)


@op("MaxUnpool", static=(2,))
def max_unpool(
    call: Any,
    x: Tensor,
    index: Tensor,
    wanted: Tensor | None = None,
    *,
    kernel_shape: list[int],
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """Indices count through the tensor that was pooled, which `wanted` may be larger than."""
    from .common import ints

    n = len(kernel_shape)
    pads, strides = pads or [0] * 2 * n, strides or [1] * n
    size = [(x.shape[i + 2] - 1) * strides[i] + kernel_shape[i] - pads[i] - pads[i + n] for i in range(n)]
    whole = [*x.shape[:2], *size]
    call.require(prod(whole))
    made = (
        helix.zeros((prod(whole),), dtype=x.dtype, device=x.device)
        .scatter(0, index.reshape((-1,)), x.reshape((-1,)))
        .reshape(whole)
    )
    if wanted is None or ints(wanted) == whole:
        return made
    from .shape import padded

    more = [b - a for a, b in zip(whole, ints(wanted), strict=True)]
    return padded(call, made, [0] * len(more) + more, "constant", 0)
