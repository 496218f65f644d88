"""Trainer: what it learns, writes, refuses and reports."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

import helix as hx
from helix import data, metrics, nn, optim
from helix.errors import CheckpointError, ConfigError, TrainingError
from helix.train import Callback, Run, Trainer, checkpoint, confusion, curve, start, toml
from helix.train import config as configuration
from helix.train.folder import RunFolder


def test_it_learns_and_evaluates(trainer, blobs):
    fitted = trainer(epochs=12, run_dir=None)
    last = fitted.fit(blobs, blobs)
    assert last["test_accuracy"] > 0.8 and last["epoch"] == 12 and last["step"] == 12 * 12
    assert fitted.evaluate(blobs) == {"loss": last["test_loss"], "accuracy": last["test_accuracy"]}
    assert tuple(fitted.predict(blobs.tensors[0]).shape) == (90, 3)


def test_the_same_seed_gives_the_same_bits(trainer, blobs):
    weights = []
    for seed in (1, 1, 2):
        fitted = trainer(run_dir=None, seed=seed)
        fitted.fit(blobs)
        weights.append(fitted.model[0].weight.tolist())
    assert weights[0] == weights[1] != weights[2]


def test_nan_stops_before_the_model_is_changed(trainer, blobs, tmp_path):
    class Poison(Callback):
        def on_step(self, trainer, session, values):
            if session.step == 14:
                trainer._loss = lambda output, target: output.sum() * math.nan

    fitted = trainer(callbacks=[Poison()], checkpoint_every=5)
    with pytest.raises(
        TrainingError, match=r"HX3201 the loss is nan at step 15 .*checkpoint of step 10 is good"
    ) as caught:
        fitted.fit(blobs)
    assert caught.value.code == "HX3201"
    folder = tmp_path / "run" / "checkpoints"
    assert checkpoint.newest(folder).name == "step-000010"
    assert all(math.isfinite(v) for row in fitted.model[0].weight.tolist() for v in row)


def test_a_spoiled_parameter_is_not_saved(trainer, blobs, tmp_path):
    class Poison(Callback):
        def on_step(self, trainer, session, values):
            if session.step == 10:
                with hx.no_grad():
                    trainer.model[0].bias.fill_(math.inf)

    with pytest.raises(TrainingError, match=r"HX3202 parameter '0[.]bias' is not finite after step 10"):
        trainer(callbacks=[Poison()], checkpoint_every=5).fit(blobs)
    assert checkpoint.newest(tmp_path / "run" / "checkpoints").name == "step-000005"


def test_old_checkpoints_go_and_good_ones_stay(trainer, blobs, tmp_path):
    trainer(checkpoint_every=4, keep=2).fit(blobs)
    folder = tmp_path / "run" / "checkpoints"
    assert [p.name for p in checkpoint.steps(folder)] == ["step-000024", "step-000020"]
    assert (folder / "LATEST").read_text() == "step-000024\n"
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]


def test_a_full_disk_leaves_the_checkpoints_before(trainer, blobs, tmp_path, monkeypatch):
    fitted = trainer(epochs=1)
    fitted.fit(blobs)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_json", full)
    with pytest.raises(CheckpointError, match="HX3001 checkpoint step 99 could not be written: No space left"):
        checkpoint.save(
            tmp_path / "run" / "checkpoints", 99, fitted.model.state_dict(), {"state": {}, "param_groups": []}, {}
        )
    assert checkpoint.newest(tmp_path / "run" / "checkpoints").name == "step-000012"
    assert not list((tmp_path / "run" / "checkpoints").glob(".writing*"))


def test_two_trainings_cannot_hold_one_folder(tmp_path):
    first, second = RunFolder(tmp_path / "r"), RunFolder(tmp_path / "r")
    first.open()
    with pytest.raises(ConfigError, match="HX3104"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_a_new_run_is_not_mixed_with_an_old_one(trainer, blobs):
    trainer(epochs=1).fit(blobs)
    with pytest.raises(ConfigError, match="HX3106"):
        trainer(epochs=1).fit(blobs)
    assert trainer(epochs=2).fit(blobs, resume=True)["epoch"] == 2


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step", "one_cycle", "plateau"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_every_schedule_and_optimizer_runs(trainer, blobs, schedule, optimizer):
    fitted = trainer(run_dir=None, schedule=schedule, optimizer=optimizer, grad_clip=1.0, epochs=1)
    assert math.isfinite(fitted.fit(blobs)["train_loss"])


def test_own_parts(blobs):
    model = nn.Linear(4, 3)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    stopped = Trainer(
        model,
        loss=lambda o, t: (o.argmax(1) == t).to(o.dtype).mean() + (o * o).mean(),
        optimizer=optimizer,
        metrics=["accuracy"],
        callbacks=[Stop()],
        progress="none",
    )
    assert stopped.fit(blobs)["step"] == 3


class Stop(Callback):
    def on_step(self, trainer, session, values):
        if session.step == 3:
            trainer.stop()


def test_unknown_settings_are_named(trainer):
    with pytest.raises(TypeError, match="unknown setting 'epoch'; did you mean 'epochs'"):
        trainer(epoch=3)
    with pytest.raises(ValueError, match="keep must be at least 2"):
        trainer(keep=1)


# ---- the run folder ----------------------------------------------------------------------------------------


@pytest.fixture
def run(blobs, tmp_path) -> Run:
    config = configuration.check(
        {
            "name": "r",
            "runs": str(tmp_path),
            "data": {"source": "python"},
            "model": {"kind": "mlp", "options": {"hidden": 16}},
            "train": {"epochs": 2, "batch_size": 16, "log_every": 2},
        }
    )
    return start(config, blobs, progress="none")


def test_the_run_folder_holds_what_it_promises(run):
    assert {p.name for p in run.path.iterdir()} - {".lock"} == {
        "config.toml", "data.json", "env.json", "metrics.jsonl", "log.txt", "checkpoints", "summary.json", "curve.svg",
        "confusion.svg", "report.html"}  # fmt: skip
    for name in ("data.json", "env.json", "summary.json"):
        assert json.loads((run.path / name).read_text())["format_version"] == 1
    assert configuration.read(run.path / "config.toml") == run.config
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert lines[0] == {"event": "header", "format_version": 1}
    assert [r["step"] for r in lines if r["event"] == "epoch"] == [4, 8] == [r["step"] for r in run.history]
    summary = run.summary
    assert sum(map(sum, summary["confusion"])) == 27 and summary["checkpoint"] == "step-000008"
    assert summary["test"].keys() == {"loss", "accuracy"}
    for name in ("curve.svg", "confusion.svg"):
        assert xml.parse(run.path / name).getroot().tag.endswith("svg")
    assert "format_version 1" in (run.path / "log.txt").read_text().splitlines()[0]


def test_a_run_opened_again_predicts_the_same(run, blobs):
    points = blobs.tensors[0][:5]
    again = Run(run.path)
    answers = again.predict(points)
    assert answers == run.predict(points)
    assert set(answers[0]) == {"label", "probability", "top"} and len(answers) == 5
    with pytest.raises(ConfigError, match="HX3105"):
        again.predict(hx.zeros(2, 9))


def test_a_run_is_of_its_best_checkpoint_unless_told_otherwise(run):
    folder = run.folder.checkpoints
    newest, older = checkpoint.steps(folder)[:2]

    def weights(which="auto") -> list:
        return next(Run(run.path, which).model.parameters()).tolist()

    checkpoint.mark_best(folder, older, "test_loss", 0.25)
    assert weights() == weights("best") == weights(older.name) == weights(str(int(older.name[5:])))
    assert weights() != weights("newest") == weights(newest.name)
    assert (
        Run(run.path).checkpoint == older
        and checkpoint.told(older) == f"checkpoint {older.name} (best test_loss, 0.25)"
    )
    with pytest.raises(CheckpointError, match="HX3002 no checkpoint 'worst' .* these steps: 4, 8"):
        Run(run.path, "worst").model
    (older / "state.json").write_text("{}")
    with pytest.warns(UserWarning, match="HX3002 the best checkpoint step-000004 is not usable"):
        assert weights() == weights("newest")
    with pytest.raises(CheckpointError, match="HX3002 no best checkpoint"):
        Run(run.path, "best").model
    (folder / "BEST").unlink()
    assert weights() == weights("newest")


def test_a_finished_run_has_the_weights_and_numbers_of_its_best_epoch(blobs, tmp_path):
    values = {"name": "r", "runs": str(tmp_path), "data": {"source": "-"}, "schedule": {"name": "constant"},
              "optimizer": {"name": "sgd", "lr": 3.0, "momentum": 0.0}, "train": {"epochs": 6, "batch_size": 8}}  # fmt: skip
    run = start(configuration.check(values), blobs, nn.Linear(4, 3), progress="none")
    losses = [record["test_loss"] for record in run.history]
    assert losses.index(min(losses)) < 5, "the last epoch is the best one: the test shows nothing"
    summary = run.summary
    assert (summary["epoch"], summary["test"]["loss"]) == (1 + losses.index(min(losses)), min(losses))
    assert summary["last_test"]["loss"] == losses[-1]
    assert summary["checkpoint"] == Run(run.path).checkpoint.name
    right = sum(summary["confusion"][i][i] for i in range(3)) / sum(map(sum, summary["confusion"]))
    assert right == pytest.approx(summary["test"]["accuracy"])


def test_a_second_run_gets_a_folder_of_its_own(run, blobs, tmp_path):
    assert start(run.config, blobs, progress="none").path == tmp_path / "r-2"


def test_a_newer_format_is_refused(run):
    (run.path / "data.json").write_text(json.dumps({"format_version": 2}))
    with pytest.raises(ConfigError, match=r"HX3103 data[.]json has format 2"):
        Run(run.path)


def test_train_in_one_call(blobs, tmp_path):
    run = hx.train(blobs, epochs=1, runs=str(tmp_path), name="call", progress="none", model_options={"hidden": 8})
    assert run.summary["epochs"] == 1 and run.config.model.options == {"hidden": 8}
    assert hx.train.Trainer is Trainer
    with pytest.raises(TypeError, match="unknown setting 'epochz'; did you mean 'epochs'"):
        hx.train(blobs, epochz=1)


def test_what_is_left_open_is_chosen_and_written_down(blobs, tmp_path):
    run = hx.train(blobs, runs=str(tmp_path), name="open", progress="none", max_steps=3)
    assert (run.config.train.batch_size, run.config.train.epochs) == (8, 71)
    assert configuration.settled(run.config, 10**6).train.epochs == 71


def test_a_wrong_model_leaves_no_folder(blobs, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'mlp'"):
        hx.train(blobs, "mpl", runs=str(tmp_path / "runs"), name="x", progress="none")
    assert not (tmp_path / "runs").exists()


def test_arrays_and_an_own_model(blobs, tmp_path):
    x, y = (t.numpy() for t in blobs.tensors)
    run = hx.train((x, y), nn.Linear(4, 3), epochs=1, runs=str(tmp_path), name="own", progress="none")
    assert tuple(run.model.infer(blobs.tensors[0]).shape) == (90, 3)


def test_a_language_model_writes(tmp_path):
    (tmp_path / "text").write_text("abcabcabc\n" * 60)
    run = hx.train(
        tmp_path / "text",
        epochs=1,
        runs=str(tmp_path),
        progress="none",
        data_options={"length": 16},
        model_options={"dim": 16, "depth": 1, "heads": 2},
    )
    assert run.info.task == "language" and run.summary["sample"].startswith("def ")
    assert run.predict("abc", count=5) == run.predict("abc", count=5) and len(run.predict(b"abc", count=5)) == 5


# ---- configuration and drawings ----------------------------------------------------------------------------


def test_a_configuration_names_metrics(blobs, tmp_path):
    def run(name: str):
        values = {
            "name": "m",
            "runs": str(tmp_path),
            "data": {"source": "-"},
            "train": {"epochs": 1, "metrics": [name]},
        }
        return start(configuration.check(values), blobs, nn.Linear(4, 3), progress="none")

    with pytest.raises(ConfigError, match="HX3101 train.metrics: unknown name 'f2'; known: accuracy"):
        run("f2")
    assert not list(tmp_path.iterdir())
    assert "test_f1" in run("f1").history[-1]


def test_a_loader_of_the_users_is_taken_as_it_is(blobs, tmp_path):
    def fit(*given, **settings) -> tuple:
        hx.manual_seed(0)
        model = nn.Linear(4, 3)
        fitted = Trainer(model, epochs=3, batch_size=16, progress="none", **settings)
        last = fitted.fit(*given, resume=(tmp_path / "checkpoints").exists())
        return model.weight.tolist(), last["test_loss"], fitted.predict(given[1]).tolist()

    loader = data.Loader(blobs, 16, shuffle=True, seed=0)
    next(iter(loader))  # where it stood does not matter, and stays
    tests = data.Loader(blobs, 30, shuffle=True, seed=3)
    whole = fit(loader, tests)
    assert whole == fit(loader, tests) and whole[0] == fit(blobs, blobs)[0] and loader.position == 1
    with pytest.raises(KeyError, match="cut off"):
        fit(loader, tests, run_dir=tmp_path, checkpoint_every=2, callbacks=[CutOff(at=9)])
    assert fit(loader, tests, run_dir=tmp_path, callbacks=[CutOff()]) == whole
    (tmp_path / "checkpoints").rename(tmp_path / "old")
    sampled = data.Loader(blobs, sampler=data.StratifiedSampler(blobs.tensors[1].tolist()), batch_size=9)
    assert fit(sampled, sampled)[0] != whole[0]


def test_values_that_json_lacks_do_not_stop_a_run(blobs, tmp_path):
    def fit(**settings) -> Trainer:
        odd = {"sum": lambda o, t: hx.tensor(math.inf), "none": lambda o, t: hx.tensor(math.nan)}
        fitted = Trainer(
            nn.Linear(4, 3), metrics=odd, monitor="test_sum", checkpoint_every=2, batch_size=30, run_dir=tmp_path / "t",
            progress="none", **settings,
        )  # fmt: skip
        fitted.fit(blobs, blobs, resume=(tmp_path / "t").exists())
        return fitted

    fit(epochs=1)
    state = checkpoint.load(checkpoint.steps(tmp_path / "t" / "checkpoints")[-1]).state
    assert state["meter"]["metrics"]["sum"]["total"].item() == math.inf
    assert math.isnan(state["meter"]["metrics"]["none"]["total"].item())
    assert fit(epochs=2).history[-1]["test_sum"] == math.inf
    values = {"name": "r", "runs": str(tmp_path), "data": {"source": "-"}, "train": {"epochs": 1, "metrics": ["auroc"]}}
    one_class = data.TensorDataset(
        blobs.tensors[0], blobs.tensors[1] * 0, task="classification", classes=("a", "b", "c")
    )
    assert (
        start(configuration.check(values), one_class, nn.Linear(4, 3), progress="none").summary["test"]["auroc"] is None
    )


def test_a_run_has_the_averaged_weights_that_were_tested(blobs, tmp_path):
    values = {"name": "r", "runs": str(tmp_path), "data": {"source": "-"}, "model": {"kind": "tests.train.parts:model"},
              "train": {"epochs": 2, "ema": 0.99}}  # fmt: skip
    run = start(configuration.check(values), blobs, progress="none")
    points = blobs.tensors[0]
    assert run.model.infer(points).tolist() == Run(run.path).model.infer(points).tolist()
    right = sum(run.summary["confusion"][i][i] for i in range(3)) / sum(map(sum, run.summary["confusion"]))
    assert right == pytest.approx(run.summary["test"]["accuracy"])


@pytest.mark.parametrize(("change", "text"), [
    ("train.epochz=3", "train.epochz: unknown key; did you mean 'train.epochs'?"),
    ("modle.kind=cnn", "modle: unknown key; did you mean 'model'?"),
    ("train.epochs=0", "train.epochs: expected `int` >= 1"),
    ("train.epochs=many", "train.epochs: expected `int"),
    ("optimizer.name=adm", "optimizer.name: invalid enum value 'adm'"),
    ("name=../x", "name: expected `str` matching regex"),
    ("format_version=2", "format_version: expected `int` <= 1"),
    ("epochs", "write table.key=value")])  # fmt: skip
def test_bad_configurations_are_named(tmp_path: Path, change, text):
    (tmp_path / "c.toml").write_text('name = "x"\n[data]\nsource = "digits"\n')
    with pytest.raises(ConfigError) as caught:
        configuration.read(tmp_path / "c.toml", [change])
    assert text in str(caught.value) and caught.value.code == "HX3101"


def test_a_resolved_configuration_reads_back(tmp_path: Path):
    (tmp_path / "c.toml").write_text(
        'name = "x"\n[data]\nsource = "a\\"b"\n[model]\noptions = {sizes = [1, 2], p = 0.5}\n'
    )
    config = configuration.read(tmp_path / "c.toml", ["train.grad_clip=1.5", "device=cpu"])
    assert config.train.grad_clip == 1.5 and config.device == "cpu"
    (tmp_path / "d.toml").write_text(configuration.to_toml(config))
    assert configuration.read(tmp_path / "d.toml") == config


def test_toml_writer_round_trips():
    import tomllib

    values = {"a": 1, "b": 'q"\n\u00e9', "c": [1.5, 2e-9], "d": True, "t": {"x y": "v", "u": {"w": []}}, "f": 1e300}
    assert tomllib.loads(toml.dump(values)) == values


def test_drawings_survive_odd_numbers():
    epochs = [{"event": "epoch", "step": 1, "epoch": 1, "train_loss": 0.0, "test_loss": math.nan, "test_<&>": 1.0}]
    xml.fromstring(curve.draw("<run>", [], epochs))
    xml.fromstring(confusion.draw([[0, 0], [3, 1]], ["<a>", "long name of b"], "t"))
    assert confusion.matrix([0, 1, 1], [0, 1, 0], 2) == [[1, 0], [1, 1]]


def test_a_buffer_may_be_infinite_but_not_nan(blobs, tmp_path):
    class Masked(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 3)
            self.register_buffer("mask", hx.full((3,), -math.inf))

    model = Masked()
    Trainer(model, epochs=1, run_dir=tmp_path / "a", progress="none").fit(blobs)
    model.mask.fill_(math.nan)
    with pytest.raises(TrainingError, match="HX3202 parameter 'mask'"):
        Trainer(model, epochs=1, run_dir=tmp_path / "b", progress="none").fit(blobs)


class CutOff(Callback):
    def __init__(self, at: int = 0) -> None:
        self.at = at

    def on_step(self, trainer, session, values):
        if session.step == self.at:
            raise KeyError("cut off")


@pytest.mark.parametrize("device", ["cpu", "sim"])
def test_a_run_goes_on_on_its_device(device, blobs, tmp_path):
    def fit(folder, **settings) -> list[float]:
        hx.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
        fitted = Trainer(
            model, optimizer=lambda p: optim.Lookahead(optim.AdamW(p, lr=0.01), k=4), ema=0.9, batch_size=32, epochs=3,
            schedule="constant", device=device, run_dir=tmp_path / folder, checkpoint_every=2, progress="none", **settings,
        )  # fmt: skip
        fitted.fit(blobs, blobs, resume=(tmp_path / folder).exists())
        return [v for p in [*model.parameters(), *fitted._average.tensors.values()] for v in p.reshape(-1).tolist()]

    with pytest.raises(KeyError, match="cut off"):
        fit("cut", callbacks=[CutOff(at=5)])
    assert fit("cut", callbacks=[CutOff()]) == fit("whole")


def test_a_run_that_ended_early_stays_ended(blobs, tmp_path):
    def fit(patience: int) -> int:
        fitted = Trainer(
            nn.Linear(4, 3), lr=0.0, weight_decay=0.0, patience=patience, run_dir=tmp_path, progress="none"
        )
        fitted.fit(blobs, blobs, resume=tmp_path.joinpath("checkpoints").exists())
        return len(fitted.history)

    assert [fit(2), fit(2), fit(3)] == [3, 3, 4]


def test_what_cannot_be_trained_is_said_at_once(blobs):
    model = nn.Linear(4, 3)
    before = model.weight.tolist()
    for options, rows, text in (
        ({}, 0, "no samples"),
        ({"metrics": [metrics.F1Score(average=None)]}, 90, "'f1score' is no number but has shape \\(3,\\)"),
        ({"optimizer": optim.SGD(nn.Linear(4, 3).parameters(), lr=0.1)}, 90, "none of its parameters is the model's"),
        ({"max_steps": 0}, 90, "max_steps must be at least 1"),
    ):
        with pytest.raises(ValueError, match=text):
            Trainer(model, epochs=1, progress="none", **options).fit(
                data.TensorDataset(*(t[:rows] for t in blobs.tensors))
            )
    assert model.weight.tolist() == before
