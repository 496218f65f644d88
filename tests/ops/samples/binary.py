"""Elementwise ops of two tensors."""

import numpy as np

from ..sample import COMPLEX, FLOATS, HALVES, INTS, SIGNED, Error, Sample, T

REAL = FLOATS + HALVES
NUMBERS = REAL + INTS
EVERY = (*NUMBERS, "bool", *COMPLEX)
BITS = (*INTS, "bool")

MISFIT = Error((T((2, 3)), T((2, 4))), "ShapeError", 1003, ("(2, 3)", "(2, 4)", "axis -1"))
NOT_COMPLEX = Error((T((2,), dtype="complex64"), T((2,), dtype="complex64")), "DTypeError", 1101, ("complex64",))
NOT_FLOAT = Error((T((2,)), T((2,))), "DTypeError", 1101, ("integer", "float"))


def two(op, dtypes=REAL, low=-2.0, high=2.0, **more):
    """Same shapes, stretched shapes, and a number."""
    given = {"dtypes": dtypes, **more}
    small = {k: v for k, v in given.items() if k != "errors"}
    return [
        Sample(op, (T((3, 4), low=low, high=high), T((3, 4), low=low, high=high)), **given),
        Sample(op, (T((2, 3, 1), low=low, high=high), T((4,), low=low, high=high)), name="stretched", **small),
    ]


def apart(op, dtypes=REAL, **more):
    """Operands that are never equal, where a choice between them has a kink."""
    given = {"dtypes": dtypes, **more}
    return [
        Sample(op, (T((3, 4), low=-2.0, high=-0.1), T((3, 4), low=0.1, high=2.0)), **given),
        Sample(
            op,
            (T((3, 1), low=0.1, high=2.0), T((4,), low=-2.0, high=-0.1)),
            name="stretched",
            **{k: v for k, v in given.items() if k != "errors"},
        ),
    ]


def no_gradient(op, dtypes, **more):
    return [
        Sample(op, (T((3, 4)), T((3, 4))), grad=False, dtypes=dtypes, **more),
        Sample(
            op,
            (T((3, 1)), T((4,))),
            grad=False,
            dtypes=dtypes,
            name="stretched",
            **{k: v for k, v in more.items() if k != "errors"},
        ),
    ]


def divided(op, dtypes, **more):
    """Quotients that stay clear of whole numbers, where rounding jumps; integer divisors are never 0."""
    return [
        Sample(op, (T((3, 4), low=0.1, high=0.9), T((3, 4), low=1.1, high=1.9)), dtypes=FLOATS, second=False, **more),
        Sample(
            op,
            (T((3, 4), low=-90.0, high=90.0), T((3, 4), low=3.0, high=9.0)),
            grad=False,
            dtypes=dtypes,
            name="integers",
        ),
    ]


BY_ZERO = Error((T((2,), dtype="int32"), 0), "ParameterError", 1403, ("zero",))

