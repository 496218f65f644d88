"""Writes the table of docs/onnx.md: what passes of the node tests of the onnx package, operator by operator.

python -m tests.onnx.table          or with --check, to fail where it is stale
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from . import backend

PAGE = Path(__file__).resolve().parents[2] / "docs" / "onnx.md"
HEADING = "## Every operator\n"


def head(found: Sequence[backend.Outcome], every: Sequence[Any]) -> str:
    """The count."""
    passed, others = sum(outcome.passed for outcome in found), len(every) - len(found)
    return (
        f"Of the {len(every)} node tests of onnx {onnx.__version__} {len(found)} use dtypes that helix has; {passed} of them pass\n"
        f"({100 * passed / len(found):.1f} %). The other {others} are about texts, float8, float4, 2- and 4-bit integers, and ai.onnx.ml.\n"
        "Tests of an operator's definition in other operators count for it. Written by `make onnx-table`."
    )


def text(found: Sequence[backend.Outcome], every: Sequence[Any]) -> str:
    """The last section of the page."""
    counts: dict[str, list[int]] = {}
    for outcome in found:
        row = counts.setdefault(outcome.op.removesuffix(" (as defined)"), [0, 0])
        row[0] += outcome.passed
        row[1] += 1
    lines = [
        HEADING,
        head(found, every),
        "",
        "| operator | passed | of | operator | passed | of | operator | passed | of |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    rows = [f"{op} | {good} | {all_}" for op, (good, all_) in sorted(counts.items(), key=lambda item: item[0].lower())]
    third = -(-len(rows) // 3)
    columns = [rows[i * third : (i + 1) * third] for i in range(3)]
    for i in range(third):
        lines.append("| " + " | ".join(column[i] if i < len(column) else " | | " for column in columns) + " |")
    lines += ["", "Not passed:", "", "| test | why |", "|---|---|"]
    lines += [f"| {o.name.removeprefix('test_')} | {backend.reason(o)} |" for o in found if not o.passed]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    every = backend.cases()
    plain = [case for case in every if backend.is_plain(case)]
    page = PAGE.read_text()
    made = page.split(HEADING)[0] + text(backend.outcomes(plain), every)
    if options.check and made != page:
        print(f"{PAGE} is stale: make onnx-table")
        return 1
    PAGE.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
