"""The few SVG pieces that our drawings are made of."""

from __future__ import annotations

import math
from html import escape

INK, SOFT, GRID = "#1f2937", "#6b7280", "#e5e7eb"
COLOURS = ("#2563eb", "#ea580c", "#059669", "#9333ea")
FONT = "font-family='ui-sans-serif, system-ui, Helvetica, Arial, sans-serif'"


def number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def text(
    x: float,
    y: float,
    content: str,
    size: int = 12,
    colour: str = INK,
    anchor: str = "start",
    weight: int = 400,
    turn: float = 0,
) -> str:
    turned = f" transform='rotate({turn:g} {number(x)} {number(y)})'" if turn else ""
    return (
        f"<text x='{number(x)}' y='{number(y)}' font-size='{size}' fill='{colour}' text-anchor='{anchor}' "
        f"font-weight='{weight}'{turned}>{escape(content)}</text>"
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str = GRID, width: float = 1) -> str:
    return (
        f"<line x1='{number(x1)}' y1='{number(y1)}' x2='{number(x2)}' y2='{number(y2)}' "
        f"stroke='{colour}' stroke-width='{width:g}'/>"
    )


def polyline(points: list[tuple[float, float]], colour: str, width: float = 2, opacity: float = 1) -> str:
    path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return (
        f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{width:g}' "
        f"stroke-opacity='{opacity:g}' stroke-linejoin='round' stroke-linecap='round'/>"
    )


def rectangle(x: float, y: float, width: float, height: float, fill: str, radius: float = 0) -> str:
    return (
        f"<rect x='{number(x)}' y='{number(y)}' width='{number(width)}' height='{number(height)}' "
        f"rx='{radius:g}' fill='{fill}'/>"
    )


def page(width: float, height: float, parts: list[str], title: str) -> str:
    """A whole drawing; `format_version` stands in its description as in all files of a run."""
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {number(width)} {number(height)}' "
        f"width='{number(width)}' height='{number(height)}' role='img' {FONT}>\n"
        f"<title>{escape(title)}</title>\n<desc>helix, format_version 1</desc>\n"
        + rectangle(0, 0, width, height, "#ffffff", 8)
        + "\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers that cover low … high: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]
