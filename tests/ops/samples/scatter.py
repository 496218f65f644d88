"""gather and the scatters, with repeated positions where the result does not depend on an order."""

import numpy as np

from ..sample import COMPLEX, FLOATS, HALVES, INTS, Error, Sample, T

ALL = FLOATS + HALVES + INTS + COMPLEX + ("bool",)


def index(low, high, *shape):
    return T(shape, low=low, high=high, dtype="int64", grad=False)


def places(dim, positions):
    grid = list(np.indices(positions.shape))
    grid[dim] = positions
    return tuple(grid)


def gathered(x, dim, positions):
    return x[places(dim, positions)]


def covered(source, positions):
    return source[tuple(slice(n) for n in positions.shape)] if source.ndim else source


def scattered(x, dim, positions, source, reduce="none"):
    result, source = x.copy(), np.asarray(source).astype(x.dtype)
    at = places(dim, positions)
    if reduce == "none":
        result[at] = covered(source, positions)
    else:
        {"add": np.add, "multiply": np.multiply}[reduce].at(result, at, covered(source, positions))
    return result


def added(x, dim, positions, source):
    return scattered(x, dim, positions, source, "add")


REDUCTIONS = [
    Sample(
        "scatter_reduce",
        (T((3, 4), distinct=True), 0, index(0, 2, 5, 4), T((5, 4), distinct=True), reduce),
        {"include_self": include},
        name=f"{reduce} {include}",
        rtol=1e-4,
        atol=1e-4,
    )
    for reduce in ("sum", "prod", "mean", "amax", "amin")
    for include in (True, False)
]

SAMPLES = [
    Sample(
        "gather",
        (T((3, 4)), 0, index(-3, 2, 2, 3)),
        ref=gathered,
        dtypes=ALL,
        errors=(
            Error(
                (T((3, 10)), 1, index(12, 12, 2, 2)),
                "IndexRangeError",
                1301,
                ("index 12", "(0, 0)", "axis 1", "10", "-10..9"),
            ),
            Error((T((3, 4)), 0, index(0, 1, 2, 5)), "ShapeError", 1002, ("(2, 5)", "(3, 4)", "axis 1")),
            Error((T((3, 4)), 0, index(0, 1, 2)), "ShapeError", 1001, ("(2,)", "(3, 4)")),
            Error((T((3, 4)), 0, T((2, 2), dtype="float32")), "DTypeError", 1101, ("index", "float32")),
        ),
    ),
    Sample("gather", (T((3, 4, 2)), 2, index(0, 1, 3, 4, 5)), ref=gathered, name="last"),
    Sample("gather", (T((3, 4, 2)), 1, index(-4, 3, 2, 6, 2)), ref=gathered, name="middle"),
    Sample("take_along_dim", (T((3, 4)), index(0, 3, 1, 6), 1), ref=np.take_along_axis),
    Sample("take_along_dim", (T((3, 4)), index(0, 11, 2, 3)), name="flat"),
    Sample(
        "scatter",
        (T((3, 4)), 1, T((1, 3), low=0, dtype="int64", distinct=True, grad=False), T((2, 4))),
        ref=scattered,
        dtypes=ALL,
        errors=(
            Error((T((3, 4)), 1, index(4, 4, 2, 2), T((2, 2))), "IndexRangeError", 1301, ("4", "axis 1")),
            Error(
                (T((3, 4)), 1, index(0, 1, 2, 2), T((2, 1))), "ShapeError", 1002, ("(2, 2)", "src", "(2, 1)", "axis 1")
            ),
        ),
    ),
    Sample("scatter", (T((3, 4)), 0, index(0, 2, 5, 4), 1), ref=scattered, name="number", dtypes=ALL),
    Sample("scatter", (T((3, 4)), 0, index(0, 2, 5, 4), T((5, 4))), {"reduce": "add"}, ref=scattered, name="add"),
    Sample(
        "scatter",
        (T((3, 4)), 0, index(0, 2, 2, 4), T((2, 4))),
        {"reduce": "multiply"},
        ref=scattered,
        name="multiply",
        grad=False,
    ),
    Sample(
        "scatter_add", (T((3, 4)), 0, index(-3, 2, 5, 4), T((6, 4))), ref=added, dtypes=FLOATS + HALVES + INTS + COMPLEX
    ),
    Sample("scatter_add", (T((5,)), 0, index(0, 4, 9), T((9,))), ref=added, name="vector"),
    *REDUCTIONS,
    Sample(
        "scatter_reduce",
        (T((3, 4)), 1, index(0, 3, 3, 6), T((3, 6)), "sum"),
        name="sum, integers",
        grad=False,
        dtypes=INTS[:4],
    ),
    Sample(
        "scatter_reduce",
        (T((3, 4)), 1, index(0, 3, 3, 6), T((3, 6)), "amax"),
        name="amax, integers",
        grad=False,
        dtypes=INTS[:4],
    ),
    Sample(
        "scatter_reduce",
        (T((3, 4)), 1, index(0, 3, 3, 6), T((3, 6)), "mean"),
        name="mean, integers",
        grad=False,
        dtypes=INTS[:4],
    ),
    Sample(
        "scatter_reduce",
        (T((3, 4)), 1, index(0, 3, 3, 6), T((3, 6)), "mean"),
        name="mean, halves",
        grad=False,
        dtypes=HALVES,
        errors=(
            Error(
                (T((3, 4), dtype="complex64"), 1, index(0, 1, 1, 1), T((1, 1), dtype="complex64"), "amax"),
                "DTypeError",
                1101,
                ("order",),
            ),
        ),
    ),
    Sample(
        "one_hot",
        (index(0, 3, 2, 3), 4),
        ref=lambda i, n: np.eye(n, dtype=np.int64)[i],
        grad=False,
        dtypes=("float32",),
        errors=(
            Error((index(4, 4, 2), 4), "IndexRangeError", 1301, ("4", "valid 0..3")),
            Error((index(-1, -1, 2), 4), "IndexRangeError", 1301, ("-1",)),
        ),
    ),
]
