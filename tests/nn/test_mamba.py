"""Mamba and Mamba-2 against recurrences written from the papers in NumPy float64, and their own three forms."""

from __future__ import annotations

import numpy as np
import pytest

import helix as hx
from helix import nn
from helix.autograd import gradcheck
from helix.nn import functional as F

CASES = {
    "mamba": lambda **k: nn.Mamba(4, d_state=2, d_conv=3, **k),
    "mamba, odd": lambda **k: nn.Mamba(3, d_state=3, expand=1, dt_rank=2, bias=True, conv_bias=False, **k),
    "mamba2": lambda **k: nn.Mamba2(2, d_state=3, headdim=2, chunk_size=4, **k),
    "mamba2, groups": lambda **k: nn.Mamba2(
        3, d_state=2, headdim=1, ngroups=3, chunk_size=5, dt_limit=(0.01, 0.05), bias=True, **k
    ),
}


@pytest.fixture(params=CASES)
def layer(request):
    """A layer in float64 whose parameters are all random."""
    hx.manual_seed(1)
    layer = CASES[request.param](dtype=hx.float64)
    with hx.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.2 * hx.randn(*parameter.shape, dtype=hx.float64))
    return layer


def silu(x):
    return x / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(x))


def weights(layer):
    return {name: value.numpy() for name, value in layer.state_dict().items()}


def linear(w, name, x):
    return x @ w[name + ".weight"].T + w.get(name + ".bias", 0.0)


def filtered(w, x, taps):
    """The causal depthwise convolution of (length, channels)."""
    padded = np.concatenate([np.zeros((taps - 1, x.shape[1])), x])
    rows = [sum(w["conv1d.weight"][:, 0, k] * padded[t + k] for k in range(taps)) for t in range(len(x))]
    return silu(np.array(rows) + w.get("conv1d.bias", 0.0))


def mamba(layer, sequence):
    """Algorithm 2 of Gu and Dao, with exp(dt A) and the Euler step for B, as their section 3.6 has it."""
    w = weights(layer)
    xs, z = np.split(linear(w, "in_proj", sequence), 2, -1)
    xs = filtered(w, xs, layer.d_conv)
    A, h, ys = -np.exp(w["A_log"]), np.zeros((layer.d_inner, layer.d_state)), []
    for x, row in zip(xs, xs @ w["x_proj.weight"].T, strict=True):
        dt, B, C = np.split(row, [layer.dt_rank, layer.dt_rank + layer.d_state])
        dt = softplus(linear(w, "dt_proj", dt))
        h = np.exp(dt[:, None] * A) * h + np.outer(dt * x, B)
        ys.append(h @ C + w["D"] * x)
    return linear(w, "out_proj", np.array(ys) * silu(z))


def mamba2(layer, sequence):
    """The scalar-times-identity recurrence of Dao and Gu, section 7, a head at a time."""
    w, width = weights(layer), layer.ngroups * layer.d_state
    z, mixed, dt = np.split(linear(w, "in_proj", sequence), [layer.d_inner, layer.d_inner + layer.d_mixed], -1)
    mixed = filtered(w, mixed, layer.d_conv)
    x, B, C = np.split(mixed, [layer.d_inner, layer.d_inner + width], -1)
    dt = np.clip(softplus(dt + w["dt_bias"]), *layer.dt_limit)
    y = np.zeros_like(x)
    for head in range(layer.nheads):
        group = head * layer.ngroups // layer.nheads
        mine = slice(head * layer.headdim, (head + 1) * layer.headdim)
        ours = slice(group * layer.d_state, (group + 1) * layer.d_state)
        h = np.zeros((layer.headdim, layer.d_state))
        for t in range(len(x)):
            h = np.exp(-dt[t, head] * np.exp(w["A_log"][head])) * h + dt[t, head] * np.outer(x[t, mine], B[t, ours])
            y[t, mine] = h @ C[t, ours] + w["D"][head] * x[t, mine]
    y = (y * silu(z)).reshape(len(x), layer.ngroups, -1)
    y = y / np.sqrt((y**2).mean(-1, keepdims=True) + 1e-5)
    return linear(w, "out_proj", y.reshape(len(x), -1) * w["norm.weight"])


@pytest.mark.parametrize(("dtype", "bound"), [(hx.float32, 1e-5), (hx.float64, 1e-9)])
def test_all_forms_are_the_papers_recurrence(layer, dtype, bound):
    x = hx.randn(2, 13, layer.d_model, dtype=hx.float64)
    naive = mamba if isinstance(layer, nn.Mamba) else mamba2
    expected = np.stack([naive(layer, row) for row in x.numpy()])
    layer, x = layer.to(dtype), x.to(dtype)
    whole = layer(x)
    np.testing.assert_allclose(whole.detach().numpy(), expected, atol=bound, rtol=bound)
    state, rows = layer.default_state(2), []
    for t in range(6):
        y, state = layer.step(x[:, t], state)
        rows.append(y)
    late, state = layer.stream(x[:, 6:], state)
    rest = hx.cat([hx.stack(rows, 1), late], 1)
    np.testing.assert_allclose(rest.detach().numpy(), expected, atol=bound, rtol=bound)
    _, last = layer.stream(x)
    for one, other in zip(state, last, strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), atol=bound, rtol=bound)


