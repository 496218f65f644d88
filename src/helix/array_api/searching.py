"""Where elements are."""

from __future__ import annotations

from helix import _core, shape_ops
from helix._core import Tensor
from helix.array_api.rules import array, axes_of, cast, checked, fail, one_axis, operands
from helix.errors import DTypeError, ParameterError

__all__ = ["argmax", "argmin", "count_nonzero", "nonzero", "searchsorted", "where"]

_op = _core.op_named


def _position(name, which):
    def function(x, /, *, axis=None, keepdims=False):
        x = checked(name, "real numeric", x)
        axis = None if axis is None else one_axis(name, axis, x.ndim)
        return array(_op(name)(x, axis, keepdims))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""The position of the {which} element along an axis, or in the flattened array; the first of equals.

    Takes real numeric dtypes. Raises ParameterError (HX1404) over no elements.

    Example:
        >>> xp.{name}(xp.asarray([[1, 5], [7, 2]]), axis=1)
        Array({[1, 0] if name == "argmax" else [0, 1]})
    """
    return function


argmax = _position("argmax", "largest")
argmin = _position("argmin", "smallest")


def count_nonzero(x, /, *, axis=None, keepdims=False):
    """How many elements over the axes (all by default) are not zero.

    Example:
        >>> xp.count_nonzero(xp.asarray([[0, 2], [3, 4]]), axis=0)
        Array([1, 2])
    """
    x = checked("count_nonzero", "any", x)
    axes = axes_of("count_nonzero", axis, x.ndim)
    counted = cast(_op("ne")(x, 0), _core.int64)
    return array(_op("sum")(counted, axes, keepdims) if axes else counted)


def nonzero(x, /):
    """The positions of the elements that are not zero: for each axis, a vector.

    Raises ParameterError (HX1001) for an array without dimensions.

    Example:
        >>> [index.tolist() for index in xp.nonzero(xp.asarray([[0, 2], [3, 0]]))]
        [[0, 1], [1, 0]]
    """
    if checked("nonzero", "any", x).ndim == 0:
        fail(ParameterError, 1001, "nonzero", "an array without dimensions has no positions.")
    return tuple(array(index) for index in shape_ops.unbind(_op("argwhere")(x), 1))


def searchsorted(x1, x2, /, *, side="left", sorter=None):
    """Where elements of x2 would go into the sorted vector x1 so that it stays sorted.

    side: "left", before elements that are equal, or "right", behind them. sorter: what sorts x1, as argsort gives it. Takes
    real numeric dtypes.

    Example:
        >>> xp.searchsorted(xp.asarray([1, 3, 3]), xp.asarray([0, 3, 9]), side="right")
        Array([0, 3, 3])
    """
    if checked("searchsorted", "real numeric", x1).ndim != 1:
        fail(ParameterError, 1001, "searchsorted", "x1 must have one dimension.")
    if side not in ("left", "right"):
        fail(ParameterError, 1403, "searchsorted", f'side must be "left" or "right", got {side!r}.')
    x1, x2 = operands("searchsorted", "real numeric", x1, x2)
    if sorter is not None:
        x1 = _op("index_select")(x1, 0, checked("searchsorted", "integer", sorter))
    return array(_op("searchsorted")(x1, x2, side=side))


def where(condition, x1, x2, /):
    """x1 where the condition holds, x2 elsewhere; x1 and x2 may be Python numbers, not both.

    Example:
        >>> xp.where(xp.asarray([True, False]), xp.asarray([1, 2]), 0)
        Array([1, 0])
    """
    condition = checked("where", "boolean", condition)
    if not isinstance(x1, Tensor) and not isinstance(x2, Tensor):
        x1, x2 = (_core.tensor(x, device=condition.device) for x in (x1, x2))
        if x1.dtype is not x2.dtype:
            fail(DTypeError, 1101, "where", "two Python numbers must be of one kind.")
    return array(_op("where")(condition, *operands("where", "any", x1, x2)))
