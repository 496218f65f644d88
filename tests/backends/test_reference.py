"""The plugin in C: compiled against the public header alone, it passes the conformance kit."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import helix

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "plugins" / "helix-backend-reference" / "src" / "helix_backend_reference"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("needs a C compiler")
    headers = tmp_path_factory.mktemp("headers")  # the public header and nothing else of the core
    (headers / "helix").mkdir()
    shutil.copy(Path(helix.get_include()) / "helix" / "backend.h", headers / "helix")
    made = headers / "reference.so"
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2", "-shared", "-fPIC", "-fvisibility=hidden"]
    subprocess.run([compiler, *flags, f"-I{headers}", str(SOURCES / "backend.c"), "-o", str(made), "-lm"], check=True)
    return made


def run(library, tmp_path, *command):
    own = {"HELIX_BACKEND_PATH": str(library), "HELIX_CACHE_DIR": str(tmp_path)}
    return subprocess.run([sys.executable, *command], env={**os.environ, **own}, capture_output=True, text=True)


def test_it_passes_the_kit(library, tmp_path):
    out = tmp_path / "out.json"
    stages = [f"--stage={s}" for s in ("t0_abi", "t1_memory", "t2_order", "t3_primitives", "t4_native", "t7_stress")]
    ran = run(library, tmp_path, "-m", "helix.testing.conformance", "reference", *stages, "--json", str(out))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    passed = {r["op"] for r in json.loads(out.read_text())["results"] if r["state"] == "pass" and "op" in r}
    assert {"add", "mul", "div", "neg", "exp", "log", "sqrt", "relu", "sum", "matmul"} <= passed


def test_a_model_trains_on_it_with_the_host(library, tmp_path):
    program = (
        "from helix.testing.stages.train import losses\nimport helix\nhelix.set_fallback('host')\n"
        "here, there = losses('MLP', 'cpu'), losses('MLP', 'reference')\n"
        "assert max(abs(a - b) for a, b in zip(here, there)) < 1e-3 and there[-1] < there[0]\n"
        "assert 'matmul' not in helix.backends.fallback_stats()['reference:0']"
    )
    ran = run(library, tmp_path, "-c", program)
    assert ran.returncode == 0, ran.stderr
