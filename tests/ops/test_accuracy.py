"""How far float32 and float64 functions may be from the true value, on every instruction set of this machine."""

import json
import math
import os
import platform
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import helix
from helix import _core

from .accuracy import FLOAT32, FLOAT64, SPECIAL, figures, worst

ROOT = Path(__file__).parents[2]
ISAS = ("scalar", "neon") if platform.machine() in ("aarch64", "arm64") else ("scalar", "avx2", "avx512")
CLOSEST = {"tanh": 2, "erf": 2}
LOOSEST = {"erfc": 4, "erfinv": 3}  # of float64
NAMES = sorted(
    (FLOAT32.keys() | FLOAT64.keys()) - SPECIAL.keys()
)  # mpmath takes its time: tests/test_special.py has these


@cache
def measured(isa: str) -> dict[str, dict[str, float]]:
    """Another set than this process has is measured in a process of its own."""
    if isa == _core.cpu_isa():
        return figures(NAMES)
    env = {**os.environ, "HELIX_CPU_ISA": isa}
    chosen, command = (
        "from helix._core import cpu_isa; print(cpu_isa())",
        [sys.executable, "-m", "tests.ops.accuracy", *NAMES],
    )
    if subprocess.check_output([sys.executable, "-c", chosen], env=env, cwd=ROOT, text=True).strip() != isa:
        pytest.skip(f"this machine or build has no {isa}")
    return json.loads(subprocess.check_output(command, env=env, cwd=ROOT, text=True))


@pytest.mark.parametrize("isa", ISAS)
def test_functions_are_right_to_a_few_units_of_the_last_place(isa):
    found = measured(isa)
    assert set(found["float32"]) | set(found["float64"]) == set(NAMES)
    far = {name: ulp for name, ulp in found["float32"].items() if not ulp <= CLOSEST.get(name, 4)}
    far |= {name: ulp for name, ulp in found["float64"].items() if not ulp <= LOOSEST.get(name, 2)}
    assert not far


def test_a_function_that_is_a_little_off_is_seen():
    off = replace(FLOAT32["exp"], function=lambda x: helix.exp(x) * (1 + 6e-7))
    assert worst(FLOAT32["exp"], np.float32, np.float64) <= 1.5 < 4 < worst(off, np.float32, np.float64)


@pytest.mark.parametrize("dtype", [helix.float32, helix.float64])
def test_logarithms_of_powers_are_whole(dtype):
    most = 11 if dtype == helix.float32 else 23  # the last power of ten that the type holds
    assert helix.log10(helix.tensor([10.0**k for k in range(most)], dtype=dtype)).tolist() == [*range(most)]
    powers = range(-140, 128) if dtype == helix.float32 else range(-1070, 1024)
    assert helix.log2(helix.tensor([2.0**k for k in powers], dtype=dtype)).tolist() == [*powers]


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_angles_in_one_block_that_need_another_reduction_each(name):
    """Near multiples of pi / 2, beyond the reduction by four parts of it, and what has no sine at all."""
    x = np.array([math.pi, 314159265.35, 1e22, -1e300, 22 * math.pi / 2, -0.0, 1.0, math.inf, math.nan])
    made = getattr(helix, name)(helix.tensor(x)).numpy()
    true = [getattr(math, name)(v) if math.isfinite(v) else math.nan for v in x]
    np.testing.assert_array_max_ulp(made[:-2], np.array(true[:-2]), 2)
    assert np.isnan(made[-2:]).all() and np.signbit(made[5]) == np.signbit(true[5])


@pytest.mark.parametrize("dtype", [helix.float32, helix.float64])
@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_saturation_is_exact_and_odd(name, dtype):
    function = getattr(helix, name)
    far = helix.tensor(
        [9.9, 20.0, 300.0, 1e30, math.inf] if dtype == helix.float32 else [20.0, 300.0, math.inf], dtype=dtype
    )
    assert (function(far) == 1).all() and (function(-far) == -1).all()
    assert math.isnan(function(helix.tensor(math.nan, dtype=dtype)).item())
    assert math.copysign(1, function(helix.tensor(-0.0, dtype=dtype)).item()) == -1
