"""What a long run meets: a full disk, a terminal that goes away, two processes, signals, torn files; and what it must not do then."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from pathlib import Path

import pytest

import helix as hx
from helix import data, nn
from helix.errors import CheckpointError, ConfigError
from helix.train import Callback, Interrupted, Trainer, checkpoint, start
from helix.train import config as configuration
from helix.train.folder import RunFolder


class At(Callback):
    """Does something after a step."""

    def __init__(self, step: int, act) -> None:
        self.step, self.act = step, act

    def on_step(self, trainer, session, values):
        if session.step == self.step:
            self.act(trainer)


def full(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullFile:
    """A file on a full disk, whose buffer does not go out when it is closed either."""

    name, write, flush, close = "metrics.jsonl", full, full, full


def test_a_record_that_finds_no_room_is_named_and_the_folder_is_free_again(trainer, blobs, tmp_path):
    def fill(trainer):
        trainer.folder._metrics = FullFile()

    with pytest.raises(OSError, match=r"No space left on device; .* checkpoints are untouched: 'metrics.jsonl'"):
        trainer(callbacks=[At(9, fill)], checkpoint_every=3, log_every=1).fit(blobs)
    assert checkpoint.newest(tmp_path / "run" / "checkpoints").name == "step-000006"
    assert trainer(callbacks=[At(0, fill)]).fit(blobs, resume=True)["epoch"] == 2


def test_a_folder_that_could_not_be_opened_is_free_again(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path / "r")
    with monkeypatch.context() as patched:
        patched.setattr("helix.train.folder.write_text", full)
        with pytest.raises(OSError, match="No space"):
            folder.open()
    RunFolder(tmp_path / "r").open()


def test_the_mark_of_the_best_finds_no_room(trainer, blobs, tmp_path, monkeypatch):
    original = checkpoint.save_json

    def best_is_full(values, path):
        return full() if Path(path).name == "BEST" else original(values, path)

    monkeypatch.setattr(checkpoint, "save_json", best_is_full)
    with pytest.raises(CheckpointError, match="HX3001 step-000012 could not be marked as the best: No space left"):
        trainer().fit(blobs, blobs)


def test_old_checkpoints_that_cannot_be_deleted_do_not_end_a_run(trainer, blobs, tmp_path, monkeypatch):
    def busy(path):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(checkpoint, "remove_tree", busy)
    with pytest.warns(UserWarning, match="old checkpoints could not be deleted: .*busy"):
        trainer(checkpoint_every=4, keep=2).fit(blobs)
    assert checkpoint.newest(tmp_path / "run" / "checkpoints").name == "step-000024"


@pytest.mark.parametrize("progress", ["lines", "bar"])
def test_a_terminal_that_goes_away_does_not_end_a_run(progress, trainer, blobs, monkeypatch, tmp_path):
    class Gone:
        encoding = "utf-8"

        def write(self, text):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

        flush = isatty = lambda self: False

    def hang_up(trainer):
        monkeypatch.setattr(sys, "stderr", Gone())

    made = trainer(callbacks=[At(2, hang_up)], progress=progress)
    assert made.fit(blobs)["epoch"] == 2
    assert "epoch 2/2" in (tmp_path / "run" / "log.txt").read_text()


def test_a_hang_up_saves_unless_it_is_ignored(trainer, blobs, tmp_path):
    def hang_up(trainer):
        os.kill(os.getpid(), signal.SIGHUP)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert trainer(callbacks=[At(5, hang_up)], run_dir=None).fit(blobs)["epoch"] == 2  # nohup
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with pytest.raises(Interrupted) as caught:
            trainer(callbacks=[At(5, hang_up)]).fit(blobs)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
    assert caught.value.exit_code == 128 + signal.SIGHUP
    assert checkpoint.newest(tmp_path / "run" / "checkpoints").name == "step-000005"


def test_a_folder_that_is_held_is_not_touched(trainer, blobs, tmp_path):
    trainer(epochs=1).fit(blobs, blobs)
    folder = tmp_path / "run"
    (folder / "checkpoints" / "BEST").unlink()  # which going on would write again
    other = RunFolder(folder)
    other.take()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for resume in (True, False):
        with pytest.raises(ConfigError, match="HX3104"):
            trainer().fit(blobs, blobs, resume=resume)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    other.close()


def test_two_runs_of_one_name_begin_at_once(blobs, tmp_path, monkeypatch):
    config = configuration.check(
        {"name": "r", "runs": str(tmp_path), "data": {"source": "-"}, "train": {"epochs": 1, "batch_size": 30}}
    )
    original, raced = Path.mkdir, []

    def quicker(self, *arguments, **options):
        if self.name == "r" and not raced:
            raced.append(original(self, parents=True))
        return original(self, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", quicker)
    assert start(config, blobs, progress="none").path == tmp_path / "r-2"
    assert not list((tmp_path / "r").iterdir())


def test_a_callback_that_fails_at_the_end_leaves_the_others_closed(trainer, blobs, tmp_path):
    closed = []

    class Closing(Callback):
        def close(self):
            closed.append(self)

    class Failing(Callback):
        def close(self):
            raise KeyError("close")

    with pytest.raises(KeyError, match="close"):
        trainer(callbacks=[Closing(), Failing(), Closing()]).fit(blobs)
    assert len(closed) == 2
    RunFolder(tmp_path / "run").take()


def test_bytes_that_a_power_cut_left_are_passed_over(trainer, blobs, tmp_path):
    trainer(epochs=1).fit(blobs)
    with open(tmp_path / "run" / "metrics.jsonl", "ab") as file:
        file.write(b'{"event": "st\xff\xfe\0\0\n7\n\0\0\0')
    assert trainer(epochs=2).fit(blobs, resume=True)["epoch"] == 2
    assert [record["step"] for record in RunFolder(tmp_path / "run").records() if record["event"] == "epoch"] == [
        12,
        24,
    ]


def test_the_best_may_change_while_it_is_looked_for(trainer, blobs, tmp_path, monkeypatch):
    trainer(checkpoint_every=4, keep=4).fit(blobs)
    folder = tmp_path / "run" / "checkpoints"
    older, newer = checkpoint.steps(folder)[2], checkpoint.steps(folder)[1]
    checkpoint.mark_best(folder, older, "test_loss", 0.5)
    original = checkpoint.fault

    def meanwhile(path):
        if path == older and path.exists():
            checkpoint.mark_best(folder, newer, "test_loss", 0.4)
            checkpoint.remove_tree(older)
        return original(path)

    monkeypatch.setattr(checkpoint, "fault", meanwhile)
    assert checkpoint.chosen(folder, "best") == newer


def test_unicode_names(tmp_path):
    source = tmp_path / "фото 東京.csv"
    source.write_text("a,b\n" + "\n".join(f"{i % 5},{i % 2}" for i in range(40)), encoding="utf-8")
    run = hx.train(source, epochs=1, runs=str(tmp_path / "Läufe"), progress="none")
    assert run.path.parent.name == "Läufe" and run.evaluate()["loss"] == pytest.approx(run.summary["test"]["loss"])


def test_the_lock_does_not_outlive_a_training_by_its_workers(tmp_path, blobs):
    """A killed training's worker processes end too: the folder is free, and nothing is left running."""
    child = os.fork()
    if child == 0:
        os.setsid()
        loader = data.Loader(blobs, 8, workers=2, processes=True)
        act = At(3, lambda trainer: os.kill(os.getpid(), signal.SIGKILL))
        Trainer(nn.Linear(4, 3), callbacks=[act], run_dir=tmp_path / "run", progress="none").fit(loader)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    folder, began = RunFolder(tmp_path / "run"), time.monotonic()
    while True:
        try:
            folder.take()
            break
        except ConfigError:
            assert time.monotonic() - began < 20, "the workers still hold the folder"
            time.sleep(0.1)
    folder.close()
