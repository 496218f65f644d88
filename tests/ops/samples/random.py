"""Random tensors: shapes, dtypes, in-place forms and errors here; distributions in tests/test_random.py."""

import numpy as np

from ..sample import FLOATS, HALVES, Error, Sample, T

ONE = ("float32",)
REAL = FLOATS + HALVES


def unknown(*args, **kwargs):
    return None


def drawn(op, *args, name="", errors=(), **kwargs):
    return Sample(op, args, kwargs, ref=unknown, grad=False, layouts=False, dtypes=ONE, name=name, errors=errors)


def filled(op, *args, errors=()):
    return Sample(
        op, (T((2, 3), grad=False), *args), ref=unknown, grad=False, layouts=False, dtypes=REAL, errors=errors
    )


SAMPLES = [
    drawn("rand", 2, 3, errors=(Error((2,), "DTypeError", 1101, ("int32", "randint"), {"dtype": "int32"}),)),
    drawn("randn", 2, 3),
    drawn("rand", 2, name="complex", dtype="complex64"),
    drawn(
        *("randint", 5, (2, 3)),
        errors=(
            Error((3, 3, (2,)), "ParameterError", 1403, ("low", "high")),
            Error((3, (2, -1)), "ShapeError", 1403, ("size -1", "axis 1", "(2, -1)", "negative")),
        ),
    ),
    drawn("randint", -5, 5, (2, 3), name="from low"),
    Sample(
        "randint", (4, 5, (3,)), ref=lambda *a: np.full(3, 4), grad=False, layouts=False, dtypes=ONE, name="one value"
    ),
    drawn("randperm", 7, errors=(Error((-1,), "ParameterError", 1403, ("negative",)),)),
    filled("rand_like"),
    filled("randn_like"),
    filled("uniform", -1.0, 2.0, errors=(Error((T((2,)), 2.0, 1.0), "ParameterError", 1403, ("low", "high")),)),
    filled("normal", 1.0, 2.0, errors=(Error((T((2,)), 0.0, -1.0), "ParameterError", 1403, ("std",)),)),
    filled("exponential", 2.0, errors=(Error((T((2,)), 0.0), "ParameterError", 1403, ("lambd",)),)),
    filled(
        "bernoulli",
        0.3,
        errors=(
            Error((T((2,), low=2.0, high=3.0),), "ParameterError", 1403, ("[0, 1]",)),
            Error((T((2,), dtype="int64"),), "DTypeError", 1101, ("int64", "accepted: float16")),
        ),
    ),
    Sample("bernoulli", (T((2, 3)), 1.0), ref=lambda x, p: np.ones_like(x), grad=False, layouts=False, name="certain"),
    Sample(
        "multinomial",
        (T((2, 5), low=0.1, high=1.0, grad=False), 3),
        ref=unknown,
        grad=False,
        layouts=False,
        dtypes=REAL,
        errors=(
            Error((T((2,), low=0.1), 3), "ParameterError", 1403, ("replacement",)),
            Error((T((2,), low=-2.0, high=-1.0), 1), "ParameterError", 1403, ("negative",)),
            Error((T((2, 2, 2)), 1), "ShapeError", 1001, ("(2, 2, 2)",)),
        ),
    ),
    Sample(
        "multinomial",
        (T((4,), low=0.1, high=1.0, grad=False), 9, True),
        ref=unknown,
        grad=False,
        layouts=False,
        name="replacement",
    ),
    Sample(
        "dropout",
        (T((3, 4)), 0.4),
        ref=unknown,
        layouts=False,
        dtypes=REAL,
        errors=(Error((T((2,)), 1.5), "ParameterError", 1403, ("[0, 1]",)),),
    ),
    Sample("dropout", (T((3, 4)), 0.4, False), ref=lambda x, p, training: x, layouts=False, name="not training"),
    Sample("dropout", (T((3, 4)), 1.0), ref=lambda x, p: np.zeros_like(x), layouts=False, second=False, name="all"),
    Sample(
        "feature_dropout",
        (T((2, 3, 4)), 0.4),
        ref=unknown,
        layouts=False,
        dtypes=FLOATS,
        errors=(Error((T((2,)),), "ShapeError", 1001, ("(2,)",)),),
    ),
]
