"""Diffusion against the papers' formulas in NumPy float64; networks that guess noise; point sets."""

from __future__ import annotations

import math
import runpy
import struct
from pathlib import Path

import numpy as np
import pytest

import helix as hx
from helix import models, nn
from helix.models.diffusion import betas_of, timestep_embedding


def alphas(kind, steps):
    if kind == "linear":
        return 1 - np.linspace(1e-4, 0.02, steps)
    f = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.maximum(f[1:] / f[:-1], 0.001)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_schedules_and_noised_samples(kind):
    a = alphas(kind, 50)
    np.testing.assert_allclose(betas_of(kind, 50).numpy(), 1 - a, rtol=1e-12)
    process, x, noise = models.Diffusion(50, kind), *hx.randn(2, 3, 4, dtype=hx.float64)
    t, kept = hx.tensor([0, 20, 49]), np.cumprod(a)[[0, 20, 49], None]
    wanted = np.sqrt(kept) * x.numpy() + np.sqrt(1 - kept) * noise.numpy()
    np.testing.assert_allclose(process.add_noise(x, noise, t).numpy(), wanted, rtol=1e-12)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_a_step_back_is_the_papers(kind):
    """DDPM: the posterior's mean and variance (equations 6 and 7 of Ho et al.); DDIM: equation 12 of Song et al."""
    a = alphas(kind, 50)
    kept, t = np.cumprod(a), 31
    process, (x, guess, noise) = models.Diffusion(50, kind), hx.randn(3, 2, 4, dtype=hx.float64)
    at, before, far = (hx.tensor([v, v]) for v in (t, t - 1, t - 12))
    start = (x.numpy() - np.sqrt(1 - kept[t]) * guess.numpy()) / np.sqrt(kept[t])
    mean = (np.sqrt(kept[t - 1]) * (1 - a[t]) * start + np.sqrt(a[t]) * (1 - kept[t - 1]) * x.numpy()) / (1 - kept[t])
    deviation = math.sqrt((1 - kept[t - 1]) / (1 - kept[t]) * (1 - a[t]))
    got = process.back(x, guess, at, before, noise, 1.0)
    np.testing.assert_allclose(got.numpy(), mean + deviation * noise.numpy(), rtol=1e-9, atol=1e-12)
    wanted = np.sqrt(kept[t - 12]) * start + np.sqrt(1 - kept[t - 12]) * guess.numpy()
    np.testing.assert_allclose(process.back(x, guess, at, far, noise, 0.0).numpy(), wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(process.back(x, guess, at, hx.tensor([-1, -1]), noise, 0.0).numpy(), start, rtol=1e-9)


def test_samples_of_a_known_distribution():
    """Data of deviation 0.5 have the best guess in closed form: samples by all and by few steps have that deviation."""
    process = models.Diffusion(200, "cosine")

    def best(x, t):
        kept = process._kept(t, x)
        return (1 - kept).sqrt() * x / (1 - kept + 0.25 * kept)

    for keywords in ({}, {"count": 50}, {"count": 100, "eta": 1.0}):
        x = process.sample(best, (4000, 1), generator=hx.Generator().manual_seed(1), **keywords)
        assert abs(x.std().item() - 0.5) < 0.04 and abs(x.mean().item()) < 0.03, keywords
    calls = []
    process.sample(lambda x, t: calls.append(t[0].item()) or 0 * x, (1, 1), count=5)
    assert calls == [199, 149, 100, 50, 0]


def test_embeddings_of_steps():
    t = np.array([0, 3, 500])
    angles = t[:, None] * np.exp(-math.log(10_000) * np.arange(3) / 3)
    wanted = np.hstack([np.cos(angles), np.sin(angles), np.zeros((3, 1))])
    np.testing.assert_allclose(timestep_embedding(hx.tensor(t), 7).numpy(), wanted, atol=1e-4)


NETWORKS = {
    "dit": lambda: models.DiT(8, 2, dim=16, depth=2, heads=2),
    "unet": lambda: models.DiffusionUNet(2, widths=(4, 8, 12)),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_networks_learn_to_guess_noise(kind):
    hx.manual_seed(0)
    model, process = NETWORKS[kind](), models.Diffusion(20)
    x = hx.ones(16, 2, 8, 8) * hx.linspace(-1, 1, 16).reshape(16, 1, 1, 1)
    assert model(x, hx.arange(16)).abs().max().item() < 0.5  # last layers begin at zero
    optimizer, losses = hx.optim.Adam(model.parameters(), 3e-3), []
    for _ in range(25):
        optimizer.zero_grad()
        loss = process.loss(model, x)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.9 and np.mean(losses[-5:]) < 0.8 * losses[0]
    assert all(p.grad is not None for p in model.parameters())
    moved = (model(x, hx.arange(16)) - model(x, 19 - hx.arange(16))).abs().max().item()
    assert moved > 1e-3  # the step is heard


def test_points_in_any_order():
    hx.manual_seed(0)
    model = models.PointNet(classes=4, width=8)
    x = hx.randn(3, 20, 3)
    assert model.input_transform(x.transpose(1, 2)).tolist() == [hx.eye(3).tolist()] * 3  # the identity at first
    assert model.regular(x).item() == 0
    (model(x).sum() + model.regular(x + 0.1)).backward()
    with hx.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * hx.randn(*parameter.shape))
    model.eval()
    mixed = model(x.index_select(1, hx.randperm(20)))
    assert hx.allclose(mixed, model(x), atol=1e-5) and model.regular(x).item() > 0
    twice = model(hx.cat([x, x[:, :7]], 1))
    assert hx.allclose(twice, model(x), atol=1e-5)  # a set: what is said twice counts once
    assert not hx.allclose(model(x + 0.5), model(x), atol=1e-3)


def test_what_does_not_fit_is_refused():
    for make in (lambda: models.Diffusion(0), lambda: betas_of("x", 3), lambda: models.DiT(7, 1), lambda: models.DiT(8, 1, dim=9),
                 lambda: models.Diffusion(5).sample(lambda x, t: x, (1,), count=6)):  # fmt: skip
        with pytest.raises(ValueError, match="must be"):
            make()
    with pytest.raises(nn.LayerError, match=r"images of \(6, 8\) cannot be halved 2 times"):
        models.DiffusionUNet(1, (4, 4, 4))(hx.zeros(1, 1, 6, 8), hx.tensor([0]))
    with pytest.raises(nn.LayerError, match=r"takes \(batch, points, 3\)"):
        models.PointNet(3, width=4)(hx.zeros(2, 3, 8))


def test_the_example_of_digits_writes_a_sheet(tmp_path, capsys):
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "digits_diffusion.py"))
    distances = example["main"](str(tmp_path / "sheet.png"), steps=4, noises=4, count=40)
    data = (tmp_path / "sheet.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", data[16:24]) == (10 * 10 * 6, 4 * 10 * 6)
    assert "step 0 of 4: loss" in capsys.readouterr().out
    assert distances["digits learned from"] < 1 < 10 < min(distances["noise"], distances["samples"])


