"""Shapes and strides: how operands are brought to few dimensions, and how a kernel finds their elements."""

from __future__ import annotations

from math import prod

from helix.kernel.plan import Tensor


def broadcast_strides(tensor, shape):
    """A tensor's strides as if it had the shape; 0 along what it repeats."""
    lead = len(shape) - len(tensor.shape)
    return (0,) * lead + tuple(0 if n == 1 else s for n, s in zip(tensor.shape, tensor.strides))


def coalesce(shape, strides, ordered=False):
    """Fewer dimensions with the same elements: sizes, and a list of strides per operand.

    Dimensions of size 1 go; those that every operand crosses in one step are joined. The first operand's strides decide
    the order, unless the numbers of the elements matter.
    """
    order = [d for d in range(len(shape)) if shape[d] != 1]
    if not ordered:
        order.sort(key=lambda d: -abs(strides[0][d]))
    sizes, kept = [], [[] for _ in strides]
    for d in order:
        if sizes and all(k[-1] == s[d] * shape[d] for k, s in zip(kept, strides)):
            sizes[-1] *= shape[d]
            for k, s in zip(kept, strides):
                k[-1] = s[d]
        else:
            sizes.append(shape[d])
            for k, s in zip(kept, strides):
                k.append(s[d])
    return tuple(sizes), [tuple(k) for k in kept]


def layout_of(sizes, strides):
    """dense: element i lies at i; one: a single element; strided: by coordinates."""
    if all(s == 0 for s in strides):
        return "one"
    if len(sizes) == 1 and strides[0] == 1:
        return "dense"
    return "strided"


def carrier(dtype):
    """The unsigned dtype of the same size, for elements that are only moved; 16 bytes are moved as two words of 8."""
    sizes = {"bool": "u8", "i8": "u8", "u8": "u8", "c64": "u64", "c128": "u64"}
    return sizes.get(dtype) or {"16": "u16", "32": "u32", "64": "u64"}[dtype.lstrip("biuf")]


def as_bits(tensor):
    """A tensor whose elements are moved: of its carrier, with a last dimension of 2 for elements of 16 bytes."""
    if tensor is None:
        return None
    shape, strides = tensor.shape, tensor.strides
    if tensor.dtype == "c128":
        shape, strides = (*shape, 2), (*(2 * s for s in strides), 1)
    return Tensor(carrier(tensor.dtype), shape, strides, tensor.reference, tensor.host)


class Operand:
    """A buffer of a kernel together with its offset and, when strided, its strides, as scalars."""

    def __init__(self, k, name, dtype, layout, rank, written=False):
        self.k, self.layout = k, layout
        self.memory = k.buffer(name, dtype, written)
        self.at = k.scalar(name + "_at")
        self.strides = [k.scalar(f"{name}_stride{d}") for d in range(rank)] if layout == "strided" else []

    def place(self, i, coordinates):
        if self.layout == "one":
            return self.at
        if self.layout == "dense":
            return self.at + i
        place = self.at
        for c, s in zip(coordinates, self.strides):
            place = place + c * s
        return place

    def read(self, i, coordinates=()):
        return self.memory[self.place(i, coordinates)]

    def write(self, value, i, coordinates=()):
        self.memory[self.place(i, coordinates)] = value


def coordinates_of(i, sizes):
    """Coordinates of row-major number i; `sizes` are the sizes of all dimensions but the first."""
    found = []
    for size in reversed(sizes):
        found.append(i % size)
        i = i // size
    return [i, *reversed(found)]


def stride_scalars(name, layout, strides):
    return {f"{name}_stride{d}": s for d, s in enumerate(strides)} if layout == "strided" else {}


def size_scalars(sizes, prefix="size"):
    return {f"{prefix}{d}": n for d, n in enumerate(sizes) if d}


def contiguous_strides(shape):
    return tuple(prod(shape[d + 1 :]) for d in range(len(shape)))
