"""Curves and a table of runs over the same text: `python bytes_compare.py runs/bytes runs/bytes-mamba … [--out bytes.svg]`."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from helix.train.svg import COLOURS, INK, SOFT, line, page, polyline, text, ticks

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 400, 60, 50, 60
Points = list[tuple[float, float]]


def bits(nats: float) -> float:
    return nats / math.log(2)


def curve(folder: Path) -> tuple[Points, float]:
    """(step, bits a byte) of training, a mean over five records each, and the bits a byte of the test."""
    records = [json.loads(row) for row in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [(float(r["step"]), bits(r["loss"])) for r in records if r.get("event") == "step"]
    groups = [steps[i : i + 5] for i in range(0, len(steps), 5)]
    points = [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]
    return points, bits(next(r["test_loss"] for r in reversed(records) if r.get("event") == "epoch"))


def draw(curves: dict[str, tuple[Points, float]]) -> str:
    every = [point for points, _ in curves.values() for point in points]
    x_ticks = ticks(0, max(x for x, _ in every))
    y_ticks = ticks(min(y for _, y in every), max(y for _, y in every))
    wide, tall = WIDTH - LEFT - 30, HEIGHT - TOP - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = x / x_ticks[-1], (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return LEFT + wide * across, HEIGHT - BOTTOM - tall * up

    parts = [text(LEFT, 28, "Bits a byte while learning", 15, INK, weight=600)]
    for value in y_ticks:
        y = place(0, value)[1]
        parts += [line(LEFT, y, LEFT + wide, y), text(LEFT - 8, y + 4, f"{value:g}", 11, SOFT, "end")]
    for value in x_ticks:
        parts.append(text(place(value, y_ticks[0])[0], HEIGHT - BOTTOM + 18, f"{value:g}", 11, SOFT, "middle"))
    parts.append(text(LEFT + wide / 2, HEIGHT - 12, "step", 11, SOFT, "middle"))
    for number, (name, (points, test)) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(polyline([place(x, y) for x, y in points], colour))
        top = TOP + 16 + 20 * number
        parts += [line(LEFT + wide - 210, top - 4, LEFT + wide - 186, top - 4, colour, 3)]
        parts += [text(LEFT + wide - 180, top, f"{name}: {test:.3f} in the test", 12)]
    return page(WIDTH, HEIGHT, parts, "bits a byte")


def main(runs: list[Path], out: Path | None = None) -> dict[str, float]:
    curves = {run.name: curve(run) for run in runs}
    print("| run | steps | bits a byte, test |\n|---|---|---|")
    for name, (points, test) in curves.items():
        print(f"| {name} | {points[-1][0]:.0f} | {test:.3f} |")
    if out is not None:
        out.write_text(draw(curves))
    return {name: test for name, (_, test) in curves.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    main(options.runs, options.out)
