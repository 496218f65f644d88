"""Running sums, products and extremes along every axis."""

import numpy as np

from ..sample import COMPLEX, FLOATS, HALVES, INTS, Error, Sample, T

X = T((3, 4, 5))
FAR = T((3, 4, 5), away=(0.0,))
DISTINCT = T((3, 4, 5), distinct=True)
OUT_OF_RANGE = Error((X, 3), "IndexRangeError", 1302, ("axis 3", "-3..2"))

SAMPLES = [
    *[
        Sample(
            "cumsum",
            (X, dim),
            dtypes=FLOATS + HALVES + INTS[:4] + ("bool", "complex64"),
            name=str(dim),
            errors=(OUT_OF_RANGE,),
        )
        for dim in (0, 1, -1)
    ],
    Sample("cumsum", (T((2, 1000)), 1), grad=False, name="long"),
    *[Sample("cumprod", (FAR, dim), dtypes=FLOATS + HALVES + COMPLEX + ("int64",), name=str(dim)) for dim in (0, -1)],
    *[
        Sample(op, (DISTINCT, dim), dtypes=FLOATS + HALVES + ("int32",), name=str(dim))
        for op in ("cummax", "cummin")
        for dim in (0, -1)
    ],
    *[Sample("logcumsumexp", (X, dim), name=str(dim)) for dim in (0, -1)],
    Sample("logcumsumexp", (X, -1), dtypes=COMPLEX, name="complex"),
    Sample("diff", (X,)),
    Sample("diff", (X, 0, 0, np.zeros((1, 4, 5), np.float32)), name="none"),
    Sample("diff", (X, 2, 1), dtypes=FLOATS + ("int64",), name="twice"),
    Sample("diff", (X, 1, 0, T((1, 4, 5)), T((2, 4, 5))), name="ends"),
]
