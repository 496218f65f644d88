"""confusion.svg: which class was taken for which."""

from __future__ import annotations

from collections.abc import Sequence

from .svg import INK, SOFT, page, rectangle, text

SHADE = (37, 99, 235)


def matrix(targets: Sequence[int], predicted: Sequence[int], classes: int) -> list[list[int]]:
    """counts[target][predicted]"""
    counts = [[0] * classes for _ in range(classes)]
    for target, guess in zip(targets, predicted, strict=True):
        counts[target][guess] += 1
    return counts


def draw(counts: list[list[int]], names: Sequence[str], title: str) -> str:
    """Rows are targets, columns are guesses; shades are shares of a row."""
    n = len(counts)
    cell = 40 if n <= 16 else max(14, 640 // n)
    longest = max(len(name) for name in names)
    left, top = max(64, 34 + 7 * longest), 84
    right = left + cell * n
    parts = [
        text(24, 30, title, 15, weight=600),
        text(left + cell * n / 2, 54, "predicted", 12, SOFT, "middle"),
        text(20, top + cell * n / 2, "true", 12, SOFT, "middle", turn=-90),
        text(right + 14, top - 10, "recall", 11, SOFT),
    ]
    for i, row in enumerate(counts):
        total = sum(row)
        y = top + i * cell
        parts.append(text(left - 10, y + cell / 2 + 4, names[i], 12, INK, "end"))
        parts.append(
            text(left + (i + 0.5) * cell, top - 10, names[i], 12, INK, "middle")
            if longest <= 4
            else text(left + (i + 0.5) * cell, top - 8, names[i], 10, INK, "start", turn=-40)
        )
        parts.append(text(right + 14, y + cell / 2 + 4, f"{row[i] / total:.1%}" if total else "none", 11, SOFT))
        for j, count in enumerate(row):
            share = count / total if total else 0.0
            parts.append(rectangle(left + j * cell + 1, y + 1, cell - 2, cell - 2, _shade(share), 3))
            if count and cell >= 20:
                parts.append(
                    text(
                        left + (j + 0.5) * cell,
                        y + cell / 2 + 4,
                        str(count),
                        12,
                        "#ffffff" if share > 0.55 else INK,
                        "middle",
                    )
                )
    return page(right + 70, top + cell * n + 24, parts, title)


def _shade(share: float) -> str:
    """From a light grey to blue; any mistake at all is visible."""
    if share == 0:
        return "#f3f4f6"
    strength = 0.12 + 0.88 * share
    return "#" + "".join(f"{round(255 + (channel - 255) * strength):02x}" for channel in SHADE)
