"""Copies with one view written, and the gradients of views."""

from ..sample import COMPLEX, FLOATS, HALVES, INTS, Error, Sample, T

ALL = FLOATS + HALVES + INTS + COMPLEX + ("bool",)

SAMPLES = [
    Sample(
        "slice_scatter",
        (T((3, 7)), T((3, 3)), 1, 0, 6, 2),
        dtypes=ALL,
        errors=(Error((T((3, 7)), T((3, 2)), 1, 0, 6, 2), "ShapeError", 1002, ("src", "(3, 2)", "(3, 3)")),),
    ),
    Sample("select_scatter", (T((3, 4)), T((3,)), 1, -2), dtypes=ALL),
    Sample("diagonal_scatter", (T((3, 4)), T((3,)), 1), dtypes=ALL),
    Sample(
        "as_strided_scatter",
        (T((3, 4)), T((2, 2)), (2, 2), (4, 2), 1),
        dtypes=FLOATS,
        errors=(Error((T((3, 4)), T((2, 2)), (2, 2), (12, 1), 0), "ParameterError", 1403, ("12",)),),
    ),
    Sample("diag_embed", (T((2, 3)), 1), dtypes=ALL),
    Sample("diag_embed", (T((2, 3)), -1, 0, 2), name="dims"),
    Sample("diag", (T((3,)), -1), name="vector"),
    Sample("diag", (T((3, 4)), 1), name="matrix", errors=(Error((T((2, 2, 2)),), "ShapeError", 1001, ("(2, 2, 2)",)),)),
    Sample("trace", (T((3, 4)),), dtypes=FLOATS + INTS[:4]),
]
