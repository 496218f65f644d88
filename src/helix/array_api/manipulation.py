"""Other shapes, other orders, and several arrays in one."""

from __future__ import annotations

from helix import _core, shape_ops
from helix._core import Tensor
from helix.array_api.rules import array, axes_of, cast, checked, common_dtype, fail, one_axis
from helix.errors import ArgumentError, IndexRangeError, ParameterError, ShapeError

__all__ = [
    "broadcast_arrays",
    "broadcast_shapes",
    "broadcast_to",
    "concat",
    "expand_dims",
    "flip",
    "moveaxis",
    "permute_dims",
    "repeat",
    "reshape",
    "roll",
    "squeeze",
    "stack",
    "tile",
    "unstack",
]

_op = _core.op_named


def _pair(function, name, value, axes):
    """A value for each axis, from one or a tuple of them."""
    values = value if isinstance(value, tuple) else (value,) * len(axes)
    if len(values) != len(axes):
        fail(ParameterError, 1403, function, f"there are {len(values)} {name} for {len(axes)} axes.")
    return values


def broadcast_shapes(*shapes):
    """The shape that shapes broadcast to; None stands for a size that is not known.

    Raises ShapeError (HX1003).

    Example:
        >>> xp.broadcast_shapes((2, 1), (3,))
        (2, 3)
    """
    ndim = max((len(shape) for shape in shapes), default=0)
    rows = [(1,) * (ndim - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(_common_size(sizes, shapes) for sizes in zip(*rows))


def _common_size(sizes, shapes):
    """The size that the sizes of one axis stretch to."""
    known = {size for size in sizes if size not in (1, None)}
    if len(known) > 1:
        text = f"the shapes {', '.join(map(str, shapes))} have no common shape."
        fail(ShapeError, 1003, "broadcast_shapes", text)
    return known.pop() if known else None if None in sizes else 1


def broadcast_to(x, /, shape):
    """The array stretched to a shape, as a view. Raises ShapeError (HX1003).

    Example:
        >>> xp.broadcast_to(xp.asarray([1, 2]), (2, 2)).shape
        (2, 2)
    """
    return array(_op("expand")(checked("broadcast_to", "any", x), tuple(shape)))


def broadcast_arrays(*arrays):
    """The arrays stretched to their common shape, as views. Raises ShapeError (HX1003).

    Example:
        >>> [x.shape for x in xp.broadcast_arrays(xp.ones((2, 1)), xp.ones(3))]
        [(2, 3), (2, 3)]
    """
    shape = broadcast_shapes(*(checked("broadcast_arrays", "any", x).shape for x in arrays))
    return tuple(broadcast_to(x, shape) for x in arrays)


def _joined(function, arrays):
    """A list of arrays in the dtype they promote to."""
    arrays = [checked(function, "any", x) for x in arrays]
    dtype = common_dtype(function, arrays)
    return [cast(x, dtype) for x in arrays]


def concat(arrays, /, *, axis=0):
    """The arrays one behind the other along an existing axis; flattened ones with `axis=None`.

    Example:
        >>> xp.concat((xp.asarray([1, 2]), xp.asarray([3])))
        Array([1, 2, 3])
    """
    joined = _joined("concat", arrays)
    if axis is None:
        joined, axis = [x.reshape(-1) for x in joined], 0
    if len({x.ndim for x in joined}) > 1:
        fail(ShapeError, 1001, "concat", "the arrays must have as many dimensions as each other.")
    return array(_op("cat")(joined, one_axis("concat", axis, joined[0].ndim)))


def stack(arrays, /, *, axis=0):
    """The arrays, all of one shape, side by side along a new axis.

    Example:
        >>> xp.stack((xp.asarray([1, 2]), xp.asarray([3, 4])), axis=1).tolist()
        [[1, 3], [2, 4]]
    """
    joined = _joined("stack", arrays)
    return array(_op("stack")(joined, one_axis("stack", axis, joined[0].ndim + 1)))


def unstack(x, /, *, axis=0):
    """The parts of the array along an axis, without that axis, as views.

    Example:
        >>> [part.tolist() for part in xp.unstack(xp.asarray([[1, 2], [3, 4]]), axis=1)]
        [[1, 3], [2, 4]]
    """
    x = checked("unstack", "any", x)
    return tuple(array(part) for part in shape_ops.unbind(x, one_axis("unstack", axis, x.ndim)))


def expand_dims(x, /, axis):
    """The array with axes of size 1 where the result shall have them, as a view.

    Raises IndexRangeError (HX1302) for an axis that is out of range or named twice.

    Example:
        >>> xp.expand_dims(xp.ones((2, 3)), axis=(0, -1)).shape
        (1, 2, 3, 1)
    """
    axes = axis if isinstance(axis, tuple) else (axis,)
    ndim = checked("expand_dims", "any", x).ndim + len(axes)
    if any(not -ndim <= i < ndim for i in axes) or len({i % ndim for i in axes}) < len(axes):
        text = f"axis {axis} is out of range for a result of {ndim} dimensions, or named twice."
        fail(IndexRangeError, 1302, "expand_dims", text)
    for i in sorted(i % ndim for i in axes):
        x = _op("unsqueeze")(x, i)
    return array(x)


def squeeze(x, /, axis):
    """The array without some axes of size 1, as a view. Raises ParameterError (HX1403) for an axis of another size.

    Example:
        >>> xp.squeeze(xp.ones((2, 1)), axis=1).shape
        (2,)
    """
    axes = axes_of("squeeze", axis, checked("squeeze", "any", x).ndim)
    if any(x.shape[i] != 1 for i in axes):
        fail(ParameterError, 1403, "squeeze", f"only axes of size 1 go; the shape is {x.shape}, axis is {axis}.")
    return array(_op("squeeze")(x, axes)) if axes else array(x)


def flip(x, /, *, axis=None):
    """The array with its elements in reverse order along the axes (all by default).

    Example:
        >>> xp.flip(xp.asarray([1, 2, 3]))
        Array([3, 2, 1])
    """
    axes = axes_of("flip", axis, checked("flip", "any", x).ndim)
    return array(_op("flip")(x, axes) if axes else _op("clone")(x))


def moveaxis(x, source, destination, /):
    """The array with some axes moved to other places and the rest in their order, as a view.

    Example:
        >>> xp.moveaxis(xp.ones((2, 3, 4)), 0, -1).shape
        (3, 4, 2)
    """
    ndim = checked("moveaxis", "any", x).ndim
    start, goal = axes_of("moveaxis", source, ndim), axes_of("moveaxis", destination, ndim)
    if len(start) != len(goal):
        fail(ParameterError, 1403, "moveaxis", f"{len(start)} axes cannot go to {len(goal)} places.")
    order = [i for i in range(ndim) if i not in start]
    for place, axis in sorted(zip(goal, start)):
        order.insert(place, axis)
    return permute_dims(x, tuple(order))


def permute_dims(x, /, axes):
    """The array with its axes in another order, as a view.

    Example:
        >>> xp.permute_dims(xp.ones((2, 3, 4)), (2, 0, 1)).shape
        (4, 2, 3)
    """
    x = checked("permute_dims", "any", x)
    order = axes_of("permute_dims", tuple(axes), x.ndim)
    if len(order) != x.ndim:
        fail(ParameterError, 1302, "permute_dims", f"axes {axes} must name all {x.ndim} axes.")
    return array(_op("permute")(x, order) if order else x)


def reshape(x, /, shape, *, copy=None):
    """The array in another shape, in which one size may be -1: a view where that can be, or a copy.

    copy: True copies in any case; False raises ParameterError (HX1403, a ValueError) where a copy is needed.

    Example:
        >>> xp.reshape(xp.arange(6), (2, -1)).shape
        (2, 3)
    """
    x = checked("reshape", "any", x)
    if copy:
        return array(_op("reshape")(_op("clone")(x), tuple(shape)))
    found = _op("reshape")(x, tuple(shape))
    if copy is False and found.numel() and found.data_ptr() != x.data_ptr():
        fail(ParameterError, 1403, "reshape", f"{x.shape} becomes {found.shape} only by a copy.")
    return array(found)


def repeat(x, repeats, /, *, axis=None):
    """The array with each element repeated along an axis, or of the flattened array.

    repeats: how often; a number, or an array of integers, one for each.

    Example:
        >>> xp.repeat(xp.asarray([1, 2]), xp.asarray([2, 1]))
        Array([1, 1, 2])
    """
    x = checked("repeat", "any", x)
    if isinstance(repeats, Tensor):
        repeats = cast(checked("repeat", "integer", repeats), _core.int64)
    elif not isinstance(repeats, int):
        fail(ArgumentError, 1103, "repeat", f"repeats must be an integer or an array, got {type(repeats).__name__}.")
    x, axis = (x.reshape(-1), 0) if axis is None else (x, one_axis("repeat", axis, x.ndim))
    if isinstance(repeats, Tensor) and repeats.numel() == 1:
        repeats = _op("expand")(repeats.reshape(1), (x.shape[axis],))
    return array(_op("repeat_interleave")(x, repeats, axis))


def roll(x, /, shift, *, axis=None):
    """The array with its elements moved along the axes, those pushed out at the end coming in at the front.

    Without an axis the flattened array is rolled.

    Example:
        >>> xp.roll(xp.asarray([1, 2, 3]), 1)
        Array([3, 1, 2])
    """
    x = checked("roll", "any", x)
    if axis is None:
        return array(_op("roll")(x, shift)) if x.ndim else array(_op("clone")(x))
    for distance, i in zip(*_matched(shift, axis)):
        x = _op("roll")(x, distance, one_axis("roll", i, x.ndim))
    return array(x)


def _matched(shift, axis):
    """As many distances as axes."""
    if isinstance(shift, tuple) and not isinstance(axis, tuple):
        axis = (axis,) * len(shift)
    axes = axis if isinstance(axis, tuple) else (axis,)
    return _pair("roll", "distances", shift, axes), axes


def tile(x, repetitions, /):
    """The array laid side by side with itself, so many times along each axis.

    Example:
        >>> xp.tile(xp.asarray([1, 2]), (2,))
        Array([1, 2, 1, 2])
    """
    x = checked("tile", "any", x)
    return array(_op("tile")(x, tuple(repetitions)) if repetitions else x)
