"""Killed, stopped, or spoiled at any point: going on gives the bits of a run that never stopped."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helix.errors import CheckpointError
from helix.train import checkpoint

from .conftest import SCRIPT

STEPS = 4 * 8  # 63 training samples in batches of 8, four epochs


def digest(runs: Path) -> tuple[str, ...]:
    """Hashes of weights and optimizer, and the epochs' numbers, of the finished run below `runs`."""
    run = runs / "r"
    newest = checkpoint.newest(run / "checkpoints")
    assert newest.name == f"step-{STEPS:06d}"
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    numbers = [{k: v for k, v in r.items() if k not in ("samples_per_second", "joules")} for r in records]
    return (
        *(
            hashlib.sha256((newest / name).read_bytes()).hexdigest()
            for name in ("model.safetensors", "optim.safetensors")
        ),
        json.dumps(numbers),
    )


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> tuple[str, ...]:
    """The digest of a run that nobody stops."""
    runs, root = tmp_path_factory.mktemp("straight"), Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", SCRIPT, str(runs), "start"],
        cwd=root,
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])},
    )
    return digest(runs)


@pytest.mark.parametrize("step", [2, 4, 8, 9, 17, 24, 31, 32])
def test_sigkill_and_resume_is_bit_identical(step, process, straight, tmp_path):
    killed = process("start", HELIX_TEST_SIGNAL=f"{step},9")
    assert killed.wait() == -9
    again = process("resume")
    output = again.communicate()[0]
    assert again.returncode == 0, output
    assert digest(tmp_path / "runs") == straight


def test_killed_three_times(process, straight, tmp_path):
    assert process("start", HELIX_TEST_SIGNAL="11,9").wait() == -9
    assert process("resume", HELIX_TEST_SIGNAL="7,9").wait() == -9
    assert process("resume", HELIX_TEST_SIGNAL="2,9").wait() == -9
    assert process("resume").wait() == 0
    assert digest(tmp_path / "runs") == straight


def test_another_number_of_threads_changes_nothing(process, straight, tmp_path):
    assert process("start", HELIX_TEST_SIGNAL="13,9", HELIX_NUM_THREADS="1").wait() == -9
    assert process("resume", HELIX_NUM_THREADS="3").wait() == 0
    assert digest(tmp_path / "runs") == straight


@pytest.mark.parametrize("number", [2, 15])
def test_a_signal_saves_and_stops(number, process, straight, tmp_path):
    stopped = process("start", HELIX_TEST_SIGNAL=f"10,{number}")
    output = stopped.communicate()[0]
    assert stopped.returncode != 0 and "interrupted safely at step 10; checkpoint saved in" in output
    assert checkpoint.newest(tmp_path / "runs" / "r" / "checkpoints").name == "step-000010"
    assert process("resume").wait() == 0
    assert digest(tmp_path / "runs") == straight


def test_a_spoiled_checkpoint_is_passed_over_and_said(process, straight, tmp_path):
    assert process("start", HELIX_TEST_SIGNAL="14,9").wait() == -9
    newest = checkpoint.newest(tmp_path / "runs" / "r" / "checkpoints")
    weights = newest / "model.safetensors"
    spoiled = bytearray(weights.read_bytes())
    spoiled[-3] ^= 1
    weights.write_bytes(spoiled)
    again = process("resume")
    output = again.communicate()[0]
    assert again.returncode == 0, output
    assert "HX3002 checkpoint step-000012 is not usable: file model.safetensors fails its checksum" in output
    assert "taking step-000009 instead, 3 steps will be repeated" in output
    assert digest(tmp_path / "runs") == straight


@pytest.mark.parametrize("spoil", ["truncate", "missing", "no manifest", "manifest", "newer"])
def test_every_kind_of_damage_is_found(spoil, trainer, blobs, tmp_path):
    trainer().fit(blobs)
    folder = tmp_path / "run" / "checkpoints"
    newest, older = checkpoint.steps(folder)[:2]
    manifest = newest / "manifest.json"
    if spoil == "truncate":
        (newest / "optim.safetensors").write_bytes((newest / "optim.safetensors").read_bytes()[:-8])
    elif spoil == "missing":
        (newest / "state.json").unlink()
    elif spoil == "no manifest":
        manifest.unlink()
    elif spoil == "manifest":
        manifest.write_text("{")
    else:
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format_version": 99}))
    with pytest.warns(UserWarning, match="HX3002"):
        assert checkpoint.newest(folder) == older
    for path in checkpoint.steps(folder)[1:]:
        (path / "state.json").unlink()
    with pytest.raises(CheckpointError, match="no usable checkpoint"):
        checkpoint.newest(folder)
