"""Hyena, long convolutions and H3 against direct sums in NumPy float64; nothing leaks from the future."""

from __future__ import annotations

from math import erf

import numpy as np
import pytest

import helix as hx
from helix import nn
from helix.autograd import gradcheck

CASES = {
    "Hyena": lambda **k: nn.HyenaOperator(4, l_max=24, filter_order=8, **k),
    "Hyena of order 3": lambda **k: nn.HyenaOperator(
        3, l_max=19, order=3, filter_order=6, emb_dim=5, w=4.0, shift=0.1, **k
    ),
    "LongConv": lambda **k: nn.LongConv(3, l_max=9, channels=2, lam=0.001, **k),
    "LongConv, last": lambda **k: nn.LongConv(4, l_max=40, transposed=False, **k),
    "H3": lambda **k: nn.H3(4, d_state=6, **k),
    "H3 of heads": lambda **k: nn.H3(6, d_state=4, head_dim=3, disc="bilinear", **k),
}


def made(name):
    hx.manual_seed(5)
    return CASES[name](dtype=hx.float64)


def weights(layer):
    return {name: value.numpy() for name, value in layer.state_dict().items()}


def linear(w, name, x):
    return x @ w[name + ".weight"].T + w.get(name + ".bias", 0.0)


def convolved(u, k):
    """y[t] = sum over s <= t of k[s] u[t - s]: (length, channels) and (taps, channels)."""
    return np.array([sum(k[s] * u[t - s] for s in range(min(t + 1, len(k)))) for t in range(len(u))])


def hyena(layer, x):
    w, d, n = weights(layer), layer.d_model, layer.order - 1
    z, name = w["filter_fn.pos_emb.z"][0], "filter_fn.implicit_filter"
    bands, t = (z.shape[1] - 1) // 2, np.arange(layer.l_max)
    angle = np.outer(2 * np.pi * t / layer.l_max, np.linspace(1e-4, bands - 1, bands))
    np.testing.assert_allclose(z, np.hstack([t[:, None] / (len(t) - 1), np.cos(angle), -np.sin(angle)]), atol=1e-12)
    h = z[: len(x)]
    for i in (0, 2, 4):
        h = np.sin(w[f"{name}.{i + 1}.freq"] * linear(w, f"{name}.{i}", h))
    rates = np.linspace(np.log(0.01) / 1.5, np.log(0.01) / 0.3, n * d)
    window = np.exp(-np.outer(t[: len(x)] / (len(t) - 1), np.abs(rates))) + layer.filter_fn.modulation.shift
    filters = linear(w, f"{name}.6", h) * window
    u = linear(w, "in_proj", x)
    u = convolved(u, w["short_filter.weight"][:, 0, ::-1].T) + w["short_filter.bias"]
    *gates, v = np.split(u, layer.order + 1, 1)
    for i, gate in enumerate(reversed(gates[1:])):
        v = v * gate
        v = convolved(v, filters[:, i * d : (i + 1) * d]) + w["filter_fn.bias"][i * d : (i + 1) * d] * v
    return linear(w, "out_proj", v * gates[0])


def gelu(x):
    return 0.5 * x * (1 + np.vectorize(erf)(x / np.sqrt(2)))


def long_conv(layer, x):
    w = weights(layer)
    k = w["kernel.kernel"]
    k = np.sign(k) * np.maximum(np.abs(k) - layer.kernel.lam, 0)
    y = np.hstack([convolved(x, row.T) + skip * x for row, skip in zip(k, w["D"], strict=True)])
    first, second = np.split(gelu(y) @ w["output_linear.0.weight"][..., 0].T + w["output_linear.0.bias"], 2, 1)
    return first / (1 + np.exp(-second))


