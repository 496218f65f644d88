"""Reading images at points between their elements."""

from __future__ import annotations

from math import prod
from typing import Any

import helix
import helix.nn.functional as F

from ..._core import Tensor
from ..table import op
from .common import ints

_MODES = {"bilinear": "bilinear", "linear": "bilinear", "nearest": "nearest", "bicubic": "bicubic", "cubic": "bicubic"}


@op("GridSample")
def grid_sample(
    x: Tensor, grid: Tensor, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros"
) -> Tensor:
    if 0 in (*x.shape, *grid.shape):
        return helix.zeros((x.shape[0], x.shape[1], *grid.shape[1:-1]), dtype=x.dtype, device=x.device)
    return F.grid_sample(x, grid.to(x.dtype), _MODES[mode], padding_mode, bool(align_corners))


@op("AffineGrid", static=(1,))
def affine_grid(call: Any, theta: Tensor, size: Tensor, *, align_corners: int = 0) -> Tensor:
    wanted = ints(size)
    call.require(prod(wanted) * 4)
    return F.affine_grid(theta, wanted, bool(align_corners))


@op("RoiAlign")
def roi_align(
    call: Any,
    x: Tensor,
    rois: Tensor,
    batch: Tensor,
    *,
    coordinate_transformation_mode: str = "output_half_pixel",
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Tensor:
    """Source: He et al., "Mask R-CNN" (2017)."""
    half = coordinate_transformation_mode == "half_pixel"
    box = rois * spatial_scale - (0.5 if half else 0.0)
    size = box[:, 2:] - box[:, :2]
    size = size if half else size.clamp_min(1)
    bins = size / helix.tensor([output_width, output_height], dtype=size.dtype, device=x.device)
    call.require(rois.shape[0] * x.shape[1] * output_height * output_width * max(1, sampling_ratio) ** 2)
    made = []
    for i in range(rois.shape[0]):
        counts = [sampling_ratio or max(1, int(n)) for n in bins[i].ceil().tolist()]
        call.require(x.shape[1] * output_height * output_width * prod(counts))
        axes = [
            _points(box[i, k], bins[i, k], out, counts[k], x.shape[3 - k])
            for k, out in ((0, output_width), (1, output_height))
        ]
        image = x[int(batch[i].item())]
        made.append(_pooled(image, axes[1], axes[0], (output_height, counts[1], output_width, counts[0]), mode))
    return (
        helix.stack(made)
        if made
        else helix.zeros((0, x.shape[1], output_height, output_width), dtype=x.dtype, device=x.device)
    )


def _points(start: Tensor, step: Tensor, bins: int, count: int, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Along one axis: the two elements beside each point, and their weights; none where it is outside."""
    at = start + (helix.arange(bins * count, dtype=step.dtype, device=step.device) + 0.5) * (step / count)
    inside = (at >= -1) & (at <= size)
    at = at.clamp(0, size - 1)
    low = at.floor().clamp_max(max(0, size - 1))
    part = (at - low) * inside.to(at.dtype)
    index = low.to(helix.int64)
    return index, (index + 1).clamp_max(size - 1), inside.to(at.dtype) - part, part


def _pooled(image: Tensor, rows: Any, columns: Any, shape: tuple[int, ...], mode: str) -> Tensor:
    parts = []
    for r, wr in ((rows[0], rows[2]), (rows[1], rows[3])):
        lines = image.index_select(1, r) * wr.reshape((-1, 1))
        for c, wc in ((columns[0], columns[2]), (columns[1], columns[3])):
            parts.append((lines.index_select(2, c) * wc).reshape((image.shape[0], *shape)))
    if mode == "avg":
        return (parts[0] + parts[1] + parts[2] + parts[3]).mean([2, 4])
    return helix.stack(parts).amax([0, 3, 5])


@op("MaxRoiPool")
def max_roi_pool(call: Any, x: Tensor, rois: Tensor, *, pooled_shape: list[int], spatial_scale: float = 1.0) -> Tensor:
    """Source: Girshick, "Fast R-CNN" (2015)."""
    made = []
    call.require(rois.shape[0] * x.shape[1] * max(1, prod(pooled_shape)))
    for row in rois.tolist():
        image = x[int(row[0])]
        left, top, right, bottom = (int(n * spatial_scale + 0.5) for n in row[1:])
        sizes = (max(bottom - top + 1, 1), max(right - left + 1, 1))
        lines = []
        for i in range(pooled_shape[0]):
            call.run.tick(pooled_shape[1])
            y = _bin(i, sizes[0], pooled_shape[0], top, x.shape[2])
            cells = [
                _most(image[:, slice(*y), slice(*_bin(j, sizes[1], pooled_shape[1], left, x.shape[3]))])
                for j in range(pooled_shape[1])
            ]
            lines.append(helix.stack(cells, -1))
        made.append(helix.stack(lines, -2))
    return helix.stack(made)


def _bin(i: int, size: int, count: int, start: int, most: int) -> tuple[int, int]:
    low, high = start + i * size // count, start - (-(i + 1) * size // count)
    return min(max(low, 0), most), min(max(high, 0), most)


def _most(part: Tensor) -> Tensor:
    return part.amax([1, 2]) if part.numel() else helix.zeros((part.shape[0],), dtype=part.dtype, device=part.device)
