"""Sums over samples: covariance, histograms, integrals and differences of sampled functions, norms of parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from helix import _core
from helix._core import Tensor
from helix.errors import ArgumentError, DTypeError, ParameterError, ShapeError
from helix.written import axis, fail, in_place, into, need_floating, need_tensors, op


class Histogram(NamedTuple):
    """Weights in each bin, and the borders of the bins: one more."""

    hist: Tensor
    bin_edges: Tensor


class HistogramDD(NamedTuple):
    """Weights in each bin, and the borders along every axis."""

    hist: Tensor
    bin_edges: tuple


def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """The covariance matrix of variables in rows and observations in columns; a number for one variable.

    correction: the divisor is the number of observations minus it. fweights: how often each observation was made
    (integers); aweights: how much each counts.
    Raises ShapeError for more than two dimensions or weights that do not fit, ParameterError for negative weights.

    Example:
        >>> helix.cov(helix.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])).tolist()
        [[1.0, -1.0], [-1.0, 1.0]]
    """
    if input.ndim > 2:
        fail(ShapeError, 1001, "cov", f"input must have at most 2 dimensions, got shape {tuple(input.shape)}.")
    if input.dtype is _core.bool:
        fail(DTypeError, 1101, "cov", "bool tensors have no covariance.")
    x = input.reshape(1, -1) if input.ndim < 2 else input
    count, weights = x.shape[1], None
    if fweights is not None:
        weights = _weights("fweights", fweights, count, integers=True)
    if aweights is not None:
        more = _weights("aweights", aweights, count, integers=False)
        weights = more if weights is None else weights * more
    total = count if weights is None else weights.sum()
    x = x if x.is_floating_point() or x.is_complex() else x.to(_core.get_default_dtype())
    if weights is None:
        mean, divisor = x.sum(1) / total, total - correction
    elif aweights is None or correction == 0:
        mean, divisor = (x * weights).sum(1) / total, total - correction
    else:
        mean = (x * weights).sum(1) / total
        divisor = total - correction * (weights * aweights).sum() / total
    centred = x - mean.unsqueeze(1)
    weighted = centred if weights is None else centred * weights
    product = op("matmul")(centred, op("conj")(weighted.T) if weighted.is_complex() else weighted.T)
    divisor = divisor.clamp(0) if isinstance(divisor, Tensor) else _core.tensor(float(divisor if divisor > 0 else 0))
    found = product / divisor.to(product.dtype.to_real())
    return found.squeeze()


def _weights(name, weights, count, integers):
    if weights.ndim > 1 or weights.numel() != count:
        fail(ShapeError, 1002, "cov", f"{name} must be a vector of {count} numbers, got shape {tuple(weights.shape)}.")
    if integers == (weights.is_floating_point() or weights.is_complex()):
        kind = "integers" if integers else "floating numbers"
        fail(DTypeError, 1101, "cov", f"{name} must be {kind}, got {weights.dtype.name}.")
    if bool((weights < 0).any()):
        fail(ParameterError, 1403, "cov", f"{name} must not be negative.")
    return weights


def corrcoef(input: Tensor) -> Tensor:
    """The matrix of Pearson's correlations of variables in rows; 1 for one variable.

    Example:
        >>> helix.corrcoef(helix.tensor([[0.0, 1.0, 2.0], [4.0, 2.0, 0.0]])).tolist()
        [[1.0, -1.0], [-1.0, 1.0]]
    """
    if input.ndim > 2:
        fail(ShapeError, 1001, "corrcoef", f"input must have at most 2 dimensions, got shape {tuple(input.shape)}.")
    found = cov(input)
    if found.ndim == 0:
        return found / found
    spread = op("sqrt")(op("diagonal")(found))
    found = found / spread.reshape(-1, 1) / spread
    if found.is_complex():
        parts = (op("clamp")(part, -1, 1) for part in (op("real")(found), op("imag")(found)))
        return op("view_as_complex")(op("stack")(tuple(parts), -1))
    return op("clamp")(found, -1, 1)


# ---- histograms ----


def histogram(
    input: Tensor,
    bins: int | Tensor,
    *,
    range: Any = None,
    weight: Tensor | None = None,
    density: bool = False,
    out: Any = None,
) -> Histogram:
    """How much weight falls into each bin, as (hist, bin_edges); elements outside are not counted.

    bins: a number of bins of equal width over `range` (or from the smallest to the largest element), or their borders
    as an increasing vector. A bin holds its left border, the last one its right border too. weight: a tensor of the
    input's shape. density: divide by the sum and the widths.

    Example:
        >>> helix.histogram(helix.tensor([1.0, 2.0, 1.0]), bins=4, range=(0.0, 3.0)).hist.tolist()
        [0.0, 2.0, 1.0, 0.0]
    """
    need_floating("histogram", input=input)
    if weight is not None and (weight.shape != input.shape or weight.dtype is not input.dtype):
        fail(ShapeError, 1002, "histogram", f"weight must have the input's shape {tuple(input.shape)} and dtype.")
    points = input.reshape(-1, 1)
    hist, edges = _histogram(
        "histogram", points, [bins], range, None if weight is None else weight.reshape(-1), density
    )
    found = Histogram(hist, edges[0])
    return found if out is None else Histogram(*(into("histogram", o, f) for o, f in zip(out, found)))


def histogramdd(
    input: Tensor, bins: Any, *, range: Any = None, weight: Tensor | None = None, density: bool = False
) -> HistogramDD:
    """How much weight falls into each cell of a grid, as (hist, bin_edges); points are rows of the last axis.

    bins: a number for every axis, or one for all, or a sequence of increasing vectors of borders. range: the smallest
    and largest border of every axis, one after another. weight, density: as in `histogram`.

    Example:
        >>> helix.histogramdd(helix.tensor([[0.0, 1.0], [1.0, 0.0]]), [2, 2]).hist.tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    need_floating("histogramdd", input=input)
    if input.ndim < 2:
        fail(ShapeError, 1001, "histogramdd", f"input must have 2 dimensions or more, got shape {tuple(input.shape)}.")
    size = input.shape[-1]
    bins = [bins] * size if isinstance(bins, int) else list(bins)
    if len(bins) != size:
        fail(ParameterError, 1403, "histogramdd", f"bins must be given for {size} axes, got {len(bins)}.")
    if weight is not None and (weight.shape != input.shape[:-1] or weight.dtype is not input.dtype):
        fail(
            ShapeError, 1002, "histogramdd", f"weight must have shape {tuple(input.shape[:-1])} and the input's dtype."
        )
    weight = None if weight is None else weight.reshape(-1)
    return HistogramDD(*_histogram("histogramdd", input.reshape(-1, size), bins, range, weight, density))


