"""A small run that every test can start, in this process or in one that can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import helix as hx
from helix import data, nn
from helix.train import Trainer

SCRIPT = """
import sys
import helix as hx
from helix.train import resume, start
from helix.train.config import check
runs, act = sys.argv[1], sys.argv[2]
if act == "start":
    start(check({"name": "r", "runs": runs, "seed": 4, "data": {"source": "python"},
                 "model": {"kind": "tests.train.parts:model"},
                 "train": {"epochs": 4, "batch_size": 8, "checkpoint_every": 3, "log_every": 1}}),
          __import__("tests.train.parts", fromlist=["x"]).blobs(), progress="lines")
else:
    resume(runs + "/r", __import__("tests.train.parts", fromlist=["x"]).blobs(), progress="lines")
"""


@pytest.fixture
def blobs() -> data.TensorDataset:
    from .parts import blobs

    return blobs()


@pytest.fixture
def process(tmp_path: Path):
    """process("start" | "resume", **environment) runs the training in a process of its own."""
    root = Path(__file__).parents[2]

    def run(act: str, **environment: str) -> subprocess.Popen:
        paths = os.pathsep.join([str(root), *sys.path])
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "runs"), act],
            cwd=root,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": paths, **environment},
        )

    return run


@pytest.fixture
def trainer(tmp_path: Path):
    """A trainer of a fresh small model; keywords go to Trainer."""

    def make(**settings) -> Trainer:
        hx.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
        return Trainer(
            model,
            **{"epochs": 2, "batch_size": 8, "run_dir": tmp_path / "run", "progress": "none", "lr": 1e-2, **settings},
        )

    return make
