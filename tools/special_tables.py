"""Fits the coefficients of src/helix/_core/cpu/special_tables.h with mpmath: `python tools/special_tables.py`.

Polynomials are Chebyshev interpolants of the functions that are named beside them, written in powers; rational ones
interpolate at Chebyshev nodes. Both are within a small factor of the best of their degree, and need no iteration.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from coefficients import Function, erfcx, halves, initializer
from mpmath import mp, mpf

mp.dps = 50
TARGET = Path(__file__).resolve().parent.parent / "src" / "helix" / "_core" / "cpu" / "special_tables.h"
HEAD = """/* Made by tools/special_tables.py, which says what is fitted how. Do not edit. */
#ifndef HX_SPECIAL_TABLES_H
#define HX_SPECIAL_TABLES_H

"""


# ---- fits: coefficients in powers of u in [-1, 1], the highest first ----


def nodes(n: int) -> list[Any]:
    return [mp.cos(mp.pi * (2 * i + 1) / (2 * n)) for i in range(n)]


def polynomial(f: Function, degree: int) -> list[Any]:
    n = degree + 1
    u, rows = nodes(n), [[mpf(1)], [mpf(0), mpf(1)]]
    while len(rows) < n:
        rows.append([2 * a - b for a, b in zip([mpf(0), *rows[-1]], rows[-2] + [mpf(0)] * 2)])
    values, powers = [f(x) for x in u], [mpf(0)] * n
    for k in range(n):
        c = sum(v * mp.cos(mp.pi * k * (2 * i + 1) / (2 * n)) for i, v in enumerate(values)) * 2 / n
        for j, t in enumerate(rows[k]):
            powers[j] += (c / 2 if k == 0 else c) * t
    return powers[::-1]


def rational(f: Function, over: int, under: int, reach: Any) -> tuple[list[Any], list[Any]]:
    """P and Q of t in [0, reach], Q's constant 1, with f = P / Q at the nodes. With t >= 0 hardly a term cancels."""
    n = over + under + 1
    t = [(x + 1) * reach / 2 for x in nodes(n)]
    values = [f(x) for x in t]
    rows = [[x**j for j in range(over + 1)] + [-v * x**j for j in range(1, under + 1)] for x, v in zip(t, values)]
    found = mp.lu_solve(mp.matrix(rows), mp.matrix(values))
    return [found[j] for j in range(over, -1, -1)], [found[j] for j in range(n - 1, over, -1)] + [mpf(1)]


def between(f: Function, low: Any, high: Any) -> Function:
    """f of an argument in [low, high] as a function of u."""
    return lambda u: f((high - low) * (u + 1) / 2 + low)


def at_reciprocal(f: Function, start: Any) -> Function:
    """f on [start, inf) as a function of u = 2 start / x - 1."""
    return lambda u: f(2 * mpf(start) / (u + 1))


def horner(c: list[Any], u: Any) -> Any:
    y = mpf(0)
    for a in c:
        y = y * u + mpf(float(a))
    return y


def worst(f: Function, p: list[Any], q: list[Any] | None = None, reach: Any = 0) -> float:
    """The largest relative error over [-1, 1] of a fit whose coefficients are rounded; one of two is over [0, reach]."""
    largest = mpf(0)
    for i in range(301):
        u = mp.cos(mp.pi * (i + mpf("0.37")) / 301)
        t = (u + 1) * reach / 2
        made = horner(p, t) / horner(q, t) if q else horner(p, u)
        largest = max(largest, abs(made / f(u) - 1))
    return float(largest)


def function(name: str, c: list[Any]) -> str:
    lines = [f"HX_INLINE double {name}(double u) {{", f"    double y = {float(c[0]).hex()};"]
    lines += [f"    y = y * u + {float(a).hex()};" for a in c[1:]]
    return "\n".join([*lines, "    return y;", "}"]) + "\n"


def table(name: str, rows: list[list[Any]]) -> str:
    numbers = ((float(a).hex() for a in row) for row in rows)
    head = f"__attribute__((unused)) static const double {name}[{len(rows)}][{len(rows[0])}]"
    return f"{head} = {{\n{initializer(numbers)}}};\n"


