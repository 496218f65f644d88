"""Kills while checkpoints are written and while a model is trained, and damage to what was written; as a program, by the number.

python -m tests.train.kills saves 1000 | resumes 20 | bits 10000
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import helix as hx
from helix import data, nn
from helix.train import Trainer, checkpoint

# ---- SIGKILL while saving ----------------------------------------------------------------------------------


def save(folder: Path, step: int) -> None:
    """A checkpoint in which every number tells its step."""
    weights = {f"layer.{i}.weight": hx.full((64, 32), float(step)) for i in range(4)}
    state = {name: {"step": step, "exp_avg": value} for name, value in weights.items()}
    groups = [{"names": list(weights), "lr": 0.1}]
    checkpoint.save(folder, step, weights, {"state": state, "param_groups": groups}, {"epoch": step}, keep=2)


def loaded_step(folder: Path) -> int:
    """The step of the checkpoint that is loaded; AssertionError when it is torn."""
    found = checkpoint.load(checkpoint.newest(folder))
    for name, value in found.model.items():
        parts = (value, found.optimizer["state"][name]["exp_avg"])
        assert all(part.min().item() == part.max().item() == found.step for part in parts), f"torn: step {found.step}"
        assert found.optimizer["state"][name]["step"] == found.step
    assert found.state["epoch"] == found.step
    return found.step


def kills_while_saving(folder: Path, kills: int, seed: int = 0) -> int:
    """Kills a process that saves without end, each time at a random moment of a save; how many saves were cut short.

    After each kill the newest checkpoint is whole, and no older than the last one that the process had reported.
    """
    chance, cut = random.Random(seed), 0
    save(folder, 1)
    began = time.perf_counter()
    for step in (2, 3, 4):
        save(folder, step)
    duration, step = (time.perf_counter() - began) / 3, 4
    for _ in range(kills):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            while True:
                step += 1
                save(folder, step)
                os.write(writer, step.to_bytes(8, "little"))
        os.close(writer)
        time.sleep(chance.uniform(0.0, 2.0 * duration))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(reader, "rb") as pipe:
            told = pipe.read()
        reported = int.from_bytes(told[-8:], "little") if told else step
        cut += any(path.name.startswith(".") for path in folder.iterdir())
        found = loaded_step(folder)
        assert found >= reported, f"step {reported} was reported, {found} is loaded"
        step = found
    return cut


# ---- SIGKILL while training --------------------------------------------------------------------------------

STEPS_AN_EPOCH = 10


def blobs() -> data.TensorDataset:
    generator = hx.Generator()
    generator.manual_seed(7)
    labels = hx.arange(320) % 4
    points = hx.randn(320, 6, generator=generator) + labels.reshape(320, 1).to(hx.float32)
    return data.TensorDataset(points, labels, task="classification", classes=("a", "b", "c", "d"))


class Watched(nn.Sequential):
    """Batch norm and dropout inside; notes what it is given, and dies in step `die_at` of this process."""

    die_at: int | None = None
    calls = 0
    seen: Path | None = None

    def forward(self, x):
        if self.training:
            Watched.calls += 1
            if Watched.calls == Watched.die_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)


def train(folder: Path, resume: bool, die_at: int | None, epochs: int) -> None:
    hx.manual_seed(0)
    Watched.die_at, Watched.calls = die_at, 0
    model = Watched(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 4))
    trainer = Trainer(
        model, epochs=epochs, batch_size=16, accumulate=2, precision="float16", ema=0.95, run_dir=folder, checkpoint_every=3,
        log_every=1, progress="none", seed=11, workers=2,
    )  # fmt: skip
    trainer.fit(blobs(), resume=resume)


def in_child(folder: Path, resume: bool, die_at: int | None, epochs: int) -> int:
    """The exit status of a process that trains."""
    child = os.fork()
    if child == 0:
        try:
            train(folder, resume, die_at, epochs)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def digest(folder: Path, steps: int) -> tuple[str, ...]:
    """Weights, optimizer, average, and every number that was recorded, but speeds."""
    newest = checkpoint.newest(folder / "checkpoints")
    assert newest.name == f"step-{steps:06d}", newest.name
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    records = "\n".join(line.partition(', "samples_per_second"')[0] for line in lines)
    files = ("model.safetensors", "optim.safetensors", checkpoint.AVERAGE)
    return (*(hashlib.sha256((newest / name).read_bytes()).hexdigest() for name in files), records)


def kills_while_training(folder: Path, kills: int, seed: int = 0, epochs: int = 20) -> int:
    """A run killed at so many random steps ends with the bits of a run that never stopped. Returns its steps."""
    chance, steps = random.Random(seed), epochs * STEPS_AN_EPOCH
    assert in_child(folder / "straight", False, None, epochs) == 0
    run, done = folder / "killed", 0
    for number in range(kills):
        left = steps - done
        share = chance.randint(3, max(4, 2 * left // (kills - number + 1)))
        status = in_child(run, done > 0, 2 * share, epochs)  # two batches a step
        assert status == -signal.SIGKILL, f"kill {number}: exit status {status}"
        found = checkpoint.steps(run / "checkpoints")
        done = int(found[0].name[5:]) if found else 0
    assert in_child(run, done > 0, None, epochs) == 0
    assert digest(run, steps) == digest(folder / "straight", steps)
    return steps


# ---- damage ------------------------------------------------------------------------------------------------


def damage(folder: Path, bits: int, seed: int = 0, every: int = 1) -> tuple[int, int]:
    """Changes bytes of the small files, each `every`-th, and random bits of all, one at a time; how many changes, how many unnoticed."""
    save(folder, 1)
    path, chance = checkpoint.newest(folder), random.Random(seed)
    contents = {file: file.read_bytes() for file in sorted(path.iterdir())}
    places = [(file, k, 1 << chance.randrange(8)) for file, whole in contents.items() for k in range(len(whole))]
    drawn = chance.choices(places, k=bits)
    small = [place for place in places if len(contents[place[0]]) < 20_000][::every]
    missed = 0
    for file, k, mask in [*small, *((file, k, 1 << chance.randrange(8)) for file, k, _ in drawn)]:
        whole = contents[file]
        file.write_bytes(whole[:k] + bytes([whole[k] ^ mask]) + whole[k + 1 :])
        missed += checkpoint.fault(path) is None
        file.write_bytes(whole)
    assert checkpoint.fault(path) is None
    return len(small) + bits, missed


def main(kind: str, count: int) -> None:
    folder, began = Path(tempfile.mkdtemp(prefix="helix-kills-")), time.perf_counter()
    try:
        if kind == "saves":
            print(
                f"{count} kills while saving, {kills_while_saving(folder, count)} of them in the middle: always a whole one"
            )
        elif kind == "resumes":
            steps = kills_while_training(folder, count, epochs=20 if count > 5 else 4)
            print(f"{count} kills in {steps} steps: the bits of a run that never stopped")
        else:
            changes, missed = damage(folder, count, every=1 if count >= 1000 else 13)
            print(f"{changes} changed bytes and bits: {missed} unnoticed")
            assert missed == 0
    finally:
        shutil.rmtree(folder)
        print(f"{time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
