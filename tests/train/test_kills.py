"""A slice of `make kills`, each kind in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("kind", "count"), [("saves", 20), ("resumes", 2), ("bits", 100)])
def test_kills(kind, count):
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.kills", kind, str(count)],
        cwd=ROOT,
        text=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    assert done.returncode == 0, done.stderr