SAMPLES = [
    *two("add", EVERY, errors=(MISFIT,)),
    Sample("add", (T((3, 4)), T((3, 4))), {"alpha": 2.5}, name="alpha"),
    Sample(
        "add",
        (T((3, 4)), T((3, 4))),
        {"alpha": 3},
        name="whole alpha",
        dtypes=(*FLOATS, *INTS),
        errors=(
            Error(
                (T((2,), dtype="int32"), T((2,), dtype="int32")), "DTypeError", 1101, ("alpha", "0.5"), {"alpha": 0.5}
            ),
        ),
    ),
    Sample("add", (T((3, 4)), 2), name="number", dtypes=EVERY),
    Sample("add", (T((3, 4), dtype="int32", grad=False), T((3, 4))), name="promotes"),
    *two(
        "sub",
        NUMBERS + COMPLEX,
        errors=(
            MISFIT,
            Error((T((2,), dtype="bool"), T((2,), dtype="bool")), "DTypeError", 1101, ("bool", "logical_xor")),
        ),
    ),
    Sample("sub", (T((3, 4)), T((3, 4))), {"alpha": 0.5}, name="alpha"),
    *two("mul", EVERY, errors=(MISFIT,)),
    Sample("mul", (T((3, 4)), 1.5), name="number", dtypes=(*NUMBERS, *COMPLEX)),
    *two("div", REAL + COMPLEX, 0.5, 2.0, errors=(MISFIT,)),
    Sample(
        "div", (T((3, 4), low=1.0, high=9.0), T((3, 4), low=1.0, high=9.0)), grad=False, dtypes=INTS, name="integers"
    ),
    Sample(
        "div",
        (T((3, 4), low=-90.0, high=90.0), T((3, 4), low=3.0, high=9.0)),
        {"rounding_mode": "floor"},
        grad=False,
        dtypes=(*FLOATS, *INTS),
        name="floor",
        errors=(Error((T((2,), dtype="int32"), 0), "ParameterError", 1403, ("zero",), {"rounding_mode": "floor"}),),
    ),
    Sample(
        "div",
        (T((3, 4), low=-90.0, high=90.0), T((3, 4), low=3.0, high=9.0)),
        {"rounding_mode": "trunc"},
        grad=False,
        dtypes=(*FLOATS, *INTS),
        name="trunc",
    ),
    Sample(
        "floor_divide",
        (T((3, 4), low=-90.0, high=90.0), T((3, 4), low=3.0, high=9.0)),
        grad=False,
        dtypes=(*FLOATS, *INTS),
        errors=(BY_ZERO, NOT_COMPLEX),
    ),
    *divided("remainder", INTS, errors=(BY_ZERO,)),
    *divided("fmod", INTS, errors=(BY_ZERO,)),
    Sample(
        "remainder",
        (np.array([-7.0, 7.0, -7.0, 7.0, 0.0]), np.array([3.0, -3.0, -3.0, np.inf, 2.0])),
        grad=False,
        layouts=False,
        name="signs",
    ),
    Sample("pow", (T((3, 4), low=0.3, high=2.0), T((3, 4))), dtypes=REAL + COMPLEX),
    Sample("pow", (T((3, 1), low=0.3, high=2.0), T((4,))), name="stretched"),
    *[Sample("pow", (T((3, 4), low=0.3, high=2.0), e), name=f"exponent {e}") for e in (2, 3, 0.5, -1, 1, 0, 2.5, -2.0)],
    Sample("pow", (T((3, 4)), 3), name="negative base"),
    Sample(
        "pow", (T((3, 4), low=0.0, high=5.0), T((3, 4), low=0.0, high=4.0)), grad=False, dtypes=INTS, name="integers"
    ),
    Sample("pow", (2.0, T((3, 4))), name="number base"),
    Sample(
        "pow",
        (
            np.array([0.0, -0.0, 1.0, -1.0, -8.0, np.inf, -np.inf, np.nan, 2.0])[:, None],
            np.array([0.0, 1.0, -1.0, 2.0, -3.0, 0.5, np.inf, -np.inf, np.nan]),
        ),
        grad=False,
        layouts=False,
        name="special values",
    ),
    Sample("float_power", (T((3, 4), low=0.3, high=2.0), T((3, 4))), dtypes=FLOATS),
    Sample("ldexp", (T((3, 4)), T((3, 4))), dtypes=FLOATS),
    *two("atan2", low=0.3, errors=(NOT_COMPLEX,)),
    Sample(
        "atan2",
        (
            np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan])[:, None],
            np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan]),
        ),
        grad=False,
        layouts=False,
        ref=np.arctan2,
        name="special values",
    ),
    *two("hypot", low=0.3),
    Sample("copysign", (T((3, 4), away=(0,)), T((3, 4), away=(0,))), second=False, dtypes=REAL),
    Sample("nextafter", (T((3, 4)), T((3, 4))), grad=False, dtypes=("float64",)),
    *two("logaddexp"),
    *two("logaddexp2"),
    Sample("logaddexp", (T((3, 4)), T((3, 4))), dtypes=COMPLEX, name="complex"),
    Sample(
        "logaddexp",
        (np.array([np.inf, -np.inf, -np.inf, np.nan]), np.array([np.inf, -np.inf, 1.0, 1.0])),
        grad=False,
        layouts=False,
        name="special values",
    ),
    Sample("xlogy", (T((3, 4)), T((3, 4), low=0.3)), dtypes=REAL),
    *apart("maximum", (*NUMBERS,), errors=(MISFIT, NOT_COMPLEX)),
    *apart("minimum", (*NUMBERS,)),
    *apart("fmax", (*NUMBERS,)),
    *apart("fmin", (*NUMBERS,)),
    *[
        Sample(
            op,
            (np.array([np.nan, 1.0, np.nan]), np.array([1.0, np.nan, np.nan])),
            grad=False,
            layouts=False,
            name="nan",
        )
        for op in ("maximum", "minimum", "fmax", "fmin")
    ],
    *no_gradient("heaviside", (*FLOATS, *SIGNED)),
    *[s for op in ("eq", "ne") for s in no_gradient(op, EVERY, errors=(MISFIT,))],
    *[s for op in ("lt", "le", "gt", "ge") for s in no_gradient(op, (*NUMBERS, "bool"), errors=(MISFIT, NOT_COMPLEX))],
    *[s for op in ("logical_and", "logical_or", "logical_xor") for s in no_gradient(op, EVERY)],
    *[s for op in ("bitwise_and", "bitwise_or", "bitwise_xor") for s in no_gradient(op, BITS, errors=(NOT_FLOAT,))],
    *[
        Sample(
            op,
            (T((3, 4), low=0.0, high=90.0), T((3, 4), low=0.0, high=6.0)),
            grad=False,
            dtypes=INTS,
            ref=getattr(np, name),
            errors=(NOT_FLOAT,),
        )
        for op, name in (("bitwise_left_shift", "left_shift"), ("bitwise_right_shift", "right_shift"))
    ],
    Sample(
        "bitwise_right_shift",
        (T((3, 4), low=-90.0, high=90.0), 40),
        grad=False,
        dtypes=("int32",),
        name="beyond the width",
        ref=lambda x, n: np.where(x < 0, -1, 0).astype(np.int32),
    ),
    Sample(
        "bitwise_left_shift",
        (T((3, 4), low=-90.0, high=90.0), 40),
        grad=False,
        dtypes=("int32",),
        name="beyond the width",
        ref=lambda x, n: np.zeros_like(x),
    ),
    *[
        Sample(
            op,
            (T((3, 4), low=-30.0, high=30.0), T((3, 4), low=-30.0, high=30.0)),
            grad=False,
            dtypes=INTS,
            ref=getattr(np, op),
            errors=(NOT_FLOAT,),
        )
        for op in ("gcd", "lcm")
    ],
]
