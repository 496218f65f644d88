"""Elementwise ops of one tensor."""

import numpy as np

from ..sample import COMPLEX, FLOATS, HALVES, INTS, SIGNED, Error, Sample, T

REAL = FLOATS + HALVES
NUMBERS = REAL + INTS
EVERY = (*NUMBERS, "bool", *COMPLEX)


def smooth(op, low=-2.0, high=2.0, dtypes=REAL + COMPLEX, **more):
    return Sample(op, (T((3, 4), low=low, high=high),), dtypes=dtypes, **more)


def kinked(op, **more):
    """The derivative is 0 between whole numbers, where the values jump."""
    steps = tuple(range(-3, 4))
    return Sample(op, (T((3, 4), away=steps, margin=0.05),), dtypes=NUMBERS, second=False, **more)


def predicate(op, dtypes=EVERY, **more):
    special = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.5])
    return [
        Sample(op, (T((3, 4)),), grad=False, dtypes=dtypes, **more),
        Sample(op, (special,), grad=False, layouts=False, name="special values", **more),
    ]


def no_bool(op):
    return (Error((T((2,), dtype="bool"),), "DTypeError", 1101, ("bool", "(2,)")),)


def no_complex(op):
    return (Error((T((2,), dtype="complex64"),), "DTypeError", 1101, ("complex", "(2,)", "complex64")),)


SAMPLES = [
    Sample("neg", (T((3, 4)),), dtypes=NUMBERS + COMPLEX, errors=no_bool("neg")),
    Sample("abs", (T((3, 4), away=(0,)),), dtypes=EVERY, ref=np.abs),
    Sample("sign", (T((3, 4), away=(0,)),), dtypes=(*NUMBERS, "bool"), second=False),
    Sample("square", (T((3, 4)),), dtypes=NUMBERS + COMPLEX, ref=np.square),
    smooth("reciprocal", 0.5, 2.0),
    smooth("sqrt", 0.2, 4.0),
    smooth("rsqrt", 0.2, 4.0),
    smooth("exp"),
    smooth("exp2"),
    smooth("expm1"),
    Sample("exp", (T((3, 4), dtype="int32", grad=False),), grad=False, name="integers", dtypes=("float32",)),
    smooth("log", 0.2, 4.0),
    smooth("log2", 0.2, 4.0),
    smooth("log10", 0.2, 4.0),
    smooth("log1p", -0.5, 4.0),
    smooth("sin"),
    smooth("cos"),
    smooth("tan", -1.2, 1.2),
    *[
        Sample(
            op,
            (np.array([0.0, -0.0, 1e-30, -1e-30, 1e5, -1e9, 1e30, np.inf, np.nan]),),
            grad=False,
            layouts=False,
            dtypes=FLOATS,
            name="special values",
        )
        for op in ("sin", "cos", "tanh", "exp", "log", "log1p", "expm1", "sigmoid", "erf")
    ],
    smooth("asin", -0.7, 0.7),
    smooth("acos", -0.7, 0.7),
    smooth("atan", -0.7, 0.7),
    smooth("sinh"),
    smooth("cosh"),
    smooth("tanh", -1.2, 1.2),
    smooth("asinh", -0.7, 0.7),
    smooth("acosh", 1.2, 3.0, REAL),
    smooth("atanh", -0.7, 0.7),
    Sample("sinc", (T((3, 4), away=(0,)),), dtypes=REAL, ref=np.sinc),
    smooth("erf", dtypes=REAL, errors=no_complex("erf")),
    smooth("erfc", dtypes=REAL),
    smooth("erfinv", -0.9, 0.9, REAL),
    smooth("lgamma", 0.3, 4.0, REAL, atol=1e-4),
    smooth("digamma", 0.3, 4.0, REAL, second=False, atol=1e-3),
    smooth("sigmoid"),
    smooth("logit", 0.1, 0.9, REAL),
    Sample(
        "logit",
        (T((3, 4), low=-0.5, high=1.5, away=(0.2, 0.8)), 0.2),
        dtypes=REAL,
        name="eps",
        ref=lambda x, eps: np.log(np.clip(x, eps, 1 - eps) / (1 - np.clip(x, eps, 1 - eps))),
    ),
    kinked("floor", errors=no_complex("floor")),
    kinked("ceil"),
    kinked("trunc"),
    Sample("frac", (T((3, 4), away=(-2, -1, 0, 1, 2), margin=0.05),), dtypes=FLOATS, second=False),
    Sample("round", (T((3, 4), away=(-1.5, -0.5, 0.5, 1.5), margin=0.05),), dtypes=NUMBERS, second=False, ref=np.round),
    Sample(
        "round", (T((3, 4), low=-200.0, high=200.0),), {"decimals": 1}, dtypes=("float64",), grad=False, name="decimals"
    ),
    Sample(
        "round",
        (T((3, 4), low=-2000.0, high=2000.0),),
        {"decimals": -2},
        dtypes=("float64",),
        grad=False,
        name="hundreds",
    ),
    smooth("deg2rad", -90.0, 90.0, REAL),
    smooth("rad2deg", dtypes=FLOATS, second=False),
    *predicate("isnan"),
    *predicate("isinf"),
    *predicate("isfinite"),
    *predicate("isposinf", (*NUMBERS, "bool")),
    *predicate("isneginf", (*NUMBERS, "bool")),
    *predicate("signbit", (*FLOATS, *SIGNED, "uint8", "uint64")),
    *predicate("logical_not"),
    Sample(
        "bitwise_not",
        (T((3, 4)),),
        dtypes=(*INTS, "bool"),
        grad=False,
        ref=np.invert,
        errors=(Error((T((2,)),), "DTypeError", 1101, ("float",)),),
    ),
    Sample("nan_to_num", (T((3, 4)),), dtypes=REAL),
    Sample("nan_to_num", (np.array([np.nan, np.inf, -np.inf, 1.5]),), grad=False, layouts=False, name="special values"),
    Sample(
        "nan_to_num", (np.array([np.nan, np.inf, -np.inf, 1.5]), 7.0, 8.0, 9.0), grad=False, layouts=False, name="given"
    ),
    Sample("angle", (T((3, 4), away=(0,)),), dtypes=(*FLOATS, *COMPLEX), second=False, ref=np.angle),
    Sample("conj_physical", (T((3, 4)),), dtypes=COMPLEX, ref=np.conj),
    Sample("conj", (T((3, 4)),), dtypes=FLOATS + COMPLEX, ref=np.conj),
    Sample("real", (T((3, 4)),), dtypes=FLOATS + COMPLEX, ref=np.real),
    Sample(
        "imag", (T((3, 4)),), dtypes=COMPLEX, ref=np.imag, errors=(Error((T((2,)),), "DTypeError", 1101, ("real",)),)
    ),
    Sample("positive", (T((3, 4)),), dtypes=NUMBERS + COMPLEX),
]
