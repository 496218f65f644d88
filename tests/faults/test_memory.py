"""The limit, the counters and the warm pool as Python sees them."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import helix
from helix import _core


@pytest.fixture
def limit():
    yield helix.set_memory_limit
    helix.set_memory_limit(0)


def test_counters_return() -> None:
    gc.collect()
    before = _core.memory_stats()
    x = helix.zeros(1000, dtype=helix.float32)
    y = (x + 1).reshape(10, 100)
    assert _core.memory_stats()["live_bytes"] >= before["live_bytes"] + 8000
    del x, y
    after = _core.memory_stats()
    for counter in ("live_bytes", "live_tensors", "live_nodes", "live_blocks"):
        assert after[counter] == before[counter], counter


def test_limit_is_checked_before_anything_is_taken(limit) -> None:
    used = _core.memory_stats()["live_bytes"]
    limit(used + (1 << 20))
    with pytest.raises(MemoryError) as caught:
        helix.zeros(1 << 20, dtype=helix.float64)
    message = str(caught.value)
    assert message.startswith("HX1402 zeros: ") and "8.0 MiB" in message and "in use" in message
    assert _core.memory_stats()["live_bytes"] == used
    assert helix.zeros(1000).sum().item() == 0


def test_absurd_sizes() -> None:
    for shape in [(100_000, 100_000), (2**40,), (2**59,)]:
        with pytest.raises(MemoryError):
            helix.zeros(shape, dtype=helix.float64)
    with pytest.raises(OverflowError):
        helix.zeros((2**62, 2**62))
    with pytest.raises(OverflowError):
        helix.zeros((2**62,), dtype=helix.float64)


def test_peak() -> None:
    _core.reset_peak_memory()
    before = _core.memory_stats()["live_bytes"]
    helix.zeros(1 << 20, dtype=helix.float32)
    peak = _core.memory_stats()["peak_bytes"]
    assert peak >= before + (4 << 20)
    _core.reset_peak_memory()
    assert _core.memory_stats()["peak_bytes"] < peak


def test_a_peak_does_not_depend_on_what_other_threads_freed() -> None:
    freed, done = threading.Event(), threading.Event()

    def work() -> None:
        held = [helix.zeros(800) for _ in range(25)]  # 80 KB in small blocks, reported
        del held[10:]  # and half of it back, which is not worth a report
        freed.set()
        done.wait()

    thread = threading.Thread(target=work)
    thread.start()
    freed.wait()
    _core.reset_peak_memory()
    stats = _core.memory_stats()
    done.set()
    thread.join()
    assert stats["peak_bytes"] - stats["live_bytes"] < 2000


def test_a_peak_begins_without_the_numbers_that_calls_keep() -> None:
    x = helix.ones(2)
    _core.reset_peak_memory()
    before = _core.memory_stats()
    for i in range(64):
        x + (i + 0.25)
    _core.reset_peak_memory()
    assert _core.memory_stats()["peak_bytes"] == before["live_bytes"]


def test_freed_memory_is_kept_and_given_back() -> None:
    del_me = helix.ones(8 << 20, dtype=helix.float32)
    del del_me
    assert _core.memory_stats()["cached_bytes"] >= 32 << 20
    helix.empty_cache()
    assert _core.memory_stats()["cached_bytes"] < 32 << 20


LIMITED = """
import resource, numpy, helix
helix.ones(10).sum().item()
def used():
    for line in open("/proc/self/status"):
        if line.startswith("VmSize"):
            return int(line.split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used() + (256 << 20),) * 2)
try:
    helix.ones(1 << 30, dtype=helix.float32)
except MemoryError as error:
    assert "HX1402" in str(error), error
else:
    raise SystemExit("no error")
x = helix.ones(256, 256)
for step in range(100):
    x = x @ x / 256
assert x.sum().item() == 65536
"""


def test_the_system_refuses() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], capture_output=True, text=True, env={**os.environ, "HELIX_NUM_THREADS": "2"}
    )
    assert done.returncode == 0, done.stderr


def test_no_leak_on_errors() -> None:
    """Ten thousand failing calls leave nothing."""
    a, b = helix.zeros(3, 4), helix.zeros(5, 6)
    gc.collect()
    before = _core.memory_stats()
    count = sys.getrefcount(a), sys.getrefcount(b)
    for _ in range(2500):
        for wrong in (lambda: a @ b, lambda: a + b, lambda: a.reshape(5, 5), lambda: a.sum(dim=7)):
            with pytest.raises(helix.errors.HelixError):
                wrong()
    gc.collect()
    after = _core.memory_stats()
    assert (sys.getrefcount(a), sys.getrefcount(b)) == count
    for counter in ("live_bytes", "live_tensors", "live_nodes"):
        assert after[counter] == before[counter], counter


def test_fork_keeps_working() -> None:
    x = np.random.default_rng(0).normal(size=(300, 300)).astype(np.float32)
    t = helix.tensor(x)
    wanted = (t @ t).numpy()
    for _ in range(20):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                again = helix.tensor(x, requires_grad=True)
                (again @ again).sum().backward()
                status = 0 if np.array_equal((t @ t).numpy(), wanted) else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