def _histogram(name, points, bins, range, weight, density):
    edges = [_edges(name, points[:, i], b, i, len(bins), range) for i, b in enumerate(bins)]
    inside, cell = None, 0
    for i, borders in enumerate(edges):
        values = points[:, i].contiguous()
        within = (values >= borders[0]) & (values <= borders[-1])
        place = (op("searchsorted")(borders, values, right=True) - 1).clamp(0, borders.numel() - 2)
        inside, cell = within if inside is None else inside & within, cell * (borders.numel() - 1) + place
    shape = [borders.numel() - 1 for borders in edges]
    total = 1
    for n in shape:
        total *= n
    counted = op("where")(inside, 1.0 if weight is None else weight, 0.0).to(points.dtype)
    hist = op("zeros")((total,), dtype=points.dtype).scatter_add(0, cell, counted).reshape(shape)
    if density:
        hist = hist / hist.sum()
        for i, borders in enumerate(edges):
            hist = hist / op("diff")(borders).reshape([-1 if k == i else 1 for k in _indices(shape)])
    return hist, tuple(edges)


def _indices(shape):
    return list(range(len(shape)))


def _edges(name, values, bins, i, count, range):
    if isinstance(bins, Tensor):
        if bins.ndim != 1 or bins.numel() == 0:
            fail(ShapeError, 1001, name, f"the borders of bins must be a vector, got shape {tuple(bins.shape)}.")
        if bins.dtype is not values.dtype:
            fail(
                DTypeError,
                1101,
                name,
                f"the borders of bins must have dtype {values.dtype.name}, got {bins.dtype.name}.",
            )
        return bins
    if bins < 1:
        fail(ParameterError, 1403, name, f"the number of bins must be positive, got {bins}.")
    if range is not None:
        if len(range) != 2 * count:
            fail(ParameterError, 1403, name, f"range must hold {2 * count} numbers, got {len(range)}.")
        low, high = range[2 * i], range[2 * i + 1]
    else:
        low, high = (values.min().item(), values.max().item()) if values.numel() else (0.0, 1.0)
    if not (low <= high and abs(low) < float("inf") and abs(high) < float("inf")):
        fail(ParameterError, 1403, name, f"the range must be finite and not fall, got {low} to {high}.")
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    return op("linspace")(low, high, bins + 1, dtype=values.dtype)


