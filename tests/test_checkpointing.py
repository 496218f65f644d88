"""Activations computed again: the bits of an ordinary backward, in a fraction of its memory; what hooks keep."""

from __future__ import annotations

import copy
import gc
from functools import partial

import numpy as np
import pytest

import helix as hx
from helix import nn
from helix.errors import ArgumentError, GradientError, ParameterError, ShapeError


def model_with_dropout() -> nn.Sequential:
    hx.manual_seed(5)
    return nn.Sequential(
        nn.Linear(8, 8), nn.Dropout(0.3), nn.Tanh(), nn.Linear(8, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Dropout(0.2),
        nn.Linear(8, 4),
    )  # fmt: skip


def bits(model, run, x) -> list:
    """Result, gradients and buffers of one step."""
    hx.manual_seed(9)
    model.zero_grad()
    x = x.detach().clone().requires_grad_()
    y = run(model, x)
    y.square().sum().backward()
    return [t.tolist() for t in (y, x.grad, *(p.grad for p in model.parameters()), *model.buffers())]


WAYS = {
    "whole": lambda m, x: hx.checkpoint(m, x),
    "sequential": lambda m, x: hx.checkpoint_sequential(m, 3, x),
    "nested": lambda m, x: hx.checkpoint(lambda t: hx.checkpoint_sequential(m, 4, t), x),
    "closure": lambda m, x: m[4:](hx.checkpoint(lambda: m[:4](x))),
    "inner tensor": lambda m, x: (lambda h: hx.checkpoint(lambda: m[1:](h)))(m[0](x)),
    "argument": lambda m, x: hx.checkpoint(lambda part, t: part(t), m, x),
    "method": lambda m, x: hx.checkpoint(m.forward, x),
    "partial": lambda m, x: hx.checkpoint(partial(lambda part, t: part(t), m), x),
    "default": lambda m, x: hx.checkpoint(lambda t, part=m: part(t), x),
    "function of a function": lambda m, x: (lambda run: hx.checkpoint(lambda t: run(t), x))(lambda t: m(t)),
    "two results": lambda m, x: m[3:](hx.checkpoint(lambda t: (m[:3](t), t * 2), x)[0]),
    "every 3": lambda m, x: nn.checkpoint_layers(m, every=3)(x),
    "sqrt": lambda m, x: nn.checkpoint_layers(m, sqrt=True)(x),
    "at": lambda m, x: nn.checkpoint_layers(m, at=["0", "4", "5"])(x),
    "budget": lambda m, x: nn.checkpoint_layers(m, budget=2900, sample=x)(x),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_gradients_have_the_bits_of_an_ordinary_backward(way):
    x = hx.randn(16, 8)
    expected = bits(model_with_dropout(), lambda m, t: m(t), x)
    found = bits(model_with_dropout(), WAYS[way], x)
    assert found == expected


def test_random_numbers_afterwards_are_those_of_one_run():
    layer = nn.Dropout(0.5)
    hx.manual_seed(1)
    y = hx.checkpoint(layer, hx.ones(4, 4, requires_grad=True))
    y.sum().backward()
    after = hx.rand(3).tolist()
    hx.manual_seed(1)
    layer(hx.ones(4, 4))
    assert hx.rand(3).tolist() == after


def test_autocast_is_as_it_was():
    layer, x = nn.Linear(4, 4), hx.randn(3, 4)
    with hx.autocast("cpu"):
        y = hx.checkpoint(lambda t: layer(t).tanh(), x)
    y.sum().backward()
    found = layer.weight.grad.tolist()
    layer.zero_grad()
    with hx.autocast("cpu"):
        y = layer(x).tanh()
    y.sum().backward()
    assert layer.weight.grad.tolist() == found


def test_second_derivatives_pass_through():
    x = hx.tensor([0.3, -0.7], dtype=hx.float64, requires_grad=True)
    assert hx.autograd.gradgradcheck(lambda t: hx.checkpoint(lambda u: (u.sin() * u).exp(), t), [x])


def test_custom_functions_are_computed_again():
    runs = []

    class Square(hx.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            runs.append(1)
            y = x * x
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * 2 * x + 0 * y

    x = hx.tensor([1.0, 2.0], requires_grad=True)
    hx.checkpoint(lambda t: Square.apply(t * 3).sum(), x).backward()
    assert x.grad.tolist() == [18.0, 36.0] and len(runs) == 2


def peak_of_step(depth: int, arrange) -> int:
    """Bytes above the model and its input at the highest point of a training step."""
    hx.manual_seed(0)
    model = nn.Sequential(*[nn.Sequential(nn.Linear(16, 16), nn.Tanh()) for _ in range(depth)])
    arrange(model)
    x = hx.randn(4096, 16, requires_grad=True)
    model(x).sum().backward()  # gradients are there from now on
    gc.collect()
    before = hx.memory_stats()["live_bytes"]
    hx.reset_peak_memory()
    model(x).sum().backward()
    return hx.memory_stats()["peak_bytes"] - before


def test_64_layers_need_less_than_30_percent():
    plain = peak_of_step(64, lambda m: m)
    assert peak_of_step(64, lambda m: nn.checkpoint_layers(m, sqrt=True)) <= 0.30 * plain
    budget = plain // 2
    assert peak_of_step(64, lambda m: nn.checkpoint_layers(m, budget=budget, sample=hx.randn(4096, 16))) <= budget


def test_memory_is_given_back():
    x = hx.randn(64, 64, requires_grad=True)
    gc.collect()
    before = hx.memory_stats()["live_tensors"]
    y = hx.checkpoint(lambda t: t.exp().sin(), x)
    y.sum().backward()
    del y
    x.grad = None
    gc.collect()
    assert hx.memory_stats()["live_tensors"] == before


def test_errors():
    x = hx.ones(3, requires_grad=True)
    calls = []

    def fickle(t):
        calls.append(1)
        return t.exp() if len(calls) == 1 else t * 2

    with pytest.raises(GradientError, match="saved other tensors"):
        hx.checkpoint(fickle, x).sum().backward()
    z = hx.ones(3)
    y = hx.checkpoint(lambda t: (x * t).exp(), z)
    z.add_(1)
    with pytest.raises(GradientError, match="changed in place"):
        y.sum().backward()
    with pytest.raises(ArgumentError, match="use_reentrant"):
        hx.checkpoint(fickle, x, use_reentrant=True)
    model = model_with_dropout()
    with pytest.raises(ArgumentError, match="every and sqrt"):
        nn.checkpoint_layers(model, every=2, sqrt=True)
    with pytest.raises(ParameterError, match="no module is named 'x'"):
        nn.checkpoint_layers(model, at=["x"])
    with pytest.raises(ParameterError, match="need [0-9,]+ bytes at least"):
        nn.checkpoint_layers(model, budget=10, sample=hx.ones(4, 8))
    with pytest.raises(ArgumentError, match="cuts a Sequential"):
        nn.checkpoint_layers(nn.Linear(2, 2), sqrt=True)


def test_no_policy_takes_the_old_one_back():
    model = model_with_dropout()
    nn.checkpoint_layers(
        model,
        at=["0"],
    )
    nn.checkpoint_layers(model)
    assert "forward" not in model[0].__dict__


# ---- hooks on what is saved --------------------------------------------------------------------------------


def test_hooks_pack_what_is_saved_but_leaves():
    seen = []

    def pack(tensor):
        seen.append(tuple(tensor.shape))
        return np.array(tensor.numpy())

    x, w = hx.randn(3, 4, requires_grad=True), hx.randn(4, 4, requires_grad=True)
    with hx.autograd.saved_tensors_hooks(pack, lambda kept: hx.from_numpy(kept)):
        y = (x @ w).exp()
    expected = hx.autograd.grad((x @ w).exp().sum(), [x, w])
    found = hx.autograd.grad(y.sum(), [x, w])
    assert [g.tolist() for g in found] == [g.tolist() for g in expected]
    assert seen == [(3, 4)]  # of exp, its result; the product needs two leaves


def test_what_a_hook_raises_comes_through():
    x = hx.ones(2, requires_grad=True)

    def fails(tensor):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"), hx.autograd.saved_tensors_hooks(fails, fails):
        x.exp()
    with hx.autograd.saved_tensors_hooks(lambda t: t, fails):
        y = x.exp()
    with pytest.raises(KeyError, match="mine"):
        y.sum().backward()
    with hx.autograd.saved_tensors_hooks(lambda t: t, lambda t: 3):
        y = x.exp()
    with pytest.raises(TypeError, match="unpack must return a tensor"):
        y.sum().backward()


@pytest.mark.parametrize("other", [hx.zeros(3), hx.zeros(2, dtype=hx.float64)])
def test_a_hook_gives_back_the_shape_and_dtype_it_was_given(other):
    x = hx.ones(2, requires_grad=True)
    with hx.autograd.saved_tensors_hooks(lambda t: t, lambda t: other):
        y = x.exp().sum()
    with pytest.raises(ShapeError, match=r"give back float32 of shape \(2,\)"):
        y.backward()
    assert x.grad is None


class Cube(hx.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x * x * g


@pytest.mark.parametrize("function", [Cube.apply, lambda x: x**3], ids=["a function", "an op"])
def test_hooks_get_values_alone_and_second_gradients_are_kept(function):
    x = hx.tensor([2.0], requires_grad=True)
    with hx.autograd.saved_tensors_hooks(lambda t: t.numpy().copy(), hx.from_numpy):
        (slope,) = hx.autograd.grad(function(x * 1).sum(), x, create_graph=True)
        (bend,) = hx.autograd.grad(slope.sum(), x)
    assert slope.tolist() == [12.0] and bend.tolist() == [12.0]


def test_hooks_entered_twice_are_left_twice():
    seen, x = [], hx.ones(2, requires_grad=True)
    hooks = hx.autograd.saved_tensors_hooks(lambda t: seen.append(t) or t, lambda t: t)
    with hooks, hooks:
        x.exp()
    assert len(seen) == 1
    x.exp()
    assert len(seen) == 1


# ---- gradients of what is asked for ------------------------------------------------------------------------


def test_backward_of_one_head_runs_that_head_alone():
    from helix._core import kernels_run

    trunk, heads = nn.Linear(8, 8), [nn.Linear(8, 4) for _ in range(10)]

    def kernels(wanted) -> int:
        loss = sum((head(trunk(hx.ones(2, 8))).exp().sum() for head in heads), start=hx.zeros(()))
        before = kernels_run()
        loss.backward(inputs=wanted)
        return kernels_run() - before

    everything = kernels([*trunk.parameters(), *(p for head in heads for p in head.parameters())])
    one = kernels(list(heads[3].parameters()))
    assert one * 6 < everything
    assert heads[2].weight.grad is not None  # of the first backward
    for p in [*trunk.parameters(), *(q for head in heads for q in head.parameters())]:
        p.grad = None
    kernels([heads[3].weight])
    assert [head.weight.grad is not None for head in heads] == [i == 3 for i in range(10)] and trunk.weight.grad is None


@pytest.mark.parametrize("policy", [{"every": 1}, {"at": ["0", "1"]}], ids=str)
def test_a_copy_of_a_model_computes_with_its_own_parameters(policy):
    model = hx.nn.checkpoint_layers(hx.nn.Sequential(hx.nn.Linear(3, 3), hx.nn.Linear(3, 3)), **policy)
    twin = copy.deepcopy(model)
    with hx.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    twin(hx.ones(2, 3).requires_grad_()).sum().backward()
    assert all(p.grad is not None for p in twin.parameters()) and all(p.grad is None for p in model.parameters())
    assert not twin.eval()(hx.ones(2, 3)).any() and model(hx.ones(2, 3)).any()


# ---- generators that are given by hand ---------------------------------------------------------------------


class Noisy(nn.Module):
    """Multiplies by numbers of a generator of its own, between those of the default one."""

    def __init__(self, seed: int) -> None:
        self.layer, self.own = nn.Linear(4, 4), hx.Generator().manual_seed(seed)

    def forward(self, x):
        x = self.layer(x) * hx.rand(4, generator=self.own)
        x = x.tanh() * (hx.rand(4) + hx.rand(4, generator=hx.default_generator()))
        return x.exp() * hx.randn(4, generator=self.own)


def noisy_gradients(run, **given) -> tuple[list, list]:
    hx.manual_seed(1)
    parts = [Noisy(5), Noisy(6)]
    x = hx.linspace(0.0, 1.0, 8).reshape(2, 4).requires_grad_()
    y = run(parts, x, **given)
    before = [part.own.get_state() for part in parts]
    y.sum().backward()
    assert [part.own.get_state() for part in parts] == before  # backward leaves them where they were
    weights = [p.grad.tolist() for part in parts for p in part.parameters()]
    return [y.tolist(), x.grad.tolist(), weights], [hx.rand(2, generator=part.own).tolist() for part in parts]


@pytest.mark.parametrize("run", [
    lambda parts, x: hx.checkpoint(parts[1], hx.checkpoint(parts[0], x)),
    lambda parts, x: hx.checkpoint(lambda z: hx.checkpoint(parts[1], parts[0](z)), x),
    lambda parts, x: hx.checkpointing.checkpoint_sequential(parts, 2, x)],
    ids=["one after another", "one in another", "sequential"])  # fmt: skip
def test_generators_given_by_hand_draw_the_same_again(run):
    assert noisy_gradients(run) == noisy_gradients(lambda parts, x: parts[1](parts[0](x)))


def test_reversible_blocks_draw_the_same_again():
    def gradients(keep: bool) -> list:
        hx.manual_seed(1)
        model = nn.ReversibleSequence([nn.ReversibleBlock(Noisy(5), Noisy(6))], keep=keep)
        x = hx.linspace(0.0, 1.0, 16).reshape(2, 8).requires_grad_()
        model(x).sum().backward()
        return [x.grad, *(p.grad for p in model.parameters())]

    for mine, kept in zip(gradients(False), gradients(True), strict=True):
        assert (mine - kept).abs().max().item() <= 1e-4 * max(1.0, kept.abs().max().item())
