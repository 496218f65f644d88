"""The plugins beside each other in one process: the same random bits, copies between any two, a model over several."""

from __future__ import annotations

import itertools

import numpy
import pytest

import helix

from .test_several import steps
from .together import PLUGINS, bring_in

DRAWS = {
    "rand": lambda d: helix.rand(1001, device=d),
    "randn": lambda d: helix.randn(7, 143, device=d),
    "randn float16": lambda d: helix.randn(1001, dtype=helix.float16, device=d),
    "randint": lambda d: helix.randint(-3, 900, (1001,), device=d),
    "randperm": lambda d: helix.randperm(1001, device=d),
    "bernoulli": lambda d: helix.zeros(1001, device=d).bernoulli_(0.3),
    "exponential": lambda d: helix.zeros(1001, device=d).exponential_(0.5),
    "dropout": lambda d: helix.nn.functional.dropout(helix.ones(7, 143).to(d), 0.3),
}


@pytest.fixture(autouse=True)
def host():
    """What a plugin has no kernel for, the CPU computes; the model below lets it not."""
    before = helix.set_fallback("host")
    yield
    helix.set_fallback(before)


@pytest.mark.parametrize("name", PLUGINS)
def test_the_same_seed_gives_the_same_bits(name):
    device = bring_in(name)
    for draw in DRAWS.values():
        helix.manual_seed(11)
        expected = draw("cpu")
        helix.manual_seed(11)
        drawn = draw(device)
        assert drawn.device.type == name
        assert drawn.cpu().numpy().tobytes() == expected.numpy().tobytes()


def test_copies_between_any_two():
    devices = ["cpu", *map(bring_in, PLUGINS)]
    values = numpy.random.default_rng(0).normal(size=(5, 7)).astype(numpy.float32)
    for one, other in itertools.permutations(devices, 2):
        x = helix.tensor(values).to(one)
        y = x.to(other)
        assert y.device.type == other and numpy.array_equal(y.cpu().numpy(), values), (one, other)
        view = x.t()[1::2].to(other)
        assert numpy.array_equal(view.cpu().numpy(), values.T[1::2]), (one, other)


@pytest.mark.parametrize("devices", [("opencl", "cpu", "webgpu"), ("webgpu", "opencl", "cpu")], ids="-".join)
def test_a_model_over_two_plugins_and_the_cpu(devices):
    for name in devices:
        if name != "cpu":
            bring_in(name)
    helix.set_fallback("error")
    losses, gradients = steps(("cpu", "cpu", "cpu"))
    split_losses, split_gradients = steps(devices)
    assert losses[-1] < losses[0]
    assert split_losses == pytest.approx(losses, rel=1e-5)
    for one, other in zip(gradients, split_gradients, strict=True):
        numpy.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-6)
