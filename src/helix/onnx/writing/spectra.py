"""Complex tensors as pairs of real ones, and Fourier transforms."""

from __future__ import annotations

from typing import Any

from .edge import Edge, Pair
from .elementwise import angle_of, filled, negative
from .reductions import reduced
from .table import writes
from .writer import Writer


def part(dtype: str) -> str:
    return {"complex128": "float64", "complex64": "float32"}.get(dtype, dtype)


def pair(w: Writer, x: Any, dtype: str) -> Pair:
    """A pair, of a real tensor too."""
    dtype = part(dtype)
    if isinstance(x, Pair):
        return Pair(x.re.to(dtype), x.im.to(dtype))
    return Pair(x.to(dtype), w.constant(0, dtype))


@writes("add", "sub", complex=True)
def add(w: Writer, a: Any, b: Any, alpha: Any) -> Pair:
    assert w.node is not None
    a, b = pair(w, a, w.dtype), pair(w, b, w.dtype)
    if alpha not in (None, 1):
        b = Pair(b.re * alpha, b.im * alpha)
    return Pair(a.re + b.re, a.im + b.im) if w.node.op == "add" else Pair(a.re - b.re, a.im - b.im)


@writes("mul", complex=True)
def mul(w: Writer, a: Any, b: Any) -> Pair:
    dtype = part(w.dtype)
    if not isinstance(a, Pair) or not isinstance(b, Pair):
        number, x = (a, b) if isinstance(b, Pair) else (b, a)
        number = number.to(dtype)
        return Pair(x.re.to(dtype) * number, x.im.to(dtype) * number)
    a, b = pair(w, a, w.dtype), pair(w, b, w.dtype)
    return Pair(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re)


@writes("div", complex=True)
def div(w: Writer, a: Any, b: Any, rounding: Any) -> Pair:
    dtype = part(w.dtype)
    if not isinstance(b, Pair):
        return Pair(a.re.to(dtype) / b.to(dtype), a.im.to(dtype) / b.to(dtype))
    a, b = pair(w, a, w.dtype), pair(w, b, w.dtype)
    size = b.re * b.re + b.im * b.im
    return Pair((a.re * b.re + a.im * b.im) / size, (a.im * b.re - a.re * b.im) / size)


@writes("neg", complex=True)
def neg(w: Writer, x: Pair) -> Pair:
    return Pair(-x.re, -x.im)


@writes("conj", "conj_physical", complex=True)
def conj(w: Writer, x: Pair) -> Pair:
    return Pair(x.re, -x.im)


@writes("clone", "contiguous", "positive", complex=True)
def as_it_is(w: Writer, x: Pair, *_: Any) -> Pair:
    return x


@writes("exp", complex=True)
def exp(w: Writer, x: Pair) -> Pair:
    size = w.Exp(x.re)
    return Pair(size * w.Cos(x.im), size * w.Sin(x.im))


@writes("log", complex=True)
def log(w: Writer, x: Pair) -> Pair:
    return Pair(w.Log(absolute(w, x)), angle_of(w, x.im, x.re))


def _hyperbolic(w: Writer, x: Edge) -> tuple[Edge, Edge]:
    """Its hyperbolic cosine and sine; the sine as tanh / sqrt(1 - tanh^2) where that is more exact, near 0."""
    grown, small = w.Exp(w.Abs(x)), w.Tanh(x)
    cosine = (grown + w.Reciprocal(grown)) * 0.5
    return cosine, small * cosine


@writes("sin", "cos", complex=True)
def sine(w: Writer, x: Pair) -> Pair:
    assert w.node is not None
    high, low = _hyperbolic(w, x.im)
    if w.node.op == "sin":
        return Pair(w.Sin(x.re) * high, w.Cos(x.re) * low)
    return Pair(w.Cos(x.re) * high, -(w.Sin(x.re) * low))


@writes("tanh", complex=True)
def tanh(w: Writer, x: Pair) -> Pair:
    high, low = _hyperbolic(w, x.re * 2)
    below = high + w.Cos(x.im * 2)
    return Pair(low / below, w.Sin(x.im * 2) / below)


@writes("sqrt", complex=True)
def sqrt(w: Writer, x: Pair) -> Pair:
    """Half of |z| + |re| is the square of the larger part; the other one is im divided by twice of it."""
    big = w.Sqrt((absolute(w, x) + w.Abs(x.re)) * 0.5)
    safe = w.Where(w.Equal(big, 0), w.constant(1, big.dtype), big)
    small = w.Abs(x.im) / (safe * 2)
    left = w.Less(x.re, 0)
    upward = w.Where(left, big, small)
    return Pair(w.Where(left, small, big), w.Where(negative(w, x.im), -upward, upward))


