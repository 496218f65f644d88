"""Diffusion: noise schedules, the loss of a model that guesses the noise, and sampling with all steps or a few.

Sources: Ho, Jain and Abbeel, "Denoising diffusion probabilistic models" (2020); Song, Meng and Ermon, "Denoising diffusion
implicit models" (2021); Nichol and Dhariwal, "Improved denoising diffusion probabilistic models" (2021), for the cosine.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .. import arange, cat, float64, full, int64, linspace, no_grad, ones, randint, randn, zeros_like
from ..nn import Module
from ..nn import functional as F
from ..tensor import Tensor

SCHEDULES = ("linear", "cosine")
Model = Callable[[Tensor, Tensor], Tensor]


def timestep_embedding(t: Tensor, dim: int, max_period: float = 10_000.0) -> Tensor:
    """Cosines and sines of t at frequencies from 1 to 1 / max_period: (batch,) to (batch, dim).

    Example:
        >>> helix.models.diffusion.timestep_embedding(helix.tensor([0]), 4).tolist()
        [[1.0, 1.0, 0.0, 0.0]]
    """
    half = dim // 2
    rates = (arange(half, device=t.device) * (-math.log(max_period) / max(1, half))).exp()
    angles = t.unsqueeze(-1).to(rates.dtype) * rates
    parts = [angles.cos(), angles.sin()]
    return cat(parts if dim % 2 == 0 else [*parts, zeros_like(angles[:, :1])], -1)


def betas_of(kind: str, steps: int) -> Tensor:
    """The variance that each step adds, (steps,) of float64: "linear" from 1e-4 to 0.02, or the "cosine"'s."""
    if kind == "linear":
        return linspace(1e-4, 0.02, steps, dtype=float64)
    if kind != "cosine":
        raise ValueError(f"diffusion: schedule must be one of {', '.join(SCHEDULES)}; got {kind!r}")
    at = (arange(steps + 1, dtype=float64) / steps + 0.008) / 1.008
    kept = (at * (math.pi / 2)).cos().square()
    return (1 - kept[1:] / kept[:-1]).clamp(max=0.999)


class Diffusion(Module):
    """A process of `steps` steps from data to noise, and back by a model that guesses the noise.

    `model(x, t)` takes noised samples (batch, …) and steps (batch,), and gives noise of x's shape.

    Example:
        >>> process = helix.models.Diffusion(steps=10)
        >>> x = process.sample(lambda x, t: 0 * x, (2, 3), generator=helix.Generator().manual_seed(0))
        >>> x.shape
        (2, 3)
    """

    kept: Tensor

    def __init__(self, steps: int = 1000, schedule: str = "linear") -> None:
        if steps < 1:
            raise ValueError(f"Diffusion: steps must be at least 1, got {steps}")
        self.steps, self.schedule = steps, schedule
        self.register_buffer("kept", (1 - betas_of(schedule, steps)).cumprod(0), persistent=False)

    def _kept(self, t: Tensor, like: Tensor) -> Tensor:
        """The share of variance left after step t, in x's shape and dtype; 1 for t = -1."""
        shares = cat([ones(1, dtype=self.kept.dtype, device=self.kept.device), self.kept])
        return shares.index_select(0, t + 1).to(like.dtype).reshape(-1, *(1 for _ in like.shape[1:]))

    def add_noise(self, x: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x after step t: sqrt(kept) x + sqrt(1 - kept) noise."""
        kept = self._kept(t, x)
        return kept.sqrt() * x + (1 - kept).sqrt() * noise

    def loss(self, model: Model, x: Tensor, generator=None) -> Tensor:
        """The mean square error of the guessed noise, at steps drawn evenly."""
        t = randint(0, self.steps, (x.shape[0],), generator=generator, device=x.device, dtype=int64)
        noise = randn(*x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return F.mse_loss(model(self.add_noise(x, noise, t), t), noise)

    def back(self, x: Tensor, guess: Tensor, t: Tensor, earlier: Tensor, noise: Tensor, eta: float) -> Tensor:
        """From step t to an earlier one (-1: the data): DDIM for eta 0; DDPM for eta 1 and the step before."""
        kept, before = self._kept(t, x), self._kept(earlier, x)
        start = (x - (1 - kept).sqrt() * guess) / kept.sqrt()
        spread = eta * ((1 - before) / (1 - kept) * (1 - kept / before)).sqrt()
        return before.sqrt() * start + (1 - before - spread.square()).clamp(min=0).sqrt() * guess + spread * noise

    def sample(
        self,
        model: Model,
        shape: tuple[int, ...],
        count: int | None = None,
        eta: float | None = None,
        generator=None,
        device=None,
    ) -> Tensor:
        """Samples of `shape` from noise: all steps by DDPM, or `count` of them by DDIM; eta 0 draws nothing on the way."""
        if count is not None and not 1 <= count <= self.steps:
            raise ValueError(f"Diffusion: count must be 1 to {self.steps} steps, got {count}")
        eta = (1.0 if count is None else 0.0) if eta is None else eta
        places = [round(i * (self.steps - 1) / max(1, (count or self.steps) - 1)) for i in range(count or self.steps)]
        if count == 1:
            places = [self.steps - 1]
        with no_grad():
            x = randn(*shape, generator=generator, device=device)
            for place, earlier in zip(reversed(places), [*reversed(places[:-1]), -1], strict=True):
                t, to = (full((shape[0],), value, dtype=int64, device=device) for value in (place, earlier))
                noise = randn(*shape, generator=generator, device=device) if eta and earlier >= 0 else zeros_like(x)
                x = self.back(x, model(x, t), t, to, noise, eta)
        return x

    def extra_repr(self) -> str:
        return f"steps={self.steps}, schedule={self.schedule!r}"
