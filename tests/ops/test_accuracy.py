"""How far float32 and float64 functions may be from the true value, in units of the last place."""

import math

import numpy as np
import pytest

import helix

REFERENCE = {
    "exp": math.exp,
    "expm1": math.expm1,
    "log": math.log,
    "log1p": math.log1p,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "sin": math.sin,
    "cos": math.cos,
}
POSITIVE = {"log"}


def points() -> np.ndarray:
    random = np.random.default_rng(0)
    near = np.exp(random.uniform(-12, math.log(12), 4000))
    return np.concatenate([near, random.uniform(0.05, 6, 4000)]).astype(np.float32)


def worst(name: str, x: np.ndarray, reference) -> float:
    y = getattr(helix, name)(helix.tensor(x)).numpy().astype(np.float64)
    true = np.array([reference(float(v)) for v in x])
    unit = np.ldexp(1.0, np.frexp(true)[1] - 24)
    return float(np.max(np.abs(y - true) / unit))


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_float32_functions_are_right_to_four_ulp(name):
    x = points()
    if name not in POSITIVE and name != "log1p":
        x = np.concatenate([x, -x])
    assert worst(name, x, REFERENCE[name]) <= 4


@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_tanh_and_erf_are_right_to_two_ulp(name):
    x = points()
    assert worst(name, np.concatenate([x, -x]), getattr(math, name)) <= 2


def test_float64_tanh_is_right_to_two_ulp():
    x = np.random.default_rng(0).uniform(0, 3, 20000)
    y = helix.tanh(helix.tensor(x)).numpy()
    true = np.tanh(x.astype(np.longdouble))
    unit = np.ldexp(np.longdouble(1), np.frexp(true.astype(np.float64))[1] - 53)
    assert float(np.max(np.abs(y - true) / unit)) <= 2


@pytest.mark.parametrize("dtype", [helix.float32, helix.float64])
@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_saturation_is_exact_and_odd(name, dtype):
    function = getattr(helix, name)
    far = helix.tensor(
        [9.9, 20.0, 300.0, 1e30, math.inf] if dtype == helix.float32 else [20.0, 300.0, math.inf], dtype=dtype
    )
    assert (function(far) == 1).all() and (function(-far) == -1).all()
    assert math.isnan(function(helix.tensor(math.nan, dtype=dtype)).item())
    assert math.copysign(1, function(helix.tensor(-0.0, dtype=dtype)).item()) == -1
