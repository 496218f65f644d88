"""Copies and casts."""

import numpy as np

from ..sample import COMPLEX, FLOATS, HALVES, INTS, Error, Sample, T

ALL = (*FLOATS, *HALVES, *INTS, "bool", *COMPLEX)


def cast_to(name):
    return Sample(
        "cast",
        (T((3, 4)), name),
        ref=lambda x, _: x.astype(name),
        name=name,
        dtypes=(*FLOATS, *HALVES, "int8", "int64", "uint8", "bool"),
        grad=name.startswith("float"),
    )


def copied(input, src):
    return np.broadcast_to(src, input.shape).astype(input.dtype)


SAMPLES = [
    *[cast_to(name) for name in ("float64", "int32", "int16", "complex128", "bool")],
    Sample("cast", (T((3, 4)), "float64"), dtypes=("float32",), ref=lambda x, _: x, name="widening"),
    Sample(
        "cast",
        (np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 2.9, -2.9]), "int32"),
        grad=False,
        layouts=False,
        name="ends",
        ref=lambda x, _: np.array([0, 2**31 - 1, -(2**31), 2**31 - 1, -(2**31), 2, -2], np.int32),
    ),
    Sample("clone", (T((3, 4)),), dtypes=ALL),
    Sample("contiguous", (T((3, 4)),), dtypes=ALL, ref=lambda x: x),
    Sample(
        "copy",
        (T((3, 4)), T((4,))),
        ref=copied,
        dtypes=ALL,
        errors=(
            Error((T((2,)), T((3,))), "ShapeError", 1003, ("(2,)", "(3,)")),
            Error((T((2,)), T((2, 2))), "ShapeError", 1003, ("(2,)", "(2, 2)")),
        ),
    ),
]
