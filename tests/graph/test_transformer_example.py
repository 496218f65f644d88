"""The example that writes a transformer block down as a graph: it learns, and does so on any device from one file."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

import helix

EXAMPLE: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "graph_transformer.py"))


def test_the_loss_falls_in_every_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    runs = EXAMPLE["main"]()
    assert len(runs) == 5 and capsys.readouterr().out.count("ms") == 5
    for losses in runs:
        assert len(losses) == EXAMPLE["EPOCHS"] + 1
        assert all(later < earlier for earlier, later in zip(losses, losses[1:], strict=False))
        assert losses[-1] <= 0.25 * losses[0]


def test_a_step_is_that_of_autograd() -> None:
    tokens, targets, *weights = EXAMPLE["begin"](0)
    leaves = [w.clone().requires_grad_() for w in weights]
    loss = ((EXAMPLE["block"](tokens, dict(zip(EXAMPLE["WEIGHTS"], leaves, strict=True))) - targets) ** 2).sum()
    loss.backward()
    found, *after = EXAMPLE["step_graph"]()(tokens, targets, *weights)
    assert found.item() == pytest.approx(loss.item(), rel=1e-6)
    for w, leaf, new in zip(weights, leaves, after, strict=True):
        assert helix.allclose(new, w - EXAMPLE["RATE"] * leaf.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("device", ["sim", "opencl"])
def test_the_same_file_elsewhere(device: str, tmp_path: Path) -> None:
    try:
        helix.zeros(1, device=device)
    except helix.errors.HelixError as error:
        pytest.skip(str(error))
    EXAMPLE["step_graph"]().save(tmp_path / "step.safetensors")
    steps = [helix.graph.load(tmp_path / "step.safetensors", device=where) for where in ("cpu", device)]
    given = EXAMPLE["begin"](1)
    for here, there in zip(steps[0](*given), steps[1](*[tensor.to(device) for tensor in given]), strict=True):
        assert helix.allclose(there.to("cpu"), here, rtol=1e-4, atol=1e-6)


def test_the_tour(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tour = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "graph_tour.py"))
    found = tour["main"](tmp_path, "sim")
    assert found["ops"] == 14 and found["less"] <= 4 and found["last"] < 0.1 * found["first"] and found["apart"] < 1e-5
    assert {"tour.html", "tour.safetensors"} <= {path.name for path in tmp_path.iterdir()}
    assert "made smaller" in capsys.readouterr().out