@writes("pow", complex=True)
def power(w: Writer, a: Any, b: Any) -> Pair:
    """exp(b log a), and 0 for powers of 0."""
    a, b = pair(w, a, w.dtype), pair(w, b, w.dtype)
    size = absolute(w, a)
    none = w.Equal(size, 0)
    safe = Pair(w.Where(none, w.constant(1, size.dtype), a.re), a.im)
    made = exp(w, mul(w, b, log(w, safe)))
    zero = w.constant(0, size.dtype)
    one = w.Where(w.And(w.Equal(b.re, 0), w.Equal(b.im, 0)), w.constant(1, size.dtype), zero)
    return Pair(w.Where(none, one, made.re), w.Where(none, zero, made.im))


@writes("angle", complex=True)
def angle(w: Writer, x: Pair) -> Edge:
    return angle_of(w, x.im, x.re)


@writes("abs", complex=True)
def absolute(w: Writer, x: Pair) -> Edge:
    """Scaled by the larger part, so that squares do not overflow."""
    a, b = w.Abs(x.re), w.Abs(x.im)
    high, low = w.Max(a, b), w.Min(a, b)
    ratio = low / w.Where(w.Equal(high, 0), w.constant(1, high.dtype), high)
    return high * w.Sqrt(ratio * ratio + 1)


@writes("real_part", "real", complex=True)
def real(w: Writer, x: Pair) -> Edge:
    return x.re


@writes("imag_part", "imag", complex=True)
def imag(w: Writer, x: Pair) -> Edge:
    return x.im


@writes("view_as_real", complex=True)
def view_as_real(w: Writer, x: Pair) -> Edge:
    return together(w, x)


@writes("view_as_complex", complex=True)
def view_as_complex(w: Writer, x: Edge) -> Pair:
    return apart(w, x)


def together(w: Writer, x: Pair) -> Edge:
    return w.Concat(w.Unsqueeze(x.re, [-1]), w.Unsqueeze(x.im, [-1]), axis=-1)


def apart(w: Writer, x: Edge) -> Pair:
    return Pair(w.Gather(x, w.constant(0, "int64"), axis=-1), w.Gather(x, w.constant(1, "int64"), axis=-1))


@writes("cast", complex=True)
def cast(w: Writer, x: Any, dtype: Any) -> Any:
    if "complex" in dtype.name:
        made = pair(w, x, dtype.name)
        return (
            made if isinstance(x, Pair) else Pair(made.re, w.Expand(made.im, w.Shape(made.re)) if x.rank else made.im)
        )
    return w.Or(x.re.to("bool"), x.im.to("bool")) if dtype.name == "bool" else x.re.to(dtype.name)


@writes("full", complex=True)
def full(w: Writer, size: tuple[Any, ...], value: Any, dtype: Any) -> Pair:
    number, kind = complex(value), part(w.dtype)
    return Pair(filled(w, size, number.real, kind), filled(w, size, number.imag, kind))


@writes("where", complex=True)
def where(w: Writer, condition: Edge, a: Any, b: Any) -> Pair:
    a, b = pair(w, a, w.dtype), pair(w, b, w.dtype)
    return Pair(w.Where(condition, a.re, b.re), w.Where(condition, a.im, b.im))


@writes("masked_fill", complex=True)
def masked_fill(w: Writer, x: Any, mask: Edge, value: Any) -> Pair:
    return where(w, mask, value, x)


@writes("cumsum", complex=True)
def cumsum(w: Writer, x: Any, dim: int, dtype: Any) -> Pair:
    x = pair(w, x, w.dtype)
    axis = w.constant(dim % max(len(w.out[0].shape), 1), "int64")
    return Pair(w.CumSum(x.re, axis), w.CumSum(x.im, axis)) if w.out[0].shape else x


@writes("eq", "ne", complex=True)
def equal(w: Writer, a: Any, b: Any) -> Edge:
    assert w.node is not None
    kind = "complex128" if "128" in a.dtype + b.dtype else "complex64"
    a, b = pair(w, a, kind), pair(w, b, kind)
    same = w.And(w.Equal(a.re, b.re), w.Equal(a.im, b.im))
    return same if w.node.op == "eq" else w.Not(same)


