"""From a sample to arguments: NumPy values, helix tensors in ten memory layouts, torch tensors, and comparison."""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np

import helix

from .later import torch
from .records import RECORDS
from .sample import Sample, T

DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
)
TOLERANCE = {  # relative, absolute
    "float16": (4e-3, 4e-3),
    "bfloat16": (3e-2, 3e-2),
    "float32": (2e-5, 2e-5),
    "complex64": (2e-5, 2e-5),
    "float64": (1e-9, 1e-10),
    "complex128": (1e-9, 1e-10),
}


# ---- values ----------------------------------------------------------------------------------------------------


def numpy_dtype(name: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def is_floating(name: str) -> bool:
    return "float" in name


def is_complex(name: str) -> bool:
    return name.startswith("complex")


def differentiable(name: str) -> bool:
    return is_floating(name) or is_complex(name)


def _distinct(spec: T, rng: np.random.Generator) -> np.ndarray:
    count = math.prod(spec.shape)
    step = max(0.05, (spec.high - spec.low) / max(count, 1))
    values = spec.low + step * (np.arange(count) + 0.25)
    return rng.permutation(values).reshape(spec.shape)


def _keep_away(values: np.ndarray, points: tuple[float, ...], margin: float) -> np.ndarray:
    for point in points:
        near = np.abs(values - point) < margin
        values = np.where(near, point + np.where(values < point, -margin, margin) * 1.01, values)
    return values


def _real(spec: T, rng: np.random.Generator) -> np.ndarray:
    values = _distinct(spec, rng) if spec.distinct else rng.uniform(spec.low, spec.high, spec.shape)
    return _keep_away(np.asarray(values), spec.away, spec.margin)


def draw(spec: T, dtype: str, rng: np.random.Generator) -> np.ndarray:
    """The values of a tensor argument, in its dtype (never under test where the spec fixes one)."""
    name = spec.dtype or dtype
    if name == "bool":
        return rng.integers(0, 2, spec.shape).astype(bool)
    if is_complex(name):
        return np.asarray(_real(spec, rng) + 1j * _real(spec, rng)).astype(name)
    if is_floating(name):
        return np.asarray(_real(spec, rng)).astype(numpy_dtype(name))
    if spec.distinct:
        count = math.prod(spec.shape)
        return rng.permutation(np.arange(count) + max(0, math.ceil(spec.low))).reshape(spec.shape).astype(name)
    low, high = math.ceil(spec.low), math.floor(spec.high)
    low = max(low, 0) if name.startswith("u") else low
    values = np.asarray(rng.integers(low, max(high, low) + 1, spec.shape))
    values = np.where(np.isin(values, spec.away), values + 1, values)
    return values.astype(name)


def seed_of(sample: Sample) -> int:
    return zlib.crc32(repr((sample.op, sample.name, sample.args)).encode())


def map_tensors(args: Any, function: Callable[[T], Any]) -> Any:
    """The arguments with every T replaced; lists and tuples of T are walked."""
    if isinstance(args, T):
        return function(args)
    if isinstance(args, list | tuple) and any(isinstance(a, T | list | tuple) for a in args):
        return type(args)(map_tensors(a, function) for a in args)
    return args


def tensors_of(args: Any) -> Iterator[T]:
    if isinstance(args, T):
        yield args
    elif isinstance(args, list | tuple):
        for a in args:
            yield from tensors_of(a)


def numpy_arguments(sample: Sample, dtype: str, args: tuple[Any, ...] | None = None) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed_of(sample))
    return map_tensors(sample.args if args is None else args, lambda spec: draw(spec, dtype, rng))


# ---- helix -----------------------------------------------------------------------------------------------------


def to_helix(values: np.ndarray, requires_grad: bool = False) -> helix.Tensor:
    """A tensor over a copy of the values."""
    if values.dtype == ml_dtypes.bfloat16:
        made = helix.tensor(values.astype(np.float32)).to(helix.bfloat16)
    else:
        made = helix.tensor(np.ascontiguousarray(values)).reshape(values.shape)
    return made.requires_grad_() if requires_grad else made


def to_numpy(t: Any) -> np.ndarray:
    """Values as NumPy; bfloat16 as float32."""
    if isinstance(t, helix.Tensor):
        t = t.detach()
        return np.array((t.to(helix.float32) if t.dtype == helix.bfloat16 else t).numpy())
    if isinstance(t, torch.Tensor):
        t = t.detach().resolve_conj().resolve_neg()
        return np.array((t.float() if t.dtype == torch.bfloat16 else t).numpy())
    return np.asarray(t)


