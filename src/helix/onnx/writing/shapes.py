"""Views, joining, padding and repeating."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...graph.ir import Node
from ...graph.symbols import Expr
from .edge import Edge, Pair
from .faults import unwritable
from .sizes import known
from .table import H, writes
from .writer import Writer

Any_ = Edge | Pair
END = (1 << 63) - 1


def each(*ops: str, when: Callable[[Node], bool] | None = None) -> Callable[[H], H]:
    """Enters a handler that moves elements: complex tensors go part by part."""

    def enter(function: H) -> H:
        def pairs(w: Writer, *given: Any) -> Pair:
            real, imaginary = ([getattr(x, k) if isinstance(x, Pair) else x for x in given] for k in ("re", "im"))
            return Pair(function(w, *real), function(w, *imaginary))

        writes(*ops, when=when)(function)
        writes(*ops, when=when, complex=True)(pairs)
        return function

    return enter


@each("view", "reshape", "view_as", "reshape_as")
def reshape(w: Writer, x: Edge, *_: Any) -> Edge:
    return w.reshape(x, _sizes(w, x))


def _sizes(w: Writer, x: Edge) -> tuple[Any, ...]:
    """The sizes of the result. One that is not known takes what is left."""
    shape = w.out[0].shape
    open_sizes = [i for i, size in enumerate(shape) if type(size).__name__ == "Unknown"]
    if len(open_sizes) > 1:
        assert w.node is not None
        raise unwritable(w.node, "two sizes of the result are no sums of products of dimensions; trace for fixed sizes")
    if open_sizes and all(isinstance(size, int) for i, size in enumerate(shape) if i not in open_sizes):
        return shape
    if open_sizes:
        return tuple([w.ints([-1]) if i in open_sizes else size for i, size in enumerate(shape)])
    return shape


@each("squeeze")
def squeeze(w: Writer, x: Edge, dim: Any) -> Edge:
    named = range(x.rank) if dim is None else [axis % max(x.rank, 1) for axis in _tuple(dim)]
    gone = [axis for axis in named if x.rank and x.shape[axis] == 1]
    return w.Squeeze(x, gone) if gone else x


@each("unsqueeze")
def unsqueeze(w: Writer, x: Edge, dim: int) -> Edge:
    return w.Unsqueeze(x, [dim % (x.rank + 1)])


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


@each("expand", "expand_as")
def expand(w: Writer, x: Edge, *_: Any) -> Edge:
    return w.Expand(x, list(w.out[0].shape)) if w.out[0].shape else x


@each("permute")
def permute(w: Writer, x: Edge, dims: tuple[Any, ...]) -> Edge:
    return w.Transpose(x, perm=[axis % x.rank for axis in dims]) if x.rank else x


def swapped(w: Writer, x: Edge, a: int, b: int) -> Edge:
    order = list(range(x.rank))
    if not order:
        return x
    order[a], order[b] = order[b], order[a]
    made = w.Transpose(x, perm=order)
    made.shape = tuple([x.shape[axis] for axis in order]) if x.shape is not None else None
    return made


@each("transpose")
def transpose(w: Writer, x: Edge, a: int, b: int) -> Edge:
    return swapped(w, x, a, b)


@each("t")
def t(w: Writer, x: Edge) -> Edge:
    return swapped(w, x, 0, 1) if x.rank == 2 else x


@each("movedim")
def movedim(w: Writer, x: Edge, source: Any, destination: Any) -> Edge:
    if not x.rank:
        return x
    places = {b % x.rank: a % x.rank for a, b in zip(_tuple(source), _tuple(destination), strict=True)}
    rest = iter([axis for axis in range(x.rank) if axis not in places.values()])
    return w.Transpose(x, perm=[places[i] if i in places else next(rest) for i in range(x.rank)])


@each("flip")
def flip(w: Writer, x: Edge, dims: Any) -> Edge:
    axes = [axis % max(x.rank, 1) for axis in _tuple(dims)] if x.rank else []
    n = len(axes)
    return w.Slice(x, w.ints([-1] * n), w.ints([-END] * n), w.ints(axes), w.ints([-1] * n)) if n else x


def sliced(w: Writer, x: Edge, axis: int, start: Any, end: Any, step: int = 1) -> Edge:
    return w.Slice(x, [start], [(END if step > 0 else -END) if end is None else end], [axis % x.rank], [step])


@each("narrow")
def narrow(w: Writer, x: Edge, dim: int, start: Any, length: Any) -> Edge:
    if isinstance(start, int) and start < 0 and isinstance(x.shape[dim], (int, Expr)):
        start = x.shape[dim] + start
    return sliced(w, x, dim, start, start + length)


@each("select")
def select(w: Writer, x: Edge, dim: int, index: Any) -> Edge:
    at = w.constant(index, "int64") if isinstance(index, int) else w.sizes.number(index, "int64")
    return w.Gather(x, at, axis=dim % x.rank)


@each("slice")
def slice_(w: Writer, x: Edge, dim: int, start: Any, end: Any, step: int) -> Edge:
    first = (0 if step > 0 else END) if start is None else start
    return sliced(w, x, dim, first, end, step)


@each("diagonal")
def diagonal(w: Writer, x: Edge, offset: int, dim1: int, dim2: int) -> Edge:
    """Both axes become the last one, of which every (columns + 1)-th element is taken."""
    a, b = dim1 % x.rank, dim2 % x.rank
    order = [axis for axis in range(x.rank) if axis not in (a, b)] + [a, b]
    shape = [w.sizes.of(x, axis) for axis in order]
    rows, columns, count = shape[-2], shape[-1], w.out[0].shape[-1]
    assert w.node is not None
    if not all(isinstance(size, (int, Expr)) and known(size) for size in (rows, columns, count)):
        raise unwritable(w.node, "the size of the diagonal is no sum of products of dimensions; give numbers instead")
    flat = w.reshape(w.Transpose(x, perm=order), [*shape[:-2], rows * columns])
    first = offset if offset >= 0 else -offset * columns
    if isinstance(columns, int) and isinstance(count, int) and isinstance(first, int):
        places = w.ints([first + i * (columns + 1) for i in range(count)])
    else:
        each = w.Range(w.constant(0, "int64"), w.Squeeze(w.sizes.one(count), [0]), w.constant(1, "int64"))
        places = each * w.sizes.one(columns + 1) + w.sizes.one(first)
    return w.Gather(flat, places, axis=len(shape) - 2)


@each("unfold")
def unfold(w: Writer, x: Edge, dim: int, size: int, step: int) -> Edge:
    """Windows along an axis, their elements in a last axis."""
    if not x.rank:
        return w.Expand(x, [size])
    axis = dim % x.rank
    count = w.out[0].shape[axis]
    if isinstance(count, int):
        places = w.constant([[i * step + k for k in range(size)] for i in range(count)], "int64")
    else:
        windows = (w.sizes.one(w.sizes.of(x, axis)) - size) / step + 1
        first = w.Range(w.constant(0, "int64"), w.Squeeze(windows, [0]), w.constant(1, "int64")) * step
        places = w.Unsqueeze(first, [1]) + w.constant([list(range(size))], "int64")
    made = w.Gather(x, places, axis=axis)
    order = list(range(x.rank + 1))
    order.append(order.pop(axis + 1))
    return w.Transpose(made, perm=order)


def _fixed(node: Node) -> bool:
    source = node.inputs[0]
    return source is not None and all(
        isinstance(size, int) for value in (source, *node.outputs) for size in value.shape
    )


def _places(shape: tuple[Any, ...], strides: tuple[Any, ...], offset: int) -> Any:
    import numpy as np

    grid = np.full(shape, offset, dtype=np.int64)
    for axis, (size, stride) in enumerate(zip(shape, strides, strict=True)):
        grid += (np.arange(size) * stride).reshape([-1] + [1] * (len(shape) - 1 - axis))
    return grid


def _dense(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    strides: list[Any] = []
    step = 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= size
    return tuple(strides)


@each("as_strided", "view_of_base", when=_fixed)
def as_strided(w: Writer, x: Edge, shape: tuple[Any, ...], strides: tuple[Any, ...], offset: int | None) -> Edge:
    return w.Gather(w.Reshape(x, [-1]), w.constant(_places(shape, strides, offset or 0), "int64"), axis=0)


@each("exchange_part", when=_fixed)
def exchange_part(
    w: Writer, base: Edge, part: Edge, shape: tuple[Any, ...], strides: tuple[Any, ...], offset: int
) -> Edge:
    """Writes where the elements of a view lie in the base."""
    places = w.constant(_places(shape, strides, offset).reshape(-1, 1), "int64")
    made = w.ScatterND(w.Reshape(base, [-1]), places, w.Reshape(part, [-1]))
    return w.reshape(made, base.shape)


# ---- joining -----------------------------------------------------------------------------------------------


def _joined(w: Writer, parts: list[Edge], axis: int) -> Edge:
    parts = [part.to(w.dtype) if "complex" not in w.dtype else part for part in parts]
    parts = [part for part in parts if part.shape != (0,) or len(w.out[0].shape) == 1]
    return parts[0] if len(parts) == 1 else w.Concat(*parts, axis=axis)


@writes("cat")
def cat(w: Writer, parts: list[Edge], dim: int) -> Edge:
    return _joined(w, parts, dim % len(w.out[0].shape))


@writes("stack")
def stack(w: Writer, parts: list[Edge], dim: int) -> Edge:
    axis = dim % len(w.out[0].shape)
    return _joined(w, [w.Unsqueeze(part, [axis]) for part in parts], axis)


@writes("cat", "stack", complex=True)
def cat_pairs(w: Writer, parts: list[Any], dim: int) -> Pair:
    assert w.node is not None
    function = cat if w.node.op == "cat" else stack
    return Pair(function(w, [p.re for p in parts], dim), function(w, [p.im for p in parts], dim))


@each("constant_pad")
def constant_pad(w: Writer, x: Edge, value: Edge, pad: tuple[Any, ...]) -> Edge:
    """pad: before and after the last axis, the one before it, and so on; less than 0 cuts."""
    n = len(pad) // 2
    axes = [x.rank - 1 - i for i in range(n)]
    pads = [*pad[0::2], *pad[1::2]]
    return w.Pad(x, pads, value.to(x.dtype), axes, mode="constant")


_BORDER = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@each("border_pad")
def border_pad(w: Writer, x: Edge, pad: tuple[Any, ...], mode: str) -> Edge:
    n = len(pad) // 2
    axes = [x.rank - 1 - i for i in range(n)]
    if min(pad) < 0 and _BORDER[mode] == "wrap":
        assert w.node is not None
        raise unwritable(w.node, "circular padding that cuts; slice the tensor instead")
    return w.Pad(x, [*pad[0::2], *pad[1::2]], None, axes, mode=_BORDER[mode])


@each("tril", "triu")
def triangle(w: Writer, x: Edge, diagonal: Any) -> Edge:
    assert w.node is not None
    at = w.operand(diagonal, "int64") if isinstance(diagonal, Expr) else w.constant(diagonal, "int64")
    return w.Trilu(x, at, upper=int(w.node.op == "triu"))
