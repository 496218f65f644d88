"""Reductions over one axis, several and all, with and without keepdim; ties, zeros and empty axes."""

import numpy as np

from ..sample import COMPLEX, FLOATS, HALVES, INTS, Error, Sample, T

REAL = FLOATS + HALVES + INTS + ("bool",)
SMALL = FLOATS + HALVES + ("int32", "int64", "uint8")
AXES = ((None, False), (0, False), (-1, True), ((0, 2), False), ((1, 2), True))


def over(dim, keepdim):
    return {} if dim is None else {"dim": dim, "keepdim": keepdim}


def by_axes(op, tensor, axes=AXES, **rest):
    return [
        Sample(op, (tensor,), over(dim, keepdim), name=f"dim={dim} keepdim={keepdim}", **rest) for dim, keepdim in axes
    ]


def numpy_reduction(function):
    return lambda x, dim=None, keepdim=False: function(x, axis=dim, keepdims=keepdim)


X = T((3, 4, 5))
DISTINCT = T((3, 4, 5), distinct=True)
FAR = T((3, 4, 5), away=(0.0,))
OUT_OF_RANGE = Error((X, 3), "IndexRangeError", 1302, ("axis 3", "3 dimensions", "-3..2"))
REPEATED = Error((X, (0, 0)), "IndexRangeError", 1302, ("axis 0", "twice"))
EMPTY = Error((T((0, 3)), 0), "ParameterError", 1404, ("no elements", "(0, 3)"))
MOMENTS = (
    {"correction": 0},
    {"dim": 1},
    {"dim": (0, 2), "correction": 0, "keepdim": True},
    {"dim": -1, "unbiased": False},
)

SAMPLES = [
    *by_axes("sum", X, dtypes=REAL + COMPLEX, errors=(OUT_OF_RANGE, REPEATED)),
    Sample(
        "sum",
        (T((3, 4), dtype="int32", grad=False), 0),
        {"dtype": "float64"},
        grad=False,
        dtypes=("int32",),
        ref=lambda x, dim, dtype: x.sum(dim),
        name="dtype",
    ),
    Sample("sum", (T((200, 70)), 0), grad=False, name="columns"),
    Sample("sum", (T((7, 9000)), 1), grad=False, name="long rows"),
    *by_axes(
        "mean",
        X,
        dtypes=FLOATS + HALVES + COMPLEX,
        errors=(Error((T((2,), dtype="int64"),), "DTypeError", 1101, ("int64", "(2,)", "dtype=float32")),),
    ),
    *by_axes("prod", FAR, AXES[:3], dtypes=SMALL + COMPLEX),
    Sample("prod", (T((2, 3, 4), away=(0.0,)), 1), name="middle"),
    *by_axes("amax", DISTINCT, dtypes=REAL, errors=(EMPTY,)),
    *by_axes("amin", DISTINCT, dtypes=REAL, errors=(EMPTY,)),
    *by_axes("any", X, AXES[:3], dtypes=REAL, grad=False, ref=numpy_reduction(np.any)),
    *by_axes("all", X, AXES[:3], dtypes=REAL, grad=False, ref=numpy_reduction(np.all)),
    Sample("count_nonzero", (X, (0, 2)), dtypes=REAL, grad=False),
    Sample("count_nonzero", (X,), dtypes=REAL, grad=False, name="all"),
    Sample(
        "argmax",
        (DISTINCT,),
        dtypes=SMALL[:-1],
        grad=False,
        errors=(Error((T((0,)),), "ParameterError", 1404, ("(0,)",)),),
    ),
    Sample("argmax", (DISTINCT, 1), {"keepdim": True}, grad=False, name="dim"),
    Sample("argmax", (DISTINCT, -1), grad=False, name="last"),
    Sample("argmin", (DISTINCT,), grad=False),
    Sample("argmin", (DISTINCT, 0), grad=False, name="dim"),
    Sample("max", (DISTINCT, 1), dtypes=SMALL[:-1]),
    Sample("max", (DISTINCT, -1, True), name="keepdim"),
    Sample("max", (DISTINCT,), name="all"),
    Sample("min", (DISTINCT, 0)),
    Sample("min", (DISTINCT, -1, True), name="keepdim"),
    Sample("aminmax", (DISTINCT,), {"dim": 1}),
    Sample("aminmax", (DISTINCT,), name="all"),
    *by_axes("nansum", X, dtypes=FLOATS + HALVES),
    *by_axes("nanmean", X),
    *by_axes("logsumexp", X, AXES[1:], dtypes=FLOATS + HALVES),
    Sample("logsumexp", (X, 0), dtypes=COMPLEX, name="complex"),
    *[
        Sample(op, (X,), kwargs, name=str(kwargs), dtypes=FLOATS + COMPLEX + (HALVES if op == "var" else ()))
        for op in ("var", "std", "var_mean", "std_mean")
        for kwargs in MOMENTS
    ],
    *[
        Sample("norm", (FAR, p), {"dim": dim}, name=f"p={p} dim={dim}", second=np.isfinite(p) and p > 1, rtol=1e-4)
        for p in (0, 0.5, 1, 2, 3, float("inf"), -float("inf"))
        for dim in ((1,), (0, 2))
    ],
    Sample("linalg_vector_norm", (FAR,), ref=lambda x: np.sqrt((np.abs(x) ** 2).sum())),
    Sample(
        "linalg_vector_norm",
        (FAR, 3, 1, True),
        name="dim",
        ref=lambda x, p, dim, keepdim: (np.abs(x) ** p).sum(dim, keepdims=keepdim) ** (1 / p),
    ),
    Sample("var", (X,), grad=False, name="all, unbiased"),
    Sample("median", (DISTINCT, 1)),
    Sample("median", (DISTINCT,), name="all"),
]