def test_the_examples_distance_of_known_distributions():
    """Moved by m and scaled by s, a set of deviation 1 is at |m|^2 + n (s - 1)^2; axes need not be the pixels'."""
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "digits_diffusion.py"))
    turn, _ = hx.linalg.qr(hx.randn(6, 6, dtype=hx.float64))
    x = hx.randn(500, 6, dtype=hx.float64)
    x = (x - x.mean(0)) @ hx.linalg.inv(example["root"]((x.T).cov()))
    scales = hx.arange(1, 7, dtype=hx.float64)
    y = (x * scales) @ turn + 0.5
    wanted = 6 * 0.25 + 6 + 91 - 2 * 21  # for axes that agree; turned, the trace of the root stays that of the scales
    assert abs(example["frechet"](x, y) - wanted) < 1e-8 and abs(example["frechet"](y, y)) < 1e-8


def test_the_examples_sheet_lays_samples_out_row_by_row():
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "digits_diffusion.py"))
    grey = hx.linspace(-1, 1, 25)
    picture = example["sheet"](grey.reshape(25, 1, 1, 1) * hx.ones(25, 1, 8, 6), 2)
    assert picture.shape == (1, 2 * 10 * 2, 10 * 8 * 2)
    for number in (0, 3, 13, 19):
        down, across = 20 * (number // 10), 16 * (number % 10)
        cell = picture[0, down : down + 20, across : across + 16]
        assert cell[0].max().item() == 0 and cell[:, 15].max().item() == 0
        assert hx.allclose(cell[2:18, 2:14], (grey[number] / 2 + 0.5).expand(16, 12))
