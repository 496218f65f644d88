"""A schedule drawn: learning rate over steps, a line for each group that differs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...train.svg import COLOURS, INK, SOFT, line, page, polyline, text, ticks

if TYPE_CHECKING:
    from .base import LRScheduler

WIDTH, HEIGHT = 520, 300
LEFT, RIGHT, TOP, BOTTOM = 76, 20, 40, 48


def draw(schedule: LRScheduler, steps: int, path: str | Path | None = None) -> str:
    """The SVG of the next `steps` steps, written to `path` if given."""
    if steps < 2:
        raise ValueError(f"plot: steps must be at least 2, got {steps}")
    curves = [list(curve) for curve in dict.fromkeys(zip(*schedule.rates(steps), strict=True))]
    first = schedule.last_epoch
    levels, marks = ticks(min(map(min, curves)), max(map(max, curves))), ticks(first, first + steps - 1)
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(step: float, rate: float) -> tuple[float, float]:
        x = LEFT + wide * (step - marks[0]) / (marks[-1] - marks[0])
        return x, TOP + tall * (levels[-1] - rate) / (levels[-1] - levels[0])

    name = type(schedule).__name__
    parts = [text(LEFT, 24, name, 14, INK, weight=600)]
    for level in levels:
        y = place(marks[0], level)[1]
        parts += [line(LEFT, y, LEFT + wide, y), text(LEFT - 8, y + 4, f"{level:g}", 11, SOFT, "end")]
    for mark in marks:
        x = place(mark, levels[0])[0]
        parts.append(text(x, TOP + tall + 18, f"{mark:g}", 11, SOFT, "middle"))
    parts.append(text(LEFT + wide / 2, TOP + tall + 38, "step", 11, SOFT, "middle"))
    for i, curve in enumerate(curves):
        points = [place(first + at, rate) for at, rate in enumerate(curve)]
        parts.append(polyline(points, COLOURS[i % len(COLOURS)]))
    drawing = page(WIDTH, HEIGHT, parts, f"{name}: learning rate over {steps} steps")
    if path is not None:
        Path(path).write_text(drawing, encoding="utf-8")
    return drawing
