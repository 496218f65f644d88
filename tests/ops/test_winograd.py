"""3 x 3 convolutions in tiles: the stated error bound, values that are not finite, and the same bits for any thread count."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import helix

CASES: dict[str, dict[str, Any]] = {
    "one image": dict(x=(1, 16, 40, 36), w=(16, 16, 3, 3)),
    "small images together": dict(x=(12, 32, 7, 7), w=(48, 32, 3, 3)),
    "wide rows, more padding": dict(x=(2, 20, 6, 300), w=(24, 20, 3, 3), padding=2),
    "no padding": dict(x=(3, 17, 18, 21), w=(33, 17, 3, 3), padding=0),
    "groups": dict(x=(4, 40, 17, 14), w=(32, 20, 3, 3), groups=2),
    "many channels": dict(x=(8, 160, 12, 12), w=(130, 160, 3, 3)),
    "parts of many channels": dict(x=(1, 48, 36, 36), w=(290, 48, 3, 3)),
}


def plain(x: Any, w: Any, padding: int, groups: int) -> Any:
    """In the precision of the arguments, one tap after another."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    n, channels, height, width = x.shape
    x, w = x.reshape(n, groups, channels // groups, height, width), w.reshape(groups, -1, *w.shape[1:])
    window = lambda i, j: x[..., i : height - 2 + i, j : width - 2 + j]  # noqa: E731
    taps = (
        np.einsum("ngchw,gmc->ngmhw", window(i, j), w[..., i, j], optimize=True) for i in range(3) for j in range(3)
    )
    return sum(taps).reshape(n, -1, height - 2, width - 2)


def operands(x: tuple[int, ...], w: tuple[int, ...], padding: int = 1, groups: int = 1) -> tuple[Any, Any, int, int]:
    rng = np.random.default_rng(7)
    return rng.standard_normal(x).astype("f4"), rng.standard_normal(w).astype("f4"), padding, groups


def convolve(x: Any, w: Any, padding: int = 1, groups: int = 1, bias: Any = None) -> Any:
    bias = None if bias is None else helix.tensor(bias)
    return helix.nn.functional.conv2d(helix.tensor(x), helix.tensor(w), bias, 1, padding, 1, groups).numpy()


@pytest.fixture
def threads() -> Iterator[None]:
    before = helix.get_num_threads()
    yield
    helix.set_num_threads(before)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("offset", [0, 100])
def test_errors_stay_below_the_bound(name: str, offset: float) -> None:
    x, w, padding, groups = operands(**CASES[name])
    x += np.float32(offset)
    bias = np.arange(w.shape[0], dtype="f4")
    truth = plain(x.astype("f8"), w.astype("f8"), padding, groups) + bias[:, None, None]
    bound = 1e-6 * (np.abs(x).max() * np.abs(w).sum((1, 2, 3)) + bias)
    error = np.abs(convolve(x, w, padding, groups, bias) - truth).max((0, 2, 3))
    assert (error <= bound).all(), (error / bound).max()


@pytest.mark.parametrize("name", CASES)
def test_gradient_of_the_input_stays_below_the_bound(name: str) -> None:
    x, w, padding, groups = operands(**CASES[name])
    y = helix.nn.functional.conv2d(
        t := helix.tensor(x, requires_grad=True), helix.tensor(w), None, 1, padding, 1, groups
    )
    g = np.random.default_rng(8).standard_normal(y.shape).astype("f4")
    y.backward(helix.tensor(g))
    turned = w.reshape(groups, -1, *w.shape[1:]).swapaxes(1, 2)[..., ::-1, ::-1].reshape(-1, w.shape[0] // groups, 3, 3)
    truth = plain(g.astype("f8"), turned.astype("f8"), 2 - padding, groups)
    bound = 1e-6 * np.abs(g).max() * np.abs(turned).sum((1, 2, 3))
    assert (np.abs(t.grad.numpy() - truth).max((0, 2, 3)) <= bound).all()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_reaches_only_its_own_windows(value: float) -> None:
    x, w, *_ = operands(**CASES["one image"])
    before = convolve(x, w)
    x[0, 3, 10, 10] = value
    after = convolve(x, w)
    touched = np.zeros((40, 36), bool)
    touched[9:12, 9:12] = True
    assert not np.isfinite(after[..., touched]).any()
    np.testing.assert_allclose(after[..., ~touched], before[..., ~touched], rtol=0, atol=1e-4)


def test_large_numbers_do_not_overflow_on_the_way() -> None:
    x, w, *_ = operands(**CASES["one image"])
    got = convolve(x * np.float32(4e37), w * np.float32(1e-3))
    truth = plain(x.astype("f8") * 4e37, w.astype("f8") * 1e-3, 1, 1)
    np.testing.assert_allclose(got, truth, rtol=0, atol=1e-6 * np.abs(truth).max())


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", CASES)
def test_bits_do_not_depend_on_threads(name: str) -> None:
    bits = set()
    for count in (1, 2, 3):
        helix.set_num_threads(count)
        bits.add(convolve(*operands(**CASES[name])).tobytes())
    assert len(bits) == 1
