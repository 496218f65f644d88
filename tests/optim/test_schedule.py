"""Schedules against torch's, value by value."""

from __future__ import annotations

import json
import math

import pytest
import torch

import helix as hx
from helix import nn, optim
from helix.optim import lr_scheduler

STEPS = 200
CASES = {
    "LambdaLR": {"lr_lambda": lambda step: 0.95**step},
    "MultiplicativeLR": {"lr_lambda": lambda step: 0.99 if step % 2 else 1.01},
    "StepLR": {"step_size": 30},
    "MultiStepLR": {"milestones": [80, 20, 50, 50], "gamma": 0.5},
    "ConstantLR": {},
    "LinearLR": {"total_iters": 70, "start_factor": 0.1, "end_factor": 0.5},
    "ExponentialLR": {"gamma": 0.9},
    "PolynomialLR": {"total_iters": 120, "power": 1.7},
    "CosineAnnealingLR": {"T_max": 37, "eta_min": 0.001},
    "CosineAnnealingWarmRestarts": {"T_0": 7, "T_mult": 2, "eta_min": 0.001},
    "CosineAnnealingWarmRestarts 2": {"T_0": 30},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 13, "step_size_down": 20},
    "CyclicLR 2": {"base_lr": 0.01, "max_lr": [0.1, 0.2], "step_size_up": 13, "mode": "triangular2"},
    "CyclicLR 3": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 13, "mode": "exp_range", "gamma": 0.99},
    "CyclicLR 4": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 9, "scale_fn": lambda x: 1 / x, "cycle_momentum": False},
    "OneCycleLR": {"max_lr": 0.1, "total_steps": 201},
    "OneCycleLR 2": {"max_lr": [0.1, 0.3], "epochs": 20, "steps_per_epoch": 11, "anneal_strategy": "linear", "pct_start": 0.2},
    "OneCycleLR 3": {"max_lr": 0.1, "total_steps": 201, "three_phase": True, "max_momentum": 0.9, "base_momentum": 0.7},
    "SWALR": {"swa_lr": [0.01, 0.2], "anneal_epochs": 40},
    "SWALR 2": {"swa_lr": 0.01, "anneal_epochs": 0, "anneal_strategy": "linear"},
}  # fmt: skip


def both(kind="SGD"):
    """The same optimizer twice, of two groups."""
    rates = [{"lr": 0.05}, {"lr": 0.02}]
    theirs = getattr(torch.optim, kind)([{"params": [torch.zeros(1, requires_grad=True)], **o} for o in rates])
    mine = getattr(optim, kind)([{"params": [nn.Parameter(hx.zeros(1))], **o} for o in rates])
    return theirs, mine


def reference(name):
    name = name.split()[0]
    return getattr(torch.optim.swa_utils if name == "SWALR" else torch.optim.lr_scheduler, name)


def ours(name):
    return getattr(lr_scheduler, name.split()[0])


def momenta(group):
    return group["betas"] if "betas" in group else group["momentum"]


def follow(theirs, mine, a, b, steps=STEPS):
    for step in range(steps):
        for x, y in zip(theirs.param_groups, mine.param_groups, strict=True):
            assert y["lr"] == pytest.approx(x["lr"], rel=1e-9, abs=1e-13), step
            assert momenta(y) == pytest.approx(momenta(x), rel=1e-9), step
        assert b.get_last_lr() == [group["lr"] for group in mine.param_groups]
        theirs.step()
        a.step()
        b.step()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", CASES)
def test_values_are_torchs(name, kind):
    theirs, mine = both(kind)
    follow(theirs, mine, reference(name)(theirs, **CASES[name]), ours(name)(mine, **CASES[name]))


def sequence(m, optimizer):
    parts = [m.LinearLR(optimizer, 0.1, 1.0, 10), m.CosineAnnealingLR(optimizer, 30), m.ExponentialLR(optimizer, 0.95)]
    return m.SequentialLR(optimizer, parts, [10, 50])


def chain(m, optimizer):
    parts = [
        m.ConstantLR(optimizer, 0.1, 20),
        m.ExponentialLR(optimizer, 0.95),
        m.CosineAnnealingLR(optimizer, 15, 1e-3),
    ]
    return m.ChainedScheduler(parts)


def nested(m, optimizer):
    multiplied = m.MultiplicativeLR(optimizer, lambda step: 0.98)
    inner = m.SequentialLR(optimizer, [m.ConstantLR(optimizer, 0.5, 3), m.StepLR(optimizer, 9)], [5])
    return m.SequentialLR(optimizer, [multiplied, m.CosineAnnealingWarmRestarts(optimizer, 8), inner], [12, 300])


COMPOSED = [sequence, chain, nested]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", COMPOSED)
def test_compositions_are_torchs(make):
    theirs, mine = both()
    follow(theirs, mine, make(torch.optim.lr_scheduler, theirs), make(lr_scheduler, mine))


@pytest.mark.filterwarnings("ignore")
def test_a_rate_changed_by_hand_stays_changed():
    theirs, mine = both()
    a, b = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 10, 1e-3), lr_scheduler.CosineAnnealingLR(mine, 10, 1e-3)
    follow(theirs, mine, a, b, 4)
    theirs.param_groups[0]["lr"] = mine.param_groups[0]["lr"] = 0.7
    follow(theirs, mine, a, b, 5)


