"""Functions of images: grids, interpolation against aliases, channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import _core, bfloat16, cat, float16, linspace, ones
from ...errors import ParameterError, ShapeError
from ...tensor import Tensor
from .refuse import refuse

__all__ = [
    "affine_grid",
    "channel_shuffle",
    "grid_sample",
    "interpolate",
    "native_channel_shuffle",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]

_interpolate = _core.op_named("interpolate")


# ---- grids ----


def _axis(n: int, align_corners: bool, theta: Tensor) -> Tensor:
    """n positions in [-1, 1]: outer ones at the borders, or half a step within."""
    if n == 1:
        return ones(1, dtype=theta.dtype, device=theta.device) * 0
    at = linspace(-1, 1, n, dtype=theta.dtype, device=theta.device)
    return at if align_corners else at * ((n - 1) / n)


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Where an affine map takes the points of an image: the grid that grid_sample reads.

    theta: (batch, 2, 3) for size (batch, channels, height, width), (batch, 3, 4) with a depth. The result is
    (batch, height, width, 2) or (batch, depth, height, width, 3), x first, in [-1, 1] where the map stays inside.
    align_corners: -1 and 1 are the centres of the outer points, not their borders. Fails with HX1001 for other shapes.

    Example:
        >>> theta = helix.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
        >>> helix.nn.functional.affine_grid(theta, (1, 1, 1, 2)).tolist()
        [[[[-0.5, 0.0], [0.5, 0.0]]]]
    """
    n = len(size) - 2
    if n not in (2, 3) or tuple(theta.shape) != (size[0], n, n + 1):
        text = f"theta must be (batch, 2, 3) for a size of 4 numbers or (batch, 3, 4) for 5, got {tuple(theta.shape)}"
        refuse(ShapeError, "affine_grid", f"{text} for {tuple(size)}.")
    if min(size) < 1:
        refuse(ParameterError, "affine_grid", f"sizes must be at least 1, got {tuple(size)}.")
    spatial = size[2:]
    parts = []
    for i in range(n - 1, -1, -1):
        shape = [1] * n + [1]
        shape[i] = spatial[i]
        parts.append(_axis(spatial[i], bool(align_corners), theta).reshape(shape).expand(*spatial, 1))
    parts.append(ones(*spatial, 1, dtype=theta.dtype, device=theta.device))
    points = cat(parts, -1).reshape(1, -1, n + 1)
    return (points @ theta.transpose(1, 2)).reshape(size[0], *spatial, n)


_grid_sampler = _core.op_named("grid_sampler")


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """An image read at the points of a grid.

    input: (batch, channels, height, width), grid: (batch, rows, columns, 2), whose last axis holds x and y in [-1, 1];
    or with a depth, (batch, channels, depth, height, width), (batch, planes, rows, columns, 3). The result is (batch,
    channels, rows, columns). mode: 'bilinear', 'nearest', 'bicubic' (without depth). padding_mode: outside of the image
    are 'zeros', its 'border' or its 'reflection'. align_corners: -1 and 1 are the centres of the outer points, not their
    borders. Differentiable once in input and grid. Fails with HX1002 for a grid that does not fit.

    Example:
        >>> image, points = helix.tensor([[[[0.0, 2.0]]]]), helix.tensor([[[[0.0, 0.0], [0.5, 0.0]]]])
        >>> helix.nn.functional.grid_sample(image, points, align_corners=True).tolist()
        [[[[1.0, 1.5]]]]
    """
    if input.dtype in (float16, bfloat16) and grid.dtype == input.dtype:
        made = _grid_sampler(input.float(), grid.float(), mode, padding_mode, bool(align_corners))
        return made.to(input.dtype)
    return _grid_sampler(input, grid, mode, padding_mode, bool(align_corners))


# ---- interpolation ----


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """An image resized to spatial sizes `size`, or by scale_factor.

    input (batch, channels, *spatial). nearest and nearest-exact take any dtype; linear, bilinear, trilinear, bicubic
    and area floats. align_corners lets the outer points of input and result coincide. recompute_scale_factor: positions
    come from the whole sizes, not from scale_factor. antialias (bilinear, bicubic and lanczos, 4 axes): the kernel
    grows with the step, so that fine patterns are averaged away.

    Fails with HX1403 unless exactly one of size and scale_factor is given, and for keywords that a mode has not.

    Example:
        >>> x = helix.tensor([[[1.0, 3.0]]])
        >>> helix.nn.functional.interpolate(x, size=3, mode='linear', align_corners=True).tolist()
        [[[1.0, 2.0, 3.0]]]
    """
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        refuse(ParameterError, "interpolate", f"align_corners is for linear and cubic modes, not for {mode!r}.")
    if recompute_scale_factor and size is not None:
        refuse(ParameterError, "interpolate", "recompute_scale_factor goes with scale_factor, not with size.")
    if not recompute_scale_factor:
        return _interpolate(input, size, scale_factor, mode, bool(align_corners), antialias)
    if scale_factor is None:
        refuse(ParameterError, "interpolate", "exactly one of size and scale_factor must be given.")
    spatial = input.shape[2:]
    factors = list(scale_factor) if isinstance(scale_factor, (tuple, list)) else [scale_factor] * len(spatial)
    if len(factors) != len(spatial):
        refuse(ParameterError, "interpolate", f"{len(factors)} numbers for {len(spatial)} spatial axes.")
    sizes = [int(n * factor) for n, factor in zip(spatial, factors, strict=True)]
    return _interpolate(input, sizes, None, mode, bool(align_corners), antialias)


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """interpolate, under its older name.

    Example:
        >>> helix.nn.functional.upsample(helix.tensor([[[1.0, 2.0]]]), scale_factor=2).tolist()
        [[[1.0, 1.0, 2.0, 2.0]]]
    """
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """interpolate with mode 'nearest'.

    Example:
        >>> helix.nn.functional.upsample_nearest(helix.tensor([[[1.0, 2.0]]]), 4).tolist()
        [[[1.0, 1.0, 2.0, 2.0]]]
    """
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """interpolate with mode 'bilinear' and align_corners.

    Example:
        >>> helix.nn.functional.upsample_bilinear(helix.tensor([[[[0.0, 2.0]]]]), (1, 3)).tolist()
        [[[[0.0, 1.0, 2.0]]]]
    """
    return interpolate(input, size, scale_factor, "bilinear", True)


# ---- channels ----


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels dealt out anew: channel j of group i becomes channel i of group j.

    input: (batch, channels, ...). Zhang et al., "ShuffleNet", CVPR 2018. Fails with HX1403 unless groups divides the
    channels.

    Example:
        >>> helix.nn.functional.channel_shuffle(helix.arange(4).reshape(1, 4, 1), 2).flatten().tolist()
        [0, 2, 1, 3]
    """
    if input.ndim < 3:
        refuse(ShapeError, "channel_shuffle", f"input must have at least 3 axes, got shape {tuple(input.shape)}.")
    if groups < 1 or input.shape[1] % groups:
        text = f"groups must be at least 1 and divide the {input.shape[1]} channels, got {groups}."
        refuse(ParameterError, "channel_shuffle", text)
    rest = input.shape[2:]
    parts = input.reshape(input.shape[0], groups, input.shape[1] // groups, *rest)
    return parts.transpose(1, 2).reshape(input.shape)


def native_channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """channel_shuffle, under torch's further name.

    Example:
        >>> helix.nn.functional.native_channel_shuffle(helix.arange(4).reshape(1, 4, 1), 2).flatten().tolist()
        [0, 2, 1, 3]
    """
    return channel_shuffle(input, groups)
