"""docs/onnx-ops.md: which public ops are exported, from their samples. `python -m tests.onnx.export_table`; part of `make onnx-table`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.ops.cases import named
from tests.ops.records import RECORDS, has

from .exported_ops import is_public, outcome
from .not_exported import DIFFERENT, NO_OPERATOR

PAGE = Path(__file__).parents[2] / "docs" / "onnx-ops.md"
COLUMNS = 6


def exported(measured: Callable[..., tuple[str, str]] = outcome) -> tuple[list[str], dict[str, str]]:
    """The ops of which every sample is exported (but for those in not_exported.py), and the others with the reason."""
    yes: dict[str, bool] = {}
    why: dict[str, str] = {}
    for label, sample in named():
        one = label != sample.op and sample.op not in NO_OPERATOR  # a sample of an op of which others are exported
        if not is_public(sample.op) or (one and (label in NO_OPERATOR or label in DIFFERENT)):
            continue
        if has(sample.op, "random") and sample.op not in ("dropout", "feature_dropout"):
            yes[sample.op], why[sample.op] = False, "draws random numbers"
        elif has(sample.op, "random"):
            yes[sample.op] = True  # does nothing in eval mode
        elif has(sample.op, "values"):
            yes[sample.op], why[sample.op] = False, "the shape of the result depends on values"
        elif sample.op in NO_OPERATOR:
            yes[sample.op], why[sample.op] = False, NO_OPERATOR[sample.op]
        else:
            found, told = measured(sample, sample.dtypes[0])
            good = found == "ok" or sample.op in DIFFERENT
            yes[sample.op] = yes.get(sample.op, True) and good
            if not good:
                why[sample.op] = told
    return sorted(op for op, good in yes.items() if good), {op: why[op] for op in sorted(yes) if not yes[op]}


def page(measured: Callable[..., tuple[str, str]] = outcome) -> str:
    ops, others = exported(measured)
    record = [op for op in [*ops, *others] if op in RECORDS]
    lines = [
        "# Ops in ONNX",
        "",
        f"Of the {len(record)} public ops with a sample in `tests/ops/samples`, {len(ops)} are exported: each sample is written, and run "
        "under onnxruntime beside helix. Functions and layers made of them are exported too. Written by `make onnx-table`.",
        "",
        "| " + " | ".join(["op"] * COLUMNS) + " |",
        "|" + "---|" * COLUMNS,
    ]
    for i in range(0, len(ops), COLUMNS):
        row = ops[i : i + COLUMNS]
        lines.append("| " + " | ".join([*row, *[""] * (COLUMNS - len(row))]) + " |")
    lines += [
        "",
        "Not exported:",
        "",
        "| op | why |",
        "|---|---|",
        *[f"| {op} | {why} |" for op, why in others.items()],
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
