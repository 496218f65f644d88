"""Clipping against torch's: norms of every order, values, dtypes together, and what is not finite."""

from __future__ import annotations

import math

import pytest
import torch

import helix as hx
from helix import nn

from .compare import assert_close, to_helix

ORDERS = [1.0, 2.0, 3, 0.5, math.inf, "inf"]


def both(scale=1.0):
    torch.manual_seed(0)
    theirs = [
        torch.nn.Parameter(torch.zeros(shape, dtype=d))
        for shape, d in (((3, 4), None), ((5,), torch.float64), ((2,), None))
    ]
    mine = [nn.Parameter(to_helix(p)) for p in theirs]
    for a, b in zip(theirs[:2], mine[:2], strict=True):
        a.grad = scale * torch.randn(a.shape, dtype=a.dtype)
        b.grad = to_helix(a.grad)
    return theirs, mine


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("most", [0.3, 100.0])
def test_norms_are_torchs(order, most):
    theirs, mine = both()
    before = [p.grad.double().numpy().ravel() for p in mine[:2]]
    expected, total = (m.clip_grad_norm_(p, most, order) for m, p in ((torch.nn.utils, theirs), (nn.utils, mine)))
    assert total.item() == pytest.approx(expected.item(), rel=1e-6)
    for a, b in zip(theirs[:2], mine[:2], strict=True):
        assert_close(b.grad, a.grad, rtol=1e-6, atol=1e-7)
    after = nn.utils.get_total_norm([p.grad for p in mine[:2]], order).item()
    assert after == pytest.approx(min(total.item(), most), rel=1e-5)
    for old, new in zip(before, mine, strict=False):
        direction = new.grad.double().numpy().ravel()
        assert old @ direction == pytest.approx(math.sqrt((old @ old) * (direction @ direction)), rel=1e-6)


def test_a_known_norm_and_values():
    theirs, mine = both()
    torch.nn.utils.clip_grads_with_norm_(theirs, 1.0, torch.tensor(5.0))
    nn.utils.clip_grads_with_norm_(mine, 1.0, hx.tensor(5.0))
    torch.nn.utils.clip_grad_value_(theirs, 0.1)
    nn.utils.clip_grad_value_(mine, 0.1)
    for a, b in zip(theirs[:2], mine[:2], strict=True):
        assert_close(b.grad, a.grad, rtol=1e-6)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_norm_that_is_not_finite(bad):
    _, mine = both()
    mine[0].grad[0, 0] = bad
    before = mine[1].grad.tolist()
    with pytest.raises(RuntimeError, match="nothing was scaled"):
        nn.utils.clip_grad_norm_(mine, 1.0, error_if_nonfinite=True)
    assert mine[1].grad.tolist() == before
    total = nn.utils.clip_grad_norm_(mine, 1.0)
    assert not math.isfinite(total.item())


def test_nothing_to_clip():
    assert nn.utils.clip_grad_norm_([nn.Parameter(hx.ones(2))], 1.0).item() == 0.0


def test_gradients_on_two_devices_have_one_norm():
    here, there = nn.Parameter(hx.zeros(1)), nn.Parameter(hx.zeros(1).to("sim"))
    here.grad, there.grad = hx.tensor([3.0]), hx.tensor([4.0]).to("sim")
    assert nn.utils.clip_grad_norm_([here, there], 1.0).item() == pytest.approx(5.0)
    assert [here.grad.item(), there.grad.item()] == pytest.approx([0.6, 0.8], rel=1e-5)
