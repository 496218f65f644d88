"""Special functions by series and rational approximations in float64, for which ONNX has no operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import log, pi
from typing import Any

import helix

from .._core import Tensor

UP = 10  # from here on the asymptotic series are exact to float64


def _in_float64(function: Callable[[Tensor], Tensor]) -> Callable[..., tuple[Tensor]]:
    def call(x: Tensor, *_: Any) -> tuple[Tensor]:
        kind = x.dtype if x.is_floating_point() else helix.get_default_dtype()
        return (function(x.to(helix.float64)).to(kind),)

    return call


def _series(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """A polynomial, by Horner's rule, from its constant on."""
    *rest, highest = coefficients
    return reduce(lambda made, c: made * x + c, reversed(rest), helix.full_like(x, highest))


def _raised(x: Tensor) -> tuple[Tensor, Tensor]:
    """x at least UP, by whole steps, and the x's that were passed: x, x + 1, … in a last axis, 1 where there are none."""
    low = x < UP
    steps = x.unsqueeze(-1) + helix.arange(UP, dtype=x.dtype)
    return helix.where(low, x + UP, x), helix.where(low.unsqueeze(-1), steps, 1.0)


def _log_gamma(x: Tensor) -> Tensor:
    """Stirling's series; below 1/2 by reflection (NIST, Digital Library of Mathematical Functions, 5.11.1 and 5.5.3)."""
    low = x < 0.5
    z, passed = _raised(helix.where(low, 1 - x, x))
    inverse = 1 / z
    more = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
    made = (z - 0.5) * z.log() - z + log(2 * pi) / 2 + inverse * _series(inverse * inverse, more) - passed.log().sum(-1)
    sine = ((x - x.round()) * pi).sin().abs()
    made = helix.where(low, (pi / sine).log() - made, made)
    return helix.where(x.isinf(), helix.inf, made)


def _digamma(x: Tensor) -> Tensor:
    """The same of its derivative (5.11.2 and 5.5.4)."""
    low = x < 0.5
    z, passed = _raised(helix.where(low, 1 - x, x))
    square = 1 / (z * z)
    more = (-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12)
    made = z.log() - 0.5 / z + square * _series(square, more) - _passed(passed, 1)
    made = helix.where(low, made - pi / ((x - x.round()) * pi).tan(), made)
    whole = (x < 0) & (x == x.floor())
    made = helix.where(whole, helix.nan, made)
    return helix.where(x == 0, -1 / x, made)


def _trigamma(x: Tensor) -> Tensor:
    """And of the second (5.15.8 and 5.15.6)."""
    low = x < 0.5
    z, passed = _raised(helix.where(low, 1 - x, x))
    square = 1 / (z * z)
    more = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)
    made = 1 / z + square / 2 + square / z * _series(square, more) + _passed(passed, 2)
    return helix.where(low, (pi / ((x - x.round()) * pi).sin()).square() - made, made)


def _passed(passed: Tensor, power: int) -> Tensor:
    """The sum of 1 / x^power over the steps that were passed, if any were."""
    none = (passed == 1.0).all(-1, True)
    return helix.where(none, 0.0, passed**-power).sum(-1)


# Wichura, "The percentage points of the normal distribution", Applied Statistics 37 (1988), algorithm AS 241.
_MIDDLE = (
    (3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125, 45921.953931549871457,
     67265.770927008700853, 33430.575583588128105, 2509.0809287301226727),
    (1.0, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077, 21213.794301586595867, 39307.895800092710610,
     28729.085735721942674, 5226.4952788528545610),
)  # fmt: skip
_OUTER = (
    (1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504, 1.27045825245236838258,
     0.241780725177450611770, 0.0227238449892691845833, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550, 0.148103976427480074590,
     0.0151986665636164571966, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
_FAR = (
    (6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 0.296560571828504891230, 0.0265321895265761230930,
     0.00124266094738807843860, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 0.599832206555887937690, 0.136929880922735805310, 0.0148753612908506148525, 7.86869131145613259100e-4,
     1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip


def _quotient(x: Tensor, parts: tuple[Sequence[float], Sequence[float]]) -> Tensor:
    return _series(x, parts[0]) / _series(x, parts[1])


def _quantile(q: Tensor, tail: Tensor) -> Tensor:
    """Of the normal distribution at 1/2 + q, where `tail` is the smaller of the two probabilities."""
    middle = q * _quotient(0.180625 - q * q, _MIDDLE)
    r = (-tail.log()).sqrt()
    outer = helix.where(r <= 5, _quotient(r - 1.6, _OUTER), _quotient(r - 5, _FAR))
    outer = helix.where(tail == 0, helix.inf, outer)
    return helix.where(q.abs() <= 0.425, middle, q.sign() * outer)


def _erfinv(y: Tensor) -> Tensor:
    made = _quantile(y / 2, (1 - y.abs()) / 2) * 0.5**0.5
    return helix.where(y.abs() > 1, helix.nan, made)


def _ndtri(p: Tensor) -> Tensor:
    made = _quantile(p - 0.5, helix.minimum(p, 1 - p))
    return helix.where((p < 0) | (p > 1), helix.nan, made)


OWN: dict[str, Any] = {
    "lgamma": _in_float64(_log_gamma),
    "digamma": _in_float64(_digamma),
    "trigamma": _in_float64(_trigamma),
    "erfinv": _in_float64(_erfinv),
    "special_ndtri": _in_float64(_ndtri),
}
