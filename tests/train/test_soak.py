"""Five hundred steps with everything on: memory, open files and threads stay where they were; a planted leak is seen."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path
from typing import NamedTuple

import pytest

import helix as hx
from helix import nn
from helix.data import Subset
from helix.train import Callback, EarlyStopping, Profiled, Trainer

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts by /proc")
WARM, LIMIT = 100, 2 << 20  # steps, and bytes after them that are noise


class Held(NamedTuple):
    resident: int
    files: int
    threads: int


def held() -> Held:
    gc.collect()
    hx.empty_cache()  # what this thread keeps of blocks that workers took
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Held(pages * os.sysconf("SC_PAGESIZE"), len(os.listdir("/proc/self/fd")), threading.active_count())


class Count(Callback):
    """Notes what the process holds, once warm and at the end."""

    def __init__(self) -> None:
        self.seen: list[Held] = []

    def on_step(self, trainer, session, values) -> None:
        if session.step in (WARM, session.total_steps):
            self.seen.append(held())


class Leak(Callback):
    """Keeps memory of every step, and an open file of some."""

    def __init__(self) -> None:
        self.memory, self.files = [], []

    def on_step(self, trainer, session, values) -> None:
        self.memory.append(b"\1" * 100_000)
        if session.step % 50 == 0:
            self.files.append(open(os.devnull))  # noqa: SIM115

    def close(self) -> None:
        for file in self.files:
            file.close()


def grown(blobs, folder: Path, steps: int, *more: Callback) -> Held:
    """By how much the process has grown from the warm step to the last."""
    hx.manual_seed(0)
    counter = Count()
    model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3))
    made = Trainer(
        model,
        callbacks=[counter, EarlyStopping("test_loss", 10**6), Profiled(steps=2, skip=50), *more],
        metrics=["accuracy", "f1", "auroc", "average_precision", "calibration_error"],
        max_steps=steps, epochs=10**6, batch_size=8, run_dir=folder, checkpoint_every=50, log_every=1, progress="lines", ema=0.9,
        compress="topk", precision="bfloat16", accumulate=2, grad_clip=1.0, nonfinite="skip", tensorboard=True, workers=1,
    )  # fmt: skip
    made.fit(blobs, Subset(blobs, range(12)))
    first, last = counter.seen
    return Held(*(b - a for a, b in zip(first, last, strict=True)))


def test_nothing_grows(blobs, tmp_path, capsys):
    before = held()
    found = grown(blobs, tmp_path, 500)
    assert found.resident < LIMIT and found.files <= 0 and found.threads <= 0, found
    after = held()
    assert after.files <= before.files and after.threads <= before.threads, (before, after)


def test_planted_leaks_are_seen(blobs, tmp_path, capsys):
    found = grown(blobs, tmp_path, 200, Leak())
    assert found.resident > LIMIT and found.files == 2, found
