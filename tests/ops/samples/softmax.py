"""softmax and its logarithm along every axis, short and long rows."""

from ..sample import FLOATS, HALVES, Error, Sample, T

X = T((3, 4, 5))
ALL = FLOATS + HALVES
WRONG = (
    Error((T((2,), dtype="int64"), 0), "DTypeError", 1101, ("int64", "dtype=float32")),
    Error((X, 3), "IndexRangeError", 1302, ("axis 3",)),
)

SAMPLES = [
    *[
        Sample(op, (X, dim), dtypes=ALL, name=str(dim), errors=WRONG)
        for op in ("softmax", "log_softmax")
        for dim in (0, 1, -1)
    ],
    Sample("softmax", (T((2, 5000)), 1), grad=False, name="long rows"),
    Sample("log_softmax", (T((3, 300)), 0), grad=False, name="columns"),
    Sample("softmin", (X, 1)),
]
