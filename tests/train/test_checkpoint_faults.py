"""Every file operation of a save fails once, or the process dies there: the last good checkpoint stays."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

import helix as hx
from helix.errors import CheckpointError
from helix.train import checkpoint

OPERATIONS = ("fsync", "replace", "mkdir", "open", "write")


class Death(BaseException):
    """Stands for SIGKILL: nothing that handles errors runs on it."""


def save(folder: Path, step: int) -> None:
    weight = hx.full((64,), float(step))
    state = {"state": {"weight": {"step": step, "exp_avg": weight}}, "param_groups": [{"names": ["weight"], "lr": 0.1}]}
    checkpoint.save(folder, step, {"weight": weight}, state, {"epoch": step}, keep=2)


def loaded(folder: Path) -> int:
    found = checkpoint.load(checkpoint.newest(folder))
    assert found.model["weight"].tolist() == [float(found.step)] * 64
    assert found.optimizer["state"]["weight"]["exp_avg"].tolist() == [float(found.step)] * 64
    assert found.state["epoch"] == found.step
    return found.step


@pytest.fixture
def fail_at(monkeypatch):
    """fail_at(k, error): the k-th watched operation from now on raises; returns the count of operations so far."""
    calls = {"seen": 0, "at": -1, "error": OSError}

    def watched(original):
        def run(*args, **kwargs):
            calls["seen"] += 1
            if calls["seen"] == calls["at"]:
                raise calls["error"](28, "No space left on device")
            return original(*args, **kwargs)

        return run

    for name in OPERATIONS:
        monkeypatch.setattr(os, name, watched(getattr(os, name)))

    def arm(k: int, error: type[BaseException] = OSError) -> None:
        calls.update(seen=0, at=k, error=error)

    arm.calls = calls
    return arm


def test_an_error_at_any_operation_is_named_and_harmless(tmp_path, fail_at):
    save(tmp_path, 1)
    fail_at(-1)
    save(tmp_path, 2)
    operations = fail_at.calls["seen"]
    assert operations >= 10
    refused = 0
    for k in range(1, operations + 1):
        step = 2 + k
        fail_at(k)
        try:
            save(tmp_path, step)
        except CheckpointError as error:
            refused += 1
            assert error.code == "HX3001" and f"step {step} " in str(error)
        fail_at(-1)
        assert loaded(tmp_path) in (step - 1, step)
        save(tmp_path, step)  # the next one goes through, and leaves no litter
        assert loaded(tmp_path) == step
        assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".") or ".tmp" in p.name]
    assert refused >= 10  # the others: syncs of folders on the way, and the deletion of what is too old


def test_death_at_any_operation_leaves_a_good_checkpoint(tmp_path, fail_at, monkeypatch):
    save(tmp_path, 1)
    fail_at(-1)
    save(tmp_path, 2)
    operations = fail_at.calls["seen"]
    rmtree, dying = shutil.rmtree, []  # a dead process cleans nothing up
    monkeypatch.setattr(shutil, "rmtree", lambda *args, **kwargs: dying or rmtree(*args, **kwargs))
    for k in range(1, operations + 1):
        step = 2 + k
        fail_at(k, Death)
        dying.append(k)
        with suppress(Death):
            save(tmp_path, step)
        dying.clear()
        fail_at(-1)
        assert loaded(tmp_path) in (step - 1, step)
        save(tmp_path, step)
        assert loaded(tmp_path) == step


def test_kept_checkpoints_are_hashed_once_until_touched(tmp_path, monkeypatch):
    hashed, plain = [], checkpoint.sha256_of
    monkeypatch.setattr(checkpoint, "sha256_of", lambda path: hashed.append(path.name) or plain(path))
    for step in range(1, 6):
        save(tmp_path, step)
    assert len(hashed) == 5 * len(checkpoint.FILES)
    assert [path.name for path in checkpoint.steps(tmp_path)] == ["step-000005", "step-000004"]
    weights = tmp_path / "step-000005" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    save(tmp_path, 6)
    assert [path.name for path in checkpoint.steps(tmp_path)] == ["step-000006", "step-000005", "step-000004"]
    with pytest.warns(UserWarning, match="taking step-000004 instead"):
        (tmp_path / "step-000006" / "state.json").unlink()
        assert loaded(tmp_path) == 4
