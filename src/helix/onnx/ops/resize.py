"""Resize: axis by axis, each point a weighted sum of those near where it comes from."""

from __future__ import annotations

from math import ceil, floor
from typing import Any

import numpy

import helix
import helix.nn.functional as F

from ..._core import Tensor
from ..table import op
from .common import along, axes_of, floats, ints


@op("Resize", since=10, static=(1,))
def resize_10(call: Any, x: Tensor, scales: Tensor, *, mode: str = "nearest") -> Tensor:
    factors = floats(scales)
    sizes = [scaled(n, factor) for n, factor in zip(x.shape, factors, strict=True)]
    require_sizes(call, sizes)
    return resized(x, sizes, factors, mode, "asymmetric", "floor")


@op("Resize", since=11, static=(1, 2, 3))
def resize(
    call: Any,
    x: Tensor,
    roi: Tensor | None = None,
    scales: Tensor | None = None,
    sizes: Tensor | None = None,
    *,
    antialias: int = 0,
    axes: list[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Tensor:
    places = axes_of(list(range(x.ndim)) if axes is None else axes, x.ndim)
    wanted, factors = list(x.shape), [1.0] * x.ndim
    if sizes is not None and sizes.numel():
        asked = ints(sizes)
        ratios = [n / x.shape[axis] for n, axis in zip(asked, places, strict=True)]
        if keep_aspect_ratio_policy != "stretch":
            one = min(ratios) if keep_aspect_ratio_policy == "not_larger" else max(ratios)
            ratios = [one] * len(places)
            asked = [floor(x.shape[axis] * one + 0.5) for axis in places]
        for n, ratio, axis in zip(asked, ratios, places, strict=True):
            wanted[axis], factors[axis] = n, ratio
    elif scales is not None:
        for factor, axis in zip(floats(scales), places, strict=True):
            wanted[axis], factors[axis] = scaled(x.shape[axis], factor), factor
    require_sizes(call, wanted)
    window = None
    if coordinate_transformation_mode == "tf_crop_and_resize" and roi is not None:
        given = floats(roi)
        window = [(0.0, 1.0)] * x.ndim
        for i, axis in enumerate(places):
            window[axis] = (given[i], given[i + len(places)])
    return resized(
        x, wanted, factors, mode, coordinate_transformation_mode, nearest_mode, cubic_coeff_a, bool(exclude_outside),
        bool(antialias), window, extrapolation_value,
    )  # fmt: skip


def scaled(size: int, factor: float) -> int:
    """The new size, by float32 as the factors are: 0.7 times 10 is 7."""
    return floor(numpy.float32(size) * numpy.float32(factor))


def require_sizes(call: Any, sizes: list[int]) -> None:
    total = 1
    for n in sizes:
        total *= max(n, 0)
    call.require(max([total, *sizes]))


_LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}


def _native(
    x: Tensor, sizes: list[int], factors: list[float], mode: str, transform: str, nearest: str, a: float
) -> Tensor | None:
    """What interpolate computes in the same way, also for sizes that are dimensions of a graph."""
    if x.ndim not in _LINEAR or sizes[:2] != list(x.shape[:2]) or min(*sizes, *x.shape) < 1:
        return None
    exact = all(n * factor == m for n, factor, m in zip(x.shape, factors, sizes))
    if not exact or not x.dtype.is_floating_point:
        return None
    if transform == "pytorch_half_pixel" and min(sizes[2:]) > 1:
        transform = "half_pixel"
    if mode == "nearest":
        name = {("asymmetric", "floor"): "nearest", ("half_pixel", "round_prefer_ceil"): "nearest-exact"}.get(
            (transform, nearest)
        )
        return None if name is None else F.interpolate(x, size=sizes[2:], mode=name)
    if transform not in ("half_pixel", "align_corners"):
        return None
    corners = transform == "align_corners"
    if mode == "cubic":
        fits = x.ndim == 4 and a == -0.75
        return F.interpolate(x, size=sizes[2:], mode="bicubic", align_corners=corners) if fits else None
    return F.interpolate(x, size=sizes[2:], mode=_LINEAR[x.ndim], align_corners=corners)


def resized(
    x: Tensor,
    sizes: list[int],
    factors: list[float],
    mode: str,
    transform: str,
    nearest: str = "round_prefer_floor",
    a: float = -0.75,
    exclude: bool = False,
    antialias: bool = False,
    window: list[tuple[float, float]] | None = None,
    outside: float = 0.0,
) -> Tensor:
    if not antialias and not exclude and window is None:
        made = _native(x, sizes, factors, mode, transform, nearest, a)
        if made is not None:
            return made
    gone = None
    for axis, (n, m, factor) in enumerate(zip(x.shape, sizes, factors)):
        roi = window[axis] if window else None
        if n == m and factor == 1 and (roi is None or roi == (0.0, 1.0)):
            continue
        if n < 1 or m < 0:
            raise ValueError(f"axis {axis} of size {n} cannot become {m}")
        if m == 0:
            x = x.narrow(axis, 0, 0)
            continue
        at, lost = _origins(n, m, factor, transform, roi)
        if mode == "nearest":
            index = numpy.clip(_nearest(at, nearest), 0, n - 1).astype(numpy.int64)
            x = x.index_select(axis, helix.tensor(index, device=x.device))
        else:
            x = _weighted(x, axis, at, factor, mode, a, exclude, antialias)
        if lost is not None and lost.any():
            part = along(helix.tensor(lost, device=x.device), axis, x.ndim)
            gone = part if gone is None else gone | part
    return x if gone is None else helix.where(gone, helix.full((), outside, dtype=x.dtype, device=x.device), x)


def _origins(n: int, m: int, factor: float, transform: str, roi: tuple[float, float] | None) -> tuple[Any, Any]:
    """Where the points of the result come from, and which of them come from outside of a region."""
    y = numpy.arange(m, dtype=numpy.float32)
    length = float(numpy.float32(factor) * n)
    if transform == "align_corners":
        return (y * 0 if length == 1 else y * (n - 1) / (length - 1)), None
    if transform == "asymmetric":
        return y / factor, None
    if transform == "tf_crop_and_resize":
        low, high = roi or (0.0, 1.0)
        at = (
            y * 0 + (low + high) * (n - 1) / 2
            if length == 1
            else low * (n - 1) + y * (high - low) * (n - 1) / (length - 1)
        )
        return at, (at < 0) | (at > n - 1)
    if transform == "pytorch_half_pixel" and length == 1:
        return y * 0, None
    if transform == "half_pixel_symmetric":
        return n / 2 * (1 - m / length) + (y + 0.5) / factor - 0.5, None
    if transform == "tf_half_pixel_for_nn":
        return (y + 0.5) / factor, None
    if transform not in ("half_pixel", "pytorch_half_pixel"):
        raise ValueError(f"coordinate_transformation_mode {transform!r}")
    return (y + 0.5) / factor - 0.5, None


def _nearest(at: Any, mode: str) -> Any:
    if mode == "floor":
        return numpy.floor(at)
    if mode == "ceil":
        return numpy.ceil(at)
    return numpy.ceil(at - 0.5) if mode == "round_prefer_floor" else numpy.floor(at + 0.5)


def _triangle(t: Any) -> Any:
    return numpy.clip(1 - numpy.abs(t), 0, 1)


def _cubic(t: Any, a: float) -> Any:
    """Keys, "Cubic convolution interpolation" (1981)."""
    t = numpy.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((t - 5) * t + 8) * t * a - 4 * a
    return numpy.where(t <= 1, near, numpy.where(t < 2, far, 0.0))


def _weighted(
    x: Tensor, axis: int, at: Any, factor: float, mode: str, a: float, exclude: bool, antialias: bool
) -> Tensor:
    """The kernel is as wide as its points lie apart; with antialias, as the result's points do."""
    if mode not in ("linear", "cubic"):
        raise ValueError(f"mode {mode!r}")
    n, half = x.shape[axis], 1 if mode == "linear" else 2
    squeeze = min(factor, 1.0) if antialias else 1.0
    reach = ceil(half / squeeze)
    if reach > 1 << 12:
        raise ValueError(f"a factor of {factor} is too small for antialias")
    base = numpy.floor(at)
    offsets = numpy.arange(1 - reach, reach + 1)
    index = base[:, None] + offsets
    distance = (index - at[:, None]) * squeeze
    weights = _triangle(distance) if mode == "linear" else _cubic(distance, a)
    if exclude:
        weights = numpy.where((index < 0) | (index >= n), 0.0, weights)
    if exclude or antialias:
        weights = weights / weights.sum(1, keepdims=True)
    index = numpy.clip(index, 0, n - 1).astype(numpy.int64)
    kind = x.dtype if x.dtype in (helix.float32, helix.float64) else helix.float32
    wide, made = x.to(kind), None
    for k in range(len(offsets)):
        if not weights[:, k].any():
            continue
        part = wide.index_select(axis, helix.tensor(index[:, k], device=x.device)) * along(
            helix.tensor(weights[:, k], dtype=kind, device=x.device), axis, x.ndim
        )
        made = part if made is None else made + part
    assert made is not None
    return made.to(x.dtype) if x.dtype.is_floating_point else made.round().to(x.dtype)
