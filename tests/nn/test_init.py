"""Ways to fill parameters: their distributions, and helpers over all parameters."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import helix as hx
from helix import nn

from .compare import assert_close, to_helix


@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_",
                                  "uniform_", "normal_", "trunc_normal_", "orthogonal_"])  # fmt: skip
def test_moments_are_torchs(name):
    hx.manual_seed(0)
    torch.manual_seed(0)
    mine = getattr(nn.init, name)(hx.empty(200, 100)).numpy()
    theirs = getattr(torch.nn.init, name)(torch.empty(200, 100)).numpy()
    assert abs(mine.mean() - theirs.mean()) < 0.05 * theirs.std() + 1e-3
    assert abs(mine.std() / theirs.std() - 1) < 0.05
    if "normal" not in name:
        assert abs(np.abs(mine).max() / np.abs(theirs).max() - 1) < (0.3 if name == "orthogonal_" else 0.01)


def test_orthogonal_rows():
    w = nn.init.orthogonal_(hx.empty(4, 9)).numpy()
    np.testing.assert_allclose(w @ w.T, np.eye(4), atol=1e-5)


@pytest.mark.parametrize(("name", "args"), [("ones_", ()), ("zeros_", ()), ("constant_", (3.0,)), ("eye_", ())])
def test_constants(name, args):
    assert_close(getattr(nn.init, name)(hx.empty(3, 4), *args), getattr(torch.nn.init, name)(torch.empty(3, 4), *args))


def test_dirac():
    assert_close(nn.init.dirac_(hx.empty(4, 3, 3, 3)), torch.nn.init.dirac_(torch.empty(4, 3, 3, 3)))


def test_layers_start_within_torchs_bound():
    layer = nn.Conv2d(8, 16, 3)
    bound = 1 / math.sqrt(8 * 9)
    assert 0.9 * bound < layer.weight.abs().max().item() <= bound and layer.bias.abs().max().item() <= bound


def test_the_same_seed_gives_the_same_model():
    states = []
    for _ in range(2):
        hx.manual_seed(5)
        states.append(nn.Linear(4, 4).weight.tolist())
    assert states[0] == states[1]


def test_a_vector_has_no_fans():
    with pytest.raises(ValueError, match="2 or more dimensions"):
        nn.init.xavier_uniform_(hx.empty(3))


@pytest.mark.parametrize("norm_type", [2.0, 1.0, math.inf])
def test_clip_grad_norm(norm_type):
    data = [torch.randn(3, 4), torch.randn(5)]
    theirs = [torch.nn.Parameter(t) for t in data]
    mine = [nn.Parameter(to_helix(t)) for t in data]
    for a, b in zip(theirs, mine, strict=True):
        (a**2).sum().backward()
        (b**2).sum().backward()
    expected = torch.nn.utils.clip_grad_norm_(theirs, 0.5, norm_type)
    assert_close(nn.utils.clip_grad_norm_(mine, 0.5, norm_type), expected)
    for a, b in zip(theirs, mine, strict=True):
        assert_close(b.grad, a.grad)
    nn.utils.clip_grad_value_(mine, 0.01)
    assert all(p.grad.abs().max().item() <= 0.01 for p in mine)


def test_vector_and_back():
    model = nn.Linear(3, 2)
    flat = nn.utils.parameters_to_vector(model.parameters())
    assert tuple(flat.shape) == (8,)
    nn.utils.vector_to_parameters(flat.detach() * 0 + 2, model.parameters())
    assert model.weight.tolist() == [[2.0] * 3] * 2
    with pytest.raises(ValueError, match="7 elements, the parameters have 8"):
        nn.utils.vector_to_parameters(flat[:7], model.parameters())


FILLED = {"uniform_": (5.0, 6.0), "normal_": (5.0,), "trunc_normal_": (5.0, 1.0, 4.0, 6.0), "constant_": (5.0,), "ones_": (),
          "zeros_": (), "eye_": (), "orthogonal_": (), "xavier_uniform_": (), "kaiming_normal_": ()}  # fmt: skip


def test_skipped_leaves_all_as_it_is_in_its_own_thread_only():
    with nn.init.skipped():
        for name, args in FILLED.items():
            assert getattr(nn.init, name)(hx.full((3, 3), -7.0), *args).eq(-7).all(), name
        assert nn.init.dirac_(hx.full((3, 3, 1), -7.0)).eq(-7).all()
        with ThreadPoolExecutor(1) as other:
            assert other.submit(lambda: nn.init.ones_(hx.full((2,), -7.0))).result().eq(1).all()
    assert nn.init.ones_(hx.full((2,), -7.0)).eq(1).all()