# ---- sampled functions ----


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Tensor:
    """The integral along an axis by the trapezoidal rule, at the points x, or at distances dx (default 1).

    Example:
        >>> helix.trapezoid(helix.tensor([1.0, 2.0, 3.0])).item()
        4.0
    """
    return _trapezoids("trapezoid", y, x, dx, dim).sum(axis("trapezoid", dim, y.ndim))


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Tensor:
    """The integrals from the first point to every later one along an axis, as `trapezoid`.

    Example:
        >>> helix.cumulative_trapezoid(helix.tensor([1.0, 2.0, 3.0])).tolist()
        [1.5, 4.0]
    """
    return op("cumsum")(_trapezoids("cumulative_trapezoid", y, x, dx, dim), axis("cumulative_trapezoid", dim, y.ndim))


def _trapezoids(name, y, x, dx, dim):
    if x is not None and dx is not None:
        fail(ArgumentError, 1103, name, "takes x or dx, not both.")
    if y.dtype is _core.bool or (x is not None and x.dtype is _core.bool):
        fail(DTypeError, 1101, name, "is not defined for bool tensors.")
    if isinstance(dx, (bool, complex)) and not y.is_complex():
        fail(DTypeError, 1101, name, f"dx must be a real number, got {dx!r}.")
    dim = axis(name, dim, y.ndim)
    size = y.shape[dim] if y.ndim else fail(ShapeError, 1001, name, "y must have at least one dimension.")
    sums = y.narrow(dim, 1, max(size - 1, 0) if size else 0) if size > 1 else y.narrow(dim, 0, 0)
    if size > 1:
        sums = sums + y.narrow(dim, 0, size - 1)
    if x is None:
        return sums * (1 if dx is None else dx) / 2
    if x.ndim == 1:
        if x.shape[0] != size:
            fail(ShapeError, 1002, name, f"x has {x.shape[0]} points, y has {size} along axis {dim}.")
        steps = op("diff")(x).reshape([-1 if i == dim else 1 for i in range(y.ndim)])
        return sums * steps / 2
    at = axis(name, dim - y.ndim, x.ndim) if x.ndim else 0
    if x.ndim and x.shape[at] > 1:
        return sums * op("diff")(x, dim=at) / 2
    return sums * 0 if x.ndim == 0 else sums * x.narrow(at, 0, 0) / 2


def gradient(
    input: Tensor,
    *,
    spacing: float | Sequence[Any] | Tensor = 1,
    dim: int | Sequence[int] | None = None,
    edge_order: int = 1,
) -> tuple[Tensor, ...]:
    """Estimates of the derivative along each axis by central differences, exact for parabolas: a tuple of tensors.

    spacing: the distance of neighbours, one for each axis, or the coordinates as vectors. dim: the axes; all when None.
    edge_order: 1 or 2, the order of the estimate at both ends (Fornberg, Math. Comp. 1988).

    Example:
        >>> helix.gradient(helix.tensor([1.0, 4.0, 9.0, 16.0]))[0].tolist()
        [3.0, 4.0, 6.0, 7.0]
    """
    axes = _gradient_axes(input, dim)
    if edge_order not in (1, 2):
        fail(ParameterError, 1403, "gradient", f"edge_order must be 1 or 2, got {edge_order}.")
    spacing = 1 if spacing is None else spacing
    if isinstance(spacing, (int, float, complex)) or (isinstance(spacing, Tensor) and spacing.numel() == 1):
        spacing = [spacing] * len(axes)
    elif len(spacing) != len(axes):
        fail(ParameterError, 1403, "gradient", f"spacing is given {len(spacing)} times for {len(axes)} axes.")
    return tuple(_differences(input, d, step, edge_order) for d, step in zip(axes, spacing))


