"""The learning-rate range test: the rate grows from step to step until the loss does not follow (Smith 2015)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..data import Loader, load
from ..nn import Module
from ..random import fork_rng
from .losses import loss_named
from .settings import Settings, make_optimizer


class RateTest(NamedTuple):
    """Rates and smoothed losses, and the rate that the test suggests."""

    rates: list[float]
    losses: list[float]
    suggestion: float


def rate_test(
    model: Module,
    data,
    loss="auto",
    optimizer="adamw",
    least: float = 1e-6,
    most: float = 1.0,
    steps: int = 100,
    **settings: Any,
) -> RateTest:
    """Trains for some steps while the rate grows from `least` to `most`, then takes everything back.

    The suggestion is the rate at which the smoothed loss falls fastest; the test ends early where the loss is four times
    its least. `optimizer` is a name or a function of named parameters; `settings` are those of Trainer that belong to
    a step: batch_size, seed, label_smoothing, weight_decay, momentum, optimizer_options. The model stays where it is.
    """
    if not 0 < least < most or steps < 10:
        raise ValueError(
            f"rate_test: 0 < least < most and 10 steps or more are needed, got {least}, {most} and {steps}"
        )
    chosen, dataset = Settings.of({**settings, "lr": least}), load(data)
    measure = loss_named(loss, dataset.task, chosen.label_smoothing)
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    modes = [(part, part.training) for part in model.modules()]
    try:
        with fork_rng():
            rates, losses = _climb(model.train(), dataset, measure, optimizer, least, most, steps, chosen)
    finally:
        model.load_state_dict(before)
        model.zero_grad()
        for part, mode in modes:
            part.training = mode
    if not losses:
        raise ValueError("rate_test: the loss is not finite at the least rate, or there are no samples")
    return RateTest(rates, losses, _steepest(rates, losses))


def _climb(model, dataset, loss, optimizer, least, most, steps, settings) -> tuple[list[float], list[float]]:
    moving = make_optimizer(optimizer, model, settings)
    device = next(model.parameters()).device
    loader = Loader(dataset, settings.batch_size, shuffle=True, seed=settings.seed)
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    while len(loader) and len(rates) < steps:
        for *inputs, target in loader:
            rate = least * (most / least) ** (len(rates) / (steps - 1))
            for group in moving.param_groups:
                group["lr"] = rate
            value = loss(model(*(x.to(device) for x in inputs)), target.to(device))
            moving.zero_grad()
            value.backward()
            moving.step()
            mean = 0.95 * mean + 0.05 * value.item()
            smooth = mean / (1.0 - 0.95 ** (len(rates) + 1))
            if not math.isfinite(smooth) or (losses and smooth > 4.0 * max(min(losses), 1e-12)):
                return rates, losses
            rates.append(rate)
            losses.append(smooth)
            if len(rates) == steps:
                break
    return rates, losses


def _steepest(rates: list[float], losses: list[float]) -> float:
    """Over the logarithm of the rate, up to the least loss."""
    end = losses.index(min(losses)) + 1
    falls = [(losses[k + 2] - losses[k], rates[k + 1]) for k in range(max(1, end - 2)) if k + 2 < len(losses)]
    return min(falls)[1] if falls else rates[0]
