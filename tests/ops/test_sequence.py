"""Selective scan and long convolution over several chunks: gradients beside float64's, and the same bits for any number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import helix

F = helix.nn.functional
# batch, channels, length, states, groups
SHAPES = [(2, 5, 33, 3, 1), (1, 150, 70, 4, 1), (2, 32, 96, 16, 2), (3, 7, 1, 2, 7)]


@pytest.fixture
def threads() -> Iterator[None]:
    before = helix.get_num_threads()
    yield
    helix.set_num_threads(before)


def operands(batch: int, channels: int, length: int, states: int, groups: int) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    sequence, mixer = (batch, channels, length), (batch, groups, states, length)
    draw = rng.standard_normal
    return [draw(sequence), draw(sequence), -np.exp(draw((channels, states)) / 2), draw(mixer), draw(mixer), draw(channels),
            draw(sequence), draw(channels)]  # fmt: skip


def scan(arrays: list[np.ndarray], dtype: Any, softplus: bool = True) -> list[np.ndarray]:
    """Result, last state and all gradients."""
    leaves = [helix.tensor(a).to(dtype).requires_grad_() for a in arrays]
    out = F.selective_scan(*leaves, delta_softplus=softplus, return_last_state=True)
    rng = np.random.default_rng(6)
    helix.autograd.backward(list(out), [helix.tensor(rng.standard_normal(tuple(t.shape))).to(t.dtype) for t in out])
    return [t.detach().to(helix.float64).numpy() for t in out] + [t.grad.to(helix.float64).numpy() for t in leaves]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "bound"), [(helix.float32, 2e-5), (helix.bfloat16, 0.08)])
def test_the_kernel_agrees_with_the_ops(shape: tuple[int, ...], dtype: Any, bound: float) -> None:
    arrays = [helix.tensor(a).to(dtype).to(helix.float64).numpy() for a in operands(*shape)]
    for got, wanted in zip(scan(arrays, dtype), scan(arrays, helix.float64), strict=True):
        assert np.abs(got - wanted).max() <= bound * max(1.0, np.abs(wanted).max())


def test_the_gradient_of_the_state_alone() -> None:
    arrays = operands(2, 5, 33, 3, 1)
    found = []
    for dtype in (helix.float32, helix.float64):
        u, *rest = (helix.tensor(a).to(dtype) for a in arrays)
        u.requires_grad_()
        F.selective_scan(u, *rest, delta_softplus=True, return_last_state=True)[1].sum().backward()
        found.append(u.grad.numpy())
    assert found[1][..., -1].any() and np.allclose(found[0], found[1], rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("threads")
def test_scan_has_the_same_bits_for_any_number_of_threads() -> None:
    arrays, seen = operands(3, 300, 70, 4, 1), []
    for count in (1, 2, 5):
        helix.set_num_threads(count)
        seen.append(scan(arrays, helix.float32))
    for other in seen[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(seen[0], other, strict=True))


def test_a_nan_stays_in_its_channel() -> None:
    arrays = operands(1, 20, 40, 2, 1)
    arrays[0][0, 3, 5] = np.nan
    y = scan(arrays, helix.float32)[0]
    assert np.isnan(y[0, 3, 5:]).all() and not np.isnan(y[0, 3, :5]).any() and not np.isnan(np.delete(y, 3, 1)).any()


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("shape", [(1, 2, 900), (9, 1, 300), (3, 20, 400)])
def test_convolution_has_the_same_bits_for_any_number_of_threads(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(7)
    u, k, d = (helix.tensor(rng.standard_normal(s).astype("float32")) for s in (shape, shape[1:], shape[1:2]))
    seen = []
    for count in (1, 2, 5):
        helix.set_num_threads(count)
        seen.append(F.fft_conv(u, k, d).numpy())
    wanted = np.stack([np.convolve(r, f)[: shape[2]] for r, f in zip(u.numpy().reshape(-1, shape[2]).astype(float),
                       np.tile(k.numpy().astype(float), (shape[0], 1, 1)).reshape(-1, shape[2]), strict=True)])  # fmt: skip
    wanted = wanted.reshape(shape) + d.numpy()[:, None] * u.numpy()
    assert np.allclose(seen[0], wanted, atol=1e-3) and all(np.array_equal(seen[0], other) for other in seen[1:])


def test_a_batch_of_none_has_gradients_of_zero() -> None:
    leaves = [helix.tensor(a.astype("float32")).requires_grad_() for a in operands(1, 5, 33, 3, 1)]
    u, delta, a, b, c, d, z, bias = leaves
    F.selective_scan(u[:0], delta[:0], a, b[:0], c[:0], d, z[:0], bias).sum().backward()
    assert not a.grad.numpy().any() and not d.grad.numpy().any()
