"""Arrays as sets of their elements. Two NaN are two elements; -0.0 and 0.0 are one."""

from __future__ import annotations

from typing import NamedTuple

from helix import _core
from helix._core import Tensor
from helix.array_api.rules import KINDS, array, cast, checked, operands

__all__ = ["isin", "unique_all", "unique_counts", "unique_inverse", "unique_values"]

_op = _core.op_named


class UniqueAll(NamedTuple):
    """What unique_all gives."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What unique_counts gives."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What unique_inverse gives."""

    values: Tensor
    inverse_indices: Tensor


def _order(x):
    """The positions that sort a vector, equal elements in their order."""
    if x.dtype in KINDS["complex floating"]:
        by_imaginary = _op("argsort")(_op("imag")(x), 0, False, True)
        real = _op("index_select")(_op("real")(x), 0, by_imaginary)
        return _op("index_select")(by_imaginary, 0, _op("argsort")(real, 0, False, True))
    return _op("argsort")(x, 0, False, True)


def unique_all(x, /):
    """The unique elements as (values, indices, inverse_indices, counts).

    indices: where each occurs first in the flattened array. inverse_indices: for each element of x, which value it is.

    Example:
        >>> [part.tolist() for part in xp.unique_all(xp.asarray([3, 1, 3]))]
        [[1, 3], [1, 0], [1, 0, 1], [1, 2]]
    """
    flat = checked("unique_all", "any", x).reshape(-1)
    order = _order(flat)
    ordered = _op("index_select")(flat, 0, order)
    begins = _op("cat")(
        [_op("ones")(min(1, flat.numel()), dtype=_core.bool, device=x.device), ordered[1:] != ordered[:-1]]
    )
    starts = _op("argwhere")(begins).reshape(-1)
    ranks = _op("cumsum")(cast(begins, _core.int64), 0) - 1
    inverse = _op("scatter")(_op("zeros_like")(order), 0, order, ranks)
    ends = _op("cat")(
        [starts[1:], _op("full")((min(1, flat.numel()),), flat.numel(), dtype=_core.int64, device=x.device)]
    )
    indices = _op("index_select")(order, 0, starts)
    values = _op("index_select")(flat, 0, indices)
    return UniqueAll(*(array(part) for part in (values, indices, inverse.reshape(x.shape), ends - starts)))


def unique_counts(x, /):
    """The unique elements, and how often each occurs, as (values, counts).

    Example:
        >>> [part.tolist() for part in xp.unique_counts(xp.asarray([3, 1, 3]))]
        [[1, 3], [1, 2]]
    """
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x, /):
    """The unique elements, and for each element of x which of them it is, as (values, inverse_indices).

    Example:
        >>> [part.tolist() for part in xp.unique_inverse(xp.asarray([3, 1, 3]))]
        [[1, 3], [1, 0, 1]]
    """
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x, /):
    """The unique elements.

    Example:
        >>> xp.unique_values(xp.asarray([3, 1, 3]))
        Array([1, 3])
    """
    return unique_all(x).values


def isin(x1, x2, /, *, invert=False):
    """True for each element of x1 that is in x2; False for those with `invert`. One of the two may be an integer.

    Example:
        >>> xp.isin(xp.asarray([1, 2, 3]), xp.asarray([3, 1]))
        Array([ True, False,  True])
    """
    elements, among = operands("isin", "any", x1, x2)
    return array(_op("isin")(elements, among, invert=invert))
