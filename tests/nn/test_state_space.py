"""S4D, S4 and S5 against recurrences written from the papers in NumPy float64, and their own three forms."""

from __future__ import annotations

import copy
from math import erf

import numpy as np
import pytest

import helix as hx
from helix import nn
from helix.autograd import gradcheck
from helix.nn import functional as F
from helix.nn.hippo import diagonal_plus_low_rank, legs
from helix.nn.s4d import vandermonde

CASES = {
    "S4D lin zoh": lambda n, **k: nn.S4D(3, n, **k),
    "S4D legs bilinear": lambda n, **k: nn.S4D(3, n, init="legs", disc="bilinear", **k),
    "S4D inv zoh": lambda n, **k: nn.S4D(3, n, transposed=False, init="inv", **k),
    "S4": lambda n, **k: nn.S4(3, n, l_max=24, **k),
    "S4 odd": lambda n, **k: nn.S4(3, n, transposed=False, l_max=23, **k),
    "S5 zoh": lambda n, **k: nn.S5(3, n, **k),
    "S5 bilinear": lambda n, **k: nn.S5(
        3, n, blocks=2, discretization="bilinear", clip_eigs=True, step_rescale=0.5, **k
    ),
    "S5 complex normal": lambda n, **k: nn.S5(3, n, C_init="complex_normal", **k),
}


def made(name, states, dtype=hx.float64):
    hx.manual_seed(3)
    return CASES[name](states, dtype=dtype)


def complex_of(w, name):
    return w[name][..., 0] + 1j * w[name][..., 1]


def both(x):
    """Kept states and their conjugates."""
    return np.concatenate([x, x.conj()], -1)


def discretised(kind, A, B, dt):
    """Dense A and B by the textbook's rules; exp through the eigenvalues."""
    one = np.eye(len(A))
    if kind == "bilinear":
        below = np.linalg.inv(one - dt / 2 * A)
        return below @ (one + dt / 2 * A), dt * below @ B
    values, vectors = np.linalg.eig(A)
    decay = vectors @ np.diag(np.exp(dt * values)) @ np.linalg.inv(vectors)
    return decay, np.linalg.solve(A, (decay - one) @ B)


def one_channel(layer, w, h):
    """Dense complex (A, B, C) of one channel of S4D or S4."""
    values = -np.exp(w["kernel.log_A_real"][h]) + 1j * w["kernel.A_imag"][h]
    dt, C = np.exp(w["kernel.log_dt"][h]), both(complex_of(w, "kernel.C")[h])
    if isinstance(layer, nn.S4):
        P, B = (both(complex_of(w, f"kernel.{name}")[h]) for name in "PB")
        A, B = discretised("bilinear", np.diag(both(values)) - np.outer(P, P.conj()), B, dt)
        return A, B, C @ np.linalg.inv(np.eye(len(A)) - np.linalg.matrix_power(A, int(w["kernel.l_kernel"])))
    A, B = discretised(layer.kernel.disc, np.diag(both(values)), np.ones(2 * len(values)), dt)
    return A, B, C


def expected(layer, x):
    """(batch, length, channels) in, the same out, step by step."""
    w = {name: value.numpy() for name, value in layer.state_dict().items()}
    if isinstance(layer, nn.S5):
        real = np.minimum(w["Lambda_re"], -1e-4) if layer.clip_eigs else w["Lambda_re"]
        values, dt = real + 1j * w["Lambda_im"], layer.step_rescale * np.exp(w["log_step"][:, 0])
        decay, factor = zip(
            *(discretised(layer.discretization, np.array([[v]]), np.ones(1), d) for v, d in zip(values, dt))
        )
        A, B = np.ravel(decay), np.ravel(factor)[:, None] * complex_of(w, "B")
        y = np.zeros_like(x)
        for b in range(len(x)):
            state = np.zeros(len(A), complex)
            for t, u in enumerate(x[b]):
                state = A * state + B @ u
                y[b, t] = 2 * (complex_of(w, "C") @ state).real + w["D"] * u
        return y
    y = np.zeros_like(x)
    for h in range(x.shape[2]):
        A, B, C = one_channel(layer, w, h)
        for b in range(len(x)):
            state = np.zeros(len(A), complex)
            for t in range(x.shape[1]):
                state = A @ state + B * x[b, t, h]
                y[b, t, h] = (C @ state).real + w["D"][h] * x[b, t, h]
    y = 0.5 * y * (1 + np.vectorize(erf)(y / np.sqrt(2)))
    first, second = np.split(y @ w["output_linear.0.weight"][..., 0].T + w["output_linear.0.bias"], 2, -1)
    return first / (1 + np.exp(-second))


