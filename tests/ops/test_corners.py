"""Corner values over all ops: a result or a typed error, never a crash, a hang or another exception."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .samples import SAMPLES

ROOT = Path(__file__).resolve().parents[2]
GROUPS = 8
SECONDS = 240


def run_corners(ops: list[str], module: str = "tests.ops.corners") -> tuple[int, list[str]]:
    """Cases run, and findings. After a crash the rest of the ops go on in a new process."""
    cases, findings = 0, []
    while ops:
        try:
            done = subprocess.run(
                [sys.executable, "-m", module, *ops], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS
            )
            output, status = done.stdout, done.returncode
        except subprocess.TimeoutExpired as late:
            output, status = (late.stdout or b"").decode(), f"no end after {SECONDS} s"
        lines = output.splitlines()
        announced = [line for line in lines if line.startswith(("@ ", "\r@ "))]
        findings += [line for line in lines if line.startswith("FINDING")]
        cases += len(announced)
        if status == 0:
            break
        last = announced[-1].split()[1] if announced else ops[0]
        tail = done.stderr[-800:] if isinstance(status, int) else ""
        findings.append(f"FINDING exit {status} in {announced[-1] if announced else ops[0]}\n{tail}")
        ops = ops[ops.index(last) + 1 :]
    return cases, findings


def ops_in_order() -> list[str]:
    return list(dict.fromkeys(sample.op for sample in SAMPLES))


@pytest.mark.parametrize("group", range(GROUPS))
@pytest.mark.timeout(SECONDS * 3)
def test_corner_values(group: int) -> None:
    ops = ops_in_order()[group::GROUPS]
    cases, findings = run_corners(ops)
    print(f"{cases} cases over {len(ops)} ops")
    assert not findings, "\n".join(findings[:40]) + f"\n{len(findings)} findings"
    assert cases > 0 or not ops


def test_a_crash_and_a_foreign_exception_are_seen() -> None:
    _, findings = run_corners(ops_in_order()[:1], "tests.ops.planted_crash")
    assert any("RuntimeWarning" in f for f in findings)
    assert any("exit -11" in f for f in findings)
