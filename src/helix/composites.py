"""Functions of torch that are a few ops each: products, complex numbers from parts, combinations, parts and copies."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any, NamedTuple

from helix import _core
from helix._core import Tensor
from helix.errors import DTypeError, ParameterError, ShapeError
from helix.precision import listed_for_cpu
from helix.shape_ops import chunk, meshgrid, split, tensor_split
from helix.written import fail, in_place, into, need_floating, need_tensors, op


class MantissaAndExponent(NamedTuple):
    """input = mantissa * 2**exponent."""

    mantissa: Tensor
    exponent: Tensor


def addr(
    input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1, out: Tensor | None = None
) -> Tensor:
    """beta * input + alpha * outer(vec1, vec2); with beta 0 the input is not read.

    Raises ShapeError for vectors of another rank or an input that does not stretch to the product.

    Example:
        >>> helix.addr(helix.zeros(2, 2), helix.tensor([1.0, 2.0]), helix.tensor([3.0, 4.0])).tolist()
        [[3.0, 4.0], [6.0, 8.0]]
    """
    dtype = _core.result_type(_core.result_type(vec1, vec2), input) if isinstance(input, Tensor) else vec1.dtype
    if dtype is _core.bool:
        product = op("outer")(vec1, vec2) & bool(alpha)
        return into("addr", out, product | (input & bool(beta)) if beta else product.expand(product.shape))
    for name, value in (("beta", beta), ("alpha", alpha)):
        if isinstance(value, (float, builtins.complex)) and not (dtype.is_floating_point or dtype.is_complex):
            fail(DTypeError, 1101, "addr", f"{name} is {value}, but the result is of dtype {dtype.name}.")
    product = op("outer")(vec1, vec2) * alpha
    shape = _core.op_named("expand")(input, product.shape)
    return into("addr", out, product.to(dtype) if beta == 0 else shape * beta + product)


def adjoint(input: Tensor) -> Tensor:
    """The matrices transposed and conjugated.

    Example:
        >>> helix.adjoint(helix.tensor([[1j, 2.0]])).tolist()
        [[-1j], [(2-0j)]]
    """
    if input.ndim == 0:
        return op("conj")(input) if input.is_complex() else input
    if input.ndim == 1:
        fail(ShapeError, 1001, "adjoint", f"a matrix needs two dimensions or more, got shape {tuple(input.shape)}.")
    flipped = op("transpose")(input, -2, -1)
    return op("conj")(flipped) if input.is_complex() else flipped


def complex(real: Tensor, imag: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Complex numbers from their real and imaginary parts, which are stretched to one shape.

    Raises DTypeError unless both are float32, both float64 or both float16 (which gives complex64).

    Example:
        >>> helix.complex(helix.tensor([1.0]), helix.tensor([2.0])).tolist()
        [(1+2j)]
    """
    return into("complex", out, _complex("complex", real, imag))


def _complex(name, real, imag):
    need_tensors(name, real=real, imag=imag)
    if real.dtype is not imag.dtype or not real.is_floating_point():
        fail(
            DTypeError,
            1101,
            name,
            f"both parts must have one floating dtype, got {real.dtype.name} and {imag.dtype.name}.",
        )
    if real.dtype not in (_core.float32, _core.float64):
        fail(DTypeError, 1101, name, f"there is no complex dtype of {real.dtype.name} parts; use float32 or float64.")
    shape = _core.op_named("add")(real.detach(), imag.detach()).shape
    return op("view_as_complex")(op("stack")((real.expand(shape), imag.expand(shape)), -1))


