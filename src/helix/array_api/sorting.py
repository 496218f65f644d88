"""Sorting. NaN goes behind all numbers, or in front of them where the order descends."""

from __future__ import annotations

from helix import _core
from helix.array_api.rules import array, checked, one_axis

__all__ = ["argsort", "sort"]


def argsort(x, /, *, axis=-1, descending=False, stable=True):
    """The positions that sort the array along an axis. Takes real numeric dtypes.

    Example:
        >>> xp.argsort(xp.asarray([3, 1, 2]))
        Array([1, 2, 0])
    """
    x = checked("argsort", "real numeric", x)
    return array(_core.op_named("argsort")(x, one_axis("argsort", axis, x.ndim), descending, stable))


def sort(x, /, *, axis=-1, descending=False, stable=True):
    """The array sorted along an axis. Takes real numeric dtypes.

    Example:
        >>> xp.sort(xp.asarray([3, 1, 2]), descending=True)
        Array([3, 2, 1])
    """
    x = checked("sort", "real numeric", x)
    return array(_core.op_named("sort")(x, one_axis("sort", axis, x.ndim), descending, stable)[0])
