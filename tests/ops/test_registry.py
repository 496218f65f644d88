"""The registry: every public op is documented and has a sample, and primitives stay few."""

from __future__ import annotations

import re

import pytest

import helix

from .records import PUBLIC, RECORDS, has
from .sample import Sample
from .samples import SAMPLES

MOST_PRIMITIVES = 120


def without_sample(public: set[str], samples: list[Sample]) -> set[str]:
    return public - {sample.op for sample in samples}


def test_every_public_op_has_a_sample() -> None:
    missing = without_sample(set(PUBLIC), SAMPLES)
    assert not missing, f"ops without a sample in tests/ops/samples: {sorted(missing)}"


def test_primitives_are_few() -> None:
    primitives = sorted(name for name, record in RECORDS.items() if "primitive" in record["flags"])
    print(f"{len(primitives)} primitives of {len(RECORDS)} ops: {' '.join(primitives)}")
    assert len(primitives) <= MOST_PRIMITIVES


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_docstring(name: str) -> None:
    doc = helix._core.op_named(name).__doc__ or ""
    body = [line for line in doc.splitlines() if line.strip()]
    assert body, f"{name} has no docstring"
    assert any(len(line.split()) >= 2 for line in body), f"{name}: the docstring says nothing"


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_gradient_is_said(name: str) -> None:
    """An op has a vjp, is a composite of ops that have one, or says that it is not differentiable."""
    record = RECORDS[name]
    assert record["has_vjp"] or record["has_decomposition"] or has(name, "non_diff"), name


def test_names_are_python_names() -> None:
    for name, record in PUBLIC.items():
        for each in (name, *record["aliases"]):
            assert re.fullmatch(r"[a-z_][a-z0-9_]*", each), each


def test_a_missing_sample_is_seen() -> None:
    assert without_sample({*PUBLIC, "an_op_of_no_family"}, SAMPLES) >= {"an_op_of_no_family"}
