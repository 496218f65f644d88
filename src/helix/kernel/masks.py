"""Positions of what is not zero: counted in pieces, the counts summed, and each piece's positions written from its sum on."""

from __future__ import annotations

from math import prod

from helix.kernel import numeric as num
from helix.kernel.build import Builder
from helix.kernel.elementwise import check
from helix.kernel.ir import UnsupportedError
from helix.kernel.kept import kernel
from helix.kernel.layout import coordinates_of, size_scalars
from helix.kernel.plan import Plan, Tensor, launch
from helix.kernel.registry import template

_PIECE = 256  # elements that an item looks through
_CHUNK = 65536  # elements that nonzero_count gives one start for


class _Mask:
    """A tensor by element number, whatever its layout."""

    def __init__(self, k, dtype, rank):
        self.n = k.scalar("n")
        self.sizes = [k.scalar(f"size{d}") for d in range(1, rank)]
        self.memory, self.at = k.buffer("x", dtype), k.scalar("x_at")
        self.strides = [k.scalar(f"x_stride{d}") for d in range(rank)]

    def coordinates(self, i):
        return coordinates_of(i, self.sizes) if self.strides else []

    def holds(self, coordinates):
        place = self.at
        for c, s in zip(coordinates, self.strides):
            place = place + c * s
        return num.convert(self.memory[place], "bool")

    def piece(self, k, number):
        start = number * _PIECE
        return k.range(start, (start + _PIECE < self.n).where(start + _PIECE, self.n))


@kernel
def _count_kernel(dtype, rank, group, index):
    k = Builder("count_pieces", (group, 1, 1), index)
    mask, pieces = _Mask(k, dtype, rank), k.scalar("pieces")
    counts = k.buffer("counts", "i64", written=True)
    with k.items(pieces) as p:
        found = k.variable(0, "i64")
        with mask.piece(k, p) as i:
            found.set(found.get() + mask.holds(mask.coordinates(i)).to("i64"))
        counts[p] = found.get()
    return k.finish()


@kernel
def _sum_kernel(shown, index):
    """Each count becomes the sum of those before it; the total and the start of each chunk are written where asked."""
    k = Builder("sum_pieces", (1, 1, 1), index)
    pieces, counts = k.scalar("pieces"), k.buffer("counts", "i64", written=True)
    if shown:
        total, total_at = k.buffer("total", "i64", written=True), k.scalar("total_at")
        starts, starts_at = k.buffer("starts", "i64", written=True), k.scalar("starts_at")
    with k.range(0, 1):
        before = k.variable(0, "i64")
        with k.range(0, pieces) as p:
            own = counts[p]
            counts[p] = before.get()
            if shown:
                with k.when(p % (_CHUNK // _PIECE) == 0):
                    starts[starts_at + p // (_CHUNK // _PIECE)] = before.get()
            before.set(before.get() + own)
        if shown:
            total[total_at] = before.get()
    return k.finish()


@kernel
def _find_kernel(dtype, rank, group, index):
    """Coordinate d of position number m goes to element to_d_first + m * step of to_d."""
    k = Builder("find", (group, 1, 1), index)
    mask, pieces, limit, step = _Mask(k, dtype, rank), k.scalar("pieces"), k.scalar("limit"), k.scalar("step")
    counts = k.buffer("counts", "i64")
    to = [k.buffer(f"to{d}", "i64", written=True) for d in range(rank)]
    at = [k.scalar(f"to{d}_at") + k.scalar(f"to{d}_first") for d in range(rank)]
    with k.items(pieces) as p:
        place = k.variable(counts[p].to(k.index_dtype))
        with mask.piece(k, p) as i:
            coordinates = mask.coordinates(i)
            with k.when(mask.holds(coordinates) & (place.get() < limit)):
                for memory, first, c in zip(to, at, coordinates):
                    memory[first + place.get() * step] = c.to("i64")
                place.set(place.get() + 1)
    return k.finish()


def _scalars(x):
    pieces = x.numel // _PIECE + 1
    scalars = {"n": x.numel, "pieces": pieces} | size_scalars(x.shape)
    return pieces, scalars | {f"x_stride{d}": s for d, s in enumerate(x.strides)}


def _counted(call, target, x, counts, shown=None):
    check(target, x.dtype)
    if x.host:
        raise UnsupportedError("a single number")
    pieces, scalars = _scalars(x)
    group = target.group(64)
    tensors = {"x": x, "counts": counts}
    first = launch(
        _count_kernel(x.dtype, len(x.shape), group, call.index), tensors, scalars, target.grid(-(-pieces // group))
    )
    return first, launch(_sum_kernel(bool(shown), call.index), tensors | (shown or {}), scalars, 1)


def _found(call, target, x, counts, limit, places, step=1):
    """places: where each coordinate goes, a tensor and an element of it."""
    pieces, scalars = _scalars(x)
    scalars |= {"limit": limit, "step": step}
    scalars |= {f"to{d}_first": first for d, (_, first) in enumerate(places)}
    group = target.group(64)
    tensors = {"x": x, "counts": counts} | {f"to{d}": t for d, (t, _) in enumerate(places)}
    kernel = _find_kernel(x.dtype, len(x.shape), group, call.index)
    return launch(kernel, tensors, scalars, target.grid(-(-pieces // group)))


@template("nonzero_count")
def nonzero_count(call, target):
    x, (total, starts) = call.inputs[0], call.outputs
    launches = _counted(call, target, x, ("temporary", 0), {"total": total, "starts": starts})
    return Plan(launches, (8 * (x.numel // _PIECE + 1),))


def positions(call, target, mask, count, first):
    """Launches that write the positions of a mask, an i64 index for each axis; their sizes; the indices.

    `first` is the number of the first temporary that may be taken.
    """
    rank = len(mask.shape)
    if not rank:
        raise UnsupportedError("a mask without axes")
    counts = ("temporary", first)
    made = [Tensor("i64", (count,), (1,), ("temporary", first + 1 + d)) for d in range(rank)]
    launches = _counted(call, target, mask, counts)
    found = _found(call, target, mask, counts, count, [(t, 0) for t in made])
    return (*launches, found), (8 * (mask.numel // _PIECE + 1), *(8 * max(count, 1) for _ in made)), made


@template("argwhere")
def argwhere(call, target):
    x, y = call.inputs[0], call.outputs[0]
    count, rank = y.shape
    if prod(y.shape) == 0:
        return Plan()
    counts = ("temporary", 0)
    found = _found(call, target, x, counts, count, [(y, d * y.strides[1]) for d in range(rank)], y.strides[0])
    return Plan((*_counted(call, target, x, counts), found), (8 * (x.numel // _PIECE + 1),))
