"""Special functions with more digits than a double has, by mpmath, as functions of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np

mp = mpmath.mp.clone()
mp.dps = 40


def normal_tail(x: Any) -> Any:
    """The share of a normal distribution below x."""
    return mp.erfc(-x / mp.sqrt(2)) / 2


def of_arrays(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return np.frompyfunc(lambda x: np.longdouble(mp.nstr(function(mp.mpf(float(x))), 25)), 1, 1)


FUNCTIONS = {
    name: of_arrays(function)
    for name, function in {
        "i0": lambda x: mp.besseli(0, x),
        "i0e": lambda x: mp.exp(-abs(x)) * mp.besseli(0, x),
        "i1": lambda x: mp.besseli(1, x),
        "i1e": lambda x: mp.exp(-abs(x)) * mp.besseli(1, x),
        "modified_bessel_k0": lambda x: mp.besselk(0, x),
        "modified_bessel_k1": lambda x: mp.besselk(1, x),
        "erf": mp.erf,
        "erfc": mp.erfc,
        "erfinv": mp.erfinv,
        "erfcx": lambda x: mp.exp(x * x) * mp.erfc(x),
        "ndtr": normal_tail,
        "log_ndtr": lambda x: mp.log(normal_tail(x)),
        "ndtri": lambda p: mp.sqrt(2) * mp.erfinv(2 * p - 1),
        "entr": lambda x: -x * mp.log(x),
    }.items()
}