def h3(layer, x):
    w, size = weights(layer), layer.head_dim
    q, k, v = (linear(w, f"{name}_proj", x) for name in "qkv")
    k = convolved(k, w["ssm_k_kernel.C"].T) + w["ssm_k_D"] * k
    A = -np.exp(w["kernel.log_A_real"]) + 1j * w["kernel.A_imag"]
    C, dt = w["kernel.C"][..., 0] + 1j * w["kernel.C"][..., 1], np.exp(w["kernel.log_dt"])[:, None]
    if layer.kernel.disc == "zoh":
        decay, factor = np.exp(dt * A), (np.exp(dt * A) - 1) / A
    else:
        decay, factor = (1 + dt * A / 2) / (1 - dt * A / 2), dt / (1 - dt * A / 2)
    t = np.arange(len(x))
    response = 2 * (C * factor * decay ** t[:, None, None]).sum(-1).real
    y = np.zeros((len(x), size, layer.heads))
    for head in range(layer.heads):
        for i in range(size):
            for j in range(size):
                met = (k[:, head * size + i] * v[:, head * size + j])[:, None]
                answer = convolved(met, response[:, [head]]) + w["D"][head] * met
                y[:, j, head] += q[:, head * size + i] * answer[:, 0]
    return linear(w, "output_linear", y.reshape(len(x), -1))


NAIVE = {nn.HyenaOperator: hyena, nn.LongConv: long_conv, nn.H3: h3}


def turned(layer, x):
    return x.transpose(1, 2) if getattr(layer, "transposed", False) else x


@pytest.mark.parametrize(("dtype", "bound"), [(hx.float32, 1e-5), (hx.float64, 1e-9)])
@pytest.mark.parametrize("name", CASES)
def test_transforms_are_the_direct_sums(name, dtype, bound):
    layer = made(name)
    x = hx.randn(2, 17, layer.d_model, dtype=hx.float64)
    expected = np.stack([NAIVE[type(layer)](layer, row) for row in x.numpy()])
    layer, x = layer.to(dtype), x.to(dtype)
    got = turned(layer, layer(turned(layer, x)))
    np.testing.assert_allclose(got.detach().numpy(), expected, atol=bound, rtol=bound)
    if isinstance(layer, nn.SequenceLayer):
        state, rows = layer.default_state(2), []
        for t in range(5):
            y, state = layer.step(x[:, t], state)
            rows.append(y)
        rest, state = layer.stream(x[:, 5:], state)
        rest = hx.cat([hx.stack(rows, 1), rest], 1)
        np.testing.assert_allclose(rest.detach().numpy(), expected, atol=bound, rtol=bound)


@pytest.mark.parametrize("name", CASES)
def test_nothing_leaks_from_the_future(name):
    layer = made(name)
    x = hx.randn(1, 17, layer.d_model, dtype=hx.float64)
    changed = x.clone()
    changed[:, 11] += 1.0
    moved = turned(layer, layer(turned(layer, changed)) - layer(turned(layer, x))).abs().amax((0, 2))
    assert moved[:11].max().item() < 1e-12 and moved[11].item() > 1e-6


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    layer = made(name)
    x = turned(layer, hx.randn(1, 4, layer.d_model, dtype=hx.float64)).requires_grad_()
    assert gradcheck(lambda x, *_: layer(x), (x, *layer.parameters()))


def test_dropout_stands_between_gate_and_filter():
    layer = nn.HyenaOperator(4, l_max=8, dropout=1.0)
    x = hx.randn(1, 8, 4)
    assert hx.allclose(layer(x), layer.out_proj.bias.expand(1, 8, 4))
    assert not hx.allclose(layer.eval()(x), layer.out_proj.bias.expand(1, 8, 4))


def test_what_does_not_fit_is_refused():
    for make in (lambda: nn.HyenaOperator(4, 8, order=1), lambda: nn.HyenaOperator(4, 8, emb_dim=4),
                 lambda: nn.LongConv(4, 0), lambda: nn.H3(4, head_dim=3)):  # fmt: skip
        with pytest.raises(ValueError, match=r"must be"):
            make()
    layer = nn.HyenaOperator(4, l_max=8, filter_order=4)
    with pytest.raises(nn.LayerError, match="the sequence has 9 steps, the layer's filters 8"):
        layer(hx.zeros(1, 9, 4))
    with pytest.raises(nn.LayerError, match=r"input has shape \(1, 4, 3\)"):
        nn.LongConv(3)(hx.zeros(1, 4, 3))