PLATEAUS = [
    {"patience": 2, "factor": 0.5, "cooldown": 1},
    {"patience": 1, "mode": "max", "threshold": 0.1, "min_lr": [0.001, 0.01]},
    {"patience": 0, "threshold_mode": "abs", "threshold": 0.5, "eps": 1e-3},
    {"patience": 0, "mode": "max", "threshold_mode": "abs", "threshold": 0.5},
]


@pytest.mark.parametrize("options", PLATEAUS, ids=str)
def test_plateau(options):
    theirs, mine = both()
    a, b = (
        torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options),
        lr_scheduler.ReduceLROnPlateau(mine, **options),
    )
    for step in range(STEPS):
        value = 5 * math.exp(-step / 30) + 0.3 * math.sin(step)
        a.step(value)
        b.step(hx.tensor(value, dtype=hx.float64))
        assert b.get_last_lr() == pytest.approx(a.get_last_lr())


EVERY = {name: (lambda m, o, name=name: ours(name)(o, **CASES[name])) for name in CASES}
EVERY |= {make.__name__: make for make in COMPOSED}
EVERY["WarmupCosineLR"] = lambda m, o: m.WarmupCosineLR(o, 5, 50)
EVERY["WarmupStableDecayLR"] = lambda m, o: m.WarmupStableDecayLR(o, 5, 10, 20)


@pytest.mark.parametrize("name", EVERY)
def test_goes_on_from_its_state_as_json(name):
    _, straight = both()
    schedule = EVERY[name](lr_scheduler, straight)
    for _ in range(14):
        schedule.step()
    _, other = both()
    again = EVERY[name](lr_scheduler, other)
    again.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
    for _ in range(30):
        assert again.get_last_lr() == schedule.get_last_lr()
        assert [momenta(g) for g in other.param_groups] == [momenta(g) for g in straight.param_groups]
        again.step()
        schedule.step()


def rates(make, steps):
    optimizer = optim.SGD([nn.Parameter(hx.zeros(1))], lr=1.0)
    return [at[0] for at in make(optimizer).rates(steps)]


def test_warmup_cosine_rises_peaks_and_falls():
    found = rates(lambda o: lr_scheduler.WarmupCosineLR(o, 4, 24), 25)
    assert found[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert found[14] == pytest.approx(0.5) and found[24] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("decay", "middle"), [("linear", 0.55), ("cosine", 0.55), ("sqrt", 1 - 0.9 * math.sqrt(0.5))])
def test_wsd_rises_stays_and_falls(decay, middle):
    found = rates(lambda o: lr_scheduler.WarmupStableDecayLR(o, 4, 6, 8, 0.1, decay), 25)
    assert found[:4] == [0.25, 0.5, 0.75, 1.0] and found[4:11] == [1.0] * 7
    assert found[14] == pytest.approx(middle) and found[18:] == pytest.approx([0.1] * 7)


def test_inverse_square_root():
    found = rates(lambda o: lr_scheduler.InverseSquareRootLR(o, 4), 17)
    assert found[:4] == [0.25, 0.5, 0.75, 1.0] and found[15] == 0.5


def test_a_picture_shows_the_groups_and_changes_nothing(tmp_path):
    _, mine = both()
    schedule = sequence(lr_scheduler, mine)
    schedule.step()
    before = schedule.state_dict()
    drawing = schedule.plot(60, tmp_path / "lr.svg")
    assert schedule.state_dict() == before
    assert drawing == (tmp_path / "lr.svg").read_text() and drawing.count("<polyline") == 2
    assert "SequentialLR" in drawing


@pytest.mark.parametrize(("make", "text"), [
    (lambda o: lr_scheduler.StepLR(o, 0), "step_size must be at least 1"),
    (lambda o: lr_scheduler.ConstantLR(o, 2.0), "factor must lie between 0 and 1"),
    (lambda o: lr_scheduler.LinearLR(o, 0.0), "start_factor must be above 0"),
    (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 0), "T_0 and T_mult"),
    (lambda o: lr_scheduler.CyclicLR(o, 0.1, 1, mode="square"), "mode must be"),
    (lambda o: lr_scheduler.CyclicLR(o, [0.1], 1), "one for each of the 2 groups, got 1"),
    (lambda o: lr_scheduler.OneCycleLR(o, 0.1), "give total_steps"),
    (lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 1)], [3]), "1 schedules need 0 milestones"),
    (lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.ReduceLROnPlateau(o)]), "needs more than a step"),
    (lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(o, 1)], both()[1]), "another optimizer"),
    (lambda o: lr_scheduler.WarmupCosineLR(o, 5, 4), "warmup_steps"),
    (lambda o: lr_scheduler.StepLR(o, 3, last_epoch=4), "has no initial_lr"),
    (lambda o: lr_scheduler.StepLR(o, 3).plot(1), "at least 2")])  # fmt: skip
def test_wrong_arguments_are_refused(make, text):
    with pytest.raises((ValueError, KeyError, AttributeError), match=text):
        make(both()[1])


def test_a_cycle_over_is_over():
    schedule = lr_scheduler.OneCycleLR(both()[1], 0.1, 2)
    schedule.step()
    schedule.step()
    with pytest.raises(ValueError, match="the cycle of 2 steps is over"):
        schedule.step()


def test_cycling_needs_a_momentum():
    optimizer = optim.Adagrad([nn.Parameter(hx.zeros(1))])
    with pytest.raises(ValueError, match="neither momentum nor betas"):
        lr_scheduler.OneCycleLR(optimizer, 0.1, 20)
