"""Reversible blocks: inverses, gradients of the stored version, dropout and running means, memory flat in depth."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import helix as hx
from helix import nn
from helix.autograd import gradcheck
from helix.errors import GradientError


class Attending(nn.Module):
    def __init__(self, width, dtype):
        self.norm = nn.LayerNorm(width, dtype=dtype)
        self.attention = nn.MultiheadAttention(width, 2, dropout=0.3, batch_first=True, dtype=dtype)

    def forward(self, x):
        x = self.norm(x)
        return self.attention(x, x, x, need_weights=False)[0]


def feed(width, dtype):
    return nn.Sequential(nn.LayerNorm(width, dtype=dtype), nn.Linear(width, 2 * width, dtype=dtype), nn.GELU(),
                         nn.Dropout(0.4), nn.Linear(2 * width, width, dtype=dtype))  # fmt: skip


MIXERS = {
    "attention": Attending,
    "Mamba": lambda w, dtype: nn.Mamba(w, d_state=2, dtype=dtype),
    "Mamba2": lambda w, dtype: nn.Mamba2(w, d_state=2, headdim=2, dtype=dtype),
    "S4D": lambda w, dtype: nn.S4D(w, 4, dropout=0.3, transposed=False, dtype=dtype),
    "Hyena": lambda w, dtype: nn.HyenaOperator(w, l_max=8, filter_order=4, dropout=0.3, dtype=dtype),
}


def made(kind, depth=3, width=4, dtype=hx.float64, **options):
    hx.manual_seed(0)
    if kind == "RevNet":
        return nn.ReversibleSequence([nn.RevNetBlock(2, dtype=dtype) for _ in range(depth)], dim=1, **options)
    blocks = [nn.ReversibleBlock(MIXERS[kind](width, dtype), feed(width, dtype)) for _ in range(depth)]
    return nn.ReversibleSequence(blocks, **options)


def shape_of(kind):
    return (3, 4, 5, 5) if kind == "RevNet" else (2, 6, 8)


def trained(model, x):
    """The result and all gradients of one step, with the same random numbers for every model."""
    hx.manual_seed(7)
    x = x.clone().requires_grad_()
    y = model(x)
    after = hx.rand(1).item()
    (y * y.detach().sin()).sum().backward()
    assert hx.rand(1).item() != after  # backward leaves the stream where forward did
    return [y, x.grad, *(p.grad for p in model.parameters()), *model.buffers()], after


@pytest.mark.parametrize(("dtype", "bound"), [(hx.float32, 2e-5), (hx.float64, 1e-9)])
@pytest.mark.parametrize("kind", [*MIXERS, "RevNet"])
def test_gradients_are_those_of_the_stored_version(kind, dtype, bound):
    model = made(kind, dtype=dtype)
    stored = copy.deepcopy(model)
    stored.keep = True
    x = hx.randn(*shape_of(kind), dtype=dtype)
    (mine, after), (theirs, wanted) = trained(model, x), trained(stored, x)
    assert after == wanted
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), rtol=bound, atol=bound)


@pytest.mark.parametrize(("dtype", "bound"), [(hx.float32, 1e-5), (hx.float64, 1e-12)])
@pytest.mark.parametrize("kind", [*MIXERS, "RevNet"])
def test_inverse(kind, dtype, bound):
    model = made(kind, dtype=dtype).eval()
    halves = hx.randn(*shape_of(kind), dtype=dtype).chunk(2, model.dim)
    with hx.no_grad():
        again = model.inverse(*model.run(*halves))
    for one, other in zip(again, halves, strict=True):
        assert (one - other).abs().max().item() < bound


def test_gradcheck_and_a_shared_frozen_and_unused_parameter():
    layer, unused = nn.Linear(2, 2, dtype=hx.float64), nn.Linear(2, 2, dtype=hx.float64)
    layer.bias.requires_grad_(False)
    layer.unused = unused
    model = nn.ReversibleSequence([nn.ReversibleBlock(layer, layer), nn.ReversibleBlock(layer, nn.Tanh())], dim=None)
    x = hx.randn(3, 2, dtype=hx.float64, requires_grad=True)
    assert gradcheck(lambda x, w: model(x), (x, layer.weight))
    model(x).sum().backward()
    assert layer.bias.grad is None and layer.weight.grad is not None


def test_memory_does_not_grow_with_depth():
    """Peak bytes of a training step above those of parameters and gradients: 64 blocks beside 8."""
    taken = {}
    x = hx.randn(24, 256, 16)
    for keep, depth in ((False, 8), (False, 64), (True, 8)):
        blocks = [nn.ReversibleBlock(feed(8, hx.float32), feed(8, hx.float32)) for _ in range(depth)]
        model = nn.ReversibleSequence(blocks, keep=keep)
        hx.reset_peak_memory()
        model(x).sum().backward()
        after = hx.memory_stats()  # what lives now are parameters and gradients
        taken[keep, depth] = after["peak_bytes"] - after["live_bytes"]
    assert taken[False, 64] <= 1.1 * taken[False, 8], taken
    assert taken[True, 8] > 5 * taken[False, 8], taken


def test_a_second_derivative_is_refused():
    model = made("S4D")
    x = hx.randn(1, 3, 8, dtype=hx.float64, requires_grad=True)
    with pytest.raises(GradientError, match="HX1503.*keep=True"):
        hx.autograd.grad(model(x).sum(), x, create_graph=True)
    model.keep = True
    (first,) = hx.autograd.grad(model(x).sum(), x, create_graph=True)
    assert first.requires_grad


def test_an_odd_axis_is_refused():
    with pytest.raises(nn.LayerError, match="axis -1 of the input has 7 elements"):
        made("S4D")(hx.zeros(1, 3, 7, dtype=hx.float64))