# ---- modified Bessel functions (DLMF 10.25-10.40) ----


def scaled_i(order: int) -> tuple[Function, Function]:
    """exp(-t) I(t), for order 1 over t; and sqrt(t) exp(-t) I(t)."""

    def small(t: Any) -> Any:
        if order == 1 and t == 0:
            return mpf(1) / 2
        return mp.exp(-t) * mp.besseli(order, t) / (t if order else 1)

    return small, lambda t: mp.sqrt(t) * mp.exp(-t) * mp.besseli(order, t)


def k_without_logarithm(order: int) -> Function:
    """Of z = x * x in [0, 4]: K0 + log(x / 2) I0, and x (K1 - log(x / 2) I1)."""

    def rest(z: Any) -> Any:
        x = mp.sqrt(max(z, mpf(10) ** -40))
        logarithm = mp.log(x / 2)
        if order == 0:
            return mp.besselk(0, x) + logarithm * mp.besseli(0, x)
        return x * (mp.besselk(1, x) - logarithm * mp.besseli(1, x))

    return rest


def scaled_k(order: int) -> Function:
    return lambda t: mp.sqrt(t) * mp.exp(t) * mp.besselk(order, t)


# ---- Bessel functions (DLMF 10.2, 10.8, 10.17) ----

bessel_border = 8


def zeros_squared(order: int) -> list[Any]:
    return [mp.besseljzero(order, i) ** 2 for i in (1, 2)]


def j_without_zeros(order: int) -> Function:
    """Of w = x * x below 64: J (for order 1 over x) over w less the squares of its two zeros there."""
    first, second = zeros_squared(order)

    def rest(w: Any) -> Any:
        x = mp.sqrt(max(w, mpf(10) ** -20))
        return mp.besselj(order, x) / (x if order else 1) / ((w - first) * (w - second))

    return rest


def y_without_logarithm(order: int) -> Function:
    """Of w = x * x below 64: Y0 - 2 / pi log(x) J0, and (Y1 - 2 / pi (log(x) J1 - 1 / x)) / x."""

    def rest(w: Any) -> Any:
        x = mp.sqrt(max(w, mpf(10) ** -30))
        left = mp.bessely(order, x) - 2 / mp.pi * mp.log(x) * mp.besselj(order, x)
        return (left + 2 / (mp.pi * x)) / x if order else left

    return rest


@cache
def bessel_wave(order: int, v: Any) -> tuple[Any, Any]:
    """p and x q of sqrt(pi x / 2) (J + i Y) = (p + i q) exp(i (x - (2 order + 1) pi / 4)), v = (8 / x)^2."""
    x = bessel_border / mp.sqrt(max(v, mpf(10) ** -18))
    turn = mp.expj(-(x - (2 * order + 1) * mp.pi / 4))
    wave = mp.sqrt(mp.pi * x / 2) * mp.mpc(mp.besselj(order, x), mp.bessely(order, x)) * turn
    return wave.real, wave.imag * x


# ---- the inverse of the error function, by w = -log(1 - x^2), after Giles, "Approximating the erfinv function" ----

erfinv_border = mpf("6.25")


@cache
def erfinv_factor(w: Any) -> Any:
    """erfinv(x) / x."""
    if w < mpf(10) ** -30:
        return mp.sqrt(mp.pi) / 2
    rest = mp.exp(-w)
    x = mp.sqrt(1 - rest)
    tail = rest / (1 + x)  # 1 - x, which has its digits
    y = mp.erfinv(x) if w < 20 else mp.sqrt(w)
    for _ in range(8):
        y -= (tail - mp.erfc(y)) / (2 / mp.sqrt(mp.pi) * mp.exp(-y * y))
    return y / x


# ---- logarithms to more than 64 bits, after the tables of Arm's optimized routines ----


