"""Metrics of a training: by name, exact over the epoch, and taken up in the middle of one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sk

import helix as hx
from helix import metrics, nn
from helix.data import TensorDataset
from helix.io import load_file
from helix.train import Trainer, checkpoint
from helix.train.losses import METRICS, metrics_named
from helix.train.meter import Meter


def data():
    random = np.random.default_rng(0)
    x = random.standard_normal((50, 4)).astype(np.float32)
    y = (x @ random.standard_normal((4, 3)) + random.standard_normal((50, 3))).argmax(1)
    return TensorDataset(hx.tensor(x), hx.tensor(y))


def trainer(**settings):
    hx.manual_seed(0)
    model = nn.Linear(4, 3)
    return model, Trainer(
        model, metrics=["accuracy", metrics.F1Score(3), "auroc"], batch_size=7, progress="none", **settings
    )


def test_a_test_is_exact_over_the_whole_data():
    model, made = trainer(epochs=1)
    made.fit(data())
    found = made.evaluate(data(), batch_size=8)
    scores, y = model(data().tensors[0]).detach().numpy().astype(np.float64), data().tensors[1].numpy()
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, scores.argmax(1)))
    assert found["f1score"] == pytest.approx(sk.f1_score(y, scores.argmax(1), average="macro"))
    each = [sk.roc_auc_score(y == k, scores[:, k]) for k in range(3)]
    assert found["auroc"] == pytest.approx(np.mean(each))


def test_an_epoch_has_them_all_and_a_step_those_of_its_batch():
    steps = []

    class Keep(hx.train.Callback):
        def on_step(self, trainer, session, values):
            steps.append(dict(values))

    _, made = trainer(epochs=1, callbacks=[Keep()])
    record = made.fit(data())
    assert {"train_loss", "train_accuracy", "train_f1score", "train_auroc"} <= set(record)
    assert all("accuracy" in s and "f1score" in s and "auroc" not in s for s in steps)
    counts = [7] * 7 + [1]
    mean = sum(s["accuracy"] * n for s, n in zip(steps, counts, strict=True)) / 50
    assert record["train_accuracy"] == pytest.approx(mean)


def test_a_meter_goes_on_from_its_state():
    random = np.random.default_rng(1)
    batches = [(hx.tensor(random.standard_normal((5, 3))), hx.tensor(random.integers(0, 3, 5))) for _ in range(4)]
    names = ["accuracy", "f1", "auroc"]

    def run(meter, some):
        for batch in some:
            meter.take(*batch)
            meter.add({"loss": 1.0}, 5)

    straight, first, second = (Meter(metrics_named(names, "classification")) for _ in range(3))
    run(straight, batches)
    run(first, batches[:2])
    first.take(*batches[3])
    first.drop()
    second.load_state_dict(first.state_dict())
    run(second, batches[2:])
    assert second.means() == straight.means() and list(second.means()) == ["loss", *names]


class CutOff(hx.train.Callback):
    """Ends a run after a step, and remembers a tensor."""

    def __init__(self, at=None):
        self.at, self.seen = at, hx.zeros(2, dtype=hx.int64)

    def on_step(self, trainer, session, values):
        if session.step == self.at:
            raise KeyError("cut off")
        self.seen = self.seen + hx.tensor([1, session.step])

    def state_dict(self):
        return {"seen": self.seen, "at": None}

    def load_state_dict(self, state):
        self.seen = state["seen"]


@pytest.mark.parametrize("device", ["cpu", "sim"])
def test_large_states_are_arrays_of_the_checkpoint(device, tmp_path):
    def fit(folder, at=None):
        counter = CutOff(at)
        model, made = trainer(
            epochs=2, checkpoint_every=3, run_dir=tmp_path / folder, callbacks=[counter], device=device
        )
        last = made.fit(data(), resume=(tmp_path / folder).exists())
        del last["samples_per_second"]
        return model.weight.tolist(), last, made.history[0]["train_auroc"], counter.seen.tolist()

    with pytest.raises(KeyError, match="cut off"):
        fit("cut", at=7)
    taken = checkpoint.newest(tmp_path / "cut" / "checkpoints")
    arrays = load_file(taken / "state.safetensors")
    assert arrays["meter/metrics/auroc/scores"].shape == (6 * 7, 3) and arrays["callbacks/0/seen"].tolist() == [6, 21]
    assert (taken / "state.json").stat().st_size < 6000  # the same for any number of samples
    assert fit("cut") == fit("whole")


def test_tensors_of_one_path_are_all_kept(tmp_path):
    state = {"a/b": {"c": hx.tensor(1)}, "a": {"b/c": hx.tensor(2), "b": {"c": hx.tensor(3)}}}
    path = checkpoint.save(tmp_path, 1, {"w": hx.zeros(1)}, {"param_groups": [], "state": {}}, {"kept": state})
    found = checkpoint.load(path).state["kept"]
    assert [t.item() for t in (found["a/b"]["c"], found["a"]["b/c"], found["a"]["b"]["c"])] == [1, 2, 3]


def test_a_checkpoint_of_an_older_format_is_taken_up(tmp_path):
    """`golden/format-2` was written by helix when metrics were lists in state.json, in the middle of the first epoch."""
    generator = hx.Generator().manual_seed(3)
    labels = hx.arange(12) % 2
    points = hx.randn(12, 2, generator=generator) + labels.reshape(12, 1).to(hx.float32)

    def fit(resume):
        hx.manual_seed(0)
        made = Trainer(
            nn.Linear(2, 2), metrics=["accuracy", "auroc"], epochs=2, batch_size=4, run_dir=tmp_path / f"{resume}",
            progress="none", seed=1,
        )  # fmt: skip
        made.fit(TensorDataset(points, labels, task="classification"), resume=resume)
        return [record[name] for record in made.history for name in ("step", "train_auroc", "train_loss")]

    shutil.copytree(Path(__file__).parent / "golden" / "format-2", tmp_path / "True" / "checkpoints")
    assert fit(resume=True) == pytest.approx(fit(resume=False), rel=1e-5)


@pytest.mark.parametrize("name", METRICS)
def test_every_name_has_a_metric(name):
    numbers = name in ("mae", "mse", "rmse", "r2", "explained_variance", "pearson", "spearman")
    output = hx.tensor([[0.3, 0.7, 0.1], [0.1, 0.2, 0.9], [0.5, 0.3, 0.2]])
    metric = metrics_named([name], "")[name]
    metric.update(output, output * 1.5 if numbers else hx.tensor([1, 2, 2]))
    assert metric.compute().numel() == 1


def test_a_mapping_names_metrics_of_one_kind():
    named = {"first": metrics.Accuracy(1), "second": metrics.Accuracy(2)}
    assert [m.top_k for m in metrics_named(named, "").values()] == [1, 2]
    with pytest.raises(ValueError, match="two are called 'accuracy'"):
        metrics_named(list(named.values()), "")


def test_functions_and_unknown_names():
    def worst(output, target):
        return (output - target).abs().max()

    metric = metrics_named([worst], "regression")["worst"]
    metric.update(hx.tensor([1.0, 4.0]), hx.tensor([1.0, 1.0]))
    assert metric.compute().item() == 3.0
    with pytest.raises(ValueError, match="unknown name 'acc'; known: accuracy"):
        metrics_named(["acc"], "classification")