def test_gradients(layer):
    x = hx.randn(1, 5, layer.d_model, dtype=hx.float64, requires_grad=True)
    state = tuple(hx.randn(*part.shape, dtype=hx.float64, requires_grad=True) for part in layer.default_state(1))
    assert gradcheck(lambda x, *_: layer(x), (x, *layer.parameters()))
    assert gradcheck(lambda x, *state: layer.stream(x, state)[0], (x, *state))


def test_stepping_is_differentiable_too(layer):
    x = hx.randn(1, 4, layer.d_model, dtype=hx.float64)
    layer(x).square().sum().backward()
    whole = [p.grad.numpy() for p in layer.parameters()]
    layer.zero_grad()
    state, total = layer.default_state(1), 0
    for t in range(4):
        y, state = layer.step(x[:, t], state)
        total = total + y.square().sum()
    total.backward()
    for parameter, expected in zip(layer.parameters(), whole, strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), expected, rtol=1e-9, atol=1e-9)


def test_initialisation_is_the_reference():
    hx.manual_seed(0)
    first, second = nn.Mamba(64), nn.Mamba2(64, headdim=1)
    assert first.dt_rank == 4 and first.A_log.exp()[7].round().tolist() == [float(n) for n in range(1, 17)]
    for bias in (first.dt_proj.bias, second.dt_bias):
        dt = F.softplus(bias).detach().numpy()
        assert dt.min() >= 1e-4 and dt.max() <= 0.1001 and abs(np.log10(dt).mean() + 2) < 0.25
    assert abs(first.dt_proj.weight).max().item() <= 0.5
    A = second.A_log.exp().detach().numpy()
    assert A.min() >= 1 and A.max() <= 16 and abs(A.mean() - 8.5) < 1.5
    assert set(first.state_dict()) == {"A_log", "D", "in_proj.weight", "conv1d.weight", "conv1d.bias", "x_proj.weight",
                                       "dt_proj.weight", "dt_proj.bias", "out_proj.weight"}  # fmt: skip
    assert set(second.state_dict()) == {"A_log", "D", "dt_bias", "in_proj.weight", "conv1d.weight", "conv1d.bias",
                                        "norm.weight", "out_proj.weight"}  # fmt: skip


def test_layers_inside_are_called_when_they_are_watched_or_exchanged():
    layer, x, seen = nn.Mamba(4, d_state=4), hx.randn(2, 5, 4), []
    plain = layer(x)
    for name in ("in_proj", "x_proj"):
        part = layer.get_submodule(name)
        hook = part.register_forward_hook(lambda part, args, result: seen.append(result.shape))
        np.testing.assert_allclose(layer(x).detach().numpy(), plain.detach().numpy(), atol=1e-6)
        hook.remove()
        assert not part._hooked

    rows = {row.path: row.flops for row in layer.summary((5, 4)).rows}
    assert [rows[name] for name in ("in_proj", "x_proj", "out_proj")] == [5 * 16 * 7, 5 * 9 * 15, 5 * 4 * 15]

    class Twice(nn.Linear):
        def forward(self, input):
            return 2 * super().forward(input)

    assert seen == [(2, 5, 16), (2, 5, 9)]
    layer.in_proj.weight.data.div_(2)
    layer.in_proj.__class__ = Twice
    np.testing.assert_allclose(layer(x).detach().numpy(), plain.detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("make", [lambda: nn.Mamba(4, dt_init="other"), lambda: nn.Mamba2(4, headdim=3),
                                  lambda: nn.RMSNormGated(4, group_size=3)])  # fmt: skip
def test_what_does_not_fit_is_refused(make):
    with pytest.raises(ValueError, match=r"Mamba|RMSNormGated"):
        make()


def test_an_input_that_does_not_fit_is_named():
    with pytest.raises(nn.LayerError, match="input has 5 features, the layer was made for 4"):
        nn.Mamba(4)(hx.zeros(1, 3, 5))


def test_a_scan_refuses_steps_that_do_not_fit():
    with pytest.raises(hx.errors.ShapeError, match="gives neither one factor nor 4"):
        F.linear_scan(hx.ones(3, 1), hx.ones(4, 1))
    with pytest.raises(hx.errors.ShapeError, match="do not divide the 3 heads"):
        F.ssd(hx.ones(1, 2, 3, 1), hx.ones(1, 2, 3), hx.ones(3), hx.ones(1, 2, 2, 1), hx.ones(1, 2, 2, 1))


@pytest.mark.parametrize("dtype", [hx.bfloat16, hx.float16], ids=str)
def test_mamba_in_half_precision_goes_on_in_pieces(dtype):
    hx.manual_seed(0)
    layer = nn.Mamba(8, d_state=4).to(dtype)
    x = hx.randn(2, 6, 8).to(dtype)
    whole = layer(x)
    first, state = layer.stream(x[:, :3])
    second, state = layer.stream(x[:, 3:5], state)
    third, state = layer.step(x[:, 5], state)
    assert [part.dtype for part in (first, second, third, *state)] == [dtype] * 4 + [hx.float32]
    together = hx.cat([first, second, third.unsqueeze(1)], 1)
    np.testing.assert_allclose(together.float().detach().numpy(), whole.float().detach().numpy(), atol=0.02)
    assert [part.dtype for part in layer.default_state(1)] == [dtype, hx.float32]