def dtype_name(t: Any) -> str:
    return str(t.dtype).removeprefix("torch.").removeprefix("helix.")


@functools.cache
def function_of(op: str) -> Callable[..., Any]:
    """Where users find the op: helix, helix.nn.functional, or a method. A function of the same name may be another."""
    method_only = op in RECORDS and "function" not in RECORDS[op]["flags"]
    for place in (helix.Tensor, helix) if method_only else (helix, helix.Tensor):
        if callable(getattr(place, op, None)):
            return getattr(place, op)
    return helix._core.nn_functions().get(op) or helix._core.op_named(op)


def with_dtypes(value: Any, package: Any) -> Any:
    """Names of dtypes in arguments become the package's dtypes."""
    return getattr(package, value) if isinstance(value, str) and value in DTYPES else value


def leaves(args: Any, kind: type) -> list[Any]:
    if isinstance(args, kind):
        return [args]
    return [x for a in args for x in leaves(a, kind)] if isinstance(args, list | tuple) else []


def convert(args: Any, function: Callable[[np.ndarray], Any], package: Any) -> Any:
    """Arguments with NumPy arrays replaced by a package's tensors."""
    if isinstance(args, np.ndarray):
        return function(args)
    if isinstance(args, list) or (isinstance(args, tuple) and any(isinstance(a, np.ndarray | list) for a in args)):
        return type(args)(convert(a, function, package) for a in args)
    return with_dtypes(args, package)


def call_helix(sample: Sample, arrays: tuple[Any, ...], make: Callable[[np.ndarray], helix.Tensor] = to_helix) -> Any:
    kwargs = {k: convert(v, make, helix) for k, v in sample.kwargs.items()}
    helix.manual_seed(seed_of(sample))
    return function_of(sample.op)(*convert(arrays, make, helix), **kwargs)


# ---- references ------------------------------------------------------------------------------------------------


def to_torch(values: np.ndarray) -> torch.Tensor:
    if values.dtype == ml_dtypes.bfloat16:
        return torch.tensor(values.astype(np.float32)).bfloat16()
    return torch.tensor(np.array(values))


@functools.cache
def torch_function_of(op: str) -> Callable[..., Any] | None:
    if op in RECORDS and "fft" in RECORDS[op]["flags"]:
        return getattr(torch.fft, op.removeprefix("fft_"))
    if op.startswith("special_"):
        return getattr(torch.special, op.removeprefix("special_"))
    if op.startswith("linalg_"):
        return getattr(torch.linalg, op.removeprefix("linalg_"))
    places = [torch, torch.nn.functional, torch.special, torch.linalg, torch.Tensor]
    for place in places[1:] + places[:1] if op in helix._core.nn_functions() else places:
        found = getattr(place, op, None)
        if found is not None:
            return found
    return None


def call_torch(sample: Sample, arrays: tuple[Any, ...]) -> Any:
    function = torch_function_of(sample.op)
    if function is None:
        raise LookupError(f"torch has no {sample.op}; the sample needs ref=")
    kwargs = {k: convert(v, to_torch, torch) for k, v in sample.kwargs.items()}
    return function(*convert(arrays, to_torch, torch), **kwargs)


def widen(values: np.ndarray) -> np.ndarray:
    """Floating values in float64, complex ones in complex128: what references are computed in."""
    if values.dtype == ml_dtypes.bfloat16 or values.dtype.kind == "f":
        return values.astype(np.float64)
    return values.astype(np.complex128) if values.dtype.kind == "c" else values


def signed(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int64) if values.dtype.name in ("uint16", "uint32", "uint64") else values


def reference(sample: Sample, arrays: tuple[Any, ...]) -> list[Any]:
    wide = convert(arrays, widen, np)
    if sample.ref is None:
        try:
            return as_list(call_torch(sample, wide))
        except (NotImplementedError, RuntimeError):  # torch has few ops on wide unsigned integers
            return as_list(call_torch(sample, convert(wide, signed, np)))
    kwargs = {k: convert(v, widen, np) for k, v in sample.kwargs.items()}
    with np.errstate(all="ignore"):
        return as_list(sample.ref(*wide, **kwargs))


def as_list(result: Any) -> list[Any]:
    return list(result) if isinstance(result, list | tuple) else [result]


# ---- comparison ------------------------------------------------------------------------------------------------


