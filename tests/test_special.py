"""helix.special beyond what follows from the records: accuracy against mpmath, corners, gradients that are refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import torch

import helix
from helix import special
from helix.autograd import grad

inf, nan = math.inf, math.nan
mp = mpmath.mp.clone()
mp.dps = 40


def ndtr(x: Any) -> Any:
    return mp.erfc(-x / mp.sqrt(2)) / 2


# Function, truth, where, and the bound in units of the last place: of the value, or for those with zeros of 1.
CASES: list[tuple[str, Callable[[Any], Any], tuple[float, float], float]] = [
    ("i0", lambda x: mp.besseli(0, x), (-700.0, 700.0), 6),
    ("i0", lambda x: mp.besseli(0, x), (-9.0, 9.0), 6),
    ("i0e", lambda x: mp.exp(-abs(x)) * mp.besseli(0, x), (-9.0, 9.0), 5),
    ("i1", lambda x: mp.besseli(1, x), (-20.0, 20.0), 6),
    ("i1e", lambda x: mp.exp(-abs(x)) * mp.besseli(1, x), (-9.0, 9.0), 5),
    ("modified_bessel_k0", lambda x: mp.besselk(0, x), (1e-3, 9.0), 8),
    ("modified_bessel_k1", lambda x: mp.besselk(1, x), (1e-3, 9.0), 8),
    ("scaled_modified_bessel_k0", lambda x: mp.exp(x) * mp.besselk(0, x), (1e-3, 9.0), 8),
    ("scaled_modified_bessel_k1", lambda x: mp.exp(x) * mp.besselk(1, x), (1e-3, 9.0), 8),
    ("erfcx", lambda x: mp.exp(x * x) * mp.erfc(x), (-26.0, 40.0), 8),
    ("ndtr", ndtr, (-37.0, 8.0), 8),
    ("log_ndtr", lambda x: mp.log(ndtr(x)), (-37.0, 4.0), 8),
    ("entr", lambda x: -x * mp.log(x), (1e-3, 0.9), 4),
    ("ndtri", lambda p: mp.sqrt(2) * mp.erfinv(2 * p - 1), (0.001, 0.999), 6),
    ("spherical_bessel_j0", lambda x: mp.sin(x) / x, (0.1, 3.0), 4),
]
WITH_ZEROS: list[tuple[str, Callable[[Any], Any], tuple[float, float], float]] = [
    ("bessel_j0", lambda x: mp.besselj(0, x), (-60.0, 60.0), 4),
    ("bessel_j1", lambda x: mp.besselj(1, x), (-60.0, 60.0), 4),
    ("bessel_y0", lambda x: mp.bessely(0, x), (0.1, 60.0), 4),
    ("bessel_y1", lambda x: mp.bessely(1, x), (0.5, 60.0), 4),
    ("airy_ai", mp.airyai, (-20.0, 20.0), 40),
]


def points(where: tuple[float, float], n: int = 24) -> np.ndarray:
    return np.random.default_rng(0).uniform(*where, n)


@pytest.mark.parametrize(("name", "truth", "where", "bound"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_float64_is_within_its_bound(name: str, truth: Any, where: Any, bound: float) -> None:
    x = points(where)
    for at, made in zip(x, getattr(special, name)(helix.tensor(x)).tolist(), strict=True):
        true = truth(mp.mpf(at))
        assert abs(made - true) <= bound * float(np.spacing(abs(float(true)))), (at, made, true)


@pytest.mark.parametrize(("name", "truth", "where", "bound"), WITH_ZEROS, ids=lambda v: v if isinstance(v, str) else "")
def test_float64_is_within_its_bound_where_there_are_zeros(name: str, truth: Any, where: Any, bound: float) -> None:
    x = points(where)
    for at, made in zip(x, getattr(special, name)(helix.tensor(x)).tolist(), strict=True):
        true = truth(mp.mpf(at))
        assert abs(made - true) <= bound * 2**-53 * max(1, abs(float(true))), (at, made, true)


@pytest.mark.parametrize(("name", "truth", "where", "_"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_float32_is_rounded_from_a_wider_value(name: str, truth: Any, where: Any, _: float) -> None:
    x = points((max(where[0], -9.0), min(where[1], 9.0))).astype(np.float32)
    for at, made in zip(x, getattr(special, name)(helix.tensor(x)).tolist(), strict=True):
        true = float(truth(mp.mpf(float(at))))
        assert abs(made - true) <= 1.5 * float(np.spacing(np.float32(abs(true)))), (at, made, true)


def within(made: float, true: Any, relative: float) -> bool:
    return bool(abs(made - true) <= relative * abs(true))


def test_ndtri_of_the_smallest_shares() -> None:
    for p in (1e-3, 1e-10, 1e-50, 1e-200, 1e-307):
        x = special.ndtri(helix.tensor(p, dtype=helix.float64)).item()
        assert within(float(special.log_ndtr(helix.tensor(x, dtype=helix.float64)).item()), mp.log(p), 1e-15)


def test_incomplete_gamma_functions() -> None:
    rng = np.random.default_rng(0)
    a = np.exp(rng.uniform(-6, 6.5, 24))
    x = a * np.exp(rng.normal(0, 0.4, 24))
    lower, upper = (f(helix.tensor(a), helix.tensor(x)).tolist() for f in (special.gammainc, special.gammaincc))
    for ai, xi, p, q in zip(a, x, lower, upper, strict=True):
        both = [mp.gammainc(mp.mpf(ai), *ends, regularized=True) for ends in ((0, xi), (xi, mp.inf))]
        assert within(p, both[0], 1e-12) and within(q, both[1], 1e-12), (ai, xi, p, q, both)


def test_incomplete_gamma_functions_of_many_degrees_are_normal() -> None:
    """Three standard deviations around a = 10^9, where SciPy 1.15 has six digits."""
    a = 1e9
    for z in (-3.0, 0.5, 3.0):
        with mp.workdps(30):
            x = a + z * math.sqrt(a)
            third = (mp.mpf(x) / a) ** (mp.mpf(1) / 3)
            normal = ndtr((third - (1 - mp.mpf(1) / (9 * a))) * 3 * mp.sqrt(a))  # Wilson and Hilferty, 1 / a off
        assert within(special.gammainc(helix.tensor(a, dtype=helix.float64), x).item(), normal, 1e-7)


def test_zeta_and_polygamma() -> None:
    rng = np.random.default_rng(0)
    x, q = rng.uniform(1.05, 20, 16), np.exp(rng.uniform(-5, 5, 16))
    for xi, qi, made in zip(x, q, special.zeta(helix.tensor(x), helix.tensor(q)).tolist(), strict=True):
        with mp.workdps(80):
            assert within(made, mp.zeta(mp.mpf(xi), mp.mpf(qi)), 1e-14), (xi, qi)
    for n in (2, 3, 6):
        for xi, made in zip(q, helix.polygamma(n, helix.tensor(q)).tolist(), strict=True):
            assert within(made, mp.polygamma(n, mp.mpf(xi)), 1e-14), (n, xi)
    below = [mp.polygamma(2, mp.mpf(v)) for v in (-0.25, -20.75, -300.5)]
    made = helix.polygamma(2, helix.tensor([-0.25, -20.75, -300.5], dtype=helix.float64)).tolist()
    assert all(within(m, t, 1e-12) or abs(m - t) < 1e-12 for m, t in zip(made, below, strict=True))


@pytest.mark.parametrize("n", [3, 8, 9, 30, 70, 200])
def test_polynomials(n: int) -> None:
    x = np.concatenate([points((-1.0, 1.0), 20), points((-1.5, 1.5), 10), [1.0, -1.0, 0.0]])
    truths = {
        "chebyshev_polynomial_t": mp.chebyt,
        "chebyshev_polynomial_u": mp.chebyu,
        "legendre_polynomial_p": mp.legendre,
        "laguerre_polynomial_l": lambda n, x: mp.laguerre(n, 0, x),
    }
    for name, truth in truths.items():
        made = getattr(special, name)(helix.tensor(x), n).tolist()
        for xi, value in zip(x, made, strict=True):
            true = truth(n, mp.mpf(xi))
            assert abs(value - true) <= 4e-15 * n * max(1, abs(true)), (name, xi, value, true)


def test_polynomials_of_many_degrees_end() -> None:
    x = helix.tensor([0.5, 1.5, -2.0, 1.0])
    for name in special.__all__:
        if "polynomial" in name:
            assert getattr(special, name)(x, 1e30).shape == (4,)


CORNERS = {
    "i0": ([inf, -inf, nan, 0.0], [inf, inf, nan, 1.0]),
    "i0e": ([inf, -inf, nan, 0.0], [0.0, 0.0, nan, 1.0]),
    "i1": ([inf, -inf, nan, -0.0], [inf, -inf, nan, -0.0]),
    "i1e": ([inf, -inf, nan, 0.0], [0.0, -0.0, nan, 0.0]),
    "modified_bessel_k0": ([0.0, -1.0, inf, nan], [inf, nan, 0.0, nan]),
    "scaled_modified_bessel_k1": ([0.0, -1.0, inf, nan], [inf, nan, 0.0, nan]),
    "bessel_y0": ([0.0, -1.0, inf, nan], [-inf, nan, 0.0, nan]),
    "bessel_j1": ([0.0, inf, nan], [0.0, 0.0, nan]),
    "airy_ai": ([inf, -inf, nan], [0.0, 0.0, nan]),
    "erfcx": ([inf, -inf, nan, -40.0, 1e300], [0.0, inf, nan, inf, 5.641895835477562e-301]),
    "ndtr": ([inf, -inf, nan, 0.0], [1.0, 0.0, nan, 0.5]),
    "log_ndtr": ([inf, -inf, nan, -1e100], [0.0, -inf, nan, -5e199]),
    "ndtri": ([0.0, 1.0, 0.5, -0.1, 1.1, nan], [-inf, inf, 0.0, nan, nan, nan]),
    "entr": ([0.0, 1.0, -1.0, inf, nan], [0.0, 0.0, -inf, -inf, nan]),
    "spherical_bessel_j0": ([0.0, inf, nan], [1.0, 0.0, nan]),
}


@pytest.mark.parametrize("name", CORNERS)
def test_corners(name: str) -> None:
    x, wanted = CORNERS[name]
    for values in (x, x * 9):  # registers too
        made = getattr(special, name)(helix.tensor(values, dtype=helix.float64)).numpy()
        np.testing.assert_allclose(made, np.array(wanted * (len(values) // len(x))), rtol=1e-15)


PAIRS = {
    "zeta": [(1, 2, inf), (0.5, 2, nan), (2, 0, inf), (2, -3, inf), (2.5, -0.5, nan), (3, -0.5, -8 + 8.41439832211716)],
    "gammainc": [(0, 1, 1.0), (0, 0, nan), (2, 0, 0.0), (-1, 2, nan), (2, -1, nan), (inf, 3, 0.0), (3, inf, 1.0)],
    "gammaincc": [(0, 1, 0.0), (0, 0, nan), (2, 0, 1.0), (inf, inf, nan), (inf, 3, 1.0), (3, inf, 0.0), (nan, 1, nan)],
    "xlog1py": [(0, -1, 0.0), (0, inf, 0.0), (0, nan, nan), (1, -1, -inf), (2, 0, 0.0)],
    "chebyshev_polynomial_t": [(2, -1, 0.0), (nan, 0, 1.0), (nan, 3, nan), (2, 2.9, 7.0), (-1, 10001, -1.0)],
    "hermite_polynomial_h": [(2, -3, 0.0), (1, 513, nan)],
}


@pytest.mark.parametrize("name", PAIRS)
def test_corners_of_two_arguments(name: str) -> None:
    a, b, wanted = (helix.tensor(column, dtype=helix.float64) for column in zip(*PAIRS[name], strict=True))
    np.testing.assert_allclose(getattr(special, name)(a, b).numpy(), wanted.numpy(), rtol=1e-13)


def test_all_names_of_torch() -> None:
    names = {
        n for n in dir(torch.special) if getattr(getattr(torch.special, n), "__module__", "") == "torch._C._special"
    }
    assert names == set(special.__all__) and len(names) == 56


@pytest.mark.parametrize("name", ["zeta", "gammainc", "gammaincc"])
def test_the_first_argument_has_no_gradient(name: str) -> None:
    a, b = helix.tensor(2.0, requires_grad=True), helix.tensor(1.5, requires_grad=True)
    result = getattr(special, name)(a, b)
    assert grad(result, b)[0].shape == ()
    with pytest.raises(helix.errors.GradientError, match="first argument"):
        grad(getattr(special, name)(a, b), a)


def test_polynomials_have_no_gradient() -> None:
    with pytest.raises(helix.errors.GradientError, match="not differentiable"):
        special.legendre_polynomial_p(helix.tensor(0.5, requires_grad=True), 3)


def test_in_place_and_methods() -> None:
    x = helix.tensor([1.5, 2.5], dtype=helix.float64)
    for name, arguments in (
        ("i0_", ()),
        ("mvlgamma_", (2,)),
        ("polygamma_", (1,)),
        ("igamma_", (x,)),
        ("igammac_", (x,)),
    ):
        made = getattr(x.clone(), name)(*arguments)
        wanted = getattr(x, name.removesuffix("_"))(*arguments)
        assert helix.equal(made, wanted), name


def test_exp_of_complex64_has_the_parts_and_the_ends_of_complex128() -> None:
    ends = np.array([0.0, -0.0, 1.0, -3.5, 80.0, 800.0, -800.0, 1e9, -3e9, np.inf, -np.inf, np.nan], np.float32)
    x = np.empty((ends.size, ends.size + 300), np.complex64)
    x.real, x.imag[:, : ends.size] = ends[:, None], ends
    x.imag[:, ends.size :] = np.linspace(-400, 400, 300)
    single, double = (helix.exp(helix.from_numpy(x.astype(t))).numpy() for t in (np.complex64, np.complex128))
    with np.errstate(over="ignore"):
        wanted = double.astype(np.complex64)
    for mine, theirs in ((single.real, wanted.real), (single.imag, wanted.imag)):
        np.testing.assert_allclose(mine, theirs, rtol=2e-7, atol=1e-44)
        zero = theirs == 0
        assert np.array_equal(np.signbit(mine[zero]), np.signbit(theirs[zero]))
