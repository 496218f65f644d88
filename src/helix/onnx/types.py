"""ONNX's element types and helix's dtypes."""

from __future__ import annotations

from typing import Any

import helix

from .faults import broken, unsupported

# Numbers of TensorProto.DataType, from onnx.proto.
CODES = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "bool": 9,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
    "complex64": 14,
    "complex128": 15,
    "bfloat16": 16,
}
_OTHERS = {
    8: "string", 17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4",
    23: "float4e2m1", 24: "float8e8m0", 25: "uint2", 26: "int2",
}  # fmt: skip
_DTYPES = {code: helix.dtypes.TYPES[name] for name, code in CODES.items()}


def dtype_of(code: int) -> Any:
    """The dtype of an element type.

    Raises UnsupportedOpError (HX4021) for strings and types of fewer than 8 bits, FormatError (HX4020) for no type.
    """
    found = _DTYPES.get(code)
    if found is not None:
        return found
    if code in _OTHERS:
        raise unsupported(f"tensors of {_OTHERS[code]} are not supported")
    raise broken(f"{code} is no element type")


def code_of(dtype: Any) -> int:
    """The element type of a dtype."""
    return CODES[dtype.name]
