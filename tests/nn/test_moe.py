"""Mixtures of experts against loops over tokens in NumPy float64."""

from __future__ import annotations

import copy
from math import erf

import numpy as np
import pytest

import helix as hx
from helix import nn
from helix.autograd import gradcheck
from helix.errors import GradientError
from helix.nn import functional as F
from helix.nn.moe import auxiliary_loss, load_balance_loss, router_z_loss

TOKENS, WIDTH, EXPERTS = 11, 3, 4

CASES = {
    "switch": {"top_k": 1, "capacity_factor": 1.0},
    "switch, no limit": {"top_k": 1},
    "two, gated": {"top_k": 2, "gated": True, "activation": "silu", "capacity_factor": 0.75},
    "two, not normal": {"top_k": 2, "normalize": False, "capacity_factor": 1.25, "shared_experts": 2},
    "all": {"top_k": EXPERTS, "activation": "relu"},
    "expert choice": {"router": "expert", "capacity_factor": 1.5, "shared_experts": 1},
}


def made(name, **more):
    hx.manual_seed(2)
    layer = nn.MixtureOfExperts(WIDTH, 5, EXPERTS, dtype=hx.float64, **{**CASES[name], **more})
    with hx.no_grad():
        layer.router.weight.mul_(3)
    return layer


def probabilities_of(w, x):
    logits = x @ w["router.weight"].T
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True), logits


def net(w, name, layer, expert, x):
    act = {"gelu": lambda v: 0.5 * v * (1 + np.vectorize(erf)(v / np.sqrt(2))), "relu": lambda v: np.maximum(v, 0),
           "silu": lambda v: v / (1 + np.exp(-v))}[layer.experts.activation]  # fmt: skip
    hidden = x @ w[f"{name}.up_proj"][expert]
    hidden = act(x @ w[f"{name}.gate_proj"][expert]) * hidden if f"{name}.gate_proj" in w else act(hidden)
    return hidden @ w[f"{name}.down_proj"][expert]


def assignments(layer, p):
    """(token, expert, weight) of those kept, and the number dropped, one at a time in order of right."""
    n, factor = len(p), layer.capacity_factor
    if layer.kind == "expert":
        count = min(n, int(np.ceil(factor * n / EXPERTS)))
        return [(t, e, p[t, e]) for e in range(EXPERTS) for t in np.argsort(-p[:, e])[:count]], 0
    k = layer.top_k
    limit = n if factor is None else min(n, int(np.ceil(factor * n * k / EXPERTS)))
    ranked, kept, load, dropped = np.argsort(-p, 1)[:, :k], [], [0] * EXPERTS, 0
    for choice in range(k):
        for t in range(n):
            e = ranked[t, choice]
            if load[e] == limit:
                dropped += 1
                continue
            load[e] += 1
            kept.append((t, e, p[t, e] / (p[t, ranked[t]].sum() if layer.normalize else 1.0)))
    return kept, dropped


@pytest.mark.parametrize(("name", "policy"), [(n, p) for n in CASES for p in ("drop", "pad")
                                             if p == "drop" or "capacity_factor" in CASES[n]])  # fmt: skip
def test_the_mixture_is_the_loop_over_tokens(name, policy):
    layer = made(name, policy=policy)
    x = hx.randn(TOKENS, WIDTH, dtype=hx.float64)
    w, rows = {n: v.numpy() for n, v in layer.state_dict().items()}, x.numpy()
    p, logits = probabilities_of(w, rows)
    kept, dropped = assignments(layer, p)
    expected = np.zeros_like(rows)
    for t, e, weight in kept:
        expected[t] += weight * net(w, "experts", layer, e, rows[t])
    if layer.shared is not None:
        expected += net(w, "shared", layer, 0, rows)
    y, routing = layer.routed(x)
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-9, atol=1e-9)
    assert routing.dropped == dropped and routing.counts.tolist() == [
        sum(e == i for _, e, _ in kept) for i in range(EXPERTS)
    ]
    pairs = list(zip(routing.tokens.tolist(), routing.experts.tolist(), strict=True))
    assert {(t, e) for t, e, _ in kept} == set(pairs[: len(kept)]) and len(pairs) == len(kept) + dropped
    assert all(e == EXPERTS for _, e in pairs[len(kept) :])
    if layer.kind == "token":
        share = np.bincount(np.argsort(-p, 1)[:, : layer.top_k].ravel(), minlength=EXPERTS) / (TOKENS * layer.top_k)
        np.testing.assert_allclose(routing.load_balance_loss.item(), EXPERTS * (share * p.mean(0)).sum(), rtol=1e-9)
    np.testing.assert_allclose(routing.z_loss.item(), (np.log(np.exp(logits).sum(1)) ** 2).mean(), rtol=1e-9)


def test_something_is_dropped_in_these_cases():
    assert made("switch").routed(hx.randn(TOKENS, WIDTH, dtype=hx.float64))[1].dropped > 0


