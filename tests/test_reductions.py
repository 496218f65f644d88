"""What sums, moments, softmax, norms and losses promise beyond their samples: accuracy, extreme values, and the same
bits for any number of threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import helix

SHAPES = ((400, 300), (150_000,), (3, 70_000), (70_000, 3), (20, 40, 100))


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = helix.get_num_threads()
    yield
    helix.set_num_threads(before)


def normal(shape: tuple[int, ...], dtype: str = "float32", seed: int = 0) -> helix.Tensor:
    return helix.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


def layer_norm_gradients(x: helix.Tensor) -> helix.Tensor:
    size = x.shape[-1]
    x, weight = x.detach().requires_grad_(), helix.ones(size, dtype=x.dtype).requires_grad_()
    found = helix.autograd.grad([helix.layer_norm(x, (size,), weight).sum()], [x, weight])
    return helix.cat([g.reshape(-1) for g in found])


REDUCERS: dict[str, Callable[[helix.Tensor, int], helix.Tensor]] = {
    "sum": lambda x, dim: x.sum(dim),
    "mean of all": lambda x, dim: x.mean(),
    "prod": lambda x, dim: x.prod(dim),
    "amax": lambda x, dim: x.amax(dim),
    "argmax": lambda x, dim: x.argmax(dim),
    "var": lambda x, dim: x.var(dim),
    "std of all": lambda x, dim: x.std(),
    "norm": lambda x, dim: x.norm(2, dim),
    "logsumexp": lambda x, dim: x.logsumexp(dim),
    "softmax": lambda x, dim: x.softmax(dim),
    "cumsum": lambda x, dim: x.cumsum(dim),
    "sort": lambda x, dim: x.sort(dim).indices,
    "layer norm": lambda x, dim: layer_norm_gradients(x),
}


@pytest.mark.parametrize("name", REDUCERS)
def test_same_bits_for_any_number_of_threads(name: str) -> None:
    for shape in SHAPES:
        x = normal(shape)
        for dim in range(x.ndim):
            bits = set()
            for count in (1, 2, 3):
                helix.set_num_threads(count)
                bits.add(REDUCERS[name](x, dim).numpy().tobytes())
            assert len(bits) == 1, (shape, dim)


def test_a_hundred_million_ones() -> None:
    ones = helix.ones(100_000_000)
    assert ones.sum().item() == 1e8
    assert ones.mean().item() == 1.0


@pytest.mark.parametrize("kind", ["uniform", "normal", "sorted", "alternating"])
def test_sum_of_a_million(kind: str) -> None:
    x = np.random.default_rng(1).standard_normal(1_000_000).astype("float32")
    x = {
        "uniform": np.abs(x),
        "normal": x,
        "sorted": np.sort(x),
        "alternating": np.where(np.arange(x.size) % 2, x, -x),
    }[kind]
    error = abs(helix.from_numpy(x).sum().item() - x.astype("float64").sum())
    assert error <= 2e-7 * np.abs(x.astype("float64")).sum()


@pytest.mark.parametrize("mean", [1e4, 1e5, 1e6])
def test_spread_far_from_zero(mean: float) -> None:
    x = (mean + 1e-2 * np.random.default_rng(2).standard_normal((64, 1500))).astype("float32")
    wide, h = x.astype("float64"), helix.from_numpy(x)
    for dim in (0, 1, (0, 1)):
        np.testing.assert_allclose(h.var(dim).numpy(), wide.var(dim, ddof=1), rtol=1e-4)
        np.testing.assert_allclose(h.std(dim).numpy(), wide.std(dim, ddof=1), rtol=1e-4)
    centered = wide - wide.mean(1, keepdims=True)
    wanted = centered / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(helix.layer_norm(h, (1500,)).numpy(), wanted, rtol=1e-4, atol=1e-4)


def test_softmax_and_logsumexp_of_extremes() -> None:
    inf, nan = math.inf, math.nan
    x = helix.tensor([[1e4, -1e4, 0.0], [-inf, 0.0, 0.0], [-inf, -inf, -inf], [inf, 0.0, 0.0], [nan, 0.0, 0.0]])
    np.testing.assert_array_equal(
        x.softmax(1).numpy(), np.float32([[1, 0, 0], [0, 0.5, 0.5], [nan] * 3, [nan] * 3, [nan] * 3])
    )
    np.testing.assert_allclose(x.logsumexp(1).numpy(), np.float32([1e4, math.log(2), -inf, inf, nan]), rtol=1e-6)
    np.testing.assert_array_equal(x[0].log_softmax(0).numpy(), np.float32([0, -2e4, -1e4]))


def test_cross_entropy_of_extremes() -> None:
    loss = helix.nn.functional.cross_entropy
    x = helix.tensor([[1e4, -1e4, -math.inf]], requires_grad=True)
    assert loss(x, helix.tensor([0])).item() == 0
    value = loss(x, helix.tensor([1]))
    value.backward()
    assert value.item() == 2e4
    assert x.grad.tolist() == [[1.0, -1.0, 0.0]]
    assert math.isnan(loss(helix.zeros(2, 3), helix.tensor([-100, -100])).item())


@pytest.mark.parametrize("place", [0, 5, 600, 1023])
def test_nan_is_handed_on(place: int) -> None:
    x = np.arange(1024, dtype="float32")
    x[place] = np.nan
    h = helix.from_numpy(x)
    for value in (h.amax(), h.amin(), h.sum(), h.median(), h.norm(), h.cummax(0).values[-1], h.sort().values[-1]):
        assert math.isnan(value.item())
    assert h.argmax().item() == h.argmin().item() == place
    assert h.max(0).indices.item() == place
    assert h.nansum().item() == np.nansum(x)


def test_equal_extremes() -> None:
    x = helix.tensor([1.0, 3.0, 3.0], requires_grad=True)
    assert helix.autograd.grad([x.amax()], [x])[0].tolist() == [0.0, 0.5, 0.5]
    assert helix.autograd.grad([x.max(0).values], [x])[0].tolist() == [0.0, 1.0, 0.0]
    zero = helix.zeros(3, requires_grad=True)
    assert helix.autograd.grad([zero.norm()], [zero])[0].tolist() == [0.0, 0.0, 0.0]
    assert helix.autograd.grad([zero.std()], [zero])[0].tolist() == [0.0, 0.0, 0.0]


def test_reductions_of_nothing() -> None:
    nothing = helix.zeros(0, 3)
    assert nothing.sum(0).tolist() == [0.0] * 3
    assert nothing.prod(0).tolist() == [1.0] * 3
    assert nothing.any(0).tolist() == [False] * 3
    assert nothing.all(0).tolist() == [True] * 3
    assert all(map(math.isnan, nothing.mean(0).tolist()))
    assert nothing.amax(1).shape == (0,)
    for op in (nothing.amax, nothing.amin, nothing.argmax, nothing.median):
        with pytest.raises(helix.errors.ParameterError, match="HX1404"):
            op(0)


def test_integers_are_added_wide() -> None:
    assert helix.full((1000,), 200, dtype=helix.uint8).sum().item() == 200_000
    assert helix.full((1000,), True).sum().dtype is helix.int64
    assert helix.tensor([2**62, 2**62]).sum().item() == -(2**63)


def test_a_histogram_of_nothing_lies_between_0_and_1() -> None:
    found = helix.histogram(helix.zeros(0), 4)
    assert found.hist.tolist() == [0, 0, 0, 0] and found.bin_edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert helix.histogramdd(helix.zeros(0, 2), [1, 1]).bin_edges[1].tolist() == [0, 1]
    assert helix.histogram(helix.zeros(2), 1).bin_edges.tolist() == [-0.5, 0.5]
