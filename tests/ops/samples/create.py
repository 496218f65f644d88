"""Tensors made from nothing, and filling."""

import numpy as np

from ..sample import COMPLEX, FLOATS, HALVES, INTS, Error, Sample, T

ALL = (*FLOATS, *HALVES, *INTS, "bool", *COMPLEX)
ONE = ("float32",)


def made(op, args, ref, name="", errors=(), **kwargs):
    return Sample(op, args, kwargs, ref=ref, grad=False, layouts=False, dtypes=ONE, name=name, errors=errors)


def like(op, ref, *args, **more):
    return Sample(op, (T((2, 3), grad=False), *args), ref=ref, grad=False, dtypes=ALL, **more)


SAMPLES = [
    made("full", ((2, 3), 7), lambda s, v: np.full(s, v)),
    made("full", ((2,), 0.5), lambda s, v: np.full(s, v, np.float32), name="float"),
    made("full", ((2,), True), lambda s, v: np.full(s, v), name="bool"),
    made("full", ((2,), 300), lambda s, v, dtype: np.full(s, 44, np.uint8), name="wraps", dtype="uint8"),
    made("zeros", (2, 3), lambda *s: np.zeros(s, np.float32)),
    made("ones", ((2, 3),), lambda s, dtype: np.ones(s, np.int16), dtype="int16"),
    made("empty", (2, 3), lambda *s: None),
    like("zeros_like", np.zeros_like),
    like("ones_like", np.ones_like),
    like("full_like", lambda x, v: np.full_like(x, v), 1),
    like("empty_like", lambda x: None, layouts=False),
    like("new_zeros", lambda x, s: np.zeros(s, x.dtype), (4, 1)),
    like("new_ones", lambda x, s: np.ones(s, x.dtype), (4, 1)),
    like("new_full", lambda x, s, v: np.full(s, v, x.dtype), (4, 1), 1),
    like("new_empty", lambda x, s: None, (4, 1), layouts=False),
    Sample("fill", (T((2, 3)), 1), dtypes=ALL, ref=lambda x, v: np.full_like(x, v), second=False),
    Sample("zero", (T((2, 3)),), dtypes=ALL, ref=np.zeros_like, second=False),
    made("arange", (5,), np.arange),
    made("arange", (1, 9, 3), np.arange, name="step"),
    made("arange", (9, 1, -3), np.arange, name="down"),
    made(
        "arange",
        (0.0, 1.0, 0.25),
        lambda *a: np.arange(*a, dtype=np.float32),
        name="float",
        errors=(
            Error((0, 5, 0), "ParameterError", 1403, ("step",)),
            Error((0, 5, -1), "ParameterError", 1403, ("step", "sign")),
            Error((0.0, float("inf")), "ParameterError", 1403, ("finite",)),
        ),
    ),
    made("linspace", (0, 1, 5), lambda *a: np.linspace(*a, dtype=np.float32)),
    made(
        "linspace",
        (3, 4, 1),
        lambda *a: np.linspace(*a, dtype=np.float32),
        name="one",
        errors=(Error((0, 1, -1), "ParameterError", 1403, ("steps",)),),
    ),
    made(
        "linspace",
        (4.3, -3, 50),
        lambda *a, dtype: np.trunc(4 - np.arange(50) / 7),
        name="integers",
        dtype="int64",
    ),
    made("logspace", (0, 2, 3), lambda *a: np.logspace(*a, dtype=np.float32)),
    made("logspace", (0, 3, 4), lambda *a, base: np.logspace(*a, base=base, dtype=np.float32), name="base", base=2.0),
    made("eye", (3,), lambda n: np.eye(n, dtype=np.float32)),
    made(
        "eye",
        (2, 4),
        lambda n, m: np.eye(n, m, dtype=np.float32),
        name="wide",
        errors=(Error((-1,), "ParameterError", 1403, ("negative",)),),
    ),
]
