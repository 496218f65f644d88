"""Compiled training: the numbers of eager training, its checkpoints, and what is said where a step cannot be captured."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import helix
from helix import nn
from helix.train import Trainer


def data() -> tuple[helix.Tensor, helix.Tensor]:
    helix.manual_seed(3)
    return helix.randn(44, 6), helix.randint(0, 3, (44,))


def network() -> nn.Module:
    helix.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))


def fitted(model: nn.Module | None = None, resume: bool = False, **settings: Any) -> tuple[Any, Any]:
    model = network() if model is None else model
    trainer = Trainer(model, batch_size=8, progress="none", **{"epochs": 2, **settings})
    record = trainer.fit(data(), resume=resume)
    weights = {name: value.tolist() for name, value in model.state_dict().items()}
    return {name: value for name, value in record.items() if name.startswith("train_")}, weights


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulated": {"accumulate": 2, "grad_clip": 0.5},
    "in pieces": {"micro_batch": 4, "nonfinite": "skip"},
    "bfloat16": {"precision": "bfloat16"},
    "float16": {"precision": "float16"},
    "averaged": {"ema": 0.9, "optimizer": "sgd"},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_compiled_training_gives_the_numbers_of_eager_training(name: str) -> None:
    mine, theirs = fitted(compile=True, **SETTINGS[name]), fitted(**SETTINGS[name])
    assert mine == theirs


def test_a_compiled_run_goes_on_from_a_checkpoint(tmp_path: Any) -> None:
    once = fitted(compile=True, schedule="constant")
    fitted(compile=True, epochs=1, schedule="constant", run_dir=tmp_path / "run")
    assert fitted(compile=True, schedule="constant", run_dir=tmp_path / "run", resume=True) == once


class Branches(nn.Module):
    def __init__(self) -> None:
        self.layer = nn.Linear(6, 3)

    def forward(self, x: helix.Tensor) -> helix.Tensor:
        return self.layer(x) if x.sum() > 0 else self.layer(-x)


class Counts(nn.Module):
    def __init__(self, look: bool) -> None:
        self.layer, self.look = nn.Linear(6, 3), look
        self.register_buffer("count", helix.zeros(()))

    def forward(self, x: helix.Tensor) -> helix.Tensor:
        self.count = self.count + 1
        if self.look:
            float(x.sum())
        return self.layer(x) * self.count


@pytest.mark.parametrize("look", [False, True])
def test_a_buffer_that_a_step_replaces_is_trained_as_it_is(look: bool) -> None:
    helix.manual_seed(0)
    with pytest.warns(
        helix.errors.CompileWarning, match="not known" if look else r"buffer \S*count was given another tensor"
    ):
        mine = fitted(Counts(look), compile=True)
    helix.manual_seed(0)
    assert mine == fitted(Counts(look))


def test_what_cannot_be_captured_is_said_once_and_trained_as_it_is() -> None:
    helix.manual_seed(0)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        mine = fitted(Branches(), compile=True)
    helix.manual_seed(0)
    assert mine == fitted(Branches())
    assert len(seen) == 1 and "cannot be compiled and runs as it is" in str(seen[0].message)
