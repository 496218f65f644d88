"""Normalisation of rows and vectors, with and without weight and bias."""

from ..sample import FLOATS, HALVES, Error, Sample, T

X = T((3, 4, 5))
W, B = T((5,)), T((5,))
ALL = FLOATS + HALVES

SAMPLES = [
    Sample(
        "layer_norm",
        (X, (5,)),
        dtypes=ALL,
        errors=(
            Error((X, (4,)), "ShapeError", 1002, ("(4,)", "(3, 4, 5)")),
            Error((X, (5,), T((4,))), "ShapeError", 1002, ("weight", "(4,)", "(5,)")),
        ),
    ),
    Sample("layer_norm", (X, (5,), W, B), dtypes=ALL, name="affine"),
    Sample("layer_norm", (X, (5,), W), name="weight"),
    Sample("layer_norm", (X, (4, 5), T((4, 5)), T((4, 5))), name="two axes"),
    Sample("layer_norm", (X, (3, 4, 5), T((3, 4, 5)), T((3, 4, 5))), name="all axes"),
    Sample("layer_norm", (T((100, 70)), (70,), T((70,)), T((70,))), name="many rows", grad=False, rtol=1e-4, atol=1e-4),
    Sample("rms_norm", (X, (5,)), {"eps": 1e-5}, dtypes=ALL),
    Sample("rms_norm", (X, (5,), W, 1e-5), dtypes=ALL, name="weight"),
    Sample("rms_norm", (X, (4, 5), T((4, 5)), 1e-3), name="two axes"),
    Sample("normalize", (X,)),
    Sample("normalize", (X, 3, -1), name="p"),
    Sample("cosine_similarity", (X, T((3, 4, 5)))),
    Sample("cosine_similarity", (X, T((3, 4, 5)), -1), name="last"),
    Sample("cosine_similarity", (T((1, 2, 3)), T((2, 1, 3)), -2), name="stretched"),
    Sample(
        "local_response_norm",
        (T((2, 5, 3, 2)), 3),
        dict(alpha=0.5, k=2.0),
        dtypes=FLOATS + HALVES,
        errors=(
            Error((T((2, 5)), 3), "ShapeError", 1001, ("(2, 5)", "3 or more")),
            Error((T((2, 5, 3)), 0), "ParameterError", 1403, ("size", "0")),
        ),
    ),
    Sample("local_response_norm", (T((2, 5, 3)), 4), name="even size"),
    Sample("local_response_norm", (T((2, 5, 3), low=-9, high=9), 3, 0.1), grad=False, dtypes=("int64",), name="integers"),
]
