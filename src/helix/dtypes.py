"""Data types: the objects, and what their numbers can hold."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from helix import _core
from helix._core import can_cast, dtype, get_default_dtype, promote_types, result_type, set_default_dtype
from helix.errors import DTypeError

if TYPE_CHECKING:
    from helix._core import DType

NAMES = (
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)
TYPES = {name: getattr(_core, name) for name in NAMES}
# torch's further names: the alias table of dtypes.
ALIASES = {
    "half": "float16",
    "float": "float32",
    "double": "float64",
    "short": "int16",
    "int": "int32",
    "long": "int64",
    "cfloat": "complex64",
    "cdouble": "complex128",
}

__all__ = [
    "dtype",
    "can_cast",
    "promote_types",
    "result_type",
    "get_default_dtype",
    "set_default_dtype",
    "finfo",
    "iinfo",
]


class _Info:
    """Named facts about a dtype."""

    def __init__(self, **facts):
        self.__dict__.update(facts)

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in vars(self).items())})"

    def __eq__(self, other):
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self):
        return hash(self.dtype)


class FloatInfo(_Info):
    """What a floating dtype can hold."""

    dtype: str
    bits: int
    eps: float
    max: float
    min: float
    tiny: float
    smallest_normal: float
    resolution: float


class IntInfo(_Info):
    """What an integer dtype can hold."""

    dtype: str
    bits: int
    max: int
    min: int


# bits, fraction bits, largest exponent
_FLOATS = {"float16": (16, 10, 15), "bfloat16": (16, 7, 127), "float32": (32, 23, 127), "float64": (64, 52, 1023)}


def finfo(type: DType | None = None) -> FloatInfo:
    """Bits, eps, max, min and smallest normal number of a floating or complex dtype (default: the default dtype).

    >>> helix.finfo(helix.float16).max
    65504.0
    """
    found = get_default_dtype() if type is None else _core.as_dtype(getattr(type, "dtype", type))
    name = found.to_real().name
    if name not in _FLOATS:
        raise DTypeError(
            f"HX1101 finfo: type must be a floating or complex dtype, got {name}; use iinfo.", op="finfo", code="HX1101"
        )
    bits, fraction, exponent = _FLOATS[name]
    largest = sys.float_info.max if name == "float64" else (2 - 2.0**-fraction) * 2.0**exponent
    normal = 2.0 ** (1 - exponent)
    digits = {"float16": 3, "bfloat16": 2, "float32": 6, "float64": 15}[name]
    return FloatInfo(
        dtype=found.name,
        bits=bits,
        eps=2.0**-fraction,
        max=largest,
        min=-largest,
        tiny=normal,
        smallest_normal=normal,
        resolution=10.0**-digits,
    )


def iinfo(type: DType) -> IntInfo:
    """Bits, max and min of an integer dtype.

    >>> helix.iinfo(helix.int8).max
    127
    """
    found = _core.as_dtype(getattr(type, "dtype", type))
    if "int" not in found.name:
        raise DTypeError(f"HX1101 iinfo: type must be an integer dtype, got {found.name}.", op="iinfo", code="HX1101")
    bits = 8 * found.itemsize
    if found.is_signed:
        return IntInfo(dtype=found.name, bits=bits, max=2 ** (bits - 1) - 1, min=-(2 ** (bits - 1)))
    return IntInfo(dtype=found.name, bits=bits, max=2**bits - 1, min=0)
