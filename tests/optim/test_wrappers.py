"""L-BFGS beside torch's; wrappers around optimizers; averages of weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.optim.lbfgs import _strong_wolfe as reference_search

import helix as hx
from helix import nn, optim
from helix.optim import swa_utils
from helix.optim.line_search import Point, strong_wolfe

from ..nn.compare import assert_close, copy_weights, to_helix


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def logistic(x):
    return (1 + (-x * 3).exp()).log().sum() + 0.1 * (x * x).sum()


def closure_of(function, x, optimizer):
    def closure():
        optimizer.zero_grad()
        loss = function(x)
        loss.backward()
        return loss

    return closure


@pytest.mark.parametrize("options", [
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "history_size": 3, "max_iter": 4, "lr": 0.5},
    {"line_search_fn": "strong_wolfe", "max_eval": 6},
    {"lr": 0.05, "max_iter": 5},
    {"lr": 0.05, "tolerance_change": 1e-3, "max_iter": 8}], ids=str)  # fmt: skip
@pytest.mark.parametrize("function", [rosenbrock, logistic])
def test_lbfgs_is_torchs(function, options):
    torch.manual_seed(0)
    theirs = (0.5 * torch.randn(6, dtype=torch.float64)).requires_grad_()
    mine = nn.Parameter(to_helix(theirs))
    reference, tested = torch.optim.LBFGS([theirs], **options), optim.LBFGS([mine], **options)
    for step in range(6):
        expected = reference.step(closure_of(function, theirs, reference))
        found = tested.step(closure_of(function, mine, tested))
        assert found.item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-12), step
        assert_close(mine, theirs, rtol=1e-7, atol=1e-9, what=f"step {step}")
        state, other = tested.state["0"], reference.state[theirs]
        assert (state["n_iter"], state["func_evals"]) == (other["n_iter"], other["func_evals"])


def test_lbfgs_goes_on_from_its_state():
    def fresh(value):
        return nn.Parameter(hx.tensor(value, dtype=hx.float64))

    options = {"line_search_fn": "strong_wolfe", "max_iter": 3}
    first = fresh([0.3, -0.2, 0.7])
    optimizer = optim.LBFGS([first], **options)
    for _ in range(2):
        optimizer.step(closure_of(rosenbrock, first, optimizer))
    second = fresh(first.tolist())
    resumed = optim.LBFGS([second], **options)
    resumed.load_state_dict(optimizer.state_dict())
    for p, o in ((first, optimizer), (second, resumed)):
        o.step(closure_of(rosenbrock, p, o))
    assert first.tolist() == second.tolist()


@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_steps_with_the_gradient_uphill(adaptive):
    x = np.array([1.0, -2.0, 0.5])
    p = nn.Parameter(hx.tensor(x, dtype=hx.float64))
    optimizer = optim.SAM(optim.SGD([p], lr=0.1), rho=0.3, adaptive=adaptive)
    loss = optimizer.step(closure_of(lambda p: (p**4).sum(), p, optimizer))
    gradient = 4 * x**3
    scale = np.abs(x) if adaptive else 1.0
    up = x + 0.3 * scale**2 * gradient / np.linalg.norm(scale * gradient)
    assert loss.item() == pytest.approx((x**4).sum())
    np.testing.assert_allclose(p.detach().numpy(), x - 0.1 * 4 * up**3, rtol=1e-12)


def test_a_step_of_sam_that_fails_leaves_the_parameters_where_they_were():
    p = nn.Parameter(hx.tensor([1.0, -2.0]))
    optimizer, calls = optim.SAM(optim.SGD([p], lr=0.1), rho=0.3), []

    def closure():
        calls.append(1)
        if len(calls) == 2:
            raise KeyError("uphill")
        loss = (p * p).sum()
        loss.backward()
        return loss

    with pytest.raises(KeyError, match="uphill"):
        optimizer.step(closure)
    assert p.tolist() == [1.0, -2.0]


def test_lookahead_goes_half_way_every_second_step():
    p = nn.Parameter(hx.tensor([0.0]))
    optimizer = optim.Lookahead(optim.SGD([p], lr=1.0), k=2, alpha=0.5)
    seen = []
    for step in range(4):
        p.grad = hx.tensor([-1.0])
        optimizer.step()
        seen.append(p.item())
        if step == 2:
            saved = optimizer.state_dict()
            other = nn.Parameter(p.detach().clone())
            resumed = optim.Lookahead(optim.SGD([other], lr=0.5), k=2, alpha=0.5)
            resumed.load_state_dict(saved)
    assert seen == [1.0, 1.0, 2.0, 2.0]
    other.grad = hx.tensor([-1.0])
    resumed.step()
    assert other.item() == 2.0
    with pytest.raises(hx.errors.CheckpointError, match="not the slow weights"):
        resumed.load_state_dict(optim.SGD([other], lr=0.5).state_dict())


def models():
    torch.manual_seed(0)
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).double()
    mine = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).to(hx.float64)
    copy_weights(mine, theirs)
    return theirs, mine


AVERAGES = [
    ({}, {}),
    ({"use_buffers": True}, {"use_buffers": True}),
    (
        {"multi_avg_fn": torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)},
        {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.9)},
    ),
    ({"avg_fn": lambda a, p, n: 0.7 * a + 0.3 * p}, {"avg_fn": lambda a, p, n: 0.7 * a + 0.3 * p}),
]


@pytest.mark.parametrize("case", range(len(AVERAGES)))
def test_averaged_models_are_torchs(case):
    (options, ours), (theirs, mine) = AVERAGES[case], models()
    reference, tested = torch.optim.swa_utils.AveragedModel(theirs, **options), swa_utils.AveragedModel(mine, **ours)
    for _ in range(4):
        noise = [torch.randn(p.shape, dtype=p.dtype) for p in theirs.parameters()]
        with torch.no_grad(), hx.no_grad():
            for a, b, n in zip(theirs.parameters(), mine.parameters(), noise, strict=True):
                a.add_(n)
                b.add_(to_helix(n))
        x = torch.randn(8, 3, dtype=torch.float64)
        theirs(x), mine(to_helix(x))
        reference.update_parameters(theirs)
        tested.update_parameters(mine)
    batches = [torch.randn(n, 3, dtype=torch.float64) for n in (8, 8, 3)]
    state = tested.state_dict()
    assert list(state) == list(reference.state_dict())
    for name, value in reference.state_dict().items():
        if value.is_floating_point() or not options:  # counts are the model's here, where torch rounds their mean down
            assert_close(state[name], value, rtol=1e-10, atol=1e-12, what=name)
    torch.optim.swa_utils.update_bn(batches, reference)
    swa_utils.update_bn([(to_helix(b), None) for b in batches], tested)
    for name, value in reference.state_dict().items():
        assert_close(tested.state_dict()[name], value, rtol=1e-10, atol=1e-12, what=name)


@pytest.mark.parametrize("seed", range(12))
def test_the_line_search_is_torchs_on_wavy_lines(seed):
    """Brackets, interpolations near the ends and slow progress, which smooth problems never meet."""
    a, b, w, shift, first = np.random.default_rng(seed).uniform([0.05, 0.5, 1, 0, 0.01], [1, 5, 20, 6, 8]).tolist()

    def value(t):
        return a * t * t - b * t + math.sin(w * t + shift)

    def slope(t):
        return 2 * a * t - b + w * math.cos(w * t + shift)

    def tensors(x, t, d):
        return value(float(t)), torch.tensor([slope(float(t))], dtype=torch.float64)

    start, gradient = slope(0.0), torch.tensor([slope(0.0)], dtype=torch.float64)
    direction = -math.copysign(1.0, start)
    d = torch.tensor([direction], dtype=torch.float64)
    along = lambda x, t, d: tensors(x, float(t) * direction, d)  # noqa: E731
    f, _, t, count = reference_search(along, None, first, d, value(0.0), gradient, gradient.dot(d))

    def evaluate(at):
        return Point(at, value(at * direction), None, slope(at * direction) * direction)

    found, evaluations = strong_wolfe(evaluate, Point(0.0, value(0.0), None, start * direction), first, 1.0)
    assert (found.at, found.value, evaluations) == (
        pytest.approx(float(t), rel=1e-9),
        pytest.approx(f, rel=1e-9),
        count,
    )
