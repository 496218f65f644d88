"""Every allocation of a training step fails in turn, once or from then on: the step succeeds or raises MemoryError,
and in the second case nothing has changed. SQLite's method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import helix
import helix.nn.functional as F
from helix import _core

BETAS, RATE, EPS = (0.9, 0.999), 1e-2, 1e-8


class Model:
    """Convolution, norm, linear layer and loss; weights and Adam's state are plain tensors."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        shapes = [(3, 2, 3, 3), (3,), (48,), (48,), (4, 48), (4,)]
        self.weights = [helix.tensor(rng.normal(size=s).astype(np.float32)).requires_grad_() for s in shapes]
        self.means = [helix.zeros_like(w.detach()) for w in self.weights]
        self.squares = [helix.zeros_like(w.detach()) for w in self.weights]
        self.batch = helix.tensor(rng.normal(size=(5, 2, 6, 6)).astype(np.float32))
        self.labels = helix.tensor(rng.integers(0, 4, 5))

    def loss(self) -> helix.Tensor:
        kernel, bias, gain, shift, matrix, offset = self.weights
        hidden = F.conv2d(self.batch, kernel, bias).relu().reshape(5, 48)
        return F.cross_entropy(F.linear(F.layer_norm(hidden, (48,), gain, shift), matrix, offset), self.labels)

    def state(self) -> list[np.ndarray]:
        return [t.detach().numpy().copy() for t in (*self.weights, *self.means, *self.squares)]

    def set_state(self, state: list[np.ndarray]) -> None:
        with helix.no_grad():
            for t, values in zip((*self.weights, *self.means, *self.squares), state, strict=True):
                t.copy_(helix.tensor(values))


def train_step(model: Model) -> float:
    """All or nothing: everything that can fail comes before the first write."""
    loss = model.loss()
    gradients = helix.autograd.grad(loss, model.weights)
    value = loss.item()
    with helix.no_grad():
        updates = []
        for w, m, s, g in zip(model.weights, model.means, model.squares, gradients, strict=True):
            mean = m * BETAS[0] + g * (1 - BETAS[0])
            square = s * BETAS[1] + g * g * (1 - BETAS[1])
            updates.append((w - mean / (square.sqrt() + EPS) * RATE, mean, square))
        targets = zip(model.weights, model.means, model.squares, strict=True)
        writes = [pair for t, u in zip(targets, updates, strict=True) for pair in zip(t, u, strict=True)]
    _core.fail_allocation(0)
    with helix.no_grad():
        for target, value_now in writes:
            target.copy_(value_now)
    return value


def live() -> tuple[int, int, int]:
    stats = _core.memory_stats()
    return stats["live_bytes"], stats["live_tensors"], stats["live_nodes"]


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def fails_cleanly(
    model: Model, step: Callable[[Model], Any], start: list[np.ndarray], n: int, persistent: bool
) -> bool:
    """One step with the n-th allocation refused. True when the step raised."""
    before = live()
    raised = False
    _core.fail_allocation(n, persistent)
    try:
        step(model)
    except MemoryError as error:
        raised = True
        assert getattr(error, "code", "HX1402") == "HX1402"
        del error
    finally:
        _core.fail_allocation(0)
    if raised:
        assert same(model.state(), start), f"allocation {n}: the step failed and changed something"
    assert live() == before, f"allocation {n} ({'all after it too' if persistent else 'once'}): live counters moved"
    return raised


def sweep(model: Model, step: Callable[[Model], Any]) -> int:
    start = model.state()
    step(model)
    after = model.state()
    model.set_state(start)
    allocations = _core.allocation_count()
    step(model)
    total = _core.allocation_count() - allocations
    failed = 0
    for persistent in (False, True):
        for n in range(1, total + 1):
            model.set_state(start)
            failed += fails_cleanly(model, step, start, n, persistent)
    model.set_state(start)
    step(model)
    assert same(model.state(), after), "a step after all the failures gives other numbers"
    print(f"{total} allocations, {failed} of {2 * total} failures reached the caller")
    return failed


def test_every_allocation_of_a_training_step() -> None:
    assert sweep(Model(), train_step) > 100


class Optimized:
    """The same step through helix.optim: its update writes several tensors, all or none."""

    def __init__(self) -> None:
        self.model = Model()
        self.optimizer = helix.optim.Adam(self.model.weights, lr=RATE)
        self.once()

    def once(self) -> None:
        self.optimizer.zero_grad()
        self.model.loss().backward()
        self.optimizer.step()


def test_every_allocation_of_an_optimizer_step() -> None:
    """The fused update comes after backward; when backward fails the weights are as they were."""
    held = Optimized()
    model = held.model

    def step(_: Model) -> None:
        held.optimizer.zero_grad()
        model.loss().backward()

    for n in range(1, 400):
        held.optimizer.zero_grad()
        start = model.state()
        before = live()
        _core.fail_allocation(n)
        try:
            step(model)
            done = True
        except MemoryError:
            done = False
        finally:
            _core.fail_allocation(0)
        assert same(model.state(), start)
        held.optimizer.zero_grad()
        assert live() == before, f"allocation {n}"
        if done:
            break
    else:
        pytest.fail("the step never succeeded")


def test_a_leak_and_a_half_step_are_seen() -> None:
    kept: list[Any] = []

    def leaks(model: Model) -> None:
        try:
            train_step(model)
        except MemoryError:
            kept.append(_undisturbed_tensor())
            raise

    def half_step(model: Model) -> None:
        with helix.no_grad():
            model.weights[0].mul_(2.0)
        train_step(model)

    model = Model()
    with pytest.raises(AssertionError, match="live counters"):
        sweep(model, leaks)
    model = Model()
    with pytest.raises(AssertionError, match="changed something"):
        sweep(model, half_step)


def _undisturbed_tensor() -> helix.Tensor:
    _core.fail_allocation(0)
    return helix.zeros(3)
