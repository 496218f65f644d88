"""Tensor arguments for op cases: values from a fixed seed, in every memory layout, here and on the device."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy

import helix


@dataclass(frozen=True)
class T:
    """A tensor argument. `dtype` None: the one under test. `distinct`: no two values are equal. `special`: floating values
    that kernels forget, in another order for each number."""

    shape: tuple[int, ...] = (3, 4)
    low: float = -2.0
    high: float = 2.0
    dtype: str | None = None
    distinct: bool = False
    special: int | None = None


SPECIAL = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3e38, 1e-30, -7.25)

Layout = tuple[tuple[int, ...], Callable[[helix.Tensor], helix.Tensor]]
"""The shape of the memory, and the view of it that is the argument."""


def _same(x: helix.Tensor) -> helix.Tensor:
    return x


def _transposed(shape: tuple[int, ...]) -> Layout:
    return shape[::-1], lambda x: x.permute(*reversed(range(len(shape))))


def _strided(shape: tuple[int, ...]) -> Layout:
    return (*shape[:-1], 2 * shape[-1]), lambda x: x[..., ::2]


def _negative(shape: tuple[int, ...]) -> Layout:
    return shape, lambda x: x[..., ::-1]


def _broadcast(shape: tuple[int, ...]) -> Layout:
    return (1, *shape[1:]), lambda x: x.expand(*shape)


def _offset(shape: tuple[int, ...]) -> Layout:
    return (shape[0] + 1, *shape[1:]), lambda x: x[1:]


LAYOUTS: dict[str, Callable[[tuple[int, ...]], Layout]] = {
    "contiguous": lambda shape: (shape, _same),
    "transposed": _transposed,
    "strided": _strided,
    "negative": _negative,
    "broadcast": _broadcast,
    "offset": _offset,
}


def numpy_dtype(name: str) -> numpy.dtype:
    return numpy.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def values(spec: T, dtype: str, shape: tuple[int, ...], random: numpy.random.Generator) -> numpy.ndarray:
    count = math.prod(shape)
    if dtype == "bool":
        return random.integers(0, 2, shape).astype(bool)
    low, high = spec.low, spec.high
    if "int" in dtype:
        low = max(low, 0) if dtype.startswith("u") else low
        low, high = math.ceil(low), max(math.floor(high), math.ceil(low))
        whole = random.permutation(count) + low if spec.distinct else random.integers(low, high + 1, count)
        return whole.reshape(shape).astype(dtype)
    drawn: numpy.ndarray = random.uniform(low, high, count)
    if spec.special is not None:
        drawn = numpy.resize(numpy.roll(SPECIAL, spec.special), count)
    if spec.distinct:
        drawn = random.permutation(low + (high - low) * (numpy.arange(count) + 0.25) / max(count, 1))
    if dtype.startswith("complex"):
        drawn = drawn + 1j * random.uniform(low, high, count)
    return drawn.reshape(shape).astype(numpy_dtype(dtype))


def tensor_of(array: numpy.ndarray) -> helix.Tensor:
    if array.dtype == ml_dtypes.bfloat16:
        return helix.tensor(array.astype(numpy.float32)).to(helix.bfloat16)
    return helix.from_numpy(numpy.array(array))


def array_of(x: helix.Tensor) -> numpy.ndarray:
    here = x.detach().to("cpu")
    return numpy.array((here.to(helix.float32) if here.dtype == helix.bfloat16 else here).numpy())


def make(arguments: Any, dtype: str, layout: str, place: Callable[[helix.Tensor], helix.Tensor], seed: str) -> Any:
    """The arguments with tensors in place of each T, made by `place` from the memory on the CPU and then viewed."""
    random = numpy.random.default_rng(zlib.crc32(seed.encode()))

    def build(value: Any) -> Any:
        if isinstance(value, list):
            return [build(v) for v in value]
        if isinstance(value, tuple) and any(isinstance(v, T) for v in value):
            return tuple(build(v) for v in value)
        if not isinstance(value, T):
            return getattr(helix, value) if isinstance(value, str) and value in helix.dtypes.TYPES else value
        fits = value.shape and min(value.shape) > 0 and not (value.distinct and layout == "broadcast")
        memory, view = LAYOUTS[layout if fits else "contiguous"](value.shape)
        return view(place(tensor_of(values(value, value.dtype or dtype, memory, random))))

    return build(list(arguments))


def widened(x: helix.Tensor) -> helix.Tensor:
    """In the dtype of the reference: float64 or complex128 for floating numbers."""
    if x.dtype.is_complex:
        return x.to(helix.complex128)
    return x.to(helix.float64) if x.dtype.is_floating_point else x


def reshaped(arguments: tuple, shape: tuple[int, ...]) -> tuple:
    """Elementwise arguments with another shape."""
    return tuple(replace(a, shape=shape) if isinstance(a, T) else a for a in arguments)
