"""Optimizers against torch's, step by step; states that survive."""

from __future__ import annotations

import pytest
import torch

import helix as hx
from helix import nn, optim
from helix.errors import CheckpointError

from ..nn.compare import assert_close, to_helix

CASES = [
    ("SGD", {"lr": 0.01}),
    ("SGD", {"lr": 0.01, "momentum": 0.9}),
    ("SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.01, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.01, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"weight_decay": 0.1, "betas": (0.5, 0.9)}),
    ("Adam", {"amsgrad": True, "lr": 0.1}),
    ("AdamW", {"lr": 0.01}),
    ("AdamW", {"weight_decay": 0.3, "amsgrad": True, "eps": 1e-5}),
    ("AdamW", {"maximize": True}),
]


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_steps_are_torchs(name, options):
    """Three parameters; one gets its first gradient late, and one has none on every third step."""
    torch.manual_seed(0)
    data = [torch.randn(7, 5), torch.randn(11), torch.randn(3, 2, 2)]
    theirs = [torch.nn.Parameter(t.clone()) for t in data]
    mine = [nn.Parameter(to_helix(t)) for t in data]
    reference, tested = getattr(torch.optim, name)(theirs, **options), getattr(optim, name)(mine, **options)
    for step in range(12):
        for i, (a, b) in enumerate(zip(theirs, mine, strict=True)):
            gradient = torch.randn(a.shape)
            absent = (i == 1 and step < 3) or (i == 2 and step % 3 == 0)
            a.grad = None if absent else gradient
            b.grad = None if absent else to_helix(gradient)
        reference.step()
        tested.step()
        for a, b in zip(theirs, mine, strict=True):
            assert_close(b, a, rtol=2e-6, atol=2e-6, what=f"step {step}")


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_going_on_from_a_saved_state_is_bit_identical(name, options):
    def fresh():
        hx.manual_seed(1)
        return nn.Linear(5, 3)

    def steps(model, optimizer, first, last):
        for step in range(first, last):
            optimizer.zero_grad()
            (model(hx.full((4, 5), 0.1 * step + 1)) ** 2).sum().backward()
            optimizer.step()

    straight, make = fresh(), getattr(optim, name)
    steps(straight, make(straight.named_parameters(), **options), 0, 6)
    first = fresh()
    optimizer = make(first.named_parameters(), **options)
    steps(first, optimizer, 0, 3)
    second = fresh()
    second.load_state_dict(first.state_dict())
    resumed = make(second.named_parameters(), **options)
    resumed.load_state_dict(optimizer.state_dict())
    steps(second, resumed, 3, 6)
    assert second.weight.tolist() == straight.weight.tolist() and second.bias.tolist() == straight.bias.tolist()


def test_groups_have_their_own_options():
    a, b = nn.Parameter(hx.ones(2)), nn.Parameter(hx.ones(2))
    optimizer = optim.SGD([{"params": [a]}, {"params": [b], "lr": 1.0}], lr=0.1)
    (a + b).sum().backward()
    optimizer.step()
    assert a.tolist() == pytest.approx([0.9, 0.9]) and b.tolist() == [0.0, 0.0]
    assert optimizer.param_groups[1]["names"] == ["1"]


def test_state_is_kept_under_names():
    model = nn.Sequential(nn.Linear(2, 2))
    optimizer = optim.AdamW(model.named_parameters())
    model(hx.ones(1, 2)).sum().backward()
    optimizer.step()
    assert set(optimizer.state_dict()["state"]) == {"0.weight", "0.bias"}
    other = optim.AdamW(nn.Sequential(nn.ReLU(), nn.Linear(2, 2)).named_parameters())
    with pytest.raises(CheckpointError, match=r"not in the state: 1[.]weight, 1[.]bias"):
        other.load_state_dict(optimizer.state_dict())


def test_closure():
    p = nn.Parameter(hx.ones(2))
    optimizer = optim.SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2.0 and p.tolist() == pytest.approx([0.8, 0.8])


@pytest.mark.parametrize(("make", "text"), [
    (lambda p: optim.SGD(p, lr=-1), "lr must not be negative"),
    (lambda p: optim.SGD(p, nesterov=True), "nesterov needs a momentum"),
    (lambda p: optim.Adam(p, betas=(1.0, 0.9)), r"betas\[0\]"),
    (lambda p: optim.Adam([]), "no parameters"),
    (lambda p: optim.Adam([p[0], p[0]]), "twice"),
    (lambda p: optim.Adam([{"params": p, "learning_rate": 1}]), "unknown option 'learning_rate'"),
    (lambda p: optim.Adam([p[0] * 2]), "only leaves"),
    (lambda p: optim.Adam(p[0]), "one tensor")])  # fmt: skip
def test_wrong_arguments_are_refused(make, text):
    with pytest.raises((ValueError, TypeError), match=text):
        make([nn.Parameter(hx.ones(2))])