def logarithm_rows() -> list[list[Any]]:
    """For m near 1 + (i + 1/2) / 128, and m / 2 from i = 53 on: 1 / c of so few bits that m / c - 1 is exact, and log c in two
    parts, the first of which can be added to a multiple of log 2 without loss."""
    rows = []
    for i in range(128):
        middle, steps = 1 + (i + mpf("0.5")) / 128, 256 if i < 53 else 128
        inverse = mp.nint((1 if i < 53 else 2) / middle * steps) / steps if 0 < i < 127 else mpf(1)
        high = mp.nint(-mp.log(inverse) * 2**40) / 2**40
        rows.append([inverse, high, -mp.log(inverse) - high])
    return rows


# ---- the normal distribution ----


def shepherd(u: Any) -> Any:
    """(1 + 2 x) erfcx(x) with u = (x - 3.75) / (x + 3.75), after Shepherd and Laframboise,
    "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x in 0 <= x < inf", Math. Comp. 36 (1981)."""
    if u > 1 - mpf(10) ** -12:
        return 2 / mp.sqrt(mp.pi)
    x = mpf("3.75") * (1 + u) / (1 - u)
    if x > 1000:
        series, term = mpf(1), mpf(1)
        for k in range(1, 12):
            term *= -(2 * k - 1) / (2 * x * x)
            series += term
        return (1 + 2 * x) / (x * mp.sqrt(mp.pi)) * series
    return (1 + 2 * x) * erfcx(x)


@cache
def tail_quantile(r: Any) -> Any:
    """x with P(X > x) = exp(-r r) for a normal X."""
    x = mp.sqrt(2) * r
    for _ in range(200):
        half = x / mp.sqrt(2)
        miss = mp.log(erfcx(half) / 2) - half * half + r * r
        step = miss * erfcx(half) * mp.sqrt(mp.pi / 2)
        x += step
        if abs(step) < mpf(10) ** -45 * abs(x):
            break
    return x


def central_quantile(z: Any) -> Any:
    """ndtri(1/2 + q) / q as a function of z = q * q."""
    q = mp.sqrt(max(z, mpf(10) ** -30))
    return mp.sqrt(2) * mp.erfinv(2 * q) / q


# ---- Airy's function (DLMF 9.2, 9.7) ----

airy_border = mpf("2.09")
airy_far = mpf("4.5")
airy_far_phase = 2 * airy_far ** mpf("1.5") / 3
airy_phase = 2 * airy_border ** mpf("1.5") / 3


def airy_decay(zeta: Any) -> Any:
    """x^(1/4) exp(zeta) Ai(x), zeta = 2/3 x^(3/2)."""
    if zeta > 10**6:
        zeta = mpf(10) ** 6
    x = (3 * zeta / 2) ** (mpf(2) / 3)
    return x ** mpf("0.25") * mp.exp(zeta) * mp.airyai(x)


@cache
def airy_wave(square: Any) -> tuple[Any, Any]:
    """s and c of Ai(-x) = x^(-1/4) (s sin(zeta + pi / 4) + c / zeta cos(zeta + pi / 4)), square = zeta^2."""
    zeta = mp.sqrt(min(square, mpf(10) ** 10))
    x = (3 * zeta / 2) ** (mpf(2) / 3)
    a, b = mp.airyai(-x), mp.airybi(-x)
    sine, cosine = mp.sin(zeta + mp.pi / 4), mp.cos(zeta + mp.pi / 4)
    root = x ** mpf("0.25")
    return root * (a * sine + b * cosine), root * (a * cosine - b * sine) * zeta


# ---- the incomplete gamma functions: c_k(eta) of DLMF 8.12.9 ----


def temme(orders: int, terms: int) -> list[list[Any]]:
    """Coefficients of the powers of eta in c_0 ... c_(orders - 1), by c_k = (c'_(k-1) - c'_(k-1)(0) eta / mu) / eta.

    mu(eta) solves mu mu' = eta (1 + mu), which is mu - log(1 + mu) = eta^2 / 2 differentiated. The pole of 8.12.11 must
    cancel, and that fixes its g_k.
    """
    n = terms + 2 * orders + 2
    mu = [mpf(0), mpf(1)]
    for k in range(2, n + 1):
        inner = sum(mu[i] * (k + 1 - i) * mu[k + 1 - i] for i in range(2, k))
        mu.append((mu[k - 1] - inner) / (k + 1))
    over = [mpf(1)]  # eta / mu
    for k in range(1, n):
        over.append(-sum(mu[i + 1] * over[k - i] for i in range(1, k + 1)))
    rows = [over[1:]]
    for _ in range(1, orders):
        slope = [i * c for i, c in enumerate(rows[-1])][1:]
        rows.append([s - slope[0] * o for s, o in zip(slope, over)][1:])
    return [row[:terms] for row in rows]


