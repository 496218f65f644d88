"""curve.svg: how loss and metrics went, for training and test."""

from __future__ import annotations

import math
from typing import Any

from .svg import COLOURS, INK, SOFT, line, page, polyline, text, ticks

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 20, 44, 46


def draw(title: str, steps: list[dict[str, Any]], epochs: list[dict[str, Any]]) -> str:
    """One panel for the loss and one for each metric; `steps` and `epochs` are records of metrics.jsonl."""
    names = [key.removeprefix("test_") for key in (epochs[-1] if epochs else {}) if key.startswith("test_")]
    names = names or ["loss"]
    parts = [text(LEFT - 34, 24, title, 15, weight=600)]
    for i, name in enumerate(names):
        parts += _panel(i * WIDTH, name, steps if name == "loss" else [], epochs)
    return page(WIDTH * len(names), HEIGHT + 14, parts, title)


def _series(records: list[dict[str, Any]], key: str) -> list[tuple[float, float]]:
    return [(r["step"], r[key]) for r in records if isinstance(r.get(key), float) and math.isfinite(r[key])]


def _panel(left: float, name: str, steps: list[dict[str, Any]], epochs: list[dict[str, Any]]) -> list[str]:
    faint = _series(steps, "loss")
    lines = [("train", _series(epochs, f"train_{name}")), ("test", _series(epochs, f"test_{name}"))]
    points = faint + [p for _, series in lines for p in series]
    if not points:
        return []
    ys = sorted(y for _, y in points)
    low, high = (
        ys[0],
        ys[-1] if not faint else max(ys[int(0.98 * (len(ys) - 1))], *(y for _, s in lines for _, y in s), ys[0]),
    )
    y_ticks = ticks(low, high)
    x_ticks = ticks(0, max(x for x, _ in points))
    x0, y0 = left + LEFT, HEIGHT - BOTTOM + 14
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = x0 + wide * (point[0] - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        share = (point[1] - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return x, y0 - tall * min(max(share, 0.0), 1.0)

    parts = _axes(x0, y0, wide, tall, x_ticks, y_ticks, place)
    if faint:
        parts.append(polyline([place(p) for p in faint], COLOURS[0], 1, 0.28))
    for colour, (_, series) in zip(COLOURS, lines, strict=False):
        if series:
            parts.append(polyline([place(p) for p in series], colour, 2.2))
            x, y = place(series[-1])
            parts.append(f"<circle cx='{x:.2f}' cy='{y:.2f}' r='3' fill='{colour}'/>")
    return parts + _legend(left + WIDTH - RIGHT, name, lines)


def _axes(x0, y0, wide, tall, x_ticks, y_ticks, place) -> list[str]:
    parts = []
    for value in y_ticks:
        y = place((x_ticks[0], value))[1]
        parts += [line(x0, y, x0 + wide, y), text(x0 - 8, y + 4, f"{value:g}", 11, SOFT, "end")]
    for value in x_ticks:
        x = place((value, y_ticks[0]))[0]
        parts += [line(x, y0, x, y0 + 4, SOFT), text(x, y0 + 18, f"{value:g}", 11, SOFT, "middle")]
    return parts + [line(x0, y0, x0 + wide, y0, SOFT), text(x0 + wide / 2, y0 + 36, "step", 11, SOFT, "middle")]


def _legend(right: float, name: str, lines) -> list[str]:
    parts, x = [], right
    for colour, (label, series) in reversed(list(zip(COLOURS, lines, strict=False))):
        if series:
            content = f"{label} {series[-1][1]:.4g}"
            x -= 6.4 * len(content)
            parts += [text(x, 42, content, 12, INK), line(x - 20, 38, x - 6, 38, colour, 3)]
            x -= 34
    return parts + [text(right - WIDTH + LEFT + RIGHT, 42, name.replace("_", " "), 13, INK, weight=600)]
