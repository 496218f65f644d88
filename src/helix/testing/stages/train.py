"""t6_train: models learn on the device as on the CPU, and random numbers are the same bits."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy

import helix
from helix import nn

from ..arguments import array_of, tensor_of
from ..case import Case, Target

STEPS = 20
TOLERANCE = 2e-3  # relative; errors of float32 grow over 20 steps


class StateSpace(nn.Module):
    """A diagonal recurrence h = a * h + b * x, one channel a state, read out by a linear layer."""

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.into = nn.Linear(width, 2 * width)
        self.decay = nn.Parameter(helix.linspace(-2, 2, width))
        self.out = nn.Linear(width, classes)

    def forward(self, x: helix.Tensor) -> helix.Tensor:
        values, gate = self.into(x).chunk(2, dim=-1)
        decay, state, states = helix.sigmoid(self.decay), 0.0, []
        for step in range(x.shape[1]):
            state = decay * state + (1 - decay) * values[:, step]
            states.append(state)
        return self.out((helix.stack(states, 1) * helix.sigmoid(gate)).mean(1))


class Transformer(nn.Module):
    def __init__(self, width: int, classes: int):
        super().__init__()
        self.block = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.out = nn.Linear(width, classes)

    def forward(self, x: helix.Tensor) -> helix.Tensor:
        return self.out(self.block(x).mean(1))


def _perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 32), nn.GELU(), nn.LayerNorm(32), nn.Dropout(0.1), nn.Linear(32, 4))


def _convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.SiLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], Callable]] = {
    "MLP": (_perceptron, (16, 12), lambda p: helix.optim.AdamW(p, lr=1e-2)),
    "conv net": (_convolutions, (8, 1, 10, 10), lambda p: helix.optim.SGD(p, lr=0.05, momentum=0.9)),
    "transformer block": (lambda: Transformer(8, 4), (8, 6, 8), lambda p: helix.optim.AdamW(p, lr=1e-2)),
    "SSM block": (lambda: StateSpace(8, 4), (8, 7, 8), lambda p: helix.optim.Adam(p, lr=1e-2)),
}


def losses(name: str, device: str) -> list[float]:
    """Twenty steps on the same data from the same weights."""
    build, shape, optimizer = MODELS[name]
    data = numpy.random.default_rng(3)
    x = tensor_of(data.standard_normal(shape).astype(numpy.float32)).to(device)
    y = tensor_of(data.integers(0, 4, shape[0])).to(device)
    helix.manual_seed(11)
    model = build().to(device)
    helix.manual_seed(12)
    steps, found = optimizer(model.parameters()), []
    for _ in range(STEPS):
        loss = nn.functional.cross_entropy(model(x), y)
        steps.zero_grad()
        loss.backward()
        steps.step()
        found.append(loss.item())
    return found


def learns(name: str, target: Target) -> str:
    here, there = losses(name, "cpu"), losses(name, target.name)
    for step, (ours, theirs) in enumerate(zip(here, there, strict=True)):
        assert abs(ours - theirs) <= TOLERANCE * max(1.0, abs(ours)), f"step {step + 1}: loss {theirs}, not {ours}"
    return f"loss {there[0]:.4f} to {there[-1]:.4f}"


def learns_the_same_again(name: str, target: Target) -> None:
    first, second = losses(name, target.name), losses(name, target.name)
    assert first == second, "the same seed gives other losses"


def _uniform(device: str) -> helix.Tensor:
    return helix.rand(1003, device=device)


def _normal(device: str) -> helix.Tensor:
    return helix.randn(7, 143, device=device)


def _integers(device: str) -> helix.Tensor:
    return helix.randint(-5, 1000, (1003,), device=device)


def _permutation(device: str) -> helix.Tensor:
    return helix.randperm(1003, device=device)


def _bernoulli(device: str) -> helix.Tensor:
    return helix.bernoulli(tensor_of(numpy.linspace(0, 1, 1003).astype(numpy.float32)).to(device))


def _dropout(device: str) -> helix.Tensor:
    x = tensor_of(numpy.linspace(1, 2, 1003).astype(numpy.float32)).to(device)
    return nn.functional.dropout(x, 0.3, training=True)


RANDOM = {
    "uniform": _uniform, "normal": _normal, "integers": _integers, "permutation": _permutation,
    "bernoulli": _bernoulli, "dropout": _dropout,
}  # fmt: skip


def draws(name: str, target: Target) -> None:
    """The same bits as the CPU, and other ones at the next draw."""
    helix.manual_seed(77)
    wanted = [array_of(RANDOM[name]("cpu")) for _ in range(2)]
    helix.manual_seed(77)
    got = [array_of(RANDOM[name](target.name)) for _ in range(2)]
    for ours, theirs in zip(wanted, got, strict=True):
        assert (ours == theirs).all(), f"{int((ours != theirs).sum())} of {ours.size} values are not the CPU's"


def cases(target: Target) -> Iterator[Case]:
    for name in RANDOM:
        yield Case("t6_train", f"random/{name}", functools.partial(draws, name))
    for name in MODELS:
        yield Case("t6_train", name, functools.partial(learns, name))
        yield Case("t6_train", f"{name}/again", functools.partial(learns_the_same_again, name))