@pytest.mark.parametrize("policy", ["drop", "pad"])
@pytest.mark.parametrize("name", ["switch", "two, gated", "expert choice"])
def test_gradients_reach_experts_and_router(name, policy):
    layer = made(name, policy=policy)
    x = hx.randn(4, WIDTH, dtype=hx.float64, requires_grad=True)

    def run(x, *_):
        y, routing = layer.routed(x)
        return y, routing.load_balance_loss, routing.z_loss

    assert gradcheck(run, (x, *layer.parameters()))
    layer.routed(x)[0].square().sum().backward()
    assert layer.router.weight.grad.abs().max().item() > 0


def test_all_experts_make_the_dense_mixture():
    layer = made("all")
    x = hx.randn(2, 5, WIDTH, dtype=hx.float64)
    p = layer.router(x).softmax(-1)
    dense = sum(
        p[..., e, None] * (F.relu(x @ layer.experts.up_proj[e]) @ layer.experts.down_proj[e]) for e in range(EXPERTS)
    )
    assert hx.allclose(layer(x), dense, rtol=1e-9, atol=1e-9)


def test_losses_at_uniform():
    uniform, rows = hx.full((8, EXPERTS), 1 / EXPERTS), hx.arange(8) % EXPERTS
    assert load_balance_loss(uniform, hx.stack([rows, (rows + 1) % EXPERTS], 1)).item() == pytest.approx(1.0)
    skewed = hx.full((8, EXPERTS), 0.1)
    skewed[:, 0] = 0.7
    assert load_balance_loss(skewed, hx.zeros(8, 1, dtype=hx.int64)).item() == pytest.approx(EXPERTS * 0.7)
    assert router_z_loss(hx.zeros(3, EXPERTS)).item() == pytest.approx(np.log(EXPERTS) ** 2)


def test_the_losses_of_a_model_are_those_of_its_last_call_in_training():
    model = nn.Sequential(made("switch"), made("all"))
    x = hx.randn(6, WIDTH, dtype=hx.float64)
    assert auxiliary_loss(model) == 0.0
    model(x)
    wanted = sum(0.5 * layer.routing.load_balance_loss + 0.25 * layer.routing.z_loss for layer in model)
    assert auxiliary_loss(model, 0.5, 0.25).item() == pytest.approx(wanted.item())
    model.eval()(x)
    assert auxiliary_loss(model) == 0.0


def test_balanced_by_training():
    """With the balancing loss alone, loads even out: their deviation falls below a fifth of their mean."""
    hx.manual_seed(0)
    layer = nn.MixtureOfExperts(8, 4, EXPERTS, top_k=1)
    with hx.no_grad():
        layer.router.weight[0].add_(1.0)
    x = hx.randn(256, 8) + 0.5
    optimizer = hx.optim.Adam(layer.parameters(), 0.05)
    for _ in range(60):
        optimizer.zero_grad()
        layer.routed(x)[1].load_balance_loss.backward()
        optimizer.step()
    counts = layer.routed(x)[1].counts.to(hx.float32)
    assert (counts.std() / counts.mean()).item() < 0.2


@pytest.mark.parametrize("options", [
    {"top_k": 5}, {"top_k": 0}, {"router": "x"}, {"policy": "x"}, {"policy": "pad"}, {"capacity_factor": 0.0},
    {"activation": "x"}])  # fmt: skip
def test_what_does_not_fit_is_refused(options):
    with pytest.raises(ValueError, match="must"):
        nn.MixtureOfExperts(WIDTH, 5, EXPERTS, **options)
    with pytest.raises(nn.LayerError, match=r"ends in \(4,\) features, the layer was made for 3"):
        nn.MixtureOfExperts(WIDTH, 5, EXPERTS)(hx.zeros(2, 4))


def test_a_copy_after_a_call_in_training():
    layer = nn.MixtureOfExperts(4, 8, num_experts=2)
    y = layer(hx.randn(3, 4))
    twin = copy.deepcopy(layer)
    assert twin.routing is None and layer.routing is not None
    assert twin.experts.up_proj is not layer.experts.up_proj and twin.experts.up_proj.equal(layer.experts.up_proj)
    assert y.shape == (3, 4)


def test_losses_of_no_tokens_are_zero():
    layer = nn.MixtureOfExperts(4, 8, num_experts=2)
    layer(hx.zeros(0, 4))
    assert nn.moe.auxiliary_loss(layer).item() == 0


def test_losses_without_the_gradients_they_need_are_refused():
    block = nn.ReversibleBlock(nn.MixtureOfExperts(2, 4, num_experts=2), nn.Linear(2, 2))
    model = nn.ReversibleSequence([block])
    model(hx.ones(3, 4))
    with pytest.raises(GradientError, match="HX1503"):
        auxiliary_loss(model)
    with hx.no_grad():
        assert auxiliary_loss(model).item() > 0
    model.keep = True
    model(hx.ones(3, 4))
    assert auxiliary_loss(model).requires_grad
