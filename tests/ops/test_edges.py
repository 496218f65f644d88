"""Edge values: the same on every instruction set, however memory lies, and NumPy's where its functions are the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import helix

from . import edges
from .test_accuracy import ISAS

ROOT = Path(__file__).resolve().parents[2]
OTHERS = [isa for isa in ISAS if isa != helix._core.cpu_isa()]
APART = {"sign"}
"""The sign of NaN is 0, as torch's."""

FUSED = {"selu", "expm1", "lerp", "igammac"}
"""The sign of a result that underflows depends on whether the set's products and sums are one operation."""


@pytest.fixture(scope="module")
def here():
    return edges.results()


def of_other(isa: str, folder: Path) -> dict[str, np.ndarray]:
    kept = folder / "edges.npz"
    command = [sys.executable, "-m", "tests.ops.edges", str(kept)]
    subprocess.run(command, env={**os.environ, "HELIX_CPU_ISA": isa}, cwd=ROOT, check=True)
    with np.load(kept) as found:
        return dict(found)


def differences(found: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> list[str]:
    def kinds(name: str, x: np.ndarray) -> np.ndarray:
        made = edges.kinds(x)
        return np.where(made == -1, 0, made) if name.split()[0] in FUSED else made

    return [name for name, x in found.items() if not np.array_equal(kinds(name, x), kinds(name, others[name]))]


def test_memory_does_not_matter(here):
    found, differing = here
    assert len(found) > 1000 and not differing


@pytest.mark.parametrize("isa", OTHERS)
def test_instruction_sets_agree(isa, here, tmp_path):
    others = of_other(isa, tmp_path)
    if others["_isa"] != isa:
        pytest.skip(f"this machine or build has no {isa}")
    assert not list(others["_differing"])
    assert not differences(here[0], others)


def test_a_lost_nan_and_a_lost_sign_are_seen(here):
    found = here[0]
    name = "exp float32 0"
    assert differences({name: found[name]}, {name: np.nan_to_num(found[name], nan=1.0)}) == [name]
    name = "neg float64 0"
    assert differences({name: found[name]}, {name: found[name] + 0.0}) == [name]


def test_numpy_agrees(here):
    far, compared = [], 0
    for op, dtype, arrays, keywords in edges.calls():
        function = getattr(np, {"pow": "power", "div": "divide"}.get(op, op), None)
        if not isinstance(function, np.ufunc) or dtype in ("float16", "bfloat16") or keywords or op in APART:
            continue
        with np.errstate(all="ignore"):
            try:
                wanted = function(*(a.astype(dtype) for a in arrays))
            except (TypeError, ValueError):  # integers to negative powers
                continue
        made = here[0].get(f"{op} {dtype} 0")
        if made is None or made.dtype != wanted.dtype:
            continue
        compared += 1
        if not np.array_equal(edges.kinds(made), edges.kinds(wanted)):
            far.append(f"{op} {dtype}")
    assert compared > 100 and not far, far


def test_a_floor_of_a_quotient_does_not_overflow_on_the_way():
    x, y = (
        helix.tensor([-1.7e308, 1.7e308] * 40, dtype=helix.float64),
        helix.tensor([1.5e308, -1.5e308] * 40, dtype=helix.float64),
    )
    assert set(helix.floor_divide(x, y).tolist()) == {-2.0}


def test_products_of_complex_numbers_overflow_on_the_right_side():
    x, y = helix.tensor([1e30 + 1e30j] * 40), helix.tensor([3e38 + 1e30j] * 40)
    assert x.dtype == helix.complex64
    assert set((x * y).tolist()) == {complex(np.inf, np.inf)}
