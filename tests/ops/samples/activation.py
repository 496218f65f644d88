"""Activations."""

import numpy as np

from ..sample import COMPLEX, FLOATS, HALVES, SIGNED, Error, Sample, T

REAL = FLOATS + HALVES
NOT_INT = Error((T((2,), dtype="int32"),), "DTypeError", 1101, ("input", "int32"))


def smooth(op, *args, name="", ref=None, **more):
    return Sample(op, (T((3, 4), low=-3.0, high=3.0), *args), dtypes=REAL, name=name, ref=ref, **more)


def bent(op, points, *args, name="", **more):
    """Piecewise linear: the second derivative is 0."""
    return Sample(op, (T((3, 4), low=-4.0, high=4.0, away=points), *args), dtypes=REAL, second=False, name=name, **more)


SAMPLES = [
    bent("relu", (0,)),
    Sample("relu", (T((3, 4)),), grad=False, dtypes=SIGNED, name="integers"),
    bent("relu6", (0, 6)),
    bent("leaky_relu", (0,), 0.2, errors=(NOT_INT,)),
    bent("hardtanh", (-1, 1)),
    bent("hardtanh", (-2, 0.5), -2.0, 0.5, name="limits"),
    Sample("hardtanh", (T((3, 4), low=-4, high=4), -2.0, 1.5), grad=False, dtypes=SIGNED, name="integers"),
    bent("threshold", (0.5,), 0.5, -3.0),
    Sample("threshold", (T((3, 4), low=-4, high=4), 0.5, -3.5), grad=False, dtypes=SIGNED, name="integers"),
    Sample("softsign", (T((3, 4), low=0.1),), dtypes=COMPLEX, name="complex"),
    Sample("silu", (T((3, 4)),), dtypes=COMPLEX, name="complex"),
    bent("hardshrink", (-0.5, 0.5), 0.5, errors=(Error((T((2,)), -1.0), "ParameterError", 1403, ("lambd",)),)),
    bent("softshrink", (-0.5, 0.5), 0.5),
    bent("hardsigmoid", (-3, 3)),
    Sample("hardswish", (T((3, 4), low=-4.0, high=4.0, away=(-3, 3)),), dtypes=REAL),
    Sample("softsign", (T((3, 4), away=(0,)),), dtypes=REAL),
    smooth("silu", errors=(NOT_INT,)),
    smooth("mish"),
    smooth("softplus"),
    smooth("softplus", 2.0, 20.0, name="beta", errors=(Error((T((2,)), 0.0), "ParameterError", 1403, ("beta",)),)),
    Sample("softplus", (T((3, 4), low=-9.0, high=9.0, away=(4.0,)), 1.0, 4.0), dtypes=FLOATS, name="threshold"),
    smooth("logsigmoid"),
    smooth("tanhshrink"),
    Sample("elu", (T((3, 4), away=(0,)), 1.5), dtypes=REAL),
    Sample("selu", (T((3, 4), away=(0,)),), dtypes=REAL),
    Sample(
        "celu",
        (T((3, 4), away=(0,)), 0.5),
        dtypes=REAL,
        ref=lambda x, a: np.maximum(x, 0) + np.minimum(0, a * np.expm1(x / a)),
        errors=(Error((T((2,)), 0.0), "ParameterError", 1403, ("alpha",)),),
    ),
    smooth("gelu", errors=(NOT_INT, Error((T((2,)), "fast"), "ParameterError", 1403, ("approximate", "tanh")))),
    Sample("gelu", (T((3, 4), low=-3.0, high=3.0),), {"approximate": "tanh"}, dtypes=REAL, name="tanh"),
    Sample(
        "prelu",
        (T((2, 3, 4), away=(0,)), T((3,))),
        dtypes=FLOATS,
        errors=(Error((T((2, 3)), T((2,))), "ShapeError", 1002, ("weight", "3 channels", "(2,)")),),
    ),
    Sample("prelu", (T((3, 4), away=(0,)), T((1,))), dtypes=FLOATS, name="one weight"),
    Sample("prelu", (T((), low=-2, high=-1), T((1,))), dtypes=FLOATS, layouts=False, name="no axes"),
    Sample(
        "glu",
        (T((3, 4)),),
        dtypes=REAL,
        errors=(Error((T((2, 3)),), "ShapeError", 1002, ("axis 1", "(2, 3)", "even")),),
    ),
    Sample("glu", (T((4, 3)), 0), dtypes=FLOATS, name="first axis"),
]
