"""Operators on shapes: what they give has the elements of what they take, or comes of the shape alone."""

from __future__ import annotations

from math import ceil, prod
from typing import Any

import helix
import helix.nn.functional as F

from ..._core import Tensor
from ..faults import unsupported
from ..table import op
from ..types import dtype_of
from .common import arange, axes_of, axis_of, flat, floats, ints


@op("Shape", sizes=True)
def shape(x: Tensor, *, start: int = 0, end: int | None = None) -> Tensor:
    return helix.tensor(list(x.shape)[slice(start, end)], dtype=helix.int64, device=x.device)


@op("Size", sizes=True)
def size(x: Tensor) -> Tensor:
    return helix.tensor(prod(x.shape), dtype=helix.int64, device=x.device)


@op("Constant")
def constant(
    call: Any,
    *,
    value: Tensor | None = None,
    value_float: float | None = None,
    value_floats: list[float] | None = None,
    value_int: int | None = None,
    value_ints: list[int] | None = None,
    sparse_value: Tensor | None = None,
    value_string: str | None = None,
    value_strings: list[str] | None = None,
) -> Tensor:
    if value is not None or sparse_value is not None:
        return call.run.here(value if value is not None else sparse_value)
    for number, dtype in (
        (value_float, helix.float32),
        (value_floats, helix.float32),
        (value_int, helix.int64),
        (value_ints, helix.int64),
    ):
        if number is not None:
            return helix.tensor(number, dtype=dtype, device=call.run.device)
    raise unsupported("a constant of text, or of nothing, is not supported", "Constant")


@op("ConstantOfShape", static=(0,), grows=True)
def constant_of_shape(call: Any, wanted: Tensor, *, value: Tensor | None = None) -> Tensor:
    sizes = ints(wanted)
    call.require(prod(sizes))
    fill, dtype = (0.0, helix.float32) if value is None else (flat(value.tolist())[0], value.dtype)
    return helix.full(sizes, fill, dtype=dtype, device=wanted.device)


@op("Reshape")
def reshape_1(x: Tensor, *, shape: list[int]) -> Tensor:
    return _reshaped(x, shape, False)


@op("Reshape", since=5, static=(1,))
def reshape(x: Tensor, wanted: Tensor, *, allowzero: int = 0) -> Tensor:
    return _reshaped(x, ints(wanted), bool(allowzero))


def _reshaped(x: Tensor, sizes: list[int], zero: bool) -> Tensor:
    made = [x.shape[i] if n == 0 and not zero else n for i, n in enumerate(sizes)]
    if -1 in made and x.numel() == 0:
        rest = prod(n for n in made if n != -1)
        made[made.index(-1)] = 0 if rest == 0 else x.numel() // rest
    return x.reshape(made)


@op("Flatten")
def flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    if not -x.ndim <= axis <= x.ndim:
        raise ValueError(f"axis {axis} is none of a tensor of {x.ndim} axes")
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape((prod(x.shape[:axis]), prod(x.shape[axis:])))


@op("Squeeze")
def squeeze_1(x: Tensor, *, axes: list[int] | None = None) -> Tensor:
    wanted = [i for i, n in enumerate(x.shape) if n == 1] if axes is None else axes_of(axes, x.ndim)
    if any(x.shape[i] != 1 for i in wanted):
        raise ValueError(f"axes {wanted} of shape {x.shape} are not all of size 1")
    return x.reshape([n for i, n in enumerate(x.shape) if i not in wanted])


@op("Squeeze", since=13, static=(1,))
def squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    return squeeze_1(x, axes=None if axes is None else ints(axes))


@op("Unsqueeze")
def unsqueeze_1(x: Tensor, *, axes: list[int]) -> Tensor:
    for axis in sorted(axes_of(axes, x.ndim + len(axes))):
        x = x.unsqueeze(axis)
    return x


@op("Unsqueeze", since=13, static=(1,))
def unsqueeze(x: Tensor, axes: Tensor) -> Tensor:
    return unsqueeze_1(x, axes=ints(axes))


