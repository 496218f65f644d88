"""Ops that take index tensors and masks; the square brackets have tests/test_indexing.py."""

import numpy as np

from ..sample import COMPLEX, FLOATS, HALVES, INTS, Error, Sample, T

ALL = FLOATS + HALVES + INTS + COMPLEX + ("bool",)
NUMBERS = FLOATS + INTS + COMPLEX


def index(low, high, *shape, dtype="int64"):
    return T(shape, low=low, high=high, dtype=dtype, grad=False)


def key(dim, positions):
    return (slice(None),) * dim + (positions,)


def selected(x, dim, positions):
    return np.take(x, positions, dim)


def added(x, dim, positions, source, alpha=1):
    result = x.copy()
    np.add.at(result, key(dim, positions), source * alpha)
    return result


def copied(x, dim, positions, source):
    result = x.copy()
    result[key(dim, positions)] = source
    return result


def scattered(x, mask, source):
    result = x.copy()
    result[mask] = source.reshape(-1)[: mask.sum()]
    return result


IDS, OFFSETS = np.array([1, 4, 2, 0, 0, 1, 3]), np.array([0, 2, 2, 6])


def weighted_bags(ids, weight, offsets, per_sample_weights, mode):
    rows = weight[ids] * per_sample_weights[:, None]
    return np.stack([part.sum(0) for part in np.split(rows, offsets[1:])])