def main() -> None:
    parts = [HEAD]

    def fit(name: str, f: Function, degree: int) -> None:
        p = polynomial(f, degree)
        print(f"{name:24} {worst(f, p):.1e}  largest {float(max(abs(c) for c in p)):.2g}", flush=True)
        parts.append(function(name, p))

    def ratio(name: str, f: Function, over: int, under: int, reach: Any) -> None:
        p, q = rational(f, over, under, reach)
        print(f"{name:24} {worst(lambda u: f((u + 1) * reach / 2), p, q, reach):.1e}", flush=True)
        parts.extend([function(name + "_over", p), function(name + "_under", q)])

    for order in (0, 1):
        small, large = scaled_i(order)
        for suffix, degrees in (("", (32, 24)), ("_short", (19, 7))):
            fit(f"i{order}e_small{suffix}", between(small, mpf(0), mpf(8)), degrees[0])
            fit(f"i{order}e_large{suffix}", at_reciprocal(large, 8), degrees[1])
        fit(f"k{order}_small", between(k_without_logarithm(order), mpf(0), mpf(4)), 9)
        fit(f"k{order}_large", at_reciprocal(scaled_k(order), 2), 24)
        fit(f"j{order}_near", between(j_without_zeros(order), mpf(0), mpf(64)), 15)
        fit(f"y{order}_near", between(y_without_logarithm(order), mpf(0), mpf(64)), 18)
        fit(f"bessel{order}_p", lambda u, n=order: bessel_wave(n, (u + 1) / 2)[0], 12)
        fit(f"bessel{order}_q", lambda u, n=order: bessel_wave(n, (u + 1) / 2)[1], 14)
        parts.append(table(f"j{order}_zeros", [halves(mp.besseljzero(order, i)) for i in (1, 2)]))
    fit("erfinv_near", between(erfinv_factor, mpf(0), erfinv_border), 23)
    fit("erfinv_far", between(lambda v: erfinv_factor(v * v), mp.sqrt(erfinv_border), mpf("6.1")), 27)
    parts.append(table("logarithms", logarithm_rows()))
    fit("erfcx_table", shepherd, 27)
    fit("erfcx_short", shepherd, 12)
    edge = mpf("0.425") ** 2
    for suffix, over, under in (("", 8, 8), ("_short", 4, 4)):
        ratio("ndtri_central" + suffix, lambda t: central_quantile(edge - t), over, under, edge)
    ratio("ndtri_middle", lambda t: tail_quantile(t + mpf("1.4")), 9, 8, mpf("3.6"))
    ratio("ndtri_far", lambda t: tail_quantile(t + 5), 11, 11, mpf(23))
    ratio("ndtri_tail_short", lambda t: tail_quantile(t + mpf("1.4")), 6, 5, mpf("8.9"))
    fit("airy_low", between(mp.airyai, -airy_far, mpf(0)), 36)
    fit("airy_high", between(mp.airyai, mpf(0), airy_border), 24)
    fit("airy_decay", at_reciprocal(airy_decay, airy_phase), 24)
    fit("airy_sine", at_reciprocal(lambda z: airy_wave(z)[0], airy_far_phase**2), 20)
    fit("airy_cosine", at_reciprocal(lambda z: airy_wave(z)[1], airy_far_phase**2), 20)
    fit("log_gamma_1p", between(lambda a: mp.loggamma(1 + a) / a, mpf(0), mpf(1)), 24)
    parts.append(table("temme", temme(8, 18)))
    TARGET.write_text("\n".join(parts) + "\n#endif\n")


if __name__ == "__main__":
    main()
