"""Reductions, and sums and products on the way."""

from __future__ import annotations

from helix import _core
from helix.array_api.rules import KINDS, array, axes_of, cast, checked, fail, one_axis
from helix.errors import ParameterError

__all__ = ["cumulative_prod", "cumulative_sum", "max", "mean", "min", "prod", "std", "sum", "var"]

_op = _core.op_named


def _widened(x, dtype):
    """x as what its sums and products are made in: the given dtype, or 64 bits for an integer."""
    if dtype is None and x.dtype in KINDS["unsigned integer"]:
        dtype = _core.uint64
    elif dtype is None and x.dtype in KINDS["signed integer"]:
        dtype = _core.int64
    return x if dtype is None else cast(x, dtype)


def _reduced(op, x, axes, keepdims, **options):
    """The op over some axes; over none of them, every element by itself."""
    if not axes:
        x, axes, keepdims = x[..., None], (-1,), False
    return array(_op(op)(x, axes, keepdim=keepdims, **options))


def _extreme(name, op, which):
    def function(x, /, *, axis=None, keepdims=False):
        x = checked(name, "real numeric", x)
        return _reduced(op, x, axes_of(name, axis, x.ndim), keepdims)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""The {which} element over the axes (all by default). NaN where there is one.

    Takes real numeric dtypes. Raises ParameterError (HX1404) over no elements.

    Example:
        >>> xp.{name}(xp.asarray([[1, 5], [7, 2]]), axis=1)
        Array({[5, 7] if name == "max" else [1, 2]})
    """
    return function


max = _extreme("max", "amax", "largest")
min = _extreme("min", "amin", "smallest")


def sum(x, /, *, axis=None, dtype=None, keepdims=False):
    """The sum over the axes (all by default). Integers are summed in 64 bits where no dtype is given.

    Takes numeric dtypes.

    Example:
        >>> xp.sum(xp.asarray([[1, 2], [3, 4]]), axis=0)
        Array([4, 6])
    """
    x = _widened(checked("sum", "numeric", x), dtype)
    return _reduced("sum", x, axes_of("sum", axis, x.ndim), keepdims, dtype=x.dtype)


def prod(x, /, *, axis=None, dtype=None, keepdims=False):
    """The product over the axes (all by default). Integers are multiplied in 64 bits where no dtype is given.

    Takes numeric dtypes.

    Example:
        >>> xp.prod(xp.asarray([[1, 2], [3, 4]]), axis=0)
        Array([3, 8])
    """
    x = _widened(checked("prod", "numeric", x), dtype)
    return _reduced("prod", x, axes_of("prod", axis, x.ndim), keepdims, dtype=x.dtype)


def mean(x, /, *, axis=None, keepdims=False):
    """The mean over the axes (all by default). Takes floating-point dtypes.

    Example:
        >>> xp.mean(xp.asarray([1.0, 4.0]))
        Array(2.5)
    """
    x = checked("mean", "floating-point", x)
    return _reduced("mean", x, axes_of("mean", axis, x.ndim), keepdims)


def var(x, /, *, axis=None, correction=0.0, keepdims=False):
    """The variance over the axes (all by default); `correction` is taken from the count that divides.

    Takes real floating-point dtypes.

    Example:
        >>> xp.var(xp.asarray([1.0, 3.0])), xp.var(xp.asarray([1.0, 3.0]), correction=1)
        (Array(1.), Array(2.))
    """
    x = checked("var", "real floating-point", x)
    return _reduced("var", x, axes_of("var", axis, x.ndim), keepdims, correction=correction)


def std(x, /, *, axis=None, correction=0.0, keepdims=False):
    """The standard deviation over the axes (all by default); `correction` is taken from the count that divides.

    Takes real floating-point dtypes.

    Example:
        >>> xp.std(xp.asarray([1.0, 3.0]))
        Array(1.)
    """
    x = checked("std", "real floating-point", x)
    return _reduced("std", x, axes_of("std", axis, x.ndim), keepdims, correction=correction)


def _cumulative(function, op, first, x, axis, dtype, include_initial):
    x = _widened(checked(function, "numeric", x), dtype)
    if axis is None and x.ndim != 1:
        fail(ParameterError, 1403, function, f"axis is needed for an array of {x.ndim} dimensions.")
    axis = one_axis(function, axis or 0, x.ndim)
    found = _op(op)(x, axis, dtype=x.dtype)
    if include_initial:
        shape = tuple(1 if i == axis else n for i, n in enumerate(x.shape))
        found = _op("cat")([_op("full")(shape, first, dtype=x.dtype, device=x.device), found], axis)
    return array(found)


def cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False):
    """The sums of the first 1, 2, 3, … elements along an axis, which a vector need not name.

    include_initial: also the sum of none, 0, in front. Takes numeric dtypes; integers are summed in 64 bits.

    Example:
        >>> xp.cumulative_sum(xp.asarray([1, 2, 3]), include_initial=True)
        Array([0, 1, 3, 6])
    """
    return _cumulative("cumulative_sum", "cumsum", 0, x, axis, dtype, include_initial)


def cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False):
    """The products of the first 1, 2, 3, … elements along an axis, which a vector need not name.

    include_initial: also the product of none, 1, in front. Takes numeric dtypes; integers are multiplied in 64 bits.

    Example:
        >>> xp.cumulative_prod(xp.asarray([1, 2, 3]), include_initial=True)
        Array([1, 1, 2, 6])
    """
    return _cumulative("cumulative_prod", "cumprod", 1, x, axis, dtype, include_initial)
