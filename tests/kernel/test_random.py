"""Same seed, same numbers: whatever a device can compute, and whoever draws."""

import dataclasses

import pytest

import helix
from helix.backends.base import Availability
from helix.backends.sim import SimBackend, backend
from tests.backends.once import register_once


class Narrow(SimBackend):
    """A device that computes nothing in float64."""

    def probe(self):
        devices = super().probe().devices
        narrow = [dataclasses.replace(d, arithmetic=d.arithmetic.replace(" float64", "")) for d in devices]
        return Availability(narrow)


def narrow():
    made = Narrow()
    made.name, made.device_class, made.devices = "narrow", backend("narrow").device_class, 1
    return made


@pytest.fixture(scope="module", params=["sim", "narrow", "drawn"])
def device(request):
    makers = {"narrow": narrow, "drawn": lambda: backend("drawn", "without=programs")}
    return register_once(request.param, makers[request.param]) if request.param in makers else request.param


def weights(device, dtype=helix.float32):
    return (helix.arange(24, dtype=helix.float32) / 23).reshape(4, 6).to(dtype).to(device)


DRAWS = {
    "randperm": lambda d: helix.randperm(300, device=d),
    "randperm float16": lambda d: helix.randperm(9, dtype=helix.float16, device=d),
    "multinomial": lambda d: helix.multinomial(weights(d), 3),
    "multinomial, replacement": lambda d: helix.multinomial(weights(d), 40, True),
    "bernoulli of probabilities": lambda d: helix.bernoulli(weights(d)),
    "bernoulli": lambda d: weights(d).bernoulli_(0.3),
    "randint": lambda d: helix.randint(-5, 1000, (7, 3), device=d),
    "dropout": lambda d: helix.nn.functional.dropout(weights(d), 0.3),
    "dropout float16": lambda d: helix.nn.functional.dropout(weights(d, helix.float16), 0.3),
    "rand_like": lambda d: helix.rand_like(weights(d)),
    "randn_like": lambda d: helix.randn_like(weights(d)),
} | {
    f"{name} {dtype}": lambda d, name=name, a=a, dtype=dtype: getattr(weights(d, getattr(helix, dtype)), name)(*a)
    for name, a in (("exponential_", (0.5,)), ("normal_", (2.0, 3.0)), ("uniform_", (-1.0, 5.0)))
    for dtype in ("float16", "bfloat16", "float32", "float64")
}


@pytest.mark.parametrize("name", DRAWS)
def test_the_numbers_of_the_cpu_under_any_policy(device, name):
    before = helix.set_fallback("error")
    try:
        helix.manual_seed(7)
        expected = DRAWS[name]("cpu")
        helix.manual_seed(7)
        drawn = DRAWS[name](device)
    finally:
        helix.set_fallback(before)
    assert str(drawn.device) == f"{device}:0" and drawn.dtype == expected.dtype
    assert drawn.to("cpu").float().numpy().tobytes() == expected.float().numpy().tobytes()


def test_probabilities_on_a_device_are_checked(device):
    with pytest.raises(helix.errors.ParameterError, match="HX1403 bernoulli"):
        helix.bernoulli(helix.tensor([0.5, 1.5]).to(device))
