"""Dtypes, what they can hold, and how they promote."""

from __future__ import annotations

from dataclasses import dataclass

from helix import _core, dtypes
from helix._core import (
    Tensor,
    bool,
    complex64,
    complex128,
    dtype,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from helix.array_api.rules import KINDS, array, beside, fail, promoted
from helix.errors import ArgumentError, DTypeError, ParameterError

__all__ = [
    "astype",
    "bool",
    "can_cast",
    "complex128",
    "complex64",
    "finfo",
    "float32",
    "float64",
    "iinfo",
    "int16",
    "int32",
    "int64",
    "int8",
    "isdtype",
    "result_type",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
]


@dataclass(frozen=True)
class finfo_object:
    """What a floating dtype can hold."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: dtype


@dataclass(frozen=True)
class iinfo_object:
    """What an integer dtype can hold."""

    bits: int
    max: int
    min: int
    dtype: dtype


def _dtype_of(function, given):
    if isinstance(given, Tensor):
        return given.dtype
    if isinstance(given, dtype):
        return given
    fail(ArgumentError, 1103, function, f"takes a dtype or an array, got {type(given).__name__}.")


def astype(x, dtype, /, *, copy=True, device=None):
    """A copy of the array in another dtype; with `copy=False` the array itself where nothing changes.

    Raises DTypeError (HX1101) for a complex array and a dtype that is not complex.

    Example:
        >>> xp.astype(xp.asarray([1.5, -1.5]), xp.int32)
        Array([ 1, -1], dtype=int32)
    """
    found = _dtype_of("astype", dtype)
    if x.dtype in KINDS["complex floating"] and found not in KINDS["complex floating"]:
        text = f"{x.dtype.name} does not become {found.name}; take the real or the imaginary part."
        fail(DTypeError, 1101, "astype", text)
    return array(Tensor.to(x, device, found, copy=copy) if device is not None else Tensor.to(x, found, copy=copy))


def can_cast(from_, to, /):
    """True where the standard's promotion takes a dtype, or an array's, to `to`.

    Example:
        >>> xp.can_cast(xp.int8, xp.int16), xp.can_cast(xp.int16, xp.int8), xp.can_cast(xp.int8, xp.float32)
        (True, False, False)
    """
    first, second = _dtype_of("can_cast", from_), _dtype_of("can_cast", to)
    try:
        return promoted("can_cast", first, second) is second
    except DTypeError:
        return False


def finfo(type, /):
    """Bits, eps, max, min and smallest normal number of a floating dtype, or of an array's.

    Example:
        >>> xp.finfo(xp.float32).bits
        32
    """
    found = dtypes.finfo(_dtype_of("finfo", type))
    kept = _dtype_of("finfo", type).to_real()
    return finfo_object(found.bits, found.eps, found.max, found.min, found.smallest_normal, kept)


def iinfo(type, /):
    """Bits, max and min of an integer dtype, or of an array's.

    Example:
        >>> xp.iinfo(xp.int8).max
        127
    """
    found = dtypes.iinfo(_dtype_of("iinfo", type))
    return iinfo_object(found.bits, found.max, found.min, _dtype_of("iinfo", type))


def isdtype(dtype, kind):
    """True when the dtype is `kind`: a dtype, the name of a kind ("bool", "signed integer", "unsigned integer", "integral",
    "real floating", "complex floating", "numeric"), or a tuple of them.

    Example:
        >>> xp.isdtype(xp.float32, ("integral", "real floating"))
        True
    """
    if not isinstance(dtype, _core.dtype):
        fail(ArgumentError, 1103, "isdtype", f"takes a dtype, got {type(dtype).__name__}.")
    return any_of(dtype, kind if isinstance(kind, tuple) else (kind,))


def any_of(found, kinds):
    """True when a dtype is of one of the kinds."""
    result = False
    for kind in kinds:
        if isinstance(kind, _core.dtype):
            result |= found is kind
        elif not isinstance(kind, str):
            fail(ArgumentError, 1103, "isdtype", f"a kind is a dtype or its name, got {type(kind).__name__}.")
        elif kind not in KINDS:
            fail(ParameterError, 1403, "isdtype", f"there is no kind {kind!r}; the kinds are {', '.join(KINDS)}.")
        else:
            result |= found in KINDS[kind]
    return result


def result_type(*arrays_and_dtypes):
    """The dtype that arrays, dtypes and Python numbers, not numbers alone, promote to.

    Raises DTypeError (HX1101) where the standard defines no promotion.

    Example:
        >>> xp.result_type(xp.float32, xp.ones(2, dtype=xp.complex128), 1)
        helix.complex128
    """
    numbers = [value for value in arrays_and_dtypes if isinstance(value, (int, float, complex))]
    given = [
        _dtype_of("result_type", value) for value in arrays_and_dtypes if not isinstance(value, (int, float, complex))
    ]
    if not given:
        fail(ParameterError, 1103, "result_type", "needs at least one array or dtype.")
    found = given[0]
    for other in given[1:]:
        found = promoted("result_type", found, other)
    for number in numbers:
        found = beside("result_type", number, found)
    return found
