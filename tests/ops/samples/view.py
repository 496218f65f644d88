"""Views: samples that torch knows by the same name are compared with it."""

import numpy as np

from ..sample import COMPLEX, FLOATS, HALVES, INTS, Error, Sample, T

ALL = FLOATS + HALVES + INTS + COMPLEX + ("bool",)


def sliced(x, dim, start, end, step):
    key = [slice(None)] * x.ndim
    key[dim] = slice(start, end, step)
    return x[tuple(key)]


SAMPLES = [
    Sample(
        "view",
        (T((2, 6)), (3, -1)),
        dtypes=ALL,
        layouts=False,
        errors=(
            Error((T((2, 3)), (4, 2)), "ShapeError", 1005, ("(4, 2)", "6")),
            Error((T((2, 3)), (-1, -1)), "ShapeError", 1005, ("-1",)),
            Error((T((2, 3)), (-1, 0)), "ShapeError", 1005, ("-1", "0")),
            Error((T((2, 3)), (-2, 3)), "ShapeError", 1005, ("negative",)),
            Error((T((2, 3)), (2**40, 2**40)), "SizeOverflowError", 1401, ("64 bits",)),
        ),
    ),
    Sample("reshape", (T((2, 3, 4)), (4, -1)), dtypes=ALL),
    Sample("reshape", (T((1, 1)), ()), name="to 0-d", layouts=False),
    Sample("view_as", (T((2, 6)), T((3, 4), grad=False)), layouts=False),
    Sample("reshape_as", (T((2, 6)), T((3, 4), grad=False))),
    Sample("ravel", (T((2, 3)),)),
    Sample(
        "flatten",
        (T((2, 3, 4, 2)), 1, 2),
        errors=(
            Error((T((2, 3)), 1, 0), "IndexRangeError", 1302, ("start_dim", "end_dim")),
            Error((T((2, 3)), 2), "IndexRangeError", 1302, ("2",)),
        ),
    ),
    Sample("flatten", (T((2, 3)),), name="all"),
    Sample("unflatten", (T((2, 12)), 1, (3, -1)), layouts=False),
    Sample("squeeze", (T((1, 3, 1, 2)),), dtypes=ALL),
    Sample("squeeze", (T((1, 3, 1)), (0, 1)), name="dims"),
    Sample("squeeze", (T((1, 3, 1)), -1), name="dim"),
    Sample("unsqueeze", (T((2, 3)), -1), dtypes=ALL, errors=(Error((T((2, 3)), 3), "IndexRangeError", 1302, ("3",)),)),
    Sample(
        "expand",
        (T((2, 1, 3)), (4, -1, 5, 3)),
        ref=lambda x, s: np.broadcast_to(x, (4, 2, 5, 3)),
        dtypes=ALL,
        errors=(
            Error((T((2, 3)), (4, 3)), "ShapeError", 1003, ("(2, 3)", "(4, 3)", "axis 0")),
            Error((T((2, 3)), (3,)), "ShapeError", 1003, ("(3,)",)),
        ),
    ),
    Sample("broadcast_to", (T((3, 1)), (2, 3, 4))),
    Sample("expand_as", (T((3, 1)), T((2, 3, 4), grad=False))),
    Sample(
        "permute",
        (T((2, 3, 4)), (2, 0, -2)),
        dtypes=ALL,
        errors=(
            Error((T((2, 3)), (0, 0)), "IndexRangeError", 1302, ("0",)),
            Error((T((2, 3)), (0,)), "ShapeError", 1001, ("1 entries", "2 axes")),
        ),
    ),
    Sample("transpose", (T((2, 3, 4)), 0, -1), dtypes=ALL),
    Sample("swapaxes", (T((2, 3, 4)), 0, 1)),
    Sample("t", (T((2, 3)),), errors=(Error((T((2, 3, 4)),), "ShapeError", 1001, ("(2, 3, 4)", ".mT")),)),
    Sample("t", (T((3,)),), name="vector"),
    Sample(
        "movedim",
        (T((2, 3, 4)), (0, 2), (2, 1)),
        errors=(
            Error((T((2, 3)), (0, 1), (0,)), "ParameterError", 1403, ("2", "1")),
            Error((T((2, 3)), (0, 0), (0, 1)), "IndexRangeError", 1302, ("0",)),
        ),
    ),
    Sample("flip", (T((2, 3, 4)), (0, 2)), dtypes=ALL),
    Sample("fliplr", (T((2, 3)),)),
    Sample("flipud", (T((2, 3)),)),
    Sample(
        "narrow",
        (T((2, 5)), 1, -4, 3),
        dtypes=ALL,
        errors=(
            Error((T((2, 5)), 1, 3, 3), "IndexRangeError", 1301, ("start 3", "length 3", "axis 1", "5")),
            Error((T((2, 5)), 1, 3, -1), "IndexRangeError", 1301, ("-1",)),
        ),
    ),
    Sample(
        "select",
        (T((2, 5)), 1, -2),
        dtypes=ALL,
        errors=(Error((T((2, 5)), 1, 5), "IndexRangeError", 1301, ("index 5", "axis 1", "valid -5..4")),),
    ),
    Sample("slice", (T((3, 7)), 1, -2, None, -2), ref=sliced, dtypes=ALL),
    Sample("slice", (T((3, 7)), 1, 1, 6, 3), ref=sliced, name="forward"),
    Sample("slice", (T((3, 7)), 0, 2, 1, 1), ref=sliced, name="empty"),
    Sample(
        "diagonal",
        (T((3, 4, 2)), 1, 0, 1),
        dtypes=ALL,
        errors=(
            Error((T((3, 4)), 0, 1, 1), "IndexRangeError", 1302, ("axis 1",)),
            Error((T((3,)),), "ShapeError", 1001, ("(3,)",)),
        ),
    ),
    Sample("diagonal", (T((4, 3)), -2), name="below"),
    Sample(
        "unfold",
        (T((2, 7)), 1, 3, 2),
        dtypes=ALL,
        ref=lambda x, d, n, s: np.lib.stride_tricks.sliding_window_view(x, n, d)[:, ::s],
        errors=(
            Error((T((2, 7)), 1, 8, 2), "ParameterError", 1403, ("size is 8", "axis 1", "7")),
            Error((T((2, 7)), 1, 3, 0), "ParameterError", 1403, ("step",)),
        ),
    ),
    Sample(
        "unfold",
        (T((7, 2)), 0, 5, 1),
        name="few windows",
        ref=lambda x, d, n, s: np.lib.stride_tricks.sliding_window_view(x, n, d),
    ),
    Sample(
        "as_strided",
        (T((3, 4)), (2, 3), (4, 1), 1),
        layouts=False,
        errors=(
            Error((T((3, 4)), (2**40,), (1,), 0), "ParameterError", 1403, ("outside",)),
            Error((T((3, 4)), (2,), (-1,), 0), "ParameterError", 1403, ("outside",)),
            Error((T((3, 4)), (2, 2), (1,)), "ShapeError", 1001, ("(2, 2)", "(1,)")),
        ),
    ),
    Sample("as_strided", (T((8,)), (3, 4), (1, 1), 2), name="overlapping", layouts=False),
    Sample("as_strided", (T((8,)), (3,), (0,), 2), name="stride 0", layouts=False),
    Sample(
        "view_as_real",
        (T((2, 3)),),
        dtypes=COMPLEX,
        grad=False,
        errors=(Error((T((2, 2)),), "DTypeError", 1101, ("complex",)),),
    ),
    Sample(
        "view_as_complex",
        (T((2, 3, 2)),),
        dtypes=FLOATS,
        layouts=False,
        second=False,
        errors=(Error((T((2, 3)),), "ShapeError", 1002, ("(2, 3)",)),),
    ),
]
