"""Schedules against torch's, value by value."""

from __future__ import annotations

import pytest
import torch

import helix as hx
from helix import nn, optim
from helix.optim import lr_scheduler

CASES = [
    ("StepLR", {"step_size": 3}),
    ("MultiStepLR", {"milestones": [2, 5, 11]}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("ConstantLR", {}),
    ("LinearLR", {"total_iters": 7}),
    ("CosineAnnealingLR", {"T_max": 20, "eta_min": 0.001}),
    ("OneCycleLR", {"max_lr": 0.1, "total_steps": 20}),
    ("OneCycleLR", {"max_lr": 0.1, "total_steps": 20, "anneal_strategy": "linear", "pct_start": 0.2}),
]


def both(name, options):
    theirs = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.05)
    mine = optim.SGD([nn.Parameter(hx.zeros(1))], lr=0.05)
    extra = {"cycle_momentum": False} if name == "OneCycleLR" else {}
    return (
        theirs,
        getattr(torch.optim.lr_scheduler, name)(theirs, **options, **extra),
        getattr(lr_scheduler, name)(mine, **options),
    )


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_values_are_torchs(name, options):
    optimizer, reference, tested = both(name, options)
    for step in range(20):
        assert tested.get_last_lr() == pytest.approx(reference.get_last_lr(), rel=1e-9, abs=1e-12), step
        if step < 19:
            optimizer.step()
            reference.step()
            tested.step()


def test_plateau():
    theirs = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.05)
    mine = optim.SGD([nn.Parameter(hx.zeros(1))], lr=0.05)
    options = {"patience": 2, "factor": 0.5, "cooldown": 1}
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    tested = lr_scheduler.ReduceLROnPlateau(mine, **options)
    for value in [5, 4, 4, 4, 4, 4, 4, 4, 4, 3, 3, 3, 3, 3, 3]:
        reference.step(value)
        tested.step(value)
        assert mine.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])


def test_warmup_cosine_rises_peaks_and_falls():
    optimizer = optim.SGD([nn.Parameter(hx.zeros(1))], lr=1.0)
    schedule = lr_scheduler.WarmupCosineLR(optimizer, 4, 24)
    rates = []
    for _ in range(25):
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert rates[14] == pytest.approx(0.5) and rates[24] == pytest.approx(0.0, abs=1e-12)


def test_state_is_the_step():
    optimizer = optim.SGD([nn.Parameter(hx.zeros(1))], lr=1.0)
    schedule = lr_scheduler.StepLR(optimizer, 2)
    for _ in range(5):
        schedule.step()
    other = optim.SGD([nn.Parameter(hx.zeros(1))], lr=1.0)
    again = lr_scheduler.StepLR(other, 2)
    again.load_state_dict(schedule.state_dict())
    assert other.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