def turned(layer, x):
    """(batch, length, channels) to and from what the layer takes."""
    return x.transpose(1, 2) if getattr(layer, "transposed", False) else x


@pytest.mark.parametrize(("dtype", "bound"), [(hx.float32, 1e-5), (hx.float64, 1e-9)])
@pytest.mark.parametrize("name", CASES)
def test_all_forms_are_the_papers_recurrence(name, dtype, bound):
    layer = made(name, 8)
    x = hx.randn(2, 21, 3, dtype=hx.float64)
    layer, x = layer.to(dtype), x.to(dtype)
    wanted = expected(copy.deepcopy(layer).to(hx.float64), x.to(hx.float64).numpy())
    whole = turned(layer, layer(turned(layer, x)))
    np.testing.assert_allclose(whole.detach().numpy(), wanted, atol=bound, rtol=bound)
    state, rows = layer.default_state(2), []
    for t in range(9):
        y, state = layer.step(x[:, t], state)
        rows.append(y)
    late, state = layer.stream(turned(layer, x[:, 9:]), state)
    rest = hx.cat([hx.stack(rows, 1), turned(layer, late)], 1)
    np.testing.assert_allclose(rest.detach().numpy(), wanted, atol=bound, rtol=bound)
    whole, last = layer.stream(turned(layer, x))
    np.testing.assert_allclose(turned(layer, whole).detach().numpy(), wanted, atol=bound, rtol=bound)
    np.testing.assert_allclose(state[0].detach().numpy(), last[0].detach().numpy(), atol=bound, rtol=bound)


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    layer = made(name, 4)
    x = turned(layer, hx.randn(1, 6, 3, dtype=hx.float64)).requires_grad_()
    assert gradcheck(lambda x, *_: layer(x), (x, *layer.parameters()))
    step = turned(layer, x).detach().select(1, 0).requires_grad_()
    assert gradcheck(
        lambda x, *_: layer.step(x, layer.stream(turned(layer, x.unsqueeze(1)))[1])[0], (step, *layer.parameters())
    )


def test_hippo_is_scaled_legendre_and_its_form_is_the_same_system():
    """x' = A x + B u with A from the definition, and from eigenvalues and the low-rank part: one impulse response."""
    A, B = legs(8)
    n, k = np.meshgrid(range(8), range(8), indexing="ij")
    wanted = np.where(n > k, np.sqrt((2 * n + 1) * (2 * k + 1)), np.where(n == k, n + 1.0, 0.0))
    np.testing.assert_allclose(A, -wanted, rtol=1e-12)
    form = diagonal_plus_low_rank(8)
    values, P, b, V = both(form.eigenvalues), both(form.P), both(form.B), np.concatenate([form.V, form.V.conj()], 1)
    np.testing.assert_allclose(V @ (np.diag(values) - np.outer(P, P.conj())) @ V.conj().T, A, atol=1e-12)
    np.testing.assert_allclose(V @ b, B, atol=1e-12)
    np.testing.assert_allclose(V.conj().T @ V, np.eye(8), atol=1e-12)
    assert np.all(form.eigenvalues.imag > 0) and np.allclose(form.eigenvalues.real, -0.5)


def test_a_longer_sequence_lengthens_the_kernel_and_keeps_its_meaning():
    layer = made("S4", 8)
    before = layer.kernel(24).detach().numpy()
    longer = layer.kernel(90).detach().numpy()
    assert int(layer.kernel.l_kernel) == 96 and longer.shape == (3, 90)
    np.testing.assert_allclose(longer[:, :24], before, atol=1e-12)
    np.testing.assert_allclose(layer.kernel(24).detach().numpy(), before, atol=1e-12)
    x = hx.randn(1, 3, 90, dtype=hx.float64)
    np.testing.assert_allclose(layer(x).detach().numpy(), layer.stream(x)[0].detach().numpy(), atol=1e-9)


@pytest.mark.parametrize("length", [1, 2, 7, 64, 65])
def test_the_vandermonde_product_is_the_sum_of_powers(length):
    hx.manual_seed(0)
    weights = hx.view_as_complex(hx.randn(2, 3, 2, dtype=hx.float64))
    rates = hx.complex(-hx.rand(2, 3, dtype=hx.float64), hx.randn(2, 3, dtype=hx.float64))
    wanted = [2 * (weights.numpy() * np.exp(rates.numpy() * t)).sum(-1).real for t in range(length)]
    np.testing.assert_allclose(
        vandermonde(weights, rates, length).numpy(), np.stack(wanted, -1), rtol=1e-12, atol=1e-12
    )


