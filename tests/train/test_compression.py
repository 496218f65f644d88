"""Compressors: what is sent, what is lost, in how many bytes; and that training gets there with error feedback alone."""

from __future__ import annotations

import math

import pytest

import helix as hx
from helix import nn
from helix.errors import ConfigError
from helix.train import Callback, Trainer
from helix.train.compression import COMPRESSORS, ErrorFeedback, Int8, PowerSGD, Sign, TopK, compress_gradients

ALL = {"top-k": lambda: TopK(0.05), "int8": lambda: Int8(64), "sign": Sign, "powersgd": lambda: PowerSGD(2)}


def gradient(*shape: int, seed: int = 0) -> hx.Tensor:
    generator = hx.Generator()
    generator.manual_seed(seed)
    return hx.randn(*shape, generator=generator)


@pytest.mark.parametrize("shape", [(40, 25), (7,), (3, 4, 5, 6), (1,), (1000,)])
@pytest.mark.parametrize("kind", ALL)
def test_shape_dtype_and_sum_of_sent_and_lost(kind, shape):
    with_memory = ErrorFeedback(ALL[kind]())
    before = hx.zeros(*shape)
    for step in range(3):
        given = gradient(*shape, seed=step)
        sent = with_memory.decompress(with_memory.compress("w", given))
        assert sent.shape == given.shape and sent.dtype is given.dtype
        difference = (sent + with_memory.errors["w"] - (given + before)).abs().max().item()
        assert difference == 0.0 if kind == "top-k" else difference <= 1e-6
        before = with_memory.errors["w"]


@pytest.mark.parametrize("kind", ALL)
def test_what_has_no_elements_goes_through(kind):
    for shape in ((0,), (0, 3)):
        compressor = ErrorFeedback(ALL[kind]())
        assert compressor.decompress(compressor.compress("w", hx.zeros(*shape))).shape == shape


def test_bytes_on_the_wire():
    given = gradient(512, 256)
    dense = given.numel() * 4
    assert TopK(0.01).compress("w", given).nbytes <= 0.021 * dense
    assert Int8(256).compress("w", given).nbytes <= 0.255 * dense
    assert Sign().compress("w", given).nbytes <= dense / 32 + 4
    assert PowerSGD(4).compress("w", given).nbytes == 4 * (512 + 256) * 4


def test_top_k_keeps_the_largest_of_either_sign():
    payload = TopK(0.5).compress("w", hx.tensor([0.1, -5.0, 2.0, -0.2]))
    assert TopK(0.5).decompress(payload).tolist() == [0.0, -5.0, 2.0, 0.0]


def test_stochastic_rounding_has_the_right_mean():
    given = hx.tensor([1.0, 0.3, -0.7, 0.0])
    compressor = Int8(4, seed=1)
    results = [compressor.decompress(compressor.compress("w", given)) for _ in range(3000)]
    mean = sum(results[1:], start=results[0]) / 3000
    assert (mean - given).abs().max().item() < 5e-4
    assert {round(r[1].item() * 127) for r in results} == {38, 39}
    assert Int8(4).decompress(Int8(4).compress("w", hx.zeros(5))).tolist() == [0.0] * 5


def test_a_low_rank_matrix_comes_through_whole():
    matrix = gradient(30, 2) @ gradient(2, 20, seed=1)
    compressor = PowerSGD(2)
    for _ in range(2):  # the second time from the first one's result
        found = compressor.decompress(compressor.compress("w", matrix))
    assert (found - matrix).abs().max().item() < 1e-4


