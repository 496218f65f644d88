"""How a step is made: accumulated, in pieces, in mixed precision, clipped, checked, averaged; and where memory goes."""

from __future__ import annotations

import contextlib
import math

import pytest

import helix as hx
from helix import data, nn
from helix.errors import OutOfMemoryError, TrainingError
from helix.train import Callback, EarlyStopping, Trainer, checkpoint, memory_owners


def samples(count: int = 50) -> data.TensorDataset:
    generator = hx.Generator()
    generator.manual_seed(3)
    x = hx.randn(count, 6, generator=generator)
    return data.TensorDataset(x, (x[:, :2] * 2).sin(), task="regression")


def trained(**settings) -> Trainer:
    hx.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 2))
    chosen = {"optimizer": "sgd", "lr": 0.1, "epochs": 2, "batch_size": 48, "progress": "none", "schedule": "constant"}
    trainer = Trainer(model, **{**chosen, **settings})
    trainer.fit(samples())
    return trainer


def weights(trainer: Trainer) -> list[float]:
    return [v for p in trainer.model.parameters() for v in p.detach().reshape(-1).tolist()]


def far(a: Trainer, b: Trainer) -> float:
    return max(abs(x - y) for x, y in zip(weights(a), weights(b), strict=True))


# 50 samples: batches of 48 and 2. Accumulated or cut, the same samples meet in the same steps.
@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 12, "accumulate": 4},
        {"batch_size": 7, "accumulate": 99},
        {"micro_batch": 5},
        {"micro_batch": "auto"},
    ],
)
def test_a_step_is_the_same_however_it_is_cut(settings):
    whole = trained(batch_size=50) if settings.get("batch_size") == 7 else trained()
    cut = trained(**settings)
    assert cut.history[-1]["step"] == whole.history[-1]["step"]
    assert far(whole, cut) <= 1e-6
    assert cut.history[-1]["train_loss"] == pytest.approx(whole.history[-1]["train_loss"], abs=1e-6)