@writes("sum", "mean", complex=True)
def sums(w: Writer, x: Any, dim: Any, keepdim: bool, dtype: Any) -> Pair:
    assert w.node is not None
    x = pair(w, x, w.dtype)
    operator = "ReduceSum" if w.node.op == "sum" else "ReduceMean"
    return Pair(reduced(w, operator, x.re, dim, keepdim), reduced(w, operator, x.im, dim, keepdim))


@writes("matmul", "mm", "bmm", "mv", "dot", complex=True)
def matmul(w: Writer, a: Any, b: Any) -> Pair:
    a, b = pair(w, a, w.dtype), pair(w, b, w.dtype)
    return Pair(w.MatMul(a.re, b.re) - w.MatMul(a.im, b.im), w.MatMul(a.re, b.im) + w.MatMul(a.im, b.re))


# ---- transforms --------------------------------------------------------------------------------------------


def _one_axis(w: Writer, x: Pair, axis: int, inverse: bool) -> Pair:
    """Backwards it is the conjugate of the transform of the conjugate, which is not divided by the length."""
    given = Pair(x.re, -x.im) if inverse else x
    found = apart(w, _transformed(w, together(w, given), axis))
    found = Pair(found.re, -found.im) if inverse else found
    found.re.shape = found.im.shape = x.re.shape
    return found


def _transformed(w: Writer, packed: Edge, axis: int, onesided: bool = False) -> Edge:
    if w.opset >= 20:
        return w.DFT(packed, None, w.constant(axis, "int64"), onesided=int(onesided))
    return w.DFT(packed, None, axis=axis, onesided=int(onesided))


def _scaled(w: Writer, x: Any, scale: Any) -> Any:
    if scale == 1:
        return x
    number = w.operand(scale, x.re.dtype if isinstance(x, Pair) else x.dtype)
    return Pair(x.re * number, x.im * number) if isinstance(x, Pair) else x * number


def _axes(x: Any, dim: Any) -> list[int]:
    rank = len(x.shape)
    return [axis % rank for axis in (dim if isinstance(dim, tuple) else (dim,))]


@writes("fft_c2c", complex=True)
def c2c(w: Writer, x: Pair, dim: Any, inverse: bool, scale: Any) -> Pair:
    for axis in _axes(x, dim):
        x = _one_axis(w, x, axis, inverse)
    return _scaled(w, x, scale)


@writes("fft_r2c", complex=True)
def r2c(w: Writer, x: Edge, dim: Any, scale: Any) -> Pair:
    """The last of the axes is halved."""
    *others, last = _axes(x, dim)
    kept = w.out[0].shape[last]
    shape = x.shape
    found = apart(w, _transformed(w, w.Unsqueeze(x, [-1]), last, onesided=True))
    found.re.shape = found.im.shape = tuple(kept if i == last else size for i, size in enumerate(shape or ()))
    for axis in others:
        found = _one_axis(w, found, axis, False)
    return _scaled(w, found, scale)


@writes("fft_c2r", complex=True)
def c2r(w: Writer, x: Pair, dim: Any, n: Any, scale: Any) -> Edge:
    """The second half is the conjugate of the first one, from behind."""
    *others, last = _axes(x, dim)
    assert w.node is not None
    for axis in others:
        x = _one_axis(w, x, axis, True)
    shape = x.shape
    assert shape is not None
    if isinstance(n, int):
        places = [min(i, n - i) for i in range(n)]
        at = w.constant(places, "int64")
        sign = w.constant([1.0 if i <= n // 2 else -1.0 for i in range(n)], x.re.dtype)
        edge = w.constant([0.0 if i == 0 or 2 * i == n else 1.0 for i in range(n)], x.re.dtype)
    else:
        count = w.sizes.one(n)
        i = w.Range(w.constant(0, "int64"), w.Squeeze(count, [0]), w.constant(1, "int64"))
        at = w.Min(i, count - i)
        beyond = w.Less(count, i * 2)
        sign = w.Where(beyond, w.constant(-1, x.re.dtype), w.constant(1, x.re.dtype))
        lone = w.Or(w.Equal(i, 0), w.Equal(i * 2, count))
        edge = w.Where(lone, w.constant(0, x.re.dtype), w.constant(1, x.re.dtype))
    turned = sign * edge
    after = len(shape) - 1 - last
    turned = w.Reshape(turned, [-1] + [1] * after) if after else turned
    whole = Pair(w.Gather(x.re, at, axis=last), w.Gather(x.im, at, axis=last) * turned)
    whole.re.shape = whole.im.shape = tuple(n if k == last else size for k, size in enumerate(shape))
    return _scaled(w, _one_axis(w, whole, last, True).re, scale)