@op("Transpose")
def transpose(x: Tensor, *, perm: list[int] | None = None) -> Tensor:
    return x.permute(list(range(x.ndim))[::-1] if perm is None else perm)


@op("Concat")
def concat(call: Any, *xs: Tensor, axis: int = 1) -> Tensor:
    call.require(sum(x.numel() for x in xs))
    return helix.cat(list(xs), axis_of(axis, xs[0].ndim))


def _split(x: Tensor, sizes: list[int], axis: int) -> tuple[Tensor, ...]:
    if min(sizes, default=0) < 0 or sum(sizes) != x.shape[axis]:
        raise ValueError(f"parts of {sizes[:20]} are not the {x.shape[axis]} of axis {axis}")
    made, at = [], 0
    for n in sizes:
        made.append(x.narrow(axis, at, n))
        at += n
    return tuple(made)


def parts(total: int, count: int) -> list[int]:
    """Sizes of equal parts, of which the last may be smaller."""
    each = -(-total // count)
    sizes = [min(each, max(0, total - i * each)) for i in range(count)]
    return sizes


@op("Split")
def split_1(
    call: Any, x: Tensor, other: Tensor | None = None, *, axis: int = 0, split: list[int] | None = None
) -> tuple[Tensor, ...]:
    sizes = ints(other) if other is not None else split
    return _split(x, sizes or parts(x.shape[axis], call.outputs), axis)


@op("Split", since=13, static=(1,))
def split_13(
    call: Any, x: Tensor, sizes: Tensor | None = None, *, axis: int = 0, num_outputs: int | None = None
) -> tuple[Tensor, ...]:
    if num_outputs is not None and num_outputs != call.outputs:
        raise ValueError(f"num_outputs is {num_outputs}, and {call.outputs} are named")
    return _split(x, parts(x.shape[axis], call.outputs) if sizes is None else ints(sizes), axis)


def sliced(x: Tensor, starts: list[int], ends: list[int], axes: list[int] | None, steps: list[int] | None) -> Tensor:
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise ValueError("starts, ends, axes and steps have unequal lengths")
    for start, end, axis, step in zip(starts, ends, axes_of(axes, x.ndim), steps, strict=True):
        if step == 0:
            raise ValueError("a step is 0")
        size = x.shape[axis]
        begin, stop, step = slice(start, end, max(-size - 1, min(step, size + 1))).indices(size)
        if step > 0:
            x = x[(*[slice(None)] * axis, slice(begin, max(stop, begin), step))]
        else:
            count = max(0, -(-(begin - stop) // -step))
            low = begin + (count - 1) * step if count else 0
            x = x[(*[slice(None)] * axis, slice(low, begin + 1 if count else 0, -step))].flip(axis)
    return x


@op("Slice")
def slice_1(x: Tensor, *, starts: list[int], ends: list[int], axes: list[int] | None = None) -> Tensor:
    return sliced(x, starts, ends, axes, None)


@op("Slice", since=10, static=(1, 2, 3, 4))
def slice_10(
    x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
) -> Tensor:
    return sliced(
        x, ints(starts), ints(ends), None if axes is None else ints(axes), None if steps is None else ints(steps)
    )


@op("Expand", static=(1,), grows=True)
def expand(call: Any, x: Tensor, wanted: Tensor) -> Tensor:
    sizes = ints(wanted)
    ndim = max(x.ndim, len(sizes))
    old, new = [1] * (ndim - x.ndim) + list(x.shape), [1] * (ndim - len(sizes)) + sizes
    made = [a if b == 1 else b for a, b in zip(old, new, strict=True)]
    call.require(prod(made))
    return x.reshape(old).expand(made)


@op("Tile")
def tile_1(call: Any, x: Tensor, tiles: Tensor, axis: Tensor) -> Tensor:
    repeats = [1] * x.ndim
    repeats[ints(axis)[0]] = ints(tiles)[0]
    return _tiled(call, x, repeats)


@op("Tile", since=6, static=(1,), grows=True)
def tile(call: Any, x: Tensor, repeats: Tensor) -> Tensor:
    return _tiled(call, x, ints(repeats))


def _tiled(call: Any, x: Tensor, repeats: list[int]) -> Tensor:
    if len(repeats) != x.ndim or min(repeats, default=0) < 0:
        raise ValueError(f"repeats {repeats[:20]} do not fit {x.ndim} axes")
    call.require(x.numel() * prod(repeats))
    return x.repeat(repeats) if x.ndim else x


@op("Range", static=(0, 1, 2), grows=True)
def range_(call: Any, start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    begin, end, step = start.item(), limit.item(), delta.item()
    if step == 0:
        raise ValueError("delta is 0")
    if start.dtype.is_floating_point:
        count = max(0, ceil((end - begin) / step))
        call.require(count)
        return (helix.arange(count, dtype=start.dtype, device=start.device) * step + begin).to(start.dtype)
    count = max(0, -((begin - end) // step))
    call.require(count)
    return (helix.arange(count, device=start.device) * (step if count > 1 else 0) + begin).to(start.dtype)


@op("EyeLike")
def eye_like(x: Tensor, *, dtype: int | None = None, k: int = 0) -> Tensor:
    rows, columns = x.shape
    made = arange(0, columns, x).unsqueeze(0) == arange(0, rows, x).unsqueeze(1) + k
    return made.to(x.dtype if dtype is None else dtype_of(dtype))


@op("Trilu", static=(1,))
def trilu(x: Tensor, k: Tensor | None = None, *, upper: int = 1) -> Tensor:
    diagonal = 0 if k is None else max(-(1 << 40), min(1 << 40, ints(k)[0]))
    if x.numel() == 0:
        return x
    return x.triu(diagonal) if upper else x.tril(diagonal)


@op("DepthToSpace")
def depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    n, c, h, w = x.shape
    b, inner = blocksize, c // blocksize**2
    if mode == "DCR":
        x = x.reshape((n, b, b, inner, h, w)).permute((0, 3, 4, 1, 5, 2))
    else:
        x = x.reshape((n, inner, b, b, h, w)).permute((0, 1, 4, 2, 5, 3))
    return x.reshape((n, inner, h * b, w * b))


@op("SpaceToDepth")
def space_to_depth(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    n, c, h, w = x.shape
    b = blocksize
    x = x.reshape((n, c, h // b, b, w // b, b))
    x = x.permute((0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4))
    return x.reshape((n, c * b * b, h // b, w // b))


@op("Pad")
def pad_1(call: Any, x: Tensor, *, paddings: list[int] | None = None, pads: list[int] | None = None, mode: str = "constant", value: float = 0.0) -> Tensor:  # fmt: skip
    return padded(call, x, pads or paddings or [], mode, value)


@op("Pad", since=11, static=(1, 2, 3))
def pad(
    call: Any,
    x: Tensor,
    pads: Tensor,
    value: Tensor | None = None,
    axes: Tensor | None = None,
    *,
    mode: str = "constant",
) -> Tensor:
    wanted = ints(pads)
    if axes is not None:
        places = axes_of(ints(axes), x.ndim)
        if len(wanted) != 2 * len(places):
            raise ValueError(f"{len(wanted)} pads for {len(places)} axes")
        every = [0] * (2 * x.ndim)
        for i, axis in enumerate(places):
            every[axis], every[axis + x.ndim] = wanted[i], wanted[i + len(places)]
        wanted = every
    fill = 0 if value is None or value.numel() == 0 else flat(value.tolist())[0]
    return padded(call, x, wanted, mode, fill)


def padded(call: Any, x: Tensor, pads: list[int], mode: str, fill: Any) -> Tensor:
    """x with `pads` in front of each axis, then behind each; negative ones take away."""
    n = x.ndim
    if len(pads) != 2 * n:
        raise ValueError(f"{len(pads)} pads for {n} axes")
    wanted = [max(0, size + pads[i] + pads[i + n]) for i, size in enumerate(x.shape)]
    call.require(max(prod(wanted), *wanted, 0))
    for axis, size in enumerate(x.shape):
        begin, stop = max(0, -pads[axis]), size - max(0, -pads[axis + n])
        if (begin, stop) != (0, size):
            x = x.narrow(axis, begin, max(0, stop - begin))
    for axis, size in enumerate(x.shape):
        low, high = max(0, pads[axis]), max(0, pads[axis + n])
        if not low and not high:
            continue
        if mode == "constant":
            blocks = [
                helix.full([k if i == axis else m for i, m in enumerate(x.shape)], fill, dtype=x.dtype, device=x.device)
                for k in (low, high)
            ]
            x = helix.cat([blocks[0], x, blocks[1]], axis)
        else:
            x = x.index_select(axis, mirrored(arange(-low, size + high, x), size, mode))
    return x


def mirrored(at: Tensor, size: int, mode: str) -> Tensor:
    """Positions outside of an axis as positions inside."""
    if mode == "edge":
        return at.clamp(0, size - 1)
    if mode == "wrap":
        return helix.remainder(at, size)
    if mode != "reflect":
        raise ValueError(f"mode {mode!r} is none")
    if size == 1:
        return at * 0
    return (size - 1) - (helix.remainder(at, 2 * size - 2) - (size - 1)).abs()


@op("CenterCropPad", static=(1,))
def center_crop_pad(call: Any, x: Tensor, wanted: Tensor, *, axes: list[int] | None = None) -> Tensor:
    places = axes_of(list(range(x.ndim)) if axes is None else axes, x.ndim)
    pads = [0] * (2 * x.ndim)
    for axis, n in zip(places, ints(wanted), strict=True):
        more = n - x.shape[axis]
        front = more // 2 if more >= 0 else -(-more // 2)
        pads[axis], pads[axis + x.ndim] = front, more - front
    return padded(call, x, pads, "constant", 0)


@op("Upsample", since=7, static=(1,))
def upsample(
    call: Any, x: Tensor, factors: Tensor | None = None, *, scales: list[float] | None = None, mode: str = "nearest"
) -> Tensor:
    from .resize import require_sizes, resized, scaled

    wanted = floats(factors) if factors is not None else list(scales or [])
    sizes = [scaled(n, factor) for n, factor in zip(x.shape, wanted, strict=True)]
    require_sizes(call, sizes)
    return resized(x, sizes, wanted, "linear" if mode == "bilinear" else mode, "asymmetric", "floor")


@op("Col2Im", static=(1, 2))
def col2im(
    call: Any,
    x: Tensor,
    image: Tensor,
    block: Tensor,
    *,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    size, kernel = ints(image), ints(block)
    n = len(size)
    dilations, strides, pads = dilations or [1] * n, strides or [1] * n, pads or [0] * 2 * n
    whole = [size[i] + pads[i] + pads[i + n] for i in range(n)]
    call.require(x.shape[0] * x.shape[1] * prod(whole))
    if min(*size, *kernel, *dilations, *strides) < 1 or x.shape[1] % prod(kernel):
        raise ValueError(f"{x.shape[1]} channels of blocks {kernel} of an image {size}")
    counts = [(whole[i] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1 for i in range(n)]
    if n == 2:
        made = F.fold(x, whole, kernel, dilation=dilations, stride=strides)
    else:
        channels = x.shape[1] // prod(kernel)
        at = helix.zeros([1] * (2 * n), dtype=helix.int64, device=x.device)
        for i in range(n):
            at = at * whole[i]
            at = at + (arange(0, kernel[i], x) * dilations[i]).reshape([-1 if k == i else 1 for k in range(2 * n)])
            at = at + (arange(0, counts[i], x) * strides[i]).reshape([-1 if k == n + i else 1 for k in range(2 * n)])
        values = x.reshape((x.shape[0] * channels, -1))
        made = helix.zeros((values.shape[0], prod(whole)), dtype=x.dtype, device=x.device).index_add(
            1, at.reshape((-1,)), values
        )
        made = made.reshape((x.shape[0], channels, *whole))
    for i in range(n):
        made = made.narrow(2 + i, pads[i], size[i])
    return made
