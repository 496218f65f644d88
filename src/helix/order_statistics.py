"""Statistics of the order of elements: quantiles, the median without NaN, the most frequent value."""

from __future__ import annotations

from typing import Any, NamedTuple

from helix import _core
from helix._core import Tensor
from helix.errors import DTypeError, ParameterError, ShapeError
from helix.precision import listed_for_cpu
from helix.written import axis, fail, into, need_tensors, one_of, op

INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


class ValuesAndIndices(NamedTuple):
    """Elements, and where they stand along the axis."""

    values: Tensor
    indices: Tensor


@listed_for_cpu("float32")
def quantile(
    input: Tensor,
    q: float | Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    out: Tensor | None = None,
) -> Tensor:
    """The q-quantiles along an axis, or of all elements: NaN where there is a NaN.

    q: a number in [0, 1], or a vector of them, which then stand along a new first axis. Between two elements,
    `interpolation` takes the "linear" value, the "lower", the "higher", the "nearest" or their "midpoint".
    Raises DTypeError for other dtypes than float32 and float64, ParameterError for q outside of [0, 1] or no elements.

    Example:
        >>> helix.quantile(helix.tensor([4.0, 1.0, 2.0, 3.0]), helix.tensor([0.0, 0.5])).tolist()
        [1.0, 2.5]
    """
    return into("quantile", out, _quantile("quantile", input, q, dim, keepdim, interpolation, False))


@listed_for_cpu("float32")
def nanquantile(
    input: Tensor,
    q: float | Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    out: Tensor | None = None,
) -> Tensor:
    """The q-quantiles of the elements that are not NaN, as `quantile`; NaN where there are none.

    Example:
        >>> helix.nanquantile(helix.tensor([helix.nan, 1.0, 2.0]), 0.5).item()
        1.5
    """
    return into("nanquantile", out, _quantile("nanquantile", input, q, dim, keepdim, interpolation, True))


def _quantile(name, input, q, dim, keepdim, interpolation, skip):
    q = _check_quantile(name, input, q, interpolation)
    rows = (
        input.reshape(-1) if dim is None or input.ndim == 0 else op("movedim")(input, axis(name, dim, input.ndim), -1)
    )
    if dim is not None:
        axis(name, dim, input.ndim)
    if rows.shape[-1] == 0:
        fail(ParameterError, 1404, name, f"input has no elements along the axis: its shape is {tuple(input.shape)}.")
    found = _at_ranks(rows, q.reshape(-1), interpolation, skip)
    if keepdim:
        shape = (
            [1] * input.ndim if dim is None else list(op("movedim")(input, dim, -1).shape[:-1]) if input.ndim else []
        )
        if dim is not None and input.ndim:
            shape.insert(axis(name, dim, input.ndim), 1)
        found = found.reshape([*shape, q.numel()])
    return op("movedim")(found, -1, 0) if q.ndim else found[..., 0]


def _check_quantile(name, input, q, interpolation):
    need_tensors(name, input=input)
    if input.dtype not in (_core.float32, _core.float64):
        fail(DTypeError, 1101, name, f"input has dtype {input.dtype.name}; accepted: float32, float64.")
    one_of(name, "interpolation", interpolation, INTERPOLATIONS)
    if not isinstance(q, Tensor):
        q = _core.tensor(float(q), dtype=input.dtype, device=input.device)
    if q.ndim > 1:
        fail(ShapeError, 1001, name, f"q must be a number or a vector, got shape {tuple(q.shape)}.")
    if q.dtype is not input.dtype:
        fail(DTypeError, 1101, name, f"q must have the dtype of input, {input.dtype.name}, got {q.dtype.name}.")
    if not bool(((q >= 0) & (q <= 1)).all()):
        fail(ParameterError, 1403, name, f"q must lie in [0, 1], got {q.tolist()}.")
    return q


def _at_ranks(rows, q, interpolation, skip):
    """The elements of the sorted last axis at the ranks q * (count - 1), interpolated."""
    last = rows.shape[-1] - 1
    ordered = op("sort")(rows, -1).values
    missing = op("isnan")(rows)
    if skip:
        ranks = q * (last - missing.sum(-1, keepdim=True)).clamp(0)
    else:
        ranks = op("where")(missing.any(-1, keepdim=True), float(last), q * last)
    steps = {"lower": op("floor"), "higher": op("ceil"), "nearest": op("round")}
    if interpolation in steps:
        return op("gather")(ordered, -1, steps[interpolation](ranks).to(_core.int64))
    below = op("floor")(ranks)
    weight = op("full_like")(ranks, 0.5) if interpolation == "midpoint" else ranks - below
    low, high = (op("gather")(ordered, -1, place.to(_core.int64)) for place in (below, op("ceil")(ranks)))
    return op("lerp")(low, high, weight)