def tolerance(sample: Sample, dtype: str) -> tuple[float, float]:
    relative, absolute = TOLERANCE.get(dtype, (0.0, 0.0))
    return max(relative, sample.rtol or 0.0), max(absolute, sample.atol or 0.0)


def assert_close(got: Any, wanted: Any, rtol: float, atol: float, what: str) -> None:
    got, wanted = to_numpy(got), to_numpy(wanted)
    if got.dtype.kind == "u" and wanted.dtype.kind == "i":
        wanted = wanted.astype(got.dtype)
    assert got.shape == wanted.shape, f"{what}: shape {got.shape}, not {wanted.shape}"
    if got.dtype.kind in "fc" or wanted.dtype.kind in "fc":
        kind = np.complex128 if "c" in (got.dtype.kind, wanted.dtype.kind) else np.float64
        np.testing.assert_allclose(got.astype(kind), wanted.astype(kind), rtol, atol, err_msg=what)
    else:
        np.testing.assert_array_equal(got, wanted, err_msg=what)


def assert_same_bits(got: Any, wanted: Any, what: str) -> None:
    got, wanted = to_numpy(got), to_numpy(wanted)
    assert got.dtype == wanted.dtype, f"{what}: {got.dtype}, not {wanted.dtype}"
    np.testing.assert_array_equal(got, wanted, err_msg=what)


# ---- memory layouts --------------------------------------------------------------------------------------------


def _junk(like: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A buffer whose unused places would show in a result."""
    fill: Any = np.nan if like.dtype.kind in "fcV" else True if like.dtype.kind == "b" else 77
    return np.full(shape, fill, like.dtype)


def transposed(v: np.ndarray) -> helix.Tensor:
    return to_helix(np.swapaxes(v, 0, -1)).transpose(0, -1) if v.ndim > 1 else to_helix(v)


def stepped(v: np.ndarray) -> helix.Tensor:
    if v.ndim == 0:
        return to_helix(v)
    buffer = _junk(v, (*v.shape[:-1], 2 * v.shape[-1]))
    buffer[..., ::2] = v
    return to_helix(buffer)[..., ::2]


def backwards(v: np.ndarray) -> helix.Tensor:
    return to_helix(v[..., ::-1])[..., ::-1] if v.ndim else to_helix(v)


def stretched(v: np.ndarray) -> helix.Tensor:
    """Stride 0: the caller makes the values equal along axis 0 first (`equal_rows`)."""
    return to_helix(v[:1]).expand(v.shape) if v.ndim and v.shape[0] else to_helix(v)


def shifted(v: np.ndarray) -> helix.Tensor:
    buffer = _junk(v, (v.size + 5,))
    buffer[3 : 3 + v.size] = v.reshape(-1)
    return to_helix(buffer)[3 : 3 + v.size].view(v.shape)


def fortran(v: np.ndarray) -> helix.Tensor:
    axes = tuple(reversed(range(v.ndim)))
    return to_helix(np.transpose(v)).permute(axes) if v.ndim > 1 else to_helix(v)


def misaligned(v: np.ndarray) -> helix.Tensor:
    """Foreign memory that begins one element past any boundary a vector instruction likes."""
    if v.dtype == ml_dtypes.bfloat16:
        return to_helix(v)
    at_one = np.empty(v.size + 1, v.dtype)[1:].reshape(v.shape)
    at_one[...] = v
    return helix.from_numpy(at_one)


def equal_rows(v: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.broadcast_to(v[:1], v.shape)) if v.ndim and v.shape[0] else v


LAYOUTS: dict[str, Callable[[np.ndarray], helix.Tensor]] = {
    "transposed": transposed,
    "step 2": stepped,
    "step -1": backwards,
    "stride 0": stretched,
    "offset": shifted,
    "fortran": fortran,
    "misaligned": misaligned,
}


def resized(sample: Sample, axis: int, size: int | None) -> tuple[Any, ...] | None:
    """The arguments with one axis of every tensor resized (None drops all axes); None when no tensor has it."""
    shapes = [t.shape for t in tensors_of(sample.args)]
    if not shapes or (size is not None and not any(len(s) > axis for s in shapes)):
        return None

    def change(t: T) -> T:
        if size is None:
            shape: tuple[int, ...] = ()
        else:
            shape = tuple(size if i == axis and n != 1 else n for i, n in enumerate(t.shape))
        return T(**{**t.__dict__, "shape": shape})

    return map_tensors(sample.args, change)
