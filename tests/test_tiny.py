"""Do all parts still meet? A few seconds: `make tiny`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import helix
import helix.nn.functional as F

pytestmark = pytest.mark.tiny


def test_numbers_and_gradients() -> None:
    x = helix.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = (x @ x.mT).relu().sum() + x.softmax(-1).log().sum()
    y.backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape and np.isfinite(x.grad.numpy()).all()


def test_convolution_matches_its_definition() -> None:
    image, kernel = helix.arange(16.0).reshape(1, 1, 4, 4), helix.ones(1, 1, 2, 2)
    assert F.conv2d(image, kernel)[0, 0, 0].tolist() == [10.0, 14.0, 18.0]


def test_a_network_learns() -> None:
    helix.manual_seed(0)
    points = helix.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    labels = helix.tensor([0, 1, 1, 0])
    model = helix.nn.Sequential(helix.nn.Linear(2, 16), helix.nn.Tanh(), helix.nn.Linear(16, 2))
    optimizer = helix.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(points), labels)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    assert model(points).argmax(-1).tolist() == [0, 1, 1, 0]


def test_saved_weights_come_back(tmp_path: Path) -> None:
    layer = helix.nn.Linear(3, 2)
    helix.io.save_file(layer.state_dict(), tmp_path / "layer.safetensors")
    other = helix.nn.Linear(3, 2)
    other.load_state_dict(helix.io.load_file(tmp_path / "layer.safetensors"))
    x = helix.randn(4, 3)
    assert helix.equal(layer(x), other(x))


def test_errors_say_what_to_do() -> None:
    with pytest.raises(helix.errors.ShapeError) as caught:
        helix.ones(2, 3) @ helix.ones(4, 5)
    assert caught.value.code == "HX1002" and "3" in str(caught.value) and "4" in str(caught.value)
