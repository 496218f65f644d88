"""Fits the coefficients of src/helix/_core/cpu/lane_tables.h with mpmath: `python tools/lane_tables.py`.

A function in 16 pieces has a polynomial around a point in each, at which it is nearly a floating-point number, so that
its value there can stand first. Polynomials interpolate at Chebyshev nodes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from coefficients import Function, erfcx, halves, initializer, rounded
from mpmath import mp, mpf

mp.dps = 45
TARGET = Path(__file__).resolve().parent.parent / "src" / "helix" / "_core" / "cpu" / "lane_tables.h"
HEAD = """/* Made by tools/lane_tables.py, which says what is fitted how. Do not edit. */
#ifndef HX_LANE_TABLES_H
#define HX_LANE_TABLES_H

"""
DIGITS = {"double": 53, "float": 24}


def fit(f: Function, low: Any, high: Any, degree: int) -> list[Any]:
    """Coefficients of 1, x, x^2, ... of the polynomial that agrees with f at the Chebyshev nodes of [low, high]."""
    n = degree + 1
    x = [(low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * i + 1) / (2 * n)) for i in range(n)]
    rows = mp.matrix([[v**j for j in range(n)] for v in x])
    return list(mp.lu_solve(rows, mp.matrix([f(v) for v in x])))


def near_a_number(f: Function, middle: Any, reach: Any, bits: int) -> Any:
    """A point near the middle at which f is within a hundredth of a unit of the last place of a number, if there is one."""
    closest, found = mpf(1), middle
    for k in range(400):
        point = rounded(middle + reach * mpf((k * 37) % 97 - 48) / 500 + reach * mpf(k) / 2**19, bits)
        y = f(point)
        off = abs(y / rounded(y, bits) - 1) * mpf(2) ** bits
        if off < closest:
            closest, found = off, point
        if off < mpf(1) / 60:
            break
    return found


def piece(f: Function, low: Any, high: Any, degree: int, at: Any, bits: int) -> list[Any]:
    """The point, the value there, and the coefficients of r, r^2, ... of f(point + r)."""
    point = near_a_number(f, (low + high) / 2, high - low, bits) if at is None else at
    value = f(point)
    tiny = mpf(10) ** -18

    def slope(r: Any) -> Any:
        r = r if abs(r) > tiny else tiny
        return (f(point + r) - value) / r

    return [point, value, *fit(slope, low - point, high - point, degree - 1)]


def worst(f: Function, row: list[Any], low: Any, high: Any, bits: int) -> float:
    """The largest error of the fit, of coefficients rounded, in units of the last place of f."""
    c = [rounded(a, bits) for a in row]
    largest = mpf(0)
    for i in range(60):
        x = low + (high - low) * (i + mpf("0.37")) / 60
        y, true = mpf(0), f(x)
        for a in c[:0:-1]:
            y = y * (x - c[0]) + a
        largest = max(largest, abs(y - true) / mpf(2) ** (mp.floor(mp.log(abs(true), 2)) - bits + 1))
    return float(largest)


def number(a: Any, kind: str) -> str:
    a = rounded(a, DIGITS[kind])
    return float(a).hex().replace("0000000000000p", "0p") if kind == "double" else short(float(a))


def short(a: float) -> str:
    mantissa, exponent = a.hex().split("p")
    return f"{mantissa.rstrip('0') if '.' in mantissa else mantissa}p{exponent}f".replace(".p", "p")


def table(name: str, rows: list[list[Any]], kind: str = "double") -> str:
    """A row for each coefficient, with a column for each piece."""
    columns = [[number(a, kind) for a in column] for column in zip(*rows)]
    return f"HX_LANE_TABLE {kind} {name}[{len(columns)}][{len(rows)}] = {{\n{initializer(columns)}}};\n"


def polynomial(name: str, c: list[Any], kind: str = "double") -> str:
    """Of a register; the highest coefficient stands first."""
    register = {"double": "hx_vd", "float": "hx_vf"}[kind]
    lines = [f"static inline {register} {name}({register} u) {{"]
    lines += [f"    {register} y = u * {number(c[-1], kind)} + {number(c[-2], kind)};"]
    lines += [f"    y = y * u + {number(a, kind)};" for a in c[-3::-1]]
    return "\n".join([*lines, "    return y;", "}"]) + "\n"


# ---- the pieces: borders by the index that the code looks up ----


def by_bits(x: Any, shift: int) -> int:
    """The last four bits of a double's bits without the lowest `shift` ones."""
    exponent = int(mp.floor(mp.log(x, 2)))
    return int((mpf(x) / mpf(2) ** exponent - 1) * 2 ** (52 - shift) + ((exponent + 1023) << (52 - shift))) & 15


