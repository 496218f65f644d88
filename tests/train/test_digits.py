"""The examples over handwritten digits reach the accuracy that docs/digits.md says they do."""

from __future__ import annotations

from pathlib import Path

import pytest

from helix.train import start
from helix.train.config import read

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize(("example", "wanted"), [("digits-mlp", 0.97), ("digits-cnn", 0.985), ("digits-lstm", 0.94)])
def test_accuracy_on_digits_held_back(example, wanted, tmp_path):
    config = read(EXAMPLES / f"{example}.toml")
    config.runs = str(tmp_path)
    run = start(config, progress="none")
    assert run.summary["test"]["accuracy"] >= wanted


@pytest.mark.parametrize(("example", "epochs", "wanted"), [("digits-vit", 4, 0.2), ("digits-mamba", 3, 0.85)])
def test_the_longer_ones_learn(example, epochs, wanted, tmp_path):
    config = read(EXAMPLES / f"{example}.toml")
    config.runs, config.train.epochs, config.schedule.warmup_steps = str(tmp_path), epochs, 5
    run = start(config, progress="none")
    assert run.summary["test"]["accuracy"] >= wanted
