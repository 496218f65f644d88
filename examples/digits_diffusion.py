"""A diffusion model (DDPM) learns to write digits: a small U-Net, all steps back from noise, and a sheet of samples.

`python examples/digits_diffusion.py sheet.png`. Needs scikit-learn, which carries the digits.
"""

import sys
from pathlib import Path

import helix
from helix import Tensor, data
from helix.models import Diffusion, DiffusionUNet
from helix.nn import Module
from helix.nn import functional as F
from helix.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from helix.train.page import png

COLUMNS = 10


def images() -> tuple[Tensor, Tensor]:
    """Digits to learn from and digits held back, (n, 1, 8, 8) from -1 to 1."""
    learned, held_back = data.stratified_split(data.digits(), 0.3, seed=0)
    x, y = (2 * part.batch(range(len(part)))[0] - 1 for part in (learned, held_back))
    return x, y


def train(x: Tensor, process: Diffusion, steps: int, batch: int = 64) -> Module:
    """The running average of a network that learns to guess the noise."""
    network = DiffusionUNet(channels=1, widths=(32, 64))
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.995))
    optimizer = helix.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.0)
    schedule = helix.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        loss = process.loss(network, x.index_select(0, helix.randint(0, len(x), (batch,))))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        averaged.update_parameters(network)
        if step % 100 == 0:
            print(f"step {step} of {steps}: loss {loss.item():.4f}")
    return averaged.module


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of images as rows of pixels."""
    rows = x.flatten(1).double()
    return rows.mean(0), rows.T.cov()


def root(matrix: Tensor) -> Tensor:
    """The square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = helix.linalg.eigh(matrix)
    half: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return half


def frechet(x: Tensor, y: Tensor) -> float:
    """The squared Frechet distance of two sets of images, each as a normal distribution of its pixels.

    |m - n|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2), Dowson and Landau (1982).
    """
    (mean, spread), (other_mean, other_spread) = moments(x), moments(y)
    half = root(spread)
    between = root(half @ other_spread @ half).trace()
    return float((mean - other_mean).square().sum() + spread.trace() + other_spread.trace() - 2 * between)


def sheet(x: Tensor, scale: int = 6) -> Tensor:
    """Images (n, 1, h, w) from -1 to 1, within black frames, as one picture (1, height, width) from 0 to 1, COLUMNS in a row."""
    x = F.pad(x, [1, 1, 1, 1], value=-1.0)
    n, _, height, width = x.shape
    rows = n // COLUMNS
    grid = x[: rows * COLUMNS].reshape(rows, COLUMNS, height, width).transpose(1, 2)
    picture = grid.reshape(1, rows * height, COLUMNS * width).clamp(-1, 1) / 2 + 0.5
    return picture.repeat_interleave(scale, 1).repeat_interleave(scale, 2)


def main(path: str, steps: int = 1500, noises: int = 200, count: int = 500) -> dict[str, float]:
    """Trains, writes the sheet, and gives the distances to the digits held back."""
    helix.manual_seed(0)
    learned, held_back = images()
    process = Diffusion(noises, "cosine")
    network = train(learned, process, steps).eval()
    samples = process.sample(network, (count, 1, 8, 8)).clamp(-1, 1)
    Path(path).write_bytes(png(sheet(samples[: 10 * COLUMNS])))
    sets = {"samples": samples, "digits learned from": learned, "noise": 2 * helix.rand(count, 1, 8, 8) - 1}
    distances = {name: frechet(found, held_back) for name, found in sets.items()}
    for name, distance in distances.items():
        print(f"Frechet distance of {name} to digits held back: {distance:.2f}")
    return distances


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "digits-diffusion.png")