def pieces(
    f: Function, borders: list[Any], degree: int, bits: int, at: dict[int, Any] | None = None
) -> list[list[Any]]:
    rows = []
    for i, (low, high) in enumerate(zip(borders, borders[1:])):
        rows.append(piece(f, mpf(low), mpf(high), degree, (at or {}).get(i), bits))
        error = worst(f, rows[-1], mpf(low), mpf(high), bits)
        print(f"  [{mp.nstr(mpf(low), 5)}, {mp.nstr(mpf(high), 5)}] {error:.3f}", file=sys.stderr)
    return rows


def erfinv_factor(u: Any) -> Any:
    """erfinv(x) / x of u = 1 - x."""
    x = 1 - u
    return mp.sqrt(mp.pi) / 2 * (1 + mp.pi * x * x / 12) if abs(x) < mpf(10) ** -12 else mp.erfinv(x) / x


def erfinv_factor_of_root(v: Any) -> Any:
    """erfinv(x) / x of v = sqrt(-log(1 - x^2)), by Newton's steps on erfc(y) = 1 - x."""
    rest = mp.exp(-v * v)
    x = mp.sqrt(1 - rest)
    tail, y = rest / (1 + x), v
    for _ in range(9):
        y += (mp.erfc(y) - tail) * mp.sqrt(mp.pi) / 2 * mp.exp(y * y)
    return y / x


def ordered(rows: list[list[Any]], index: list[int]) -> list[list[Any]]:
    made: list[list[Any]] = [[] for _ in rows]
    for row, i in zip(rows, index):
        made[i] = row
    return made


def octaves(low: int, high: int, parts: int, start: float = 1.0) -> list[Any]:
    """Borders of so many equal parts of each octave from start 2^low to start 2^high."""
    made = [mpf(start) * mpf(2) ** e * (1 + mpf(k) / parts) for e in range(low, high) for k in range(parts)]
    return [*made, mpf(start) * mpf(2) ** high]


def erf_table() -> str:
    """Around whole multiples of 32 / 83."""
    print("erf", file=sys.stderr)
    width = mpf(32) / 83
    borders = [mpf(0), *(width * (i + mpf(1) / 2) for i in range(16))]
    return table("hx_erf_table", pieces(mp.erf, borders, 13, 53, {0: mpf(0)}))


def erfcx_table() -> str:
    """Of x with x + 2 in [2, 32), four pieces an octave."""
    print("erfcx", file=sys.stderr)
    borders = [b - 2 for b in octaves(1, 5, 4)]
    rows = pieces(erfcx, borders, 15, 53, {0: mpf(0)})
    return table("hx_erfcx_table", ordered(rows, [by_bits(b + 2, 50) for b in borders[:-1]]))


def erfcx_table_of_floats() -> str:
    """Of x with x + 1 in [1, 16), four pieces an octave."""
    print("erfcx of floats", file=sys.stderr)
    borders = [b - 1 for b in octaves(0, 4, 4)]
    rows = pieces(erfcx, borders, 6, 24, {0: mpf(0)})
    return table("hx_erfcx_table_f32", ordered(rows, [by_bits(b + 1, 50) for b in borders[:-1]]), "float")


