"""Elements at given positions."""

from __future__ import annotations

from helix import _core
from helix.array_api.rules import array, cast, checked, fail, one_axis
from helix.errors import ParameterError

__all__ = ["take", "take_along_axis"]


def take(x, indices, /, *, axis=None):
    """The parts of the array at the given positions of an axis, which a vector need not name.

    indices: integers. Raises IndexRangeError (HX1301) for one that is out of range.

    Example:
        >>> xp.take(xp.asarray([[1, 2], [3, 4]]), xp.asarray([1, 1]), axis=0).tolist()
        [[3, 4], [3, 4]]
    """
    x, indices = checked("take", "any", x), cast(checked("take", "integer", indices), _core.int64)
    if axis is None and x.ndim != 1:
        fail(ParameterError, 1403, "take", f"axis is needed for an array of {x.ndim} dimensions.")
    axis = one_axis("take", axis or 0, x.ndim)
    found = _core.op_named("index_select")(x, axis, indices.reshape(-1))
    return array(found.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :]))


def take_along_axis(x, indices, /, *, axis=-1):
    """Elements along an axis, at positions that are given for each of its lines; the other axes broadcast.

    Example:
        >>> xp.take_along_axis(xp.asarray([[1, 2], [3, 4]]), xp.asarray([[1], [0]]), axis=1).tolist()
        [[2], [3]]
    """
    x, indices = checked("take_along_axis", "any", x), checked("take_along_axis", "integer", indices)
    axis = one_axis("take_along_axis", axis, x.ndim)
    return array(_core.op_named("take_along_dim")(x, cast(indices, _core.int64), axis))
