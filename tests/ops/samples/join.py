"""Joining, repeating, padding, triangles."""

import numpy as np

from ..sample import COMPLEX, FLOATS, HALVES, INTS, Error, Sample, T

ALL = FLOATS + HALVES + INTS + COMPLEX + ("bool",)


def padded(x, pad, mode, value=0):
    widths = [(0, 0)] * (x.ndim - len(pad) // 2) + [tuple(pad[i : i + 2]) for i in range(len(pad) - 2, -1, -2)]
    names = {"replicate": "edge", "circular": "wrap"}
    return np.pad(x, widths, names.get(mode, mode), **({"constant_values": value} if mode == "constant" else {}))


def edges_of_what_was_cut(x, pad, mode):
    """Each place reads the nearest element of the input."""
    columns = np.clip(np.arange(x.shape[-1] + pad[0] + pad[1]) - pad[0], 0, x.shape[-1] - 1)
    rows = np.clip(np.arange(x.shape[-2] + pad[2] + pad[3]) - pad[2], 0, x.shape[-2] - 1)
    return x[:, rows][:, :, columns]


SAMPLES = [
    Sample(
        "cat",
        ([T((2, 3)), T((4, 3)), T((0, 3))],),
        dtypes=ALL,
        errors=(
            Error(([T((2, 3)), T((2, 4))],), "ShapeError", 1002, ("tensors[1]", "(2, 4)", "(2, 3)", "axis but 0")),
            Error(([],), "ParameterError", 1403, ("empty",)),
            Error(([T(()), T(())],), "ShapeError", 1001, ("stack",)),
            Error(([T((2,)), T((2,))], 1), "IndexRangeError", 1302, ("1",)),
        ),
    ),
    Sample("cat", ([T((2, 3, 2)), T((2, 1, 2))], -2), name="inner"),
    Sample("cat", ([T((2, 3)), T((0,))], 1), name="legacy empty", layouts=False),
    Sample("cat", ([T((2,)), T((3,), dtype="int64", grad=False)],), name="promotes"),
    Sample(
        "stack",
        ([T((2, 3)), T((2, 3))], 1),
        dtypes=ALL,
        errors=(
            Error(([T((2, 3)), T((2, 4))],), "ShapeError", 1002, ("tensors[1]", "(2, 4)")),
            Error(([],), "ParameterError", 1403, ("empty",)),
        ),
    ),
    Sample("stack", ([T(()), T(())],), name="numbers"),
    Sample("hstack", ([T((2,)), T((3,))],), name="vectors"),
    Sample("hstack", ([T((2, 1)), T((2, 3))],)),
    Sample("vstack", ([T((3,)), T((2, 3))],)),
    Sample("dstack", ([T((3,)), T((1, 3))],)),
    Sample("column_stack", ([T((3,)), T((3, 2))],)),
    Sample(
        "repeat",
        (T((2, 3)), (2, 1, 3)),
        ref=lambda x, r: np.tile(x, r),
        dtypes=ALL,
        errors=(
            Error((T((2, 3)), (2,)), "ShapeError", 1001, ("1 entries", "2 axes")),
            Error((T((2, 3)), (2, -1)), "ParameterError", 1403, ("negative",)),
        ),
    ),
    Sample("tile", (T((2, 3)), (2,)), ref=np.tile),
    Sample("repeat_interleave", (T((2, 3)), 2), dtypes=ALL),
    Sample("repeat_interleave", (T((2, 3)), 3, 1), name="dim"),
    Sample("roll", (T((4, 5)), 3), dtypes=ALL),
    Sample(
        "roll",
        (T((4, 5)), (1, -7), (0, 1)),
        name="dims",
        errors=(Error((T((4, 5)), (1, 2), (0,)), "ParameterError", 1403, ("2", "1")),),
    ),
    Sample("rot90", (T((3, 4)),), ref=np.rot90),
    Sample("rot90", (T((3, 4)), 3, (1, 0)), name="dims"),
    Sample("rot90", (T((3, 4)), 2), name="half", ref=np.rot90),
    *(
        Sample(
            "pad",
            (T((2, 4, 3)), (1, 2, 2, 0), mode),
            ref=padded,
            name=mode,
            dtypes=ALL if mode == "constant" else FLOATS,
        )
        for mode in ("constant", "reflect", "replicate", "circular")
    ),
    Sample(
        "pad",
        (T((4, 5)), (-1, 2, 1, -2), "constant", 3),
        name="cuts",
        errors=(
            Error((T((4, 5)), (1,)), "ParameterError", 1403, ("1 entries",)),
            Error((T((4, 5)), (-3, -3)), "ParameterError", 1403, ("(-3, -3)", "axis 1", "5")),
            Error((T((4, 5)), (5, 0), "reflect"), "ParameterError", 1403, ("(5, 0)", "5")),
            Error((T((4, 5)), (6, 0), "circular"), "ParameterError", 1403, ("(6, 0)", "5")),
        ),
    ),
    Sample("pad", (T((2, 3, 4)), (-4, 5, 2, -3), "replicate"), ref=edges_of_what_was_cut, name="cut away"),
    Sample("tril", (T((2, 3, 4)), 1), dtypes=ALL, errors=(Error((T((3,)),), "ShapeError", 1001, ("(3,)",)),)),
    Sample("triu", (T((4, 3)), -1), dtypes=ALL),
    Sample("tril", (T((2, 2)), 2**62), ref=lambda x, k: x, name="far"),
    Sample(
        "tril_indices",
        (3, 4, 1),
        grad=False,
        dtypes=("int64",),
        layouts=False,
        errors=(Error((-1, 2), "ParameterError", 1403, ("-1",)),),
    ),
    Sample("triu_indices", (3, 4, -1), grad=False, dtypes=("int64",), layouts=False),
    Sample("atleast_1d", (T(()),)),
    Sample("atleast_2d", (T((3,)),)),
    Sample("atleast_3d", (T((2, 3)),)),
]
