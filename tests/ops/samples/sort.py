"""Sorting and selection along every axis, binary search, and grouping."""

import numpy as np

from ..sample import FLOATS, HALVES, Error, Sample, T

DISTINCT = T((3, 4, 5), distinct=True)
NUMBERS = T((4, 7), low=0, high=5, dtype="int64", grad=False)


SAMPLES = [
    *[
        Sample("sort", (DISTINCT, dim, down), dtypes=FLOATS + HALVES, name=f"{dim} {down}")
        for dim in (0, 1, -1)
        for down in (False, True)
    ],
    Sample(
        "sort",
        (NUMBERS, 1),
        {"stable": True},
        grad=False,
        ref=lambda x, dim, stable: (np.sort(x, dim), np.argsort(x, dim, kind="stable")),
        name="equal elements",
        dtypes=("int64",),
    ),
    Sample(
        "sort", (T((3, 5000), distinct=False), 1), grad=False, ref=lambda x, dim: (np.sort(x, dim), None), name="long"
    ),
    Sample("argsort", (DISTINCT, 1), grad=False),
    Sample("msort", (DISTINCT,)),
    Sample(
        "topk",
        (DISTINCT, 3, 1),
        dtypes=FLOATS + HALVES,
        errors=(Error((T((3,)), 4), "ParameterError", 1403, ("k is 4", "axis 0", "3 elements")),),
    ),
    Sample("topk", (DISTINCT, 2, -1, False), name="smallest"),
    Sample("topk", (T((2, 400)), 5), grad=False, name="few of many"),
    Sample("kthvalue", (DISTINCT, 2, 1), errors=(Error((T((3,)), 0), "ParameterError", 1403, ("k is 0", "1..3")),)),
    Sample("kthvalue", (DISTINCT, 4, -1, True), name="keepdim"),
    Sample("isin", (NUMBERS, T((3,), low=0, high=5, dtype="int64", grad=False)), grad=False, dtypes=("int64",)),
    Sample(
        "isin",
        (NUMBERS, T((3,), low=0, high=5, dtype="int64", grad=False)),
        {"invert": True},
        grad=False,
        dtypes=("int64",),
        name="invert",
    ),
    Sample("unique", (NUMBERS,), grad=False, dtypes=("int64",)),
    Sample(
        "unique", (NUMBERS,), {"return_inverse": True, "return_counts": True}, grad=False, dtypes=("int64",), name="all"
    ),
    Sample(
        "unique",
        (T((9, 2), low=0, high=2, dtype="int64", grad=False),),
        {"dim": 0, "return_counts": True},
        grad=False,
        dtypes=("int64",),
        name="rows",
    ),
    Sample(
        "unique",
        (T((2, 3, 9), low=0, high=1, dtype="int64", grad=False),),
        {"dim": -1, "return_inverse": True},
        grad=False,
        dtypes=("int64",),
        name="columns of planes",
    ),
    Sample(
        "unique_consecutive",
        (T((30,), low=0, high=2, dtype="int64", grad=False),),
        {"return_inverse": True, "return_counts": True},
        grad=False,
        dtypes=("int64",),
    ),
    Sample(
        "bincount",
        (T((20,), low=0, high=6, dtype="int64", grad=False),),
        grad=False,
        dtypes=("int64",),
        errors=(Error((T((3,), low=-2, high=-2, dtype="int64"),), "ParameterError", 1403, ("negative", "-2")),),
    ),
    Sample(
        "bincount",
        (T((20,), low=0, high=6, dtype="int64", grad=False), T((20,), grad=False), 9),
        grad=False,
        name="weights",
    ),
    Sample("histc", (T((30,), grad=False), 7, -1, 1), grad=False),
    Sample(
        "bucketize",
        (T((3, 4), low=0, high=9, dtype="int64", grad=False), T((1,), low=4, high=4, dtype="int64", grad=False)),
        grad=False,
        dtypes=("int64",),
    ),
    Sample(
        "searchsorted",
        (T((1,), low=4, high=4, dtype="int64", grad=False), T((3, 4), low=0, high=9, dtype="int64", grad=False)),
        {"right": True},
        grad=False,
        dtypes=("int64",),
    ),
]
