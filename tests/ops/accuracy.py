"""How far the elementary functions are from the true value, in units of the last place, on this instruction set.

`python -m tests.ops.accuracy` prints the figures as JSON; `tools/numerics.py` makes the table in docs/numerics.md of them.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

import helix
from helix import special

from . import exact

gelu = helix.nn.functional.gelu


def logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def half_of_erfc(x: float) -> float:
    return 0.5 * x * math.erfc(-x / math.sqrt(2))


def gated_tanh(x: float) -> float:
    return x * float(logistic(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@dataclass(frozen=True)
class Case:
    """reference: in a wider type, of one value or of an array.   reach, least: the largest and the smallest argument.
    signs: both are tried.
    own: the unit is that of the argument, as for a function that is a factor near 0 or 1 times it.   count: of arguments."""

    function: Callable[[helix.Tensor], helix.Tensor]
    reference: Callable[[Any], Any]
    reach: float
    signs: bool = True
    own: bool = False
    count: int = 4000
    least: float = 0


def many_digits(name: str, reach: float, signs: bool = True) -> Case:
    """A special function against mpmath, which takes its time."""
    return Case(getattr(special, name), exact.FUNCTIONS[name], reach, signs, count=150)


SPECIAL = {
    "i0": many_digits("i0", 80),
    "i0e": many_digits("i0e", 1e4),
    "i1": many_digits("i1", 80),
    "i1e": many_digits("i1e", 1e4),
    "modified_bessel_k0": many_digits("modified_bessel_k0", 80, signs=False),
    "modified_bessel_k1": many_digits("modified_bessel_k1", 80, signs=False),
    "erfcx": many_digits("erfcx", 9),
    "ndtr": many_digits("ndtr", 12),
    "log_ndtr": many_digits("log_ndtr", 5),
    "ndtri": many_digits("ndtri", 0.999, signs=False),
    "entr": many_digits("entr", 0.9, signs=False),
}

FLOAT32 = {
    "exp": Case(helix.exp, np.exp, 87),
    "expm1": Case(helix.expm1, np.expm1, 87),
    "log": Case(helix.log, np.log, 1e30, signs=False),
    "log1p": Case(helix.log1p, np.log1p, 1e30, signs=False),
    "tanh": Case(helix.tanh, np.tanh, 12),
    "sigmoid": Case(helix.sigmoid, logistic, 87),
    "sin": Case(helix.sin, np.sin, 1e4),
    "cos": Case(helix.cos, np.cos, 1e4),
    "tan": Case(helix.tan, np.tan, 1e4),
    "asin": Case(helix.asin, np.arcsin, 1),
    "acos": Case(helix.acos, np.arccos, 1),
    "atan": Case(helix.atan, np.arctan, 1e4),
    "atanh": Case(helix.atanh, np.arctanh, 1),
    "logit": Case(helix.logit, lambda x: np.log(x / (1 - x)), 1, signs=False),
    "erf": Case(helix.erf, np.frompyfunc(math.erf, 1, 1), 6),
    "erfc": Case(helix.erfc, np.frompyfunc(math.erfc, 1, 1), 9),
    "erfinv": Case(helix.erfinv, exact.FUNCTIONS["erfinv"], 0.9999, count=100),
    "log10": Case(helix.log10, np.log10, 1e30, signs=False),
    "lgamma": Case(helix.lgamma, np.frompyfunc(math.lgamma, 1, 1), 1e4, signs=False),
    "gelu": Case(gelu, np.frompyfunc(half_of_erfc, 1, 1), 12, own=True),
    "gelu (tanh)": Case(lambda x: gelu(x, approximate="tanh"), np.frompyfunc(gated_tanh, 1, 1), 12, own=True),
    **SPECIAL,
}
FLOAT64 = {
    "exp": Case(helix.exp, np.exp, 700),
    "expm1": Case(helix.expm1, np.expm1, 700),
    "exp2": Case(helix.exp2, np.exp2, 1000),
    "log": Case(helix.log, np.log, 1e300, signs=False),
    "log1p": Case(helix.log1p, np.log1p, 1e300, signs=False),
    "log2": Case(helix.log2, np.log2, 1e300, signs=False),
    "log10": Case(helix.log10, np.log10, 1e300, signs=False),
    "tanh": Case(helix.tanh, np.tanh, 20),
    "sinh": Case(helix.sinh, np.sinh, 710),
    "cosh": Case(helix.cosh, np.cosh, 710),
    "asinh": Case(helix.asinh, np.arcsinh, 1e300),
    "acosh": Case(helix.acosh, np.arccosh, 1e300, signs=False, least=1),
    "atanh": Case(helix.atanh, np.arctanh, 1),
    "sin": Case(helix.sin, np.sin, 1e9),
    "cos": Case(helix.cos, np.cos, 1e9),
    "tan": Case(helix.tan, np.tan, 1e9),
    "asin": Case(helix.asin, np.arcsin, 1),
    "acos": Case(helix.acos, np.arccos, 1),
    "atan": Case(helix.atan, np.arctan, 1e4),
    "erf": Case(helix.erf, exact.FUNCTIONS["erf"], 5.9, count=100),
    "erfc": Case(helix.erfc, exact.FUNCTIONS["erfc"], 26, count=100),
    "erfinv": Case(helix.erfinv, exact.FUNCTIONS["erfinv"], 0.9999, count=100),
    "pow (7.3)": Case(lambda x: helix.pow(x, 7.3), lambda x: x ** np.longdouble(7.3), 1e40, signs=False),
    **SPECIAL,
}


def points(case: Case) -> np.ndarray:
    """As many in each power of two as in any other, and as many near the reach as near 0."""
    random, n = np.random.default_rng(0), case.count
    x = np.concatenate([np.exp(random.uniform(-12, math.log(case.reach), n)), random.uniform(1e-6, case.reach, n)])
    x = x[x >= case.least]
    return np.concatenate([x, -x]) if case.signs else x


def worst(case: Case, dtype: type, wider: type) -> float:
    """The largest error of a function that reads and writes `dtype`, in units of the last place."""
    x = points(case).astype(dtype)
    made = case.function(helix.tensor(x)).numpy().astype(wider)
    true = np.asarray(case.reference(x.astype(wider)), dtype=wider)
    digits = np.finfo(dtype).nmant + 1
    unit = np.ldexp(wider(1), np.frexp((x if case.own else true).astype(np.float64))[1] - digits)
    normal = np.abs(true) > np.finfo(dtype).tiny
    return float(np.max(np.abs(made - true)[normal] / unit[normal]))


def float32(name: str) -> float:
    return worst(FLOAT32[name], np.float32, np.float64)


def float64(name: str) -> float:
    """Where NumPy's long double is no wider than a double, the figure says little: it is rounded twice."""
    return worst(FLOAT64[name], np.float64, np.longdouble)


def figures(names: Iterable[str] = FLOAT32.keys() | FLOAT64.keys()) -> dict[str, dict[str, float]]:
    chosen = set(names)
    return {
        "float32": {n: float32(n) for n in FLOAT32 if n in chosen},
        "float64": {n: float64(n) for n in FLOAT64 if n in chosen},
    }


if __name__ == "__main__":
    print(json.dumps(figures(sys.argv[1:] or FLOAT32.keys() | FLOAT64.keys())))