def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The lower median of the elements that are not NaN; with `dim`, along it as (values, indices).

    Example:
        >>> helix.nanmedian(helix.tensor([helix.nan, 3.0, 1.0])).item()
        1.0
    """
    if dim is None:
        return into("nanmedian", out, _nanmedian(input.reshape(-1), -1, False).values)
    return _pair("nanmedian", out, _nanmedian(input, axis("nanmedian", dim, input.ndim), keepdim))


def _nanmedian(input, dim, keepdim):
    if input.ndim == 0:
        return ValuesAndIndices(input, op("zeros_like")(input, dtype=_core.int64))
    if input.shape[dim] == 0:
        if input.ndim == 1 and input.is_floating_point():
            return ValuesAndIndices(input.sum() * _core.tensor(float("nan"), dtype=input.dtype), None)
        fail(ParameterError, 1404, "nanmedian", f"axis {dim} of input has size 0: its shape is {tuple(input.shape)}.")
    count = input.shape[dim] - op("isnan")(input).sum(dim, keepdim=True)
    order = op("sort")(input, dim, stable=True).indices
    return _chosen(input, op("gather")(order, dim, (count - 1).clamp(0) // 2), dim, keepdim)


def _chosen(input, indices, dim, keepdim):
    """The elements at one position of the axis each."""
    values = op("gather")(input, dim, indices)
    return ValuesAndIndices(*(t if keepdim else t.squeeze(dim) for t in (values, indices)))


def _pair(name, out, found):
    return found if out is None else ValuesAndIndices(*(into(name, o, f) for o, f in zip(out, found)))


def mode(input: Tensor, dim: int = -1, keepdim: bool = False, *, out: Any = None) -> ValuesAndIndices:
    """The most frequent value along an axis, the smallest of several, as (values, indices): its last position.

    Example:
        >>> helix.mode(helix.tensor([3, 1, 3, 1, 2])).values.item()
        1
    """
    dim = axis("mode", dim, input.ndim)
    if input.ndim == 0:
        return _pair("mode", out, ValuesAndIndices(input, op("zeros_like")(input, dtype=_core.int64)))
    if input.shape[dim] == 0:
        fail(ParameterError, 1404, "mode", f"axis {dim} of input has size 0: its shape is {tuple(input.shape)}.")
    ordered, order = op("sort")(input.detach(), dim, stable=True)
    size = input.shape[dim]
    place = op("arange")(size).reshape([-1 if i == dim else 1 for i in range(input.ndim)]).expand(input.shape)
    starts = ordered.narrow(dim, 1, size - 1) != ordered.narrow(dim, 0, size - 1)
    begin = op("where")(op("pad")(starts, [0, 0] * (input.ndim - 1 - dim) + [1, 0]), place, 0)
    run = place - op("cummax")(begin, dim).values  # how many equal ones stand before, in order
    return _pair("mode", out, _chosen(input, op("gather")(order, dim, run.argmax(dim, True)), dim, keepdim))


def searchsorted(
    sorted_sequence: Tensor,
    input: Tensor | float,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Where each value would go in an ascending sequence so that it stays ascending: before equal elements, or after.

    sorted_sequence: one for all values, or one for each row of input. right=True, or side="right": after equal ones.
    sorter: the positions that put sorted_sequence in order, as `argsort` gives them. Returns int64 (int32 with out_int32).
    Raises ShapeError for rows that do not fit, ParameterError where right and side disagree.

    Example:
        >>> helix.searchsorted(helix.tensor([1.0, 3.0, 5.0]), helix.tensor([3.0, 4.0])).tolist()
        [1, 2]
    """
    if sorter is not None:
        if sorter.shape != sorted_sequence.shape or sorter.dtype is not _core.int64:
            shape = f"sorter must be int64 of shape {tuple(sorted_sequence.shape)}, got {sorter.dtype.name} {tuple(sorter.shape)}."
            fail(ShapeError, 1002, "searchsorted", shape)
        sorted_sequence = op("gather")(sorted_sequence, -1, sorter)
    more = {} if out is None else {"out": out}
    side = ("right" if right else "left") if side is None else side
    return op("searchsorted")(sorted_sequence, input, out_int32=out_int32, right=right, side=side, **more)


METHODS = {f.__name__: f for f in (quantile, nanquantile, nanmedian, mode)}
FUNCTIONS = METHODS | {"searchsorted": searchsorted}
_core.add_methods(METHODS)
