"""Every op's first sample in every form: what is exported computes what helix computes, and what is not is known, with a reason."""

from __future__ import annotations

import pytest

from tests.ops.cases import named
from tests.ops.records import has
from tests.ops.sample import Sample

from . import export_table
from .exported_ops import is_public, outcome
from .not_exported import DIFFERENT, NO_OPERATOR

SAMPLES = [(label, sample) for label, sample in named() if is_public(sample.op)]
# Cheap ones in one test: a thousand tests of two milliseconds cost more to start than to run.
FAMILIES = sorted({sample.op[0] for _, sample in SAMPLES})


def expected(label: str, sample: Sample) -> set[str]:
    if sample.op in NO_OPERATOR or label in NO_OPERATOR:
        return {"refused", "untraceable"}
    if has(sample.op, "random"):
        return {"refused", "ok"}  # dropout of probability 0 draws nothing
    if has(sample.op, "values"):
        return {"untraceable"}
    if label in DIFFERENT or sample.op in DIFFERENT:
        return {"differs", "no kernel", "untraceable"}
    return {"ok"}


@pytest.mark.parametrize("letter", FAMILIES)
def test_exported_ops_compute_what_helix_computes(letter: str) -> None:
    wrong = []
    for label, sample in SAMPLES:
        if sample.op[0] != letter:
            continue
        found, why = outcome(sample, sample.dtypes[0])
        if found not in expected(label, sample):
            wrong.append(f"{label}: {found} {why}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "int8", "uint8", "bool", "complex64"])
def test_other_dtypes(dtype: str) -> None:
    wrong, seen = [], 0
    for label, sample in SAMPLES:
        if dtype not in sample.dtypes[1:] or expected(label, sample) != {"ok"} or sample.name:
            continue
        seen += 1
        found, why = outcome(sample, dtype)
        allowed = {"ok", "no kernel", *(["refused"] if f"{sample.op} {dtype}" in NO_OPERATOR else [])}
        if found not in allowed and f"{label} {dtype}" not in DIFFERENT:
            wrong.append(f"{label} {dtype}: {found} {why}")
    assert seen > 10
    assert not wrong, "\n".join(wrong)


def test_the_table_in_the_docs_is_fresh() -> None:
    """That what it calls exported is, the tests above see."""
    assert export_table.page(lambda sample, dtype: ("ok", "")) == export_table.PAGE.read_text(encoding="utf-8"), (
        "make onnx-table"
    )


def test_a_wrong_lowering_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from helix.onnx.writing import table

    table.written()
    _, when = table._real["tanh"]
    monkeypatch.setitem(table._real, "tanh", (lambda w, x: w.Sin(x), when))
    sample = next(sample for _, sample in SAMPLES if sample.op == "tanh")
    assert outcome(sample, "float32")[0] == "differs"
