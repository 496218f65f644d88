"""What scripts share that fit coefficients with mpmath and write them down as C."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from mpmath import mp, mpf

Function = Callable[[Any], Any]


def rounded(x: Any, bits: int = 53) -> Any:
    """The nearest number of so many bits."""
    if x == 0:
        return mpf(0)
    size = mpf(2) ** (bits - 1 - mp.floor(mp.log(abs(x), 2)))
    return mp.nint(x * size) / size


def halves(x: Any) -> list[Any]:
    """x as a double, and the rest."""
    return [rounded(x), x - rounded(x)]


def erfcx(x: Any) -> Any:
    return mp.exp(x * x) * mp.erfc(x)


def initializer(rows: Iterable[Iterable[str]]) -> str:
    """What stands between the braces of a table in C: rows of numbers, in lines of 118 characters at most."""
    lines = []
    for row in rows:
        line = "    {"
        for number in row:
            text = f"{number}, "
            if len(line) + len(text) > 118:
                lines.append(line.rstrip())
                line = "     "
            line += text
        lines.append(line.rstrip(", ") + "},")
    return "\n".join(lines)[:-1]
