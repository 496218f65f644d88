"""The check of `make wheel`: a wheel under 10 MB passes, a larger one or none does not."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "wheel_size.py"


@pytest.mark.parametrize(("size", "status"), [(9_999_999, 0), (10_000_000, 1), (None, 1)])
def test_limit(tmp_path, size, status):
    if size is not None:
        with open(tmp_path / "helix.whl", "wb") as file:
            file.truncate(size)
    run = subprocess.run([sys.executable, TOOL, tmp_path], capture_output=True, text=True)
    assert run.returncode == status, run.stderr
    assert size is None or "10.00 MB" in run.stdout
