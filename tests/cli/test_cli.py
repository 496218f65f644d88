"""The command line, as a user runs it: results, messages and exit codes."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

FIRST = """
name = "t"
[data]
source = "table.csv"
[model]
kind = "mlp"
options = { hidden = 8, depth = 1 }
[train]
epochs = 2
batch_size = 8
"""


@pytest.fixture
def helix(tmp_path):
    """helix(*arguments) -> the finished process, run in a folder of its own that holds a table and t.toml."""
    rows = "\n".join(f"{i % 7},{i % 3},{'ab'[i % 2]}" for i in range(60))
    (tmp_path / "table.csv").write_text(f"x,y,kind\n{rows}\n")
    (tmp_path / "t.toml").write_text(FIRST)
    np.save(tmp_path / "runs.npy", np.zeros((9, 2), np.float32))

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
        paths = os.pathsep.join(sys.path)
        return subprocess.run(
            [sys.executable, "-m", "helix", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": paths, **environment},
        )

    return run


def test_train_eval_predict_resume(helix, tmp_path):
    trained = helix("train", "t.toml", "--set", "train.epochs=3", "--json")
    assert trained.returncode == 0, trained.stderr
    summary = json.loads(trained.stdout)
    assert summary["epochs"] == 3 and summary["run"] == "runs/t" and "epoch 3/3" in trained.stderr
    evaluated = helix("eval", "runs/t", "--json")
    assert json.loads(evaluated.stdout) == {
        "checkpoint": summary["checkpoint"], **{name: pytest.approx(value) for name, value in summary["test"].items()}
    }  # fmt: skip
    assert f"checkpoint {summary['checkpoint']} (best test_loss, " in evaluated.stderr
    newest = helix("eval", "runs/t", "--checkpoint", "newest", "--quiet", "--json")
    assert json.loads(newest.stdout)["loss"] == pytest.approx(summary["last_test"]["loss"]) and not newest.stderr
    unknown = helix("eval", "runs/t", "--checkpoint", "7")
    assert (unknown.returncode, "HX3002 no checkpoint '7'" in unknown.stderr) == (1, True), unknown.stderr
    np.save(tmp_path / "x.npy", np.zeros((2, 2), np.float32))
    predicted = helix("predict", "runs/t", "x.npy", "--json")
    assert [row["label"] in "ab" for row in json.loads(predicted.stdout)] == [True, True]
    assert helix("resume", "runs/t", "--quiet").stdout.startswith("test loss")
    profiled = helix("profile", "runs/t", "--steps", "2", "--skip", "1")
    assert (
        "module" in profiled.stdout.splitlines()[0]
        and "written: runs/t/trace.json, runs/t/report.html" in profiled.stdout
    )
    assert "<h2>Profile</h2>" in (tmp_path / "runs" / "t" / "report.html").read_text()
    table = helix("summary", "runs/t")
    assert "Linear" in table.stdout and "parameters" in table.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_training_goes_on(helix, tmp_path, number, code):
    paths = os.pathsep.join(sys.path)
    running = subprocess.Popen(
        [sys.executable, "-m", "helix", "train", "t.toml", "--set", "train.epochs=1000", "--set",
         "train.checkpoint_every=100000"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": paths})  # fmt: skip
    for line in running.stderr:
        if line.startswith("epoch 3/"):
            break
    running.send_signal(number)
    rest = running.communicate()[1]
    assert (running.returncode, "interrupted safely at step" in rest) == (code, True), rest
    assert "Traceback" not in rest
    stopped_at = int(rest.split("interrupted safely at step ")[1].split(";")[0])
    config = tmp_path / "runs" / "t" / "config.toml"
    config.write_text(config.read_text().replace("epochs = 1000", f"max_steps = {stopped_at + 3}\nepochs = 1000"))
    resumed = helix("resume", "runs/t")
    assert f"resuming after step {stopped_at} of {stopped_at + 3}" in resumed.stderr, resumed.stderr


def test_data_alone_is_enough(helix):
    done = helix("train", "table.csv", "--set", "train.epochs=1", "--quiet")
    assert done.returncode == 0 and done.stderr == "" and "in runs/table:" in done.stdout


def test_arrays_and_folders_of_texts_are_trained(helix, tmp_path):
    np.save(tmp_path / "x.npy", np.arange(60.0).reshape(30, 2))
    np.save(tmp_path / "y.npy", np.array(["few", "many"])[np.arange(30) // 15])
    done = helix("train", "x.npy", "--set", "train.epochs=1", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["task"] == "classification", done.stderr
    assert helix("eval", "runs/x", "--data", "x.npy").returncode == 0
    for number in range(20):
        (tmp_path / "mail" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "mail" / "ab"[number % 2] / f"{number}.txt").write_text("a text of nothing")
    done = helix("train", "mail", "--set", "train.epochs=1", "--set", "data.options.length=20", "--quiet")
    assert done.returncode == 0, done.stderr
    said = helix("predict", "runs/mail", "a text", "mail/a/0.txt", "--json")
    assert [row["label"] in "ab" for row in json.loads(said.stdout)] == [True, True], said.stderr
    assert "Conv1d" in helix("summary", "runs/mail").stdout


@pytest.mark.parametrize(("arguments", "code", "text"), [
    (("tarin",), 2, "did you mean 'train'?"),
    (("train",), 2, "Missing argument"),
    (("train", "no.toml"), 2, "HX3101 config 'no.toml' does not exist"),
    (("train", "t.toml", "--set", "train.epoch=1"), 2, "did you mean 'train.epochs'?"),
    (("train", "nowhere"), 1, "neither a file or folder"),
    (("train", "runs.npy"), 2, "HX3105 data: the samples have inputs and no targets"),
    (("train", "t.toml", "--set", "device=mars"), 3, "mars"),
    (("train", "t.toml", "--set", "model.kind=cn"), 2, "did you mean 'cnn'?"),
    (("eval", "."), 2, "HX3103"),
    (("explain", "HX9999"), 1, "no error HX9999")])  # fmt: skip
def test_mistakes_are_explained(helix, arguments, code, text):
    done = helix(*arguments)
    assert (done.returncode, text in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_errors_as_json(helix):
    done = helix("train", "no.toml", "--json")
    assert json.loads(done.stdout)["error"]["code"] == "HX3101" and done.returncode == 2


def test_explain_devices_doctor_config(helix, tmp_path):
    assert helix("explain", "HX3201").stdout.startswith("HX3201: the loss is NaN")
    assert "HX1002" in helix("explain").stdout
    assert json.loads(helix("devices", "--json").stdout)[0]["device"] == "cpu"
    doctor = helix("doctor", "--json", HELIX_DEBUG="1")
    settings = json.loads(doctor.stdout)["settings"]
    assert settings == {k: v for k, v in os.environ.items() if k.startswith("HELIX_")} | {"HELIX_DEBUG": "1"}
    assert doctor.returncode == 0
    assert json.loads(helix("config", "schema").stdout)["$ref"].endswith("Config")
    (tmp_path / "first.toml").write_text(helix("config", "init").stdout)
    assert 'source = "digits"' in helix("config", "show", "first.toml").stdout
    assert helix("--version").stdout.startswith("helix 0.")


def test_help_is_quick(helix):
    """In seconds of processor, which a busy machine does not stretch; and without what only commands need."""
    assert min(_seconds(helix) for _ in range(3)) < 0.3
    heavy = ["numpy", "msgspec", "rich", "helix.nn", "helix.train", "helix.data"]
    script = f"import sys, helix.cli; print([name for name in {heavy} if name in sys.modules])"
    paths = os.pathsep.join(sys.path)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": paths})  # fmt: skip
    assert done.stdout == "[]\n", done.stderr


def _seconds(helix) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "Commands:" in helix("--help").stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_a_model_is_exported_and_checked(helix, tmp_path):
    done = helix("export", "mlp", "--spec", "B,6", "--out", "m.onnx", "--json")
    told = json.loads(done.stdout)
    assert told["inputs"] and told["checked"] and told["error"] < 1e-5 and (tmp_path / "m.onnx").exists()
    assert helix("export", "mlp", "--spec", "B,6", "--opset", "9").returncode == 1
