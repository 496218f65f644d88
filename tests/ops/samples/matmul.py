"""Products of matrices and vectors, and linear layers."""

import numpy as np

from ..sample import COMPLEX, FLOATS, HALVES, INTS, Error, Sample, T

ALL = FLOATS + HALVES + COMPLEX + INTS
INEXACT = FLOATS + COMPLEX


def product(op, a, b, *, name, dtypes=FLOATS, ref=np.matmul, **more):
    return Sample(op, (T(a), T(b)), name=name, dtypes=dtypes, ref=ref, **more)


SAMPLES = [
    product(
        "matmul",
        (3, 4),
        (4, 5),
        name="matrices",
        dtypes=ALL,
        errors=(
            Error(
                (T((32, 512)), T((256, 10))),
                "ShapeError",
                1002,
                ("input has 512 columns", "(32, 512)", "other has 256 rows", "(256, 10)"),
            ),
            Error((T((32, 512)), T((256, 512))), "ShapeError", 1002, ("(out, in)", ".mT")),
            Error((T(()), T((3,))), "ShapeError", 1001, ("input", "no axes")),
            Error((T((2, 3, 4)), T((5, 4, 3))), "ShapeError", 1003, ("(2,)", "(5,)")),
            Error((T((2, 2), dtype="bool"), T((2, 2), dtype="bool")), "DTypeError", 1101, ("bool",)),
        ),
    ),
    product("matmul", (4,), (4,), name="vectors", dtypes=INEXACT),
    product("matmul", (3, 4), (4,), name="matrix vector", dtypes=INEXACT),
    product("matmul", (4,), (4, 3), name="vector matrix", dtypes=INEXACT),
    product("matmul", (2, 3, 4), (4, 5), name="rows of a batch", dtypes=INEXACT),
    product("matmul", (2, 3, 4), (4,), name="batch vector"),
    product("matmul", (4,), (2, 4, 3), name="vector batch"),
    product("matmul", (2, 1, 3, 4), (5, 4, 2), name="stretched batches", dtypes=INEXACT),
    product("matmul", (3, 4), (2, 4, 5), name="matrix batch"),
    product("matmul", (3, 0), (0, 2), name="no columns"),
    product("matmul", (0, 3), (3, 2), name="no rows"),
    product("matmul", (17, 33), (33, 50), name="odd sizes", dtypes=ALL, grad=False),
    product("matmul", (9, 300), (300, 130), name="skinny", dtypes=FLOATS + HALVES, grad=False),
    product("matmul", (70, 300), (300, 190), name="packed", dtypes=ALL, grad=False, layouts=False),
    product(
        "mm",
        (3, 4),
        (4, 5),
        name="",
        dtypes=ALL,
        errors=(Error((T((3,)), T((3, 2))), "ShapeError", 1001, ("input", "(3,)")),),
    ),
    product(
        "bmm",
        (2, 3, 4),
        (2, 4, 5),
        name="",
        dtypes=INEXACT,
        errors=(Error((T((2, 3, 4)), T((3, 4, 5))), "ShapeError", 1002, ("batch", "(2, 3, 4)", "(3, 4, 5)")),),
    ),
    product(
        "mv",
        (3, 4),
        (4,),
        name="",
        dtypes=INEXACT,
        errors=(Error((T((3, 4)), T((3,))), "ShapeError", 1002, ("vec has 3 elements",)),),
    ),
    product("dot", (5,), (5,), name="", dtypes=INEXACT),
    product("vdot", (5,), (5,), name="", dtypes=INEXACT, ref=np.vdot),
    product(
        "inner",
        (2, 3, 4),
        (5, 4),
        name="",
        ref=np.inner,
        errors=(Error((T((3,)), T((4,))), "ShapeError", 1002, ("(3,)", "(4,)")),),
    ),
    product("outer", (3,), (4,), name="", ref=np.outer),
    product("kron", (2, 3), (4, 1, 2), name="", ref=np.kron),
    Sample(
        "addmm",
        (T((5,)), T((3, 4)), T((4, 5))),
        {"beta": 0.5, "alpha": 2.0},
        ref=lambda x, a, b, beta, alpha: beta * x + alpha * (a @ b),
    ),
    Sample(
        "addmv",
        (T((3,)), T((3, 4)), T((4,))),
        {"beta": 0.5, "alpha": 2.0},
        ref=lambda x, a, b, beta, alpha: beta * x + alpha * (a @ b),
    ),
    Sample(
        "addmm",
        (T((3, 5)), T((3, 4)), T((4, 5))),
        {"beta": -2, "alpha": 0.5},
        ref=lambda x, a, b, beta, alpha: beta * x + alpha * (a @ b),
        dtypes=FLOATS + HALVES,
        name="matrix",
    ),
    Sample(
        "baddbmm",
        (T((2, 1, 5)), T((2, 3, 4)), T((2, 4, 5))),
        {"alpha": 3},
        ref=lambda x, a, b, alpha: x + alpha * (a @ b),
        name="a row of each batch",
    ),
    Sample("baddbmm", (T((3, 5)), T((2, 3, 4)), T((2, 4, 5))), ref=lambda x, a, b: x + a @ b),
    Sample("addbmm", (T((3, 5)), T((2, 3, 4)), T((2, 4, 5))), ref=lambda x, a, b: x + (a @ b).sum(0)),
    Sample(
        "linear",
        (T((2, 3, 4)), T((5, 4)), T((5,))),
        ref=lambda x, w, b: x @ w.T + b,
        dtypes=FLOATS + HALVES,
        errors=(
            Error((T((2, 3)), T((4, 5))), "ShapeError", 1002, ("input has 3 features", "weight takes 5", "(out, in)")),
            Error((T((2, 3)), T((4, 3)), T((5,))), "ShapeError", 1002, ("bias", "(5,)", "(4,)")),
        ),
    ),
    Sample(
        "linear_activation",
        (T((2, 3, 4)), T((5, 4)), T((5,))),
        {"activation": "silu"},
        ref=lambda x, w, b, activation: (x @ w.T + b) / (1 + np.exp(-(x @ w.T + b))),
        dtypes=FLOATS + HALVES,
        errors=(
            Error((T((2, 3)), T((4, 5))), "ShapeError", 1002, ("input has 3 features", "weight takes 5")),
            Error((T((2, 3), dtype="int32"), T((4, 3), dtype="int32")), "DTypeError", 1101, ("input", "int32")),
            Error((T((2, 3)), T((4, 3))), "ParameterError", 1403, ("activation", "relu"), {"activation": "step"}),
        ),
    ),
    Sample(
        "linear_activation",
        (T((6, 4)), T((5, 4))),
        {"activation": "tanh"},
        ref=lambda x, w, activation: np.tanh(x @ w.T),
        name="no bias",
    ),
    Sample(
        "int_mm",
        (T((3, 4), low=0, high=9), T((4, 5), low=0, high=9)),
        ref=lambda a, b: (a.astype(np.int64) @ b.astype(np.int64)).astype(np.int32),
        dtypes=("int8", "uint8"),
        grad=False,
        errors=(
            Error((T((3, 4)), T((4, 5))), "DTypeError", 1101, ("input", "float32")),
            Error((T((4,), dtype="int8"), T((4, 5), dtype="int8")), "ShapeError", 1001, ("input", "(4,)")),
            Error((T((3, 4), dtype="int8"), T((5, 5), dtype="int8")), "ShapeError", 1002, ("4 columns", "5 rows")),
        ),
    ),
    Sample(
        "quantized_linear",
        (T((3, 67), low=0, high=9, dtype="uint8"), T((9, 67), low=-9, high=9, dtype="int8"), T((9,)), T((9,))),
        ref=lambda x, w, s, b: (x.astype(np.int64) @ w.astype(np.int64).T) * s + b,
        dtypes=("float32",),
        grad=False,
        name="rows of odd length",
    ),
    Sample(
        "quantized_linear",
        (T((2, 4), low=0, high=9, dtype="uint8"), T((5, 4), low=-9, high=9, dtype="int8"), T((5,)), T((5,))),
        {"zero_point": 7},
        ref=lambda x, w, s, b, zero_point: ((x.astype(np.int64) - zero_point) @ w.astype(np.int64).T) * s + b,
        dtypes=("float32",),
        grad=False,
        errors=(
            Error((T((2, 4)), T((5, 4), dtype="int8"), T((5,))), "DTypeError", 1101, ("input", "float32")),
            Error(
                (T((2, 4), dtype="int8"), T((5, 4), dtype="int8"), T((4,))),
                "ShapeError",
                1002,
                ("scale", "(4,)", "(5,)"),
            ),
            Error(
                (T((2, 4), dtype="int8"), T((5, 4), dtype="int8"), T((5,))),
                "ParameterError",
                1403,
                ("zero_point", "200"),
                {"zero_point": 200},
            ),
        ),
    ),
    Sample("linear", (T((4,)), T((5, 4)), T((5,))), ref=lambda x, w, b: x @ w.T + b, name="vector"),
    Sample("linear", (T((6, 4)), T((5, 4))), ref=lambda x, w: x @ w.T, name="no bias", dtypes=INEXACT),
    Sample(
        "bilinear",
        (T((2, 3)), T((2, 4)), T((5, 3, 4)), T((5,))),
        ref=lambda x, y, w, b: np.einsum("ni,oij,nj->no", x, w, y) + b,
        errors=(Error((T((2, 3)), T((2, 4)), T((5, 4, 4))), "ShapeError", 1002, ("(5, 4, 4)",)),),
    ),
]