# Logistic regression, where one feature is a thousand times weaker than another: its gradient never is the largest.
def final_loss(compressor) -> float:
    hx.manual_seed(0)
    x = gradient(256, 20) * hx.linspace(0.1, 1.0, 20)
    y = ((x @ gradient(20, 1, seed=9)) > 0).to(hx.float32)
    model = nn.Linear(20, 1)
    with hx.no_grad():
        model.weight.zero_()
    optimizer = hx.optim.SGD(model.named_parameters(), 0.5)
    for _ in range(400):
        loss = nn.functional.binary_cross_entropy_with_logits(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        if compressor is not None:
            compress_gradients(model, compressor)
        optimizer.step()
    return loss.item()


@pytest.mark.parametrize("kind", ["top-k", "sign", "int8"])
def test_with_error_feedback_training_gets_there(kind):
    dense = final_loss(None)
    assert final_loss(ErrorFeedback(ALL[kind]())) < 1.1 * dense
    if kind == "top-k":
        assert final_loss(TopK(0.05)) > 1.1 * dense


@pytest.mark.parametrize("make", [lambda: TopK(0.0), lambda: TopK(2.0), lambda: Int8(0), lambda: PowerSGD(0)])
def test_bad_arguments(make):
    with pytest.raises(ValueError, match="must"):
        make()


# ---- in a training -----------------------------------------------------------------------------------------


class CutOff(Callback):
    def __init__(self, at: int | None = None) -> None:
        self.at = at

    def on_step(self, trainer, session, values):
        if session.step == self.at:
            raise KeyError("cut off")


def fitted(chosen, folder=None, at=None, **settings) -> tuple[nn.Module, dict]:
    from .parts import blobs

    hx.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
    made = Trainer(
        model, compress=chosen, callbacks=[CutOff(at)], epochs=3, batch_size=16, lr=1e-2, run_dir=folder, checkpoint_every=2,
        progress="none", **settings,
    )  # fmt: skip
    return model, made.fit(blobs(), resume=folder is not None and folder.exists())


def weights(model: nn.Module) -> list:
    return [value for p in model.parameters() for value in p.reshape(-1).tolist()]


@pytest.mark.parametrize("name", COMPRESSORS)
def test_a_training_goes_on_with_what_was_lost(name, tmp_path):
    options = {"share": 0.1} if name == "topk" else {"rank": 2} if name == "powersgd" else {}
    whole, record = fitted(name, compress_options=options)
    assert 0.0 < record["train_sent_share"] < 0.8 and record["train_accuracy"] > 0.5
    assert weights(whole) != weights(fitted(None)[0])
    with pytest.raises(KeyError, match="cut off"):
        fitted(name, tmp_path / "run", at=9, compress_options=options)
    assert weights(fitted(name, tmp_path / "run", compress_options=options)[0]) == weights(whole)


def test_a_step_that_is_left_out_loses_nothing():
    class Poison(Callback):
        def on_step(self, trainer, session, values):
            loss = trainer._loss if session.step != 3 else None
            if session.step == 2:
                self.kept, trainer._loss = loss, lambda output, target: output.sum() * float("nan")
            if session.step == 3:
                trainer._loss = self.kept
            errors = session.gradients.compressor.errors
            seen.append([value for e in errors.values() for value in e.reshape(-1).tolist()])

    from .parts import blobs

    seen: list = []
    made = Trainer(
        nn.Linear(4, 3), compress=ErrorFeedback(TopK(0.3)), callbacks=[Poison()], epochs=1, batch_size=16, nonfinite="skip",
        progress="none",
    )  # fmt: skip
    made.fit(blobs())
    assert seen[1] == seen[2] != seen[3] and all(math.isfinite(value) for value in seen[-1])


def test_what_cannot_compress_is_said(tmp_path):
    with pytest.raises(ValueError, match="compress: unknown name 'top-k'; did you mean 'topk'"):
        fitted("top-k")
    with pytest.raises(ValueError, match="compress_options of 'topk': .*'shares'"):
        fitted("topk", compress_options={"shares": 0.1})
    with pytest.raises(ValueError, match="compress_options need compress"):
        fitted(None, compress_options={"share": 0.1})
    with pytest.raises(ValueError, match="made already has its own"):
        fitted(Int8(), compress_options={"block": 2})
    with pytest.raises(KeyError, match="cut off"):
        fitted("topk", tmp_path / "run", at=3)
    with pytest.raises(ConfigError, match=r"HX3106 .* by ErrorFeedback\(TopK\), this one by ErrorFeedback\(Sign\)"):
        fitted("sign", tmp_path / "run")