def test_a_batch_that_does_not_fit_is_cut_and_the_result_is_the_same():
    def run(**settings) -> Trainer:
        hx.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, 1))
        trainer = Trainer(model, optimizer="sgd", epochs=1, batch_size=4096, lr=0.1, progress="none", **settings)
        trainer.fit((x, x[:, :1]))
        trainer.model.zero_grad()
        return trainer

    x = hx.randn(8192, 8)

    hx.reset_peak_memory()
    before = hx.memory_stats()["live_bytes"]
    plain = run()
    peak = hx.memory_stats()["peak_bytes"] - before
    hx.set_memory_limit(before + peak // 2)  # the weights are less than a tenth of it
    try:
        with pytest.raises(
            OutOfMemoryError, match=r"Held by: activations and data .*, parameters .*micro_batch=\"auto\""
        ) as caught:
            run()
        assert caught.value.code == "HX1402" and caught.value.module_path
        del caught
        cut = run(micro_batch="auto")
    finally:
        hx.set_memory_limit(0)
    assert far(plain, cut) <= 1e-6


def test_owners_are_told_apart():
    model = nn.Linear(100, 50)
    optimizer = hx.optim.Adam(model.named_parameters())
    model(hx.ones(4, 100)).sum().backward()
    optimizer.step()
    owners = memory_owners(model, optimizer)
    assert owners["parameters"] == owners["gradients"] == 5050 * 4 and owners["optimizer"] == 2 * 5050 * 4


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
def test_gradients_are_clipped_by_norm(norm):
    class Look(Callback):
        def on_step(self, trainer, session, values):
            gradients = [v for p in trainer.model.parameters() for v in p.grad.reshape(-1).tolist()]
            found = (
                max(map(abs, gradients)) if norm == math.inf else sum(abs(g) ** norm for g in gradients) ** (1 / norm)
            )
            assert found == pytest.approx(min(values["grad_norm"], 0.05), rel=1e-4)
            seen.append(values["grad_norm"])

    seen: list[float] = []
    trained(grad_clip=0.05, clip_norm=norm, callbacks=[Look()])
    assert max(seen) > 0.05


def test_gradients_are_clipped_by_value():
    class Look(Callback):
        def on_step(self, trainer, session, values):
            assert max(p.grad.abs().max().item() for p in trainer.model.parameters()) <= 0.01 + 1e-9

    trained(clip_value=0.01, callbacks=[Look()])


class BadGradient(Callback):
    """The second step has a NaN gradient behind a finite loss."""

    def on_step(self, trainer, session, values):
        plain = hx.nn.functional.mse_loss
        spoil = session.step == 1
        trainer._loss = lambda o, t: plain(o, t) + (0 * (o - o.detach()).abs().sum().sqrt() if spoil else 0.0)


def test_a_gradient_that_is_not_finite_is_refused():
    with pytest.raises(TrainingError, match="HX3203 the norm of the gradients is nan") as caught:
        trained(callbacks=[BadGradient()])
    assert caught.value.code == "HX3203"


def test_or_its_step_is_left_out_and_counted():
    class Keep(BadGradient):
        def on_step(self, trainer, session, values):
            kept.append((weights(trainer), values.get("skipped", 0.0)))
            super().on_step(trainer, session, values)

    kept: list = []
    fitted = trained(callbacks=[Keep()], nonfinite="skip")
    assert kept[0][0] == kept[1][0] != kept[2][0] and [k[1] for k in kept] == [0, 1, 0, 0]
    assert all(map(math.isfinite, weights(fitted)))
    assert math.isfinite(fitted.history[0]["train_loss"])
    spoiled = trained(callbacks=[BadGradient()], nonfinite="ignore", epochs=1, run_dir=None)
    assert any(map(math.isnan, weights(spoiled)))


@pytest.mark.parametrize("settings", [{"nonfinite": "skip"}, {"nonfinite": "error"}, {"precision": "float16"}])
def test_a_step_left_out_leaves_running_means_alone(settings):
    x, y = samples(16).tensors
    x[3, 1] = math.nan
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    with contextlib.suppress(TrainingError):
        Trainer(model, epochs=1, progress="none", **settings).fit(data.TensorDataset(x, y))
    assert model[1].running_mean.tolist() == [0.0] * 4 and model[1].num_batches_tracked.item() == 0


def test_gradients_of_parameters_that_are_not_optimized_do_not_pile_up():
    norms = []

    class Look(Callback):
        def on_step(self, trainer, session, values):
            norms.append(values["grad_norm"])

    def head(parameters):
        return hx.optim.SGD([(name, p) for name, p in parameters if name.startswith("2")], lr=0.0)

    fitted = trained(optimizer=head, batch_size=50, epochs=3, callbacks=[Look()])
    gradients = [p.grad for name, p in fitted.model.named_parameters() if name.startswith("2")]
    assert norms == [pytest.approx(nn.utils.get_total_norm(gradients).item(), rel=1e-5)] * 3


def test_an_average_may_begin_with_a_resumed_run(tmp_path):
    def fit(**settings) -> Trainer:
        hx.manual_seed(40 + settings["epochs"])
        fitted = Trainer(nn.Linear(6, 2), lr=0.0, weight_decay=0.0, run_dir=tmp_path, progress="none", **settings)
        fitted.fit(samples(), resume=(tmp_path / "checkpoints").exists())
        return fitted

    fit(epochs=1)
    fitted = fit(epochs=2, ema=0.999)
    average = fitted._average.tensors["weight"]
    assert (average - fitted.model.weight).abs().max().item() <= 1e-6


def test_averages_of_short_weights_do_not_stand_still():
    class Look(Callback):
        def on_step(self, trainer, session, values):
            seen.append(trainer._average.tensors["weight"].tolist())

    seen: list = []
    x, y = (t.to(hx.bfloat16) for t in samples().tensors)
    Trainer(nn.Linear(6, 2).to(hx.bfloat16), ema=0.9999, epochs=4, callbacks=[Look()], progress="none").fit(
        data.TensorDataset(x, y), data.TensorDataset(x, y)
    )
    assert all(a != b for a, b in zip(seen, seen[1:], strict=False))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_with_float32_weights(precision):
    plain, mixed = trained(epochs=40, lr=0.02), trained(epochs=40, lr=0.02, precision=precision)
    assert {p.dtype for p in mixed.model.parameters()} == {hx.float32}
    assert mixed.history[-1]["train_loss"] == pytest.approx(plain.history[-1]["train_loss"], rel=0.03)
    assert mixed.history[-1]["train_loss"] < 0.8 * mixed.history[0]["train_loss"]


def test_the_average_follows_the_weights(tmp_path):
    fitted = trained(ema=0.9, run_dir=tmp_path, epochs=4)
    saved = checkpoint.load(checkpoint.newest(tmp_path / "checkpoints"))
    assert saved.average is not None and set(saved.average) == set(fitted.model.state_dict())
    plain, averaged = fitted.evaluate(samples())["loss"], fitted.test(samples())["loss"]
    assert plain != averaged and fitted.evaluate(samples())["loss"] == plain
    (tmp_path / "checkpoints" / saved.path.name / checkpoint.AVERAGE).write_bytes(b"x")
    assert "file average.safetensors has 1 bytes, the manifest says" in checkpoint.fault(saved.path)


def test_early_stopping_ends_the_run_and_the_best_checkpoint_stays(tmp_path):
    fitted = Trainer(
        nn.Linear(6, 2), epochs=30, lr=0.0, weight_decay=0.0, patience=2, run_dir=tmp_path, keep=2, progress="none"
    )
    fitted.fit(samples(), samples())
    assert fitted.history[-1]["epoch"] == 3  # nothing gets better with a rate of 0
    folder = tmp_path / "checkpoints"
    assert checkpoint.best(folder).name == "step-000001"
    assert [p.name for p in checkpoint.steps(folder)] == ["step-000003", "step-000002", "step-000001"]
    assert fitted.load_best() == 1


def test_best_by_another_number_and_unknown_ones(tmp_path):
    stopper = EarlyStopping("test_mae", patience=3)
    fitted = Trainer(
        nn.Linear(6, 2), epochs=5, run_dir=tmp_path, monitor="test_mae", callbacks=[stopper], progress="none"
    )
    fitted.fit(samples(), samples())
    assert stopper.best == min(r["test_mae"] for r in fitted.history) and stopper.mode == "min"
    with pytest.raises(ValueError, match="have no 'test_f1'; they have: train_loss"):
        Trainer(nn.Linear(6, 2), epochs=1, monitor="test_f1", progress="none").fit(samples(), samples())


@pytest.mark.parametrize(
    ("setting", "text"),
    [({"nonfinite": "maybe"}, "error, skip or ignore"), ({"clip_norm": 3}, "1, 2 or inf"), ({"micro_batch": 0}, "micro_batch"),
     ({"accumulate": 0}, "accumulate"), ({"precision": "float64"}, "precision"), ({"ema": 1.5}, "ema")],
)  # fmt: skip
def test_bad_settings_are_named(setting, text):
    with pytest.raises(ValueError, match=text):
        trained(**setting)


def test_predict_of_a_dataset():
    fitted = trained()
    assert fitted.predict(samples()).tolist() == fitted.predict(samples().tensors[0]).tolist()


@pytest.mark.parametrize("name", ["rmsprop", "nadam", "adafactor", "lion", "lamb", "lars", "soap", "adagrad"])
def test_optimizers_by_name(name):
    fitted = trained(optimizer=name, lr=1e-3, epochs=1)
    assert math.isfinite(fitted.history[-1]["train_loss"])


def test_options_of_an_optimizer_and_unknown_names():
    nesterov = trained(optimizer_options={"nesterov": True}, lr=0.01)
    assert far(nesterov, trained(lr=0.01)) > 0
    with pytest.raises(ValueError, match="unknown name 'adm'; known: adamw, adam, sgd"):
        trained(optimizer="adm")


def test_time_left():
    from helix.train.progress import left

    assert (left(0, 1.0), left(90, 1.0), left(2, 3661.0)) == ("", "  1:30 left", "  2:02:02 left")


def test_the_bar_shows_rate_and_time(capsys, monkeypatch):
    from helix.train.progress import progress_named

    monkeypatch.setenv("COLUMNS", "200")
    bar = progress_named("bar")
    bar.start(10, 0)
    for step in range(1, 4):
        bar.step(step, 1, {"loss": 0.5})
    bar.line("a line")
    bar.close()
    assert "a line" in capsys.readouterr().err