SAMPLES = [
    Sample(
        "index_select",
        (T((3, 4, 2)), 1, index(-4, 3, 5)),
        ref=selected,
        dtypes=ALL,
        errors=(
            Error(
                (T((3, 4)), 1, index(4, 4, 2)), "IndexRangeError", 1301, ("index 4", "(0,)", "axis 1", "valid -4..3")
            ),
            Error((T((3, 4)), 1, T((2,), dtype="float32")), "DTypeError", 1101, ("index", "float32")),
            Error((T((3, 4)), 1, index(0, 1, 2, 2)), "ShapeError", 1001, ("(2, 2)",)),
        ),
    ),
    *(
        Sample("index_select", (T((5,)), 0, index(0, 4, 7, dtype=d)), ref=selected, name=d, dtypes=("float32",))
        for d in INTS
    ),
    Sample(
        "index_add",
        (T((4, 3)), 0, index(-4, 3, 6), T((6, 3))),
        ref=added,
        dtypes=FLOATS + HALVES + INTS[:4] + COMPLEX,
        errors=(
            Error((T((4, 3)), 0, index(0, 1, 2), T((3, 3))), "ShapeError", 1002, ("(3, 3)", "(4, 3)", "2")),
            Error((T((4, 3)), 0, index(4, 4, 2), T((2, 3))), "IndexRangeError", 1301, ("4", "axis 0")),
        ),
    ),
    Sample("index_add", (T((4, 3)), 1, index(0, 2, 6), T((4, 6))), {"alpha": 2}, ref=added, name="alpha"),
    Sample(
        "index_copy", (T((4, 3)), 1, T((3,), low=0, dtype="int64", distinct=True), T((4, 3))), ref=copied, dtypes=ALL
    ),
    Sample("index_fill", (T((4, 3)), 0, T((2,), low=0, dtype="int64", distinct=True), 1), ref=copied, dtypes=ALL),
    Sample("index_fill", (T((4, 3)), 0, T((5,), low=0, high=2, dtype="int64", grad=False), T(())), name="tensor"),
    Sample("take", (T((3, 4)), index(-12, 11, 2, 5)), ref=lambda x, i: x.reshape(-1)[i], dtypes=ALL),
    Sample("put", (T((3, 4)), T((3,), low=0, dtype="int64", distinct=True), T((3,))), dtypes=FLOATS),
    Sample(
        "masked_fill",
        (T((3, 4)), T((4,), dtype="bool", grad=False), 1),
        dtypes=ALL,
        ref=lambda x, m, v: np.where(m, np.asarray(v, x.dtype), x),
        errors=(
            Error((T((3, 4)), T((4,), dtype="int64"), 1), "DTypeError", 1101, ("mask", "int64")),
            Error((T((3, 4), dtype="int64"), T((4,), dtype="bool"), 1.5), "DTypeError", 1102, ("int64",)),
            Error((T((3, 4)), T((5,), dtype="bool"), 1.5), "ShapeError", 1003, ("(3, 4)", "(5,)")),
        ),
    ),
    Sample("masked_fill", (T((3, 4)), T((3, 4), dtype="bool", grad=False), T(())), name="tensor value"),
    Sample("masked_select", (T((3, 4)), T((4,), dtype="bool", grad=False)), dtypes=ALL, layouts=False),
    Sample(
        "masked_scatter",
        (T((3, 4)), T((3, 4), dtype="bool", grad=False), T((20,))),
        ref=scattered,
        dtypes=ALL,
        errors=(Error((T((3, 4)), T((3, 4), dtype="bool"), T((0,))), "ShapeError", 1002, ("0 elements",)),),
    ),
    Sample(
        "argwhere", (T((3, 4), low=-1, high=1),), ref=np.argwhere, grad=False, dtypes=INTS + ("bool",), layouts=False
    ),
    Sample(
        "embedding",
        (index(0, 4, 2, 3), T((5, 3))),
        ref=lambda i, w: w[i],
        dtypes=FLOATS + HALVES + COMPLEX,
        errors=(
            Error((index(5, 5, 2), T((5, 3))), "IndexRangeError", 1301, ("5", "valid 0..4")),
            Error((index(-1, -1, 2), T((5, 3))), "IndexRangeError", 1301, ("-1", "valid 0..4")),
            Error((T((2,), dtype="float32"), T((5, 3))), "DTypeError", 1101, ("float32",)),
            Error((index(0, 1, 2), T((5,))), "ShapeError", 1001, ("weight",)),
            Error((index(0, 1, 2), T((5, 3)), 7), "ParameterError", 1403, ("padding_idx", "7")),
        ),
    ),
    *(
        Sample(
            "embedding_bag", (np.array([[1, 4, 2], [0, 0, 3]]), T((5, 3), distinct=True)), dict(mode=mode), name=mode
        )
        for mode in ("mean", "max")
    ),
    *(
        Sample("embedding_bag", (IDS, T((5, 3), distinct=True), OFFSETS), dict(mode=mode), name=f"offsets {mode}")
        for mode in ("sum", "mean", "max")
    ),
    *(
        Sample(
            "embedding_bag",
            (IDS, T((5, 3), distinct=True), np.append(OFFSETS[1:] * 0, [2, 2, 7])),
            dict(mode=mode, include_last_offset=True, padding_idx=-4),
            layouts=False,
            name=f"padding {mode}",
        )
        for mode in ("sum", "mean", "max")
    ),
    Sample(
        "embedding_bag",
        (IDS, T((5, 3)), OFFSETS, T((7,))),
        dict(mode="sum"),
        ref=weighted_bags,
        name="weights",
        layouts=False,
        errors=(
            Error(
                (IDS, T((5, 3)), OFFSETS),
                "ParameterError",
                1403,
                ("mode='sum'",),
                dict(per_sample_weights=np.ones(7, "float32")),
            ),
            Error(
                (IDS, T((5, 3)), OFFSETS),
                "ShapeError",
                1002,
                ("per_sample_weights", "(2,)", "(7,)"),
                dict(per_sample_weights=np.ones(2, "float32"), mode="sum"),
            ),
            Error((IDS, T((5, 3)), OFFSETS + 1), "ParameterError", 1403, ("begin with 0", "begin with 1")),
            Error((IDS, T((5, 3)), OFFSETS * 9), "ParameterError", 1403, ("end by 7", "end with 54")),
            Error(
                (
                    IDS,
                    T((5, 3)),
                    OFFSETS,
                ),
                "ParameterError",
                1403,
                ("end with 7", "end with 6"),
                dict(include_last_offset=True),
            ),
            Error((IDS, T((5, 3)), np.array([0, 4, 2])), "ParameterError", 1403, ("ascend",)),
            Error((IDS, T((5, 3))), "ShapeError", 1001, ("(7,)", "without offsets")),
            Error((IDS + 1, T((5, 3)), OFFSETS), "IndexRangeError", 1301, ("5",)),
            Error((T((3,), dtype="float32"), T((5, 3)), OFFSETS), "DTypeError", 1101, ("input", "float32")),
        ),
    ),
]
