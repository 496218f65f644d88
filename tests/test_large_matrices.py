"""Factorizations of one large matrix go by blocks and are shared out to threads: against NumPy, and with the same bits."""

import numpy as np
import pytest

import helix
from helix import linalg

SHAPES = [(256, 256), (300, 300), (390, 260), (260, 390), (800, 790)]


def matrix(dtype, *shape):
    return np.random.default_rng(shape).standard_normal(shape).astype(dtype)


def symmetric(a):
    return (a @ a.T / len(a) + np.eye(len(a))).astype(a.dtype)


def near(found, wanted, dtype):
    scale = max(1.0, float(np.abs(wanted).max()))
    return np.abs(np.asarray(found, "float64") - wanted).max() <= scale * (1e-10 if dtype == "float64" else 2e-2)


@pytest.fixture
def threads():
    before = helix.get_num_threads()
    yield helix.set_num_threads
    helix.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m, n", SHAPES)
def test_lu(m, n, dtype):
    a = matrix(dtype, m, n)
    order, lower, upper = (np.asarray(part) for part in linalg.lu(helix.asarray(a)))
    assert np.abs(lower).max() == 1
    assert near(order @ lower @ upper, a, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [256, 333])
def test_inverse_and_solutions(n, dtype):
    a = matrix(dtype, n, n)
    wide = a.astype("float64")
    assert near(linalg.inv(helix.asarray(a)), np.linalg.inv(wide), dtype)
    for columns in (1, 60, 131):
        b = matrix(dtype, n, columns)
        assert near(linalg.solve(helix.asarray(a), helix.asarray(b)), np.linalg.solve(wide, b), dtype)


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("n, columns", [(256, 48), (300, 47), (333, 130)])
def test_triangular_systems(n, columns, unit, upper):
    a, b = matrix("float64", n, n) / n, matrix("float64", n, columns)
    if unit:
        np.fill_diagonal(a, 1)
    else:
        a += 2 * np.eye(n)
    found = linalg.solve_triangular(helix.asarray(a), helix.asarray(b), upper=upper, unitriangular=unit)
    assert near(found, np.linalg.solve(np.triu(a) if upper else np.tril(a), b), "float64")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("n", [512, 577])
def test_cholesky_reads_one_triangle(n, upper, dtype):
    a = symmetric(matrix(dtype, n, n))
    given = np.triu(a) if upper else np.tril(a)
    found = np.asarray(linalg.cholesky(helix.asarray(given), upper=upper))
    wanted = np.linalg.cholesky(a.astype("float64"))
    assert near(found, wanted.T if upper else wanted, dtype)


@pytest.mark.parametrize("at", [3, 200, 530])
def test_the_row_that_fails_is_named(at):
    a = symmetric(matrix("float64", 540, 540))
    broken = a.copy()
    broken[at, at] = -1
    assert int(linalg.cholesky_ex(helix.asarray(broken))[1]) == at + 1
    a[:, at] = 0
    assert int(linalg.lu_factor_ex(helix.asarray(a))[2]) == at + 1
    assert int(linalg.inv_ex(helix.asarray(a))[1]) == at + 1


def test_same_bits_for_any_number_of_threads_and_in_a_batch(threads):
    a, b = helix.asarray(matrix("float64", 2, 520, 520)), helix.asarray(matrix("float64", 2, 520, 150))
    spd = a @ a.mT + 520 * helix.eye(520, dtype=a.dtype)
    calls = [linalg.inv, linalg.lu_factor, lambda x: linalg.solve(x, b[: len(x)]), linalg.cholesky]
    for call, given in zip(calls, (a, a, a, spd), strict=True):
        threads(1)
        batch = call(given)
        for count in (1, 4):
            threads(count)
            alone = call(given[:1])
            for one, many in zip(alone, batch, strict=True) if isinstance(batch, tuple) else [(alone, batch)]:
                assert np.array_equal(np.asarray(one)[0], np.asarray(many)[0])
