"""A few forks beside threads that compute; `make forks` makes 500."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import helix

from . import campaign

ROOT = Path(__file__).parents[2]


def test_children_of_a_busy_process_compute():
    """In a process of its own: what forks should not have the threads of a test runner."""
    source = f"{Path(helix.__file__).parents[1]}{os.pathsep}{ROOT}"
    done = subprocess.run(
        [sys.executable, "-m", "tests.forks", "--times", "8"],
        env={**os.environ, "PYTHONPATH": source}, cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_child_that_hangs_is_seen(monkeypatch):
    lock = threading.Lock()

    def work() -> list[float]:
        lock.acquire(blocking=True)
        return []

    monkeypatch.setattr(campaign, "PATIENCE", 0.3)
    lock.acquire()
    assert campaign.finish(campaign.fork(work, [], 0)) == 256


@pytest.mark.parametrize(("work", "status"), [(lambda: [1.0], campaign.WRONG), (lambda: 1 / 0, campaign.RAISED)])
def test_a_child_that_is_wrong_is_seen(work, status):
    assert campaign.finish(campaign.fork(work, [2.0], 0)) == status
