"""Optimizers that torch lacks, against their papers' formulas in float64 NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import helix as hx
from helix import nn, optim


def lion(p, g, s, t, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
    m = s.setdefault("m", np.zeros_like(p))
    p = p - lr * (np.sign(betas[0] * m + (1 - betas[0]) * g) + weight_decay * p)
    s["m"] = betas[1] * m + (1 - betas[1]) * g
    return p


def lamb(p, g, s, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01):
    m = s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    v = s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * g * g
    r = m / (1 - betas[0] ** t) / (np.sqrt(v / (1 - betas[1] ** t)) + eps) + weight_decay * p
    norms = np.linalg.norm(p), np.linalg.norm(r)
    return p - lr * (norms[0] / norms[1] if all(norms) else 1) * r


def lars(p, g, s, t, lr=1e-3, momentum=0.9, weight_decay=0.0, trust_coefficient=1e-3, eps=1e-8):
    norms = np.linalg.norm(p), np.linalg.norm(g)
    local = trust_coefficient * norms[0] / (norms[1] + weight_decay * norms[0] + eps) if all(norms) else 1
    s["v"] = momentum * s.get("v", 0) + lr * local * (g + weight_decay * p)
    return p - s["v"]


def soap(
    p, g, s, t, lr=3e-3, betas=(0.95, 0.95), eps=1e-8, weight_decay=0.01, precondition_frequency=10, longest=10000
):
    G = g.reshape(g.shape[0], -1) if g.ndim > 1 else g
    sides = [(0, lambda a: a @ a.T), (1, lambda a: a.T @ a)] if g.ndim > 1 else []
    sides = [(i, product) for i, product in sides if G.shape[i] <= longest]
    if t == 1:
        for i, product in sides:
            s[i] = (1 - betas[1]) * product(G)
            s[f"q{i}"] = np.linalg.eigh(s[i])[1][:, ::-1]
        return p
    L, R = s.get("q0", np.eye(G.shape[0])), s.get("q1", np.eye(G.shape[-1]))
    turn = (lambda a: L.T @ a @ R) if g.ndim > 1 else (lambda a: a)
    back = (lambda a: L @ a @ R.T) if g.ndim > 1 else (lambda a: a)
    M = s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * G
    V = s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * turn(G) ** 2
    N = turn(M) / (1 - betas[0] ** (t - 1)) / (np.sqrt(V / (1 - betas[1] ** (t - 1))) + eps)
    for i, product in sides:
        s[i] = betas[1] * s[i] + (1 - betas[1]) * product(G)
        if (t - 1) % precondition_frequency == 0:
            s[f"q{i}"] = np.linalg.qr(s[i] @ s[f"q{i}"])[0]
    return p - lr * back(N).reshape(p.shape) - lr * weight_decay * p


CASES = [
    ("Lion", lion, {"weight_decay": 0.1, "lr": 0.01}, {}),
    ("Lion", lion, {"betas": (0.5, 0.7)}, {}),
    ("LAMB", lamb, {"lr": 0.01}, {}),
    ("LAMB", lamb, {"weight_decay": 0.0, "betas": (0.5, 0.9)}, {}),
    ("LARS", lars, {"lr": 0.5, "weight_decay": 0.1, "trust_coefficient": 0.01}, {}),
    ("LARS", lars, {"momentum": 0.0}, {}),
    ("SOAP", soap, {"precondition_frequency": 3}, {}),
    ("SOAP", soap, {"weight_decay": 0.3, "betas": (0.5, 0.9)}, {"max_precond_dim": 5}),
]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dtype", [hx.float32, hx.float64], ids=str)
@pytest.mark.parametrize(("name", "formula", "options", "more"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_a_hundred_steps_are_the_papers(name, formula, options, more, dtype, sign):
    random = np.random.default_rng(0)
    shapes = [(6, 4), (5,), (3, 2, 4)]
    if name == "SOAP" and dtype == hx.float32:  # the null space of one gradient has no basis of its own
        shapes = [(5, 5), (5,), (4, 2, 2)]
    expected = [random.standard_normal(shape) for shape in shapes] + [np.zeros(3)]
    mine = [nn.Parameter(hx.tensor(p, dtype=dtype)) for p in expected]
    optimizer, states = getattr(optim, name)(mine, **options, **more, maximize=sign < 0), [{} for _ in expected]
    keywords = {**options, "longest": more["max_precond_dim"]} if more else options
    for t in range(1, 101 if name != "SOAP" else 31):
        for i, (p, mine_p) in enumerate(zip(expected, mine, strict=True)):
            g = random.standard_normal(p.shape).astype(np.float32)
            mine_p.grad = hx.tensor(g, dtype=dtype)
            expected[i] = formula(p, sign * g.astype(np.float64), states[i], t, **keywords)
        optimizer.step()
    bound = 1e-5 if dtype == hx.float32 else 1e-10
    for p, e in zip(mine, expected, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), e, rtol=bound, atol=bound * (20 if name == "SOAP" else 1))
