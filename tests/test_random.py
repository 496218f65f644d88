"""Random tensors: distributions, and the promise that a seed gives the same bits for any thread count."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import helix
import helix.nn.functional as F

N = 100_000


@pytest.fixture(autouse=True)
def seeded() -> None:
    helix.manual_seed(1234)


def values(t: helix.Tensor) -> np.ndarray:
    return t.detach().to(helix.float64).numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal(dtype: str) -> None:
    x = values(helix.randn(N + 1, dtype=getattr(helix, dtype)))
    assert stats.kstest(x, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(x[:-1:2], x[1::2])[0, 1]) < 0.02


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform(dtype: str) -> None:
    x = values(helix.rand(N, dtype=getattr(helix, dtype)))
    assert stats.kstest(x, "uniform").pvalue > 1e-3
    assert x.min() >= 0 and x.max() < 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_never_reach_one(dtype: str) -> None:
    x = values(helix.rand(N, dtype=getattr(helix, dtype)))
    assert x.max() < 1 and abs(x.mean() - 0.5) < 0.01


def test_complex_normal_has_unit_variance() -> None:
    x = helix.randn(N, dtype=helix.complex64).numpy()
    assert abs((np.abs(x) ** 2).mean() - 1) < 0.02


def test_integers() -> None:
    _, counts = np.unique(helix.randint(-3, 4, (N,)).numpy(), return_counts=True)
    assert len(counts) == 7 and stats.chisquare(counts).pvalue > 1e-3


def test_permutation() -> None:
    assert sorted(helix.randperm(1003).tolist()) == list(range(1003))


def test_exponential() -> None:
    assert stats.kstest(values(helix.zeros(N).exponential_(2.0)), "expon", args=(0, 0.5)).pvalue > 1e-3


def test_bernoulli() -> None:
    assert abs(values(helix.bernoulli(helix.full((N,), 0.2))).mean() - 0.2) < 0.01
    assert abs(values(helix.zeros(N, dtype=helix.int32).bernoulli_()).mean() - 0.5) < 0.01


def test_multinomial() -> None:
    weights = helix.tensor([[0.1, 0.2, 0.7], [0.0, 1.0, 0.0]])
    rows = helix.multinomial(weights, N, replacement=True).numpy()
    assert stats.chisquare(np.bincount(rows[0]), N * np.array([0.1, 0.2, 0.7])).pvalue > 1e-3
    assert set(rows[1]) == {1}
    assert sorted(helix.multinomial(helix.tensor([1.0, 2.0, 3.0]), 3).tolist()) == [0, 1, 2]


def test_dropout_draws_the_same_mask_in_backward() -> None:
    x = helix.ones(N, requires_grad=True)
    y = F.dropout(x, 0.3)
    y.sum().backward()
    np.testing.assert_array_equal(values(x.grad), values(y))
    assert abs((values(y) == 0).mean() - 0.3) < 0.01


def test_dropout2d_drops_channels() -> None:
    y = values(F.dropout2d(helix.ones(8, 16, 3, 3), 0.5)).reshape(128, 9)
    assert (y.std(1) == 0).all() and 0.2 < (y[:, 0] == 0).mean() < 0.8


def test_strided_tensors_are_filled_in_row_major_order() -> None:
    helix.manual_seed(7)
    dense = helix.zeros(7, 100).normal_()
    helix.manual_seed(7)
    strided = helix.zeros(100, 7).T.normal_()
    np.testing.assert_array_equal(values(strided), values(dense))


@pytest.mark.parametrize(
    "draw", [lambda: helix.randn(300_001), lambda: helix.rand(300_001), lambda: helix.randint(9, (300_001,))]
)
def test_thread_count_does_not_change_the_bits(draw) -> None:
    before = helix.get_num_threads()
    results = []
    for threads in (1, 2, 3):
        helix.set_num_threads(threads)
        helix.manual_seed(3)
        results.append(draw().numpy())
    helix.set_num_threads(before)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
