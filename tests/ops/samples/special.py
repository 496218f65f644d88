"""Special functions: where each is smooth, and with whole-number dtypes, degrees and dimensions."""

from typing import Any

import numpy as np
import scipy.special

from ..sample import FLOATS, HALVES, Error, Sample, T

REAL = FLOATS + HALVES
# torch has neither these gradients nor, in float64, more than nine digits of some of the values.
SCIPY = {
    "bessel_j0": scipy.special.j0,
    "bessel_j1": scipy.special.j1,
    "bessel_y0": scipy.special.y0,
    "bessel_y1": scipy.special.y1,
    "airy_ai": lambda x: scipy.special.airy(x)[0],
    "i0": scipy.special.i0,
    "i0e": scipy.special.i0e,
    "i1": scipy.special.i1,
    "i1e": scipy.special.i1e,
    "modified_bessel_i0": scipy.special.i0,
    "modified_bessel_i1": scipy.special.i1,
    "modified_bessel_k0": scipy.special.k0,
    "modified_bessel_k1": scipy.special.k1,
    "scaled_modified_bessel_k0": scipy.special.k0e,
    "scaled_modified_bessel_k1": scipy.special.k1e,
    "spherical_bessel_j0": lambda x: scipy.special.spherical_jn(0, x),
    "erfcx": scipy.special.erfcx,
    "entr": scipy.special.entr,
    "ndtr": scipy.special.ndtr,
    "log_ndtr": scipy.special.log_ndtr,
    "ndtri": scipy.special.ndtri,
}
POSITIVE = ("y0", "y1", "k0", "k1", "entr")


def no_complex(*rest: Any) -> tuple[Error, ...]:
    return (Error((T((2,), dtype="complex64"), *rest), "DTypeError", 1101, ("complex", "(2,)", "complex64")),)


def one(name: str, **more: Any) -> Sample:
    low, high = (0.3, 3.0) if name.endswith(POSITIVE) else (0.1, 0.9) if name == "ndtri" else (-3.0, 3.0)
    op = name if name == "i0" else f"special_{name}"
    away = () if low > 0 else (0,)
    values = T((3, 4), low=low, high=high, away=away)
    return Sample(op, (values,), dtypes=REAL, ref=SCIPY[name], errors=no_complex(), grad=name != "airy_ai", **more)


def polynomial(kind: str) -> Sample:
    degrees = np.array([0.0, 1.0, 2.0, 12.0])
    return Sample(
        f"special_{kind}",
        (T((3, 4), low=-1.5, high=1.5), degrees),
        dtypes=("float32", "float64"),
        grad=False,
        layouts=False,
        rtol=1e-5,
        errors=no_complex(2),
    )


BOTH = T((3, 4), low=0.4, high=4.0)
FIXED = T((3, 4), low=0.4, high=4.0, grad=False)
SAMPLES = [
    *(one(name) for name in SCIPY),
    Sample("i0", (T((3, 4), dtype="int32", grad=False),), grad=False, name="integers", dtypes=("float32",)),
    *(polynomial(f"{shifted}chebyshev_polynomial_{kind}") for shifted in ("", "shifted_") for kind in "tuvw"),
    *(polynomial(f"{name}_polynomial_{letter}") for name, letter in (("hermite", "h"), ("hermite", "he"))),
    *(polynomial(name) for name in ("laguerre_polynomial_l", "legendre_polynomial_p")),
    Sample("special_xlog1py", (T((3, 4), low=0.2), T((3, 4), low=-0.5)), dtypes=REAL, errors=no_complex(1.0)),
    Sample("special_zeta", (T((3, 4), low=1.5, high=5.0, grad=False), BOTH), dtypes=FLOATS, errors=no_complex(1.0)),
    Sample("igamma", (FIXED, BOTH), dtypes=FLOATS, errors=no_complex(1.0)),
    Sample("igammac", (FIXED, BOTH), dtypes=FLOATS, errors=no_complex(1.0)),
    *(
        Sample(
            "polygamma",
            (n, BOTH),
            dtypes=FLOATS,
            second=n < 3,
            name=f"order {n}",
            errors=(Error((-1, BOTH), "ParameterError", 1403, ("n must not be negative", "got -1")),),
        )
        for n in range(4)
    ),
    Sample(
        "mvlgamma",
        (T((3, 4), low=1.5, high=5.0), 3),
        dtypes=FLOATS,
        second=False,
        atol=1e-5,
        errors=(Error((BOTH, 0), "ParameterError", 1403, ("p must be at least 1", "got 0")), *no_complex(2)),
    ),
]
