"""Special functions of one element, as the CPU computes them: the inverse of erf, digamma and trigamma."""

from __future__ import annotations

import math

from helix.kernel import numeric as num
from helix.kernel.polynomials import call

# Giles, "Approximating the erfinv function", GPU Computing Gems 2 (2011), then two Newton-Halley steps.
_MIDDLE = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
           -0.00417768164, 0.246640727, 1.50140941)  # fmt: skip
_TAIL = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
         1.00167406, 2.83297682)  # fmt: skip


def _polynomial(x, coefficients):
    value = x.builder.const(coefficients[0], x.dtype)
    for c in coefficients[1:]:
        value = value * x + c
    return value


def erfinv(a, x):
    one = call("abs", x)
    w = -call("log", (1.0 - x) * (1.0 + x))
    y = (w < 5.0).where(
        _polynomial(w - 2.5, _MIDDLE), _polynomial(call("sqrt", num.maximum(w, a.const(5.0))) - 3.0, _TAIL)
    ) * x
    for _ in range(2):
        over = (1.0 - one) - call("erfc", call("abs", y))
        miss = (call("abs", y) < 1.0).where(call("erf", y) - x, (x < 0.0).where(-over, over))
        step = miss / (call("exp", -y * y) * (2 / math.sqrt(math.pi)))
        y = y - step / (1.0 + y * step)
    end = (x < 0.0).where(a.const(-math.inf), a.const(math.inf))
    inside = (x == 0.0).where(x, y)
    return (one == 1.0).where(end, (one < 1.0).where(inside, a.const(math.nan)))


def _climb(x, step):
    """x moved up to 10 and the sum of step(x) on the way."""
    k = x.builder
    at, total = k.variable(x), k.variable(0, x.dtype)
    with k.loop():
        now = at.get()
        k.leave_if(~(now < 10.0))
        total.set(total.get() + step(now))
        at.set(now + 1.0)
    return at.get(), total.get()


# Asymptotic series (Abramowitz and Stegun 6.3.18 and 6.4.12); reflection below 0, recurrence up to 10.
_DIGAMMA = (1 / 12, -691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12)
_TRIGAMMA = (7 / 6, -691 / 2730, 5 / 66, -1 / 30, 1 / 42, -1 / 30, 1 / 6)


def digamma(a, x):
    low, whole = x < 0.0, call("trunc", x)
    reflected = -math.pi / call("tan", (x - whole) * math.pi)
    at, below = _climb(low.where(1.0 - x, x), lambda v: 1.0 / v)
    z = 1.0 / (at * at)
    value = call("log", at) - 0.5 / at - z * _polynomial(z, _DIGAMMA) - below
    value = low.where(value + reflected, value)
    value = (low & (x == whole)).where(a.const(math.nan), value)
    zero = (1.0 / x < 0.0).where(a.const(math.inf), a.const(-math.inf))
    return (x == 0.0).where(zero, (x == math.inf).where(x, value))


def trigamma(a, x):
    low = x <= 0.0
    s = call("sin", (x - call("trunc", x)) * math.pi)
    at, below = _climb(low.where(1.0 - x, x), lambda v: 1.0 / (v * v))
    z = 1.0 / (at * at)
    value = below + 1.0 / at + 0.5 * z + z / at * _polynomial(z, _TRIGAMMA)
    value = low.where(math.pi**2 / (s * s) - value, value)
    return (low & (x == call("trunc", x))).where(a.const(math.inf), value)
