"""Elementwise ops of three tensors."""

import numpy as np

from ..sample import COMPLEX, FLOATS, HALVES, INTS, SIGNED, Error, Sample, T

REAL = FLOATS + HALVES
ALL = (*REAL, *INTS, "bool", *COMPLEX)
CONDITION = T((3, 4), dtype="bool", grad=False)

SAMPLES = [
    Sample(
        "where",
        (CONDITION, T((3, 4)), T((3, 4))),
        ref=np.where,
        dtypes=ALL,
        errors=(
            Error((T((2,)), T((2,)), T((2,))), "DTypeError", 1101, ("condition",)),
            Error((T((2,), dtype="bool"), T((3,)), T((2,))), "ShapeError", 1003, ("(2,)", "(3,)")),
        ),
    ),
    Sample("where", (T((3, 1), dtype="bool", grad=False), T((4,)), T((1,))), ref=np.where, name="stretched"),
    Sample("where", (CONDITION, T((3, 4)), 0), ref=np.where, name="number"),
    Sample(
        "clamp",
        (T((3, 4), away=(-1, 1)), -1, 1),
        dtypes=REAL + SIGNED,
        ref=np.clip,
        errors=(
            Error((T((2,)),), "ParameterError", 1403, ("min", "max")),
            Error((T((2,), dtype="complex64"), 0), "DTypeError", 1101, ("complex64",)),
        ),
    ),
    Sample("clamp", (T((3, 4), away=(0.5,)),), {"min": 0.5}, name="min"),
    Sample("clamp", (T((3, 4), away=(0.5,)),), {"max": 0.5}, name="max"),
    Sample(
        "clamp",
        (T((3, 4), low=-2.0, high=2.0), T((4,), low=-9.0, high=-3.0), T((3, 1), low=3.0, high=9.0)),
        name="tensors",
        dtypes=REAL + INTS,
    ),
    Sample(
        "clamp",
        (T((3, 4), low=-2.0, high=2.0), T((4,), low=3.0, high=9.0), T((3, 1), low=10.0, high=11.0)),
        name="below",
    ),
    Sample("clamp", (np.array([np.nan, 1.0, 5.0]), -1.0, 2.0), grad=False, layouts=False, name="nan"),
    Sample("clamp_min", (T((3, 4), away=(0.5,)), 0.5), dtypes=REAL),
    Sample("clamp_min", (T((3, 4), low=1.0), T((4,), high=0.9)), name="tensor"),
    Sample("clamp_max", (T((3, 4), low=1.0), T((4,), high=0.9)), name="tensor"),
    Sample("clamp_max", (T((3, 4), away=(0.5,)), 0.5), dtypes=REAL),
    Sample(
        "lerp",
        (T((3, 4)), T((3, 4)), T((3, 4), low=0.0, high=1.0)),
        dtypes=REAL + COMPLEX,
        errors=(Error((T((2,), dtype="int32"), T((2,), dtype="int32"), 1), "DTypeError", 1101, ("int32",)),),
    ),
    Sample("lerp", (T((3, 1)), T((4,)), 0.25), name="stretched"),
    Sample("addcmul", (T((3, 4)), T((3, 1)), T((4,))), {"value": 0.5}, dtypes=REAL),
    Sample(
        "addcmul",
        (T((3, 4)), T((3, 4)), T((3, 4))),
        {"value": 2},
        dtypes=INTS + COMPLEX,
        name="whole",
        ref=lambda x, a, b, value: x + value * a * b,
    ),
    Sample("addcdiv", (T((3, 4)), T((3, 1)), T((4,), low=0.5)), {"value": 0.5}, dtypes=REAL + COMPLEX),
]
