"""Dispatch costs what it cost: instructions for a call, counted by callgrind, within 5 % of the kept table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import helix

instructions = pytest.importorskip("asv_benchmarks.instructions", reason="needs the repository's root on the path")

REPORT = """ob=(1) /lib/libc.so
fn=(1) malloc
10 100
ob=(2) /helix/_core.so
fn=(2) hx_dispatch
20 5
+3 7
cob=(1)
cfn=(1)
calls=1 10
+1 4000
* 2
ob=(1)
fn=(1)
-2 50
"""


def test_only_a_module_s_own_instructions_count() -> None:
    assert instructions.in_module(REPORT, "/helix/_core.so") == 14
    assert instructions.in_module(REPORT, "/lib/libc.so") == 150


def test_a_call_runs_as_many_instructions_as_it_did() -> None:
    kept = json.loads(instructions.TABLE.read_text())
    built = instructions.compiler(Path(str(helix._core.__file__)).resolve())
    if not instructions.available():
        pytest.skip("valgrind is not installed")
    if built != kept["compiler"]:
        pytest.skip(
            f"the table is of {kept['compiler']}, the module of {built}: python -m asv_benchmarks.instructions --keep"
        )
    found = instructions.count()["calls"]
    moved = {name: (was, found[name]) for name, was in kept["calls"].items() if abs(found[name] / was - 1) > 0.05}
    assert not moved, f"{moved}: if that is meant, python -m asv_benchmarks.instructions --keep"
