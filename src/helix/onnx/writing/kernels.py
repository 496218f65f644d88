"""Which dtypes the CPU kernels of ONNX Runtime take, where they are fewer than the standard allows.

From the kernel definitions of onnxruntime 1.31 (`get_all_opkernel_def`), for operator set 20. Integers and bool that are not
among them are computed in a wider type, which loses nothing; bfloat16 in float32. Other floating types are left as they are.
"""

from __future__ import annotations

_NAMES = {
    "f": "float32", "d": "float64", "h": "float16", "b": "bfloat16", "B": "bool", "i1": "int8", "i2": "int16", "i4": "int32",
    "i8": "int64", "u1": "uint8", "u2": "uint16", "u4": "uint32", "u8": "uint64",
}  # fmt: skip
_NUMBERS = "f d i1 i2 i4 i8 u1 u2 u4 u8"
_COMMON = "f d i4 i8"
_ALL = "f d h b B i1 i2 i4 i8 u1 u2 u4 u8"

# operator -> dtypes of its first type parameter; operators of floating types alone are not listed
_TAKEN = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Abs", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"), _NUMBERS),
    **dict.fromkeys(("Equal", "Expand", "Tile"), f"{_NUMBERS} B"),
    "Neg": "f d i1 i2 i4 i8",
    **dict.fromkeys(("Sign", "Shrink", "Mod"), f"{_NUMBERS} b h"),
    **dict.fromkeys(("Max", "Min", "Clip"), "f d h i1 i4 i8 u1 u4 u8"),
    **dict.fromkeys(("BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot"), "i1 i2 i4 i8 u1 u2 u4 u8"),
    "BitShift": "u1 u4 u8",
    "Where": "f d i1 i4 i8 u1 u4",
    "Relu": "f d i1 i4",
    **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceProd", "CumSum", "Pow"), _COMMON),
    **dict.fromkeys(("ReduceMax", "ReduceMin"), "f d B i1 i4 i8 u1"),
    **dict.fromkeys(("ArgMax", "ArgMin"), "f d i1 i4 i8 u1"),
    "TopK": "f d i1 i2 i4 i8 u1",
    "MatMul": "f d i4 i8 u4 u8",
    "Pad": "f d B i1 i4 i8 u1 u4 u8",
    "Range": "f d i2 i4 i8",
    "Trilu": "f d B i4 i8",
    "NonZero": "f B i4 i8 u1",
    "Resize": "f i1 i4 u1",
    **dict.fromkeys(("IsNaN", "IsInf"), "f d h b"),
    **dict.fromkeys(
        ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Concat", "Gather", "GatherElements", "GatherND",
         "ScatterElements", "ScatterND", "ConstantOfShape", "Identity", "If", "Loop", "Scan", "Shape", "LayerNormalization"),
        _ALL),
}  # fmt: skip
TAKEN = {op: frozenset(_NAMES[code] for code in codes.split()) for op, codes in _TAKEN.items()}
_WIDER = {
    "bool": ("uint8", "int32", "int64"),
    **dict.fromkeys(("int8", "uint8", "int16", "uint16"), ("int32", "int64", "float32")),
    "int32": ("int64", "float64"),
    "uint32": ("int64", "float64"),
}


def computed_in(op: str, dtype: str) -> str:
    """The dtype in which an operator computes this one."""
    taken = TAKEN.get(op)
    if dtype == "bfloat16":
        return dtype if taken is not None and dtype in taken else "float32"
    if taken is None or dtype in taken:
        return dtype
    if dtype == "uint64" and op in ("Where", "Trilu"):  # elements only move
        return "int64"
    return next((wider for wider in _WIDER.get(dtype, ()) if wider in taken), dtype)