def _gradient_axes(input, dim):
    if input.dtype in (_core.bool, _core.uint8):
        fail(DTypeError, 1101, "gradient", f"is not defined for {input.dtype.name} tensors.")
    dims = range(input.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    axes = [axis("gradient", d, input.ndim) for d in dims]
    if len(set(axes)) < len(axes):
        fail(ParameterError, 1302, "gradient", f"dim names an axis twice: {tuple(dims)}.")
    return axes


def _differences(input, dim, step, edge_order):
    size = input.shape[dim] if input.ndim else 0
    if size < edge_order + 1:
        fail(ShapeError, 1002, "gradient", f"axis {dim} needs {edge_order + 1} points or more, got {size}.")
    points = isinstance(step, Tensor) and step.ndim == 1
    if points and step.numel() != size:
        fail(ShapeError, 1002, "gradient", f"spacing has {step.numel()} coordinates for {size} points of axis {dim}.")
    part = input.narrow
    slopes = part(dim, 1, size - 1) - part(dim, 0, size - 1)
    if points:
        steps = op("diff")(step).reshape([-1 if i == dim else 1 for i in range(input.ndim)])
        slopes = slopes / steps
    else:
        slopes = slopes / step
    if size == 2:
        return op("cat")([slopes, slopes], dim)
    before, after = slopes.narrow(dim, 0, size - 2), slopes.narrow(dim, 1, size - 2)
    if points:
        left, right = steps.narrow(dim, 0, size - 2), steps.narrow(dim, 1, size - 2)
        share = right / (left + right)
    else:
        share = 0.5
    middle = before * share + after * (1 - share)
    first, last = slopes.narrow(dim, 0, 1), slopes.narrow(dim, size - 2, 1)
    if edge_order == 2:
        at_left = share.narrow(dim, 0, 1) if points else share
        at_right = share.narrow(dim, size - 3, 1) if points else share
        first = first + (first - slopes.narrow(dim, 1, 1)) * (1 - at_left)
        last = last + (last - slopes.narrow(dim, size - 3, 1)) * at_right
    return op("cat")([first, middle, last], dim)


# ---- norms ----


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of input - other, stretched to one shape.

    Example:
        >>> helix.dist(helix.tensor([1.0, 1.0]), helix.tensor([4.0, 5.0])).item()
        5.0
    """
    need_tensors("dist", input=input, other=other)
    apart = input - other
    return op("linalg_vector_norm")(op("abs")(apart) if apart.is_complex() else apart, p)


def renorm(input: Tensor, p: float, dim: int, maxnorm: float, *, out: Tensor | None = None) -> Tensor:
    """The parts along an axis, scaled down to the p-norm maxnorm where theirs is larger.

    Raises ParameterError for p <= 0 or a negative maxnorm, ShapeError for fewer than two dimensions.

    Example:
        >>> helix.renorm(helix.tensor([[3.0, 4.0], [0.0, 1.0]]), 2, 0, 2.5).tolist()
        [[1.5, 2.0], [0.0, 1.0]]
    """
    need_floating("renorm", input=input)
    if isinstance(p, complex) or not p > 0:
        fail(ParameterError, 1403, "renorm", f"p must be above 0, got {p}.")
    if isinstance(maxnorm, complex) or not maxnorm >= 0:
        fail(ParameterError, 1403, "renorm", f"maxnorm must not be negative, got {maxnorm}.")
    if input.ndim < 2:
        fail(ShapeError, 1001, "renorm", f"input must have 2 dimensions or more, got shape {tuple(input.shape)}.")
    dim = axis("renorm", dim, input.ndim)
    norm = op("linalg_vector_norm")(
        op("abs")(input) if input.is_complex() else input, p, [i for i in range(input.ndim) if i != dim], True
    )
    factor = op("where")(norm > maxnorm, maxnorm / (norm + 1e-7), 1.0).to(norm.dtype)
    return into("renorm", out, input * factor)


METHODS = {
    "cov": cov,
    "corrcoef": corrcoef,
    "histogram": histogram,
    "dist": dist,
    "renorm": renorm,
    "renorm_": in_place(renorm),
}
FUNCTIONS = {
    f.__name__: f
    for f in (
        cov,
        corrcoef,
        histogram,
        histogramdd,
        trapezoid,
        cumulative_trapezoid,
        gradient,
        dist,
        renorm,
    )
} | {"trapz": trapezoid}
_core.add_methods(METHODS)
