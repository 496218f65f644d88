"""Tests over axes, and differences."""

from __future__ import annotations

from helix import _core
from helix.array_api.rules import array, axes_of, cast, checked, fail, one_axis, operands
from helix.errors import ParameterError

__all__ = ["all", "any", "diff"]

_op = _core.op_named


def _test(name, which, shown):
    def function(x, /, *, axis=None, keepdims=False):
        x = checked(name, "any", x)
        axes = axes_of(name, axis, x.ndim)
        return array(_op(name)(x, axes, keepdims) if axes else cast(x, _core.bool))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""True where {which} over the axes (all by default) is not zero; NaN is not zero.

    Example:
        >>> xp.{name}(xp.asarray([[True, False], [True, True]]), axis=1)
        Array({shown})
    """
    return function


all = _test("all", "every element", "[False,  True]")
any = _test("any", "any element", "[ True,  True]")


def diff(x, /, *, axis=-1, n=1, prepend=None, append=None):
    """The differences of neighbours along an axis, taken n times. Takes numeric dtypes.

    prepend, append: arrays that are put in front of x and behind it first.

    Example:
        >>> xp.diff(xp.asarray([1, 4, 9]))
        Array([3, 5])
    """
    if n < 0:
        fail(ParameterError, 1403, "diff", f"n must not be negative, got {n}.")
    given = [part for part in (prepend, x, append) if part is not None]
    parts = operands("diff", "numeric", *(checked("diff", "numeric", part) for part in given))
    axis = one_axis("diff", axis, x.ndim)
    joined = _op("cat")(parts, axis) if len(parts) > 1 else parts[0]
    return array(_op("diff")(joined, n, axis))
