"""The bounds that docs/numerics.md states, on each instruction set of this machine; `make numerics-exhaustive` takes every float."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import helix
from helix import _core
from tests.ops.test_accuracy import ISAS

from . import sums, unary

ROOT = Path(__file__).parents[2]
ODD = ["expm1", "log1p", "sin", "tan", "asin", "atan", "sinh", "tanh", "asinh", "atanh"]
"""They are x at the smallest x."""


def on(isa: str, *arguments: str) -> str:
    """What a process with this instruction set prints; skips where there is none."""
    source = f"{Path(helix.__file__).parents[1]}{os.pathsep}{ROOT}"
    env = {**os.environ, "HELIX_CPU_ISA": isa, "PYTHONPATH": source}

    def run(*command: str) -> str:
        return subprocess.check_output([sys.executable, *command], env=env, cwd=ROOT, text=True)

    if run("-c", "from helix._core import cpu_isa; print(cpu_isa())").strip() != isa:
        pytest.skip(f"this machine or build has no {isa}")
    return run(*arguments)


@pytest.mark.parametrize("isa", ISAS)
def test_sums_variances_softmax_and_products_hold_their_bounds(isa):
    found = json.loads(on(isa, "-m", "tests.numerics.sums", "200000"))
    assert len(found) > 20
    assert not {name: figure for name, figure in found.items() if not figure[0] <= figure[1]}


def test_a_sum_one_after_the_other_is_seen():
    x = np.full(200_000, 0.1, np.float32)
    error = abs(float(np.cumsum(x)[-1]) - 200_000 * float(x[0])) / (200_000 * float(x[0])) / sums.EPS["float32"]
    assert error > 100 * 24


@pytest.mark.parametrize("name", unary.FUNCTIONS)
def test_functions_of_a_float_hold_their_bounds(name):
    found = unary.compare(unary.FUNCTIONS[name], unary.sample())
    assert found.worst <= unary.FUNCTIONS[name].bound and found.wrong == 0, found


@pytest.mark.parametrize("isa", ISAS)
def test_the_smallest_numbers_come_back(isa):
    call = f"print(unary.changed_subnormals({ODD}))"
    found = ast.literal_eval(on(isa, "-c", f"from tests.numerics import unary; {call}"))
    assert found == dict.fromkeys(ODD, 0)


def test_what_is_a_little_off_or_not_a_number_is_seen():
    off = replace(unary.FUNCTIONS["exp"], call=lambda x: helix.exp(x) * (1 + 6e-7 * (x.dtype == helix.float32)))
    assert unary.compare(off, unary.sample()).worst > 4
    lost = replace(
        unary.FUNCTIONS["exp"],
        call=lambda x: helix.exp(x).nan_to_num(0.0) if x.dtype == helix.float32 else helix.exp(x),
    )
    assert unary.compare(lost, unary.sample()).wrong > 0


def test_the_walk_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(unary, "KEPT", tmp_path)
    *_, found = unary.walk("exp", range(2), 65_537)
    monkeypatch.setattr(unary, "compare", None)
    *_, again = unary.walk("exp", range(2), 65_537)
    assert found == again and found.arguments == 2 * len(unary.block(0, 65_537))
    assert (tmp_path / f"exp-{_core.cpu_isa()}-65537.json").exists()


@pytest.mark.parametrize(
    "name", sorted(set(unary.FUNCTIONS) - {"gelu", "silu", "softplus", "logsigmoid", "sigmoid", "rsqrt", "exp2"})
)
def test_float64_functions_are_right_to_mpmath(name):
    """They are the reference of the float32 ones."""
    mpmath = pytest.importorskip("mpmath")
    true = getattr(mpmath, {"log2": "log", "asin": "asin"}.get(name, name))
    random = np.random.default_rng(0)
    low, high = {"acosh": (1, 50), "atanh": (-1, 1), "asin": (-1, 1), "acos": (-1, 1), "sqrt": (0, 50)}.get(
        name, (-6, 6)
    )
    if name.startswith("log"):
        low, high = 1e-3, 50
    x = random.uniform(low, high, 300)
    made = unary.FUNCTIONS[name].call(helix.from_numpy(x)).numpy()
    with mpmath.workprec(200):
        exact = [true(mpmath.mpf(float(v)), 2) if name == "log2" else true(mpmath.mpf(float(v))) for v in x]
        errors = [
            abs(mpmath.mpf(float(m)) - e) / mpmath.mpf(float(np.spacing(abs(float(e)))))
            for m, e in zip(made, exact, strict=True)
        ]
    assert max(errors) <= 4