def erfinv_table() -> str:
    """erfinv(x) / x of u = 1 - x in [1/16, 1), four pieces an octave; the last takes 1 as well."""
    print("erfinv", file=sys.stderr)
    borders = octaves(-4, 0, 4)
    rows = pieces(erfinv_factor, borders, 14, 53)
    return table("hx_erfinv_table", ordered(rows, [by_bits(b, 50) for b in borders[:-1]]))


def erfinv_table_of_roots() -> str:
    """Around whole multiples of 8 / 27, from the fifth to the twentieth."""
    print("erfinv beyond 15 / 16", file=sys.stderr)
    borders = [mpf(8) / 27 * (i - mpf(1) / 2) for i in range(5, 22)]
    rows = pieces(erfinv_factor_of_root, borders, 11, 53)
    return table("hx_erfinv_far_table", ordered(rows, [i & 15 for i in range(5, 21)]))


def exponential() -> str:
    """2^(i / 16) in two parts, and (exp(r) - 1 - r) / r^2 of |r| <= ln 2 / 32."""
    powers = [mpf(2) ** (mpf(i) / 16) for i in range(16)]
    reach = mp.ln(2) / 32
    tail = fit(lambda r: (mp.exp(r) - 1 - r) / r**2, -reach, reach * (1 + mpf(10) ** -6), 5)
    return table("hx_exp2_table", [halves(p) for p in powers]) + "\n" + polynomial("hx_vd_exp_series", tail)


def in_parts(x: Any, unit: int) -> list[Any]:
    """x as a multiple of 2^-unit and the rest."""
    high = mp.nint(x * mpf(2) ** unit) / mpf(2) ** unit
    return [high, x - high]


def logarithm(kind: str, suffix: str, unit: int, degree: int) -> str:
    """m in [3/4, 3/2) by the upper four bits of its mantissa: 1 / c and log c, to the bases e, 2 and 10, each in two parts, the
    first with so many bits after the point. 1 / c is short, so that m / c - 1 is nearly exact."""
    rows, reach = [], mpf(0)
    for i in range(16):
        scale = mpf(1) if i < 8 else mpf(1) / 2
        middle = (1 + (i + mpf(1) / 2) / 16) * scale
        inverse = mpf(1) if i in (0, 15) else mp.nint(64 / middle) / 64
        reach = max(reach, 1 - inverse * (middle - scale / 32), (inverse * (middle + scale / 32) - 1) * (i > 0))
        value = -mp.log(inverse)
        row = [inverse]
        for base in (mp.e, mpf(2), mpf(10)):
            row += in_parts(value / mp.log(base), unit)
        rows.append(row)
    series = fit(lambda r: (mp.log1p(r) - r) / r**2, -reach, mpf(1) / 16, degree)
    return (
        table(f"hx_log_table{suffix}", rows, kind)
        + "\n"
        + polynomial(f"hx_{'vf' if suffix else 'vd'}_log_table_series", series, kind)
    )


def arcsine() -> str:
    """(asin(t) / t - 1) / t^2 of t^2 in [0, 1/4]."""

    def excess(z: Any) -> Any:
        t = mp.sqrt(z)
        return (mp.asin(t) / t - 1) / z

    return polynomial("hx_vd_asin_series", fit(excess, mpf(0), mpf(1) / 4, 12))


def tangent() -> str:
    """(tanh(t) / t - 1) / t^2 of t below 0.55."""

    def excess(z: Any) -> Any:
        t = mp.sqrt(z)
        return (mp.tanh(t) / t - 1) / z

    return polynomial("hx_vd_tanh_series", fit(excess, mpf(0), mpf("0.3026"), 10))


def main() -> None:
    made = [
        exponential(),
        logarithm("double", "", 41, 9),
        logarithm("float", "_f32", 16, 4),
        arcsine(),
        tangent(),
        erf_table(),
        erfcx_table(),
        erfinv_table(),
        erfinv_table_of_roots(),
        erfcx_table_of_floats(),
    ]
    TARGET.write_text(HEAD + "\n".join(made) + "\n#endif\n")


if __name__ == "__main__":
    main()