@listed_for_cpu("float32")
def polar(abs: Tensor, angle: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Complex numbers from their magnitudes and angles.

    Example:
        >>> helix.polar(helix.tensor([2.0]), helix.tensor([0.0])).tolist()
        [(2+0j)]
    """
    need_tensors("polar", abs=abs, angle=angle)
    if abs.dtype is not angle.dtype:
        fail(DTypeError, 1101, "polar", f"both must have one dtype, got {abs.dtype.name} and {angle.dtype.name}.")
    return into("polar", out, _complex("polar", abs * op("cos")(angle), abs * op("sin")(angle)))


def frexp(input: Tensor, *, out: Any = None) -> MantissaAndExponent:
    """Mantissas with 0.5 <= |mantissa| < 1 and exponents: input = mantissa * 2**exponent.

    Zeros, infinities and NaN have themselves as mantissa and exponent 0. The exponents are int32.

    Example:
        >>> [part.item() for part in helix.frexp(helix.tensor(6.0))]
        [0.75, 3]
    """
    if not input.is_floating_point():
        fail(DTypeError, 1101, "frexp", f"input has dtype {input.dtype.name}; a floating one is needed.")
    wide = input if input.dtype is _core.float64 else input.to(_core.float32)
    exponent = _exponents(wide.detach())
    half = exponent // 2
    mantissa = op("ldexp")(op("ldexp")(wide, -half), half - exponent)
    found = MantissaAndExponent(mantissa.to(input.dtype), exponent.to(_core.int32))
    return found if out is None else MantissaAndExponent(*(into("frexp", o, f) for o, f in zip(out, found)))


def _exponents(x):
    """The exponents of frexp, read from the bits; numbers below the normal ones are scaled up first."""
    bits, shift, bias, up = (_core.int64, 52, 1022, 64) if x.dtype is _core.float64 else (_core.int32, 23, 126, 32)
    ordinary = op("isfinite")(x) & (x != 0)
    tiny = op("abs")(x) < float(_smallest_normal(x.dtype))
    scaled = op("where")(tiny, x * 2.0**up, x).contiguous().view(bits)
    exponent = (scaled >> shift & (2 * bias + 3)) - bias - op("where")(tiny, up, 0)
    return op("where")(ordinary, exponent, 0).to(_core.int32)


def _smallest_normal(dtype):
    from helix.dtypes import finfo

    return finfo(dtype).smallest_normal


# ---- arrangements ----


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of r elements of a vector in order, one row each; with_replacement: each may be taken again.

    Example:
        >>> helix.combinations(helix.tensor([1, 2, 3])).tolist()
        [[1, 2], [1, 3], [2, 3]]
    """
    if input.ndim != 1:
        fail(ShapeError, 1001, "combinations", f"input must be a vector, got shape {tuple(input.shape)}.")
    if r < 0:
        fail(ParameterError, 1403, "combinations", f"r must not be negative, got {r}.")
    if r == 0:
        return input.new_empty(0)
    places = op("arange")(input.numel(), device=input.device)
    grids = meshgrid(*[places] * r)
    wanted = op("ones_like")(grids[0], dtype=_core.bool)
    for a, b in zip(grids, grids[1:]):
        wanted = wanted & (a <= b if with_replacement else a < b)
    return op("stack")([input[op("masked_select")(grid, wanted)] for grid in grids], 1)


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The Vandermonde matrix of a vector: powers N-1, ..., 0 of each element in a row, or rising ones.

    Example:
        >>> helix.vander(helix.tensor([2, 3]), 3).tolist()
        [[4, 2, 1], [9, 3, 1]]
    """
    if x.ndim != 1:
        fail(ShapeError, 1001, "vander", f"x must be a vector, got shape {tuple(x.shape)}.")
    n = x.numel() if N is None else N
    if n < 0:
        fail(ParameterError, 1403, "vander", f"N must not be negative, got {n}.")
    x = x.to(_core.int64) if x.dtype is _core.bool else x
    x = x if x.is_floating_point() or x.is_complex() else x.to(_core.int64)
    ones = x.new_ones((x.numel(), min(n, 1)))
    if n > 1:
        ones = op("cat")([ones, op("cumprod")(x.unsqueeze(1).expand((x.numel(), n - 1)), 1)], 1)
    return ones if increasing else op("flip")(ones, (1,))


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with the elements of the input on a diagonal.

    Example:
        >>> helix.diagflat(helix.tensor([[1, 2]])).tolist()
        [[1, 0], [0, 2]]
    """
    return op("diag_embed")(input.reshape(-1), offset)


def dsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """tensor_split along axis 2.

    Example:
        >>> [part.tolist() for part in helix.dsplit(helix.tensor([[[1, 2]]]), 2)]
        [[[[1]]], [[[2]]]]
    """
    if input.ndim < 3:
        fail(ShapeError, 1001, "dsplit", f"input must have 3 dimensions or more, got shape {tuple(input.shape)}.")
    if isinstance(indices_or_sections, int) and input.shape[2] % max(indices_or_sections, 1):
        parts = f"axis 2 has size {input.shape[2]}, which {indices_or_sections} does not divide."
        fail(ShapeError, 1002, "dsplit", parts)
    return tensor_split(input, indices_or_sections, 2)


def unravel_index(indices: Tensor, shape: int | Sequence[int]) -> tuple[Tensor, ...]:
    """The coordinates of positions in the flattened tensor of a shape: one tensor for each axis.

    Example:
        >>> [axis.tolist() for axis in helix.unravel_index(helix.tensor([1, 5]), (2, 3))]
        [[0, 1], [1, 2]]
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if indices.is_floating_point() or indices.is_complex() or indices.dtype is _core.bool:
        fail(DTypeError, 1101, "unravel_index", f"indices must be integers, got {indices.dtype.name}.")
    if any(size < 0 for size in shape):
        fail(ShapeError, 1403, "unravel_index", f"shape must not hold negative sizes, got {shape}.")
    found, rest = [], indices
    for size in reversed(shape):
        found.append(rest % size)
        rest = rest // size
    return tuple(reversed(found))


def nonzero_static(input: Tensor, *, size: int, fill_value: float = -1) -> Tensor:
    """The first `size` positions of elements that are not zero, one row each, filled up with fill_value.

    Example:
        >>> helix.nonzero_static(helix.tensor([0, 3, 0, 4]), size=3).tolist()
        [[1], [3], [-1]]
    """
    if size < 0:
        fail(ParameterError, 1403, "nonzero_static", f"size must not be negative, got {size}.")
    found = op("argwhere")(input)[:size]
    return op("pad")(found, (0, 0, 0, size - found.shape[0]), value=fill_value)


# ---- parts of other tensors ----


def index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
    out: Tensor | None = None,
) -> Tensor:
    """A copy of the input with slices of source combined into its slices at `index`, by prod, mean, amax or amin.

    Without include_self, what the input holds at these slices does not count.

    Example:
        >>> helix.index_reduce(helix.ones(2), 0, helix.tensor([0, 0]), helix.tensor([2.0, 3.0]), "prod").tolist()
        [6.0, 1.0]
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        fail(
            ParameterError,
            1403,
            "index_reduce",
            f"reduce must be one of 'prod', 'mean', 'amax', 'amin', got {reduce!r}.",
        )
    if index.ndim > 1 or index.is_floating_point() or (source.ndim and index.numel() != source.shape[dim]):
        fail(
            ShapeError,
            1002,
            "index_reduce",
            f"index must be a vector of {source.shape[dim] if source.ndim else 1} positions.",
        )
    if input.ndim == 0:
        lifted = index_reduce(
            input.reshape(1), 0, index.reshape(-1), source.reshape(-1), reduce, include_self=include_self
        )
        return into("index_reduce", out, lifted.reshape(()))
    along = [-1 if i == dim % input.ndim else 1 for i in range(input.ndim)]
    places = index.reshape(along).expand(source.shape)
    found = op("scatter_reduce")(input, dim, places.contiguous(), source, reduce, include_self)
    return into("index_reduce", out, found)


SEGMENT_START = {"sum": 0.0, "mean": 0.0, "prod": 1.0, "max": float("-inf"), "min": float("inf")}
SEGMENT_REDUCE = {"sum": "sum", "mean": "sum", "prod": "prod", "max": "amax", "min": "amin"}


def segment_reduce(
    data: Tensor,
    reduce: str,
    *,
    lengths: Tensor | None = None,
    indices: Tensor | None = None,
    offsets: Tensor | None = None,
    axis: int = 0,
    unsafe: bool = False,
    initial: Any = None,
) -> Tensor:
    """Sums, means, products or extremes ("sum", "mean", "prod", "max", "min") over runs along an axis.

    lengths, or offsets (one more, where runs begin and end): along their last axis; the axes before are those of data.
    A run without elements gives `initial`; without one, 0, 1, NaN (mean), -inf (max) or inf (min).

    Example:
        >>> helix.segment_reduce(helix.tensor([1.0, 2.0, 3.0]), "max", lengths=helix.tensor([2, 1])).tolist()
        [2.0, 3.0]
    """
    need_floating("segment_reduce", data=data)
    if reduce not in SEGMENT_REDUCE:
        fail(
            ParameterError,
            1403,
            "segment_reduce",
            f"reduce must be one of {', '.join(SEGMENT_REDUCE)}, got {reduce!r}.",
        )
    if (lengths is None) == (offsets is None) or indices is not None:
        fail(ParameterError, 1403, "segment_reduce", "takes lengths or offsets, and no indices.")
    axis = axis + data.ndim if axis < 0 else axis
    ends = op("cumsum")(lengths, -1) if offsets is None else offsets[..., 1:]
    lengths = op("diff")(offsets) if lengths is None else lengths
    size, runs = data.shape[axis], lengths.shape[-1]
    if not unsafe and bool((lengths < 0).any() | (lengths.sum(-1) != size).any() if runs else size > 0):
        fail(ParameterError, 1403, "segment_reduce", f"lengths must not be negative and add up to {size}.")
    place = op("arange")(size).expand((*ends.shape[:-1], size)).contiguous()
    place = op("searchsorted")(ends.contiguous(), place, right=True)
    place = place.reshape([*data.shape[: axis + 1], *[1] * (data.ndim - axis - 1)]).expand(data.shape)
    start = SEGMENT_START[reduce] if initial is None else float(initial)
    shape = [*data.shape[:axis], runs, *data.shape[axis + 1 :]]
    filled = op("full")(shape, start, dtype=data.dtype)
    found = op("scatter_reduce")(filled, axis, place.contiguous(), data, SEGMENT_REDUCE[reduce], True)
    if reduce != "mean":
        return found
    count = lengths.reshape([*lengths.shape, *[1] * (data.ndim - axis - 1)])
    empty = float("nan") if initial is None else start
    return op("where")(count > 0, found / count.clamp(1), empty).to(data.dtype)


def hash_tensor(
    input: Tensor, dim: int | Sequence[int] = (), *, keepdim: bool = False, mode: int = 0, out: Tensor | None = None
) -> Tensor:
    """The exclusive or of all elements' 64 bits (floats as float64, integers as int64), or along axes, as uint64.

    Example:
        >>> helix.hash_tensor(helix.tensor([1, 2, 3])).item()
        0
    """
    if mode != 0:
        fail(ParameterError, 1403, "hash_tensor", f"mode must be 0, got {mode}.")
    bits = input.to(_core.float64).view(_core.int64) if input.is_floating_point() else input.to(_core.int64)
    dims = [d % max(input.ndim, 1) for d in ((dim,) if isinstance(dim, int) else dim)] or list(range(input.ndim))
    for d in dims if input.ndim else ():
        while bits.shape[d] > 1:
            half = bits.shape[d] // 2
            folded = bits.narrow(d, 0, half) ^ bits.narrow(d, half, half)
            bits = op("cat")([folded, bits.narrow(d, 2 * half, bits.shape[d] - 2 * half)], d)
        if bits.shape[d] == 0:
            bits = bits.new_zeros([1 if i == d else size for i, size in enumerate(bits.shape)])
    shape = [1 if i in dims else size for i, size in enumerate(input.shape) if keepdim or i not in dims]
    return into("hash_tensor", out, bits.reshape(shape).contiguous().view(_core.uint64))


# ---- quantized and back ----


def fake_quantize_per_tensor_affine(
    input: Tensor, scale: float | Tensor, zero_point: int | Tensor, quant_min: int, quant_max: int
) -> Tensor:
    """What quantizing and dequantizing would leave of the input; the gradient passes where nothing was cut off.

    (clamp(round(input / scale) + zero_point, quant_min, quant_max) - zero_point) * scale (Jacob et al., CVPR 2018).

    Example:
        >>> helix.fake_quantize_per_tensor_affine(helix.tensor([0.3, 9.0]), 0.5, 0, 0, 3).tolist()
        [0.5, 1.5]
    """
    return _fake_quantize("fake_quantize_per_tensor_affine", input, scale, zero_point, quant_min, quant_max)


def fake_quantize_per_channel_affine(
    input: Tensor, scale: Tensor, zero_point: Tensor, axis: int, quant_min: int, quant_max: int
) -> Tensor:
    """As fake_quantize_per_tensor_affine, with a scale and a zero_point for each slice along an axis.

    Example:
        >>> x = helix.tensor([[0.3], [0.9]])
        >>> helix.fake_quantize_per_channel_affine(x, helix.tensor([0.5, 1.0]), helix.tensor([0, 0]), 0, 0, 3).tolist()
        [[0.5], [1.0]]
    """
    if scale.ndim != 1 or scale.shape != zero_point.shape or scale.numel() != input.shape[axis]:
        text = f"scale and zero_point must be vectors of {input.shape[axis]} numbers, got {tuple(scale.shape)} and {tuple(zero_point.shape)}."
        fail(ShapeError, 1002, "fake_quantize_per_channel_affine", text)
    along = [-1 if i == axis % input.ndim else 1 for i in range(input.ndim)]
    scale, zero_point = scale.reshape(along), zero_point.reshape(along)
    return _fake_quantize("fake_quantize_per_channel_affine", input, scale, zero_point, quant_min, quant_max)


def _fake_quantize(name, input, scale, zero_point, low, high):
    need_floating(name, input=input)
    if low > high:
        fail(ParameterError, 1403, name, f"quant_min must not be above quant_max, got {low} and {high}.")
    steps = op("round")(input.detach() / scale) + zero_point
    kept = (steps >= low) & (steps <= high)
    values = ((op("clamp")(steps, low, high) - zero_point) * scale).to(input.dtype)
    return values + op("where")(kept, input - input.detach(), 0.0).to(input.dtype)


# ---- copies of views, and parts whose gradients may be written ----


def _copy_of(name):
    view = getattr(Tensor, name, None) or op(name)

    def copy(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        found = view(input, *args, **kwargs)
        if isinstance(found, tuple):
            parts = tuple(part.clone() for part in found)
            return parts if out is None else tuple(into(name + "_copy", o, p) for o, p in zip(out, parts))
        return found.clone() if out is None else into(name + "_copy", out, found)

    copy.__name__ = copy.__qualname__ = name + "_copy"
    copy.__doc__ = f"A copy of what `{name}` shows, in memory of its own."
    return copy


def alias_copy(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """A copy of the input."""
    return into("alias_copy", out, input.clone())


def slice_copy(
    input: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """A copy of the elements start, start + step, ... below end of an axis.

    Example:
        >>> helix.slice_copy(helix.arange(5), 0, 1, 4, 2).tolist()
        [1, 3]
    """
    dim = dim + input.ndim if dim < 0 else dim
    return into("slice_copy", out, input[(slice(None),) * dim + (slice(start, end, step),)].clone())


VIEWS = "as_strided detach diagonal expand permute select squeeze t transpose unfold unsqueeze view view_as_complex view_as_real narrow split unbind"
COPIES = {name + "_copy": _copy_of(name) for name in VIEWS.split()} | {
    "split_with_sizes_copy": _copy_of("split"),
    "alias_copy": alias_copy,
    "slice_copy": slice_copy,
}
METHODS = {
    "addr": addr,
    "addr_": in_place(addr),
    "adjoint": adjoint,
    "frexp": frexp,
    "diagflat": diagflat,
    "dsplit": dsplit,
    "nonzero_static": nonzero_static,
    "hash_tensor": hash_tensor,
    "index_reduce": index_reduce,
    "index_reduce_": in_place(index_reduce),
    "narrow_copy": COPIES["narrow_copy"],
    "unsafe_chunk": chunk,
    "unsafe_split": split,
    "split_with_sizes": split,
    "unsafe_split_with_sizes": split,
}
FUNCTIONS = COPIES | {
    f.__name__: f
    for f in (
        addr,
        adjoint,
        complex,
        polar,
        frexp,
        combinations,
        vander,
        diagflat,
        dsplit,
        unravel_index,
        nonzero_static,
        index_reduce,
        segment_reduce,
        hash_tensor,
        fake_quantize_per_tensor_affine,
        fake_quantize_per_channel_affine,
    )
}
FUNCTIONS |= {"unsafe_chunk": chunk, "unsafe_split": split, "split_with_sizes": split, "unsafe_split_with_sizes": split}
_core.add_methods(METHODS)
