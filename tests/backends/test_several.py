"""One model over several devices: its losses and gradients are those of one device."""

import numpy
import pytest

import helix
from helix import nn
from helix.nn import functional as F


class Split(nn.Module):
    """Three blocks, each on a device of its own."""

    def __init__(self, devices):
        super().__init__()
        self.devices = devices
        self.first = nn.Sequential(nn.Linear(6, 16), nn.GELU()).to(devices[0])
        self.second = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 16), nn.Tanh()).to(devices[1])
        self.last = nn.Linear(16, 3).to(devices[2])

    def forward(self, x):
        x = self.first(x.to(self.devices[0]))
        x = self.second(x.to(self.devices[1]))
        return self.last(x.to(self.devices[2]))


def steps(devices, n=5):
    helix.manual_seed(3)
    model = Split(devices)
    optimizer = helix.optim.AdamW(model.parameters(), lr=0.05)
    x, labels = helix.randn(20, 6), helix.randint(0, 3, (20,))
    losses = []
    for _ in range(n):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels.to(devices[2]))
        loss.backward()
        losses.append(loss.item())
        gradients = [p.grad.cpu() for p in model.parameters()]
        assert [str(p.grad.device) for p in model.parameters()] == [str(p.device) for p in model.parameters()]
        optimizer.step()
    return losses, gradients


@pytest.fixture(autouse=True)
def no_fallback():
    before = helix.get_fallback()
    helix.set_fallback("error")
    yield
    helix.set_fallback(before)


def test_a_model_over_three_devices_trains_as_on_one():
    losses, gradients = steps(("cpu", "cpu", "cpu"))
    split_losses, split_gradients = steps(("sim:0", "cpu", "sim:1"))
    assert losses[-1] < losses[0]
    assert split_losses == pytest.approx(losses, rel=1e-5)
    for one, other in zip(gradients, split_gradients, strict=True):
        numpy.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-6)