def test_a_scan_is_its_loop_for_real_and_complex_factors_that_change_or_stay():
    rng = np.random.default_rng(0)
    for length in (0, 1, 5, 16):
        b, start = rng.normal(size=(2, length, 3)) + 1j, rng.normal(size=(2, 1, 3)) + 0j
        for a in (rng.normal(size=(2, length, 3)) * (1 + 1j), rng.normal(size=(1, 1, 3)) + 0j):
            if a.shape[1] != length and length == 1:
                continue
            state, rows = start[:, 0], []
            for t in range(length):
                state = a[:, min(t, a.shape[1] - 1)] * state + b[:, t]
                rows.append(state)
            got = F.linear_scan(hx.tensor(a), hx.tensor(b), hx.tensor(start))
            np.testing.assert_allclose(got.numpy(), np.stack(rows, 1) if rows else b, atol=1e-12)


@pytest.mark.parametrize("make", [
    lambda: nn.S4D(4, 7), lambda: nn.S4D(4, 8, init="x"), lambda: nn.S4D(4, 8, disc="euler"), lambda: nn.S4(4, 8, l_max=0),
    lambda: nn.S5(4, 6, blocks=2), lambda: nn.S5(4, 8, C_init="x"), lambda: nn.S5(4, 8, discretization="x")])  # fmt: skip
def test_what_does_not_fit_is_refused(make):
    with pytest.raises(ValueError, match=r"must be"):
        make()


def test_an_input_that_does_not_fit_is_named():
    with pytest.raises(nn.LayerError, match=r"input has 5 features.*\(batch, features, length\)"):
        nn.S4D(4, 8)(hx.zeros(1, 5, 4))
    with pytest.raises(nn.LayerError, match="input has 2 axes"):
        nn.S5(4, 8)(hx.zeros(1, 4))


@pytest.mark.parametrize("kind", [nn.S4, nn.S4D, nn.S5, nn.H3])
@pytest.mark.parametrize("dtype", [hx.float32, hx.bfloat16], ids=str)
def test_autocast_in_all_forms(kind, dtype):
    hx.manual_seed(0)
    layer = kind(4, d_state=8)
    last = kind in (nn.S4, nn.S4D)
    x = hx.randn(2, 4, 10) if last else hx.randn(2, 10, 4)
    axis = -1 if last else 1
    wanted = layer(x).detach().numpy()
    with hx.autocast("cpu", dtype=hx.bfloat16):
        parts = x.to(dtype).split([6, 3, 1], axis)
        first, state = layer.stream(parts[0])
        second, state = layer.stream(parts[1], state)
        third, _ = layer.step(parts[2].squeeze(axis), state)
        pieces = [piece.float() for piece in (first, second, third.unsqueeze(axis))]
        whole = layer(x.to(dtype)).float()
    for found in (whole, hx.cat(pieces, axis)):
        np.testing.assert_allclose(found.detach().numpy(), wanted, atol=0.05)


@pytest.mark.parametrize("kind", [nn.S4, nn.S4D, nn.S5, nn.H3])
@pytest.mark.parametrize("dtype", [hx.float16, hx.bfloat16], ids=str)
def test_half_types_hold_parameters_and_states_are_wide(kind, dtype):
    """Results, in all forms, and gradients are those of the same numbers in float32, up to the rounding of what is stored."""
    hx.manual_seed(0)
    layer, exact = kind(4, d_state=8, dtype=dtype), kind(4, d_state=8)
    exact.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in layer.state_dict().items()})
    last = kind in (nn.S4, nn.S4D)
    x = (hx.randn(2, 4, 10) if last else hx.randn(2, 10, 4)).to(dtype)
    axis = -1 if last else 1
    wanted, whole = exact(x.float()), layer(x)
    parts = x.split([6, 3, 1], axis)
    first, state = layer.stream(parts[0])
    second, state = layer.stream(parts[1], state)
    third, state = layer.step(parts[2].squeeze(axis), state)
    pieces = hx.cat([first, second, third.unsqueeze(axis)], axis)
    assert whole.dtype == pieces.dtype == dtype and hx.complex64 in {t.dtype for t in state}
    assert hx.complex64 in {t.dtype for t in layer.default_state(1)}
    for found in (whole, pieces):
        np.testing.assert_allclose(found.float().detach().numpy(), wanted.detach().numpy(), atol=0.03)
    whole.float().sum().backward()
    wanted.sum().backward()
    for (name, mine), theirs in zip(layer.named_parameters(), exact.parameters(), strict=True):
        largest = theirs.grad.abs().max().item()
        np.testing.assert_allclose(
            mine.grad.float().numpy(), theirs.grad.numpy(), atol=0.03 * largest + 1e-3, err_msg=name
        )
