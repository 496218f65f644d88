"""Every allocation of a training step fails in turn, once or from then on: the step succeeds or raises MemoryError,
and in the second case nothing has changed. SQLite's method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import helix
from helix import _core, nn, optim

Make = Callable[[Any], optim.Optimizer]
State = list[Any]  # parameters and optimizer states as NumPy arrays, steps as numbers


def network() -> nn.Module:
    helix.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.LayerNorm(48), nn.Linear(48, 4)
    )


class Training:
    """A small network, its loss and a real optimizer."""

    def __init__(self, make: Make) -> None:
        rng = np.random.default_rng(0)
        self.model = network()
        self.optimizer = make(self.model.named_parameters())
        self.batch = helix.tensor(rng.normal(size=(5, 2, 6, 6)).astype(np.float32))
        self.labels = helix.tensor(rng.integers(0, 4, 5))

    def forward_and_backward(self) -> None:
        self.optimizer.zero_grad()
        nn.CrossEntropyLoss()(self.model(self.batch), self.labels).backward()

    def step(self) -> None:
        self.forward_and_backward()
        self.optimizer.step()


def copied(value: Any) -> Any:
    return value.detach().numpy().copy() if isinstance(value, helix.Tensor) else value


def parameters(optimizer: optim.Optimizer) -> list[helix.Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def state_of(optimizer: optim.Optimizer) -> State:
    kept = [copied(p) for p in parameters(optimizer)]
    for name, state in sorted(optimizer.state.items()):
        kept += [name, *(copied(state[key]) for key in sorted(state))]
    return kept


def same(a: State, b: State) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


class Checkpoint:
    """Sets an optimizer and its parameters back; the thread keeps no memory warm for the step."""

    def __init__(self, optimizer: optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.weights = [p.detach().clone() for p in parameters(optimizer)]
        self.saved = optimizer.state_dict()
        self.saved["state"] = {n: {k: _own(v) for k, v in s.items()} for n, s in optimizer.state.items()}

    def restore(self) -> None:
        with helix.no_grad():
            for p, weight in zip(parameters(self.optimizer), self.weights, strict=True):
                p.copy_(weight)
        self.optimizer.load_state_dict(self.saved)
        helix.empty_cache()


def _own(value: Any) -> Any:
    return value.clone() if isinstance(value, helix.Tensor) else value


def live() -> tuple[int, int, int]:
    stats = _core.memory_stats()
    return stats["live_bytes"], stats["live_tensors"], stats["live_nodes"]


def fails_cleanly(optimizer: optim.Optimizer, step: Callable[[], None], n: int, persistent: bool) -> bool:
    """One step with the n-th allocation refused. True when the step raised."""
    start, before = state_of(optimizer), live()
    raised = False
    _core.fail_allocation(n, persistent)
    try:
        step()
    except MemoryError as error:
        raised = True
        assert getattr(error, "code", "HX1402") == "HX1402"
        del error
    finally:
        _core.fail_allocation(0)
    if not raised:
        return False
    when = f"allocation {n} ({'all after it too' if persistent else 'once'})"
    assert same(state_of(optimizer), start), f"{when}: the step failed and changed something"
    optimizer.zero_grad()
    assert live() == before, f"{when}: live counters moved"
    return True


def sweep(optimizer: optim.Optimizer, step: Callable[[], None]) -> int:
    """Every allocation of a step; returns how many failures reached the caller."""
    optimizer.zero_grad()
    checkpoint = Checkpoint(optimizer)
    checkpoint.restore()
    allocations = _core.allocation_count()
    step()
    total = _core.allocation_count() - allocations
    after = state_of(optimizer)
    failed = 0
    for persistent in (False, True):
        for n in range(1, total + 1):
            optimizer.zero_grad()
            checkpoint.restore()
            failed += fails_cleanly(optimizer, step, n, persistent)
    checkpoint.restore()
    step()
    assert same(state_of(optimizer), after), "a step after all the failures gives other numbers"
    print(f"{total} allocations, {failed} of {2 * total} failures reached the caller")
    return failed


OPTIMIZERS: dict[str, Make] = {
    "Adam": lambda named: optim.Adam(named, lr=1e-2),
    "AdamW": lambda named: optim.AdamW(named, lr=1e-2, amsgrad=True),
    "SGD": lambda named: optim.SGD(named, lr=1e-2, momentum=0.9),
}


@pytest.mark.parametrize("steps_before", [0, 1])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_allocation_of_a_training_step(name: str, steps_before: int) -> None:
    """The first step makes the optimizer's states, later ones change them."""
    training = Training(OPTIMIZERS[name])
    for _ in range(steps_before):
        training.step()
    assert sweep(training.optimizer, training.step) > 200


COMPILED: dict[str, Make] = {
    "told by buckets": OPTIMIZERS["AdamW"],
    "planned anew": lambda named: optim.Adafactor(named, lr=1e-2),
    "Lookahead": lambda named: optim.Lookahead(optim.SGD(named, lr=1e-2), k=2),
}


@pytest.mark.parametrize("name", COMPILED)
def test_a_compiled_step_that_fails_counts_no_step(name: str) -> None:
    training = Training(COMPILED[name])
    step = helix.compile(training.step)
    for _ in range(4):
        step()
    inner = getattr(training.optimizer, "optimizer", training.optimizer)
    counts = lambda: (state_of(inner), getattr(training.optimizer, "steps", 0))  # noqa: E731
    for persistent in (False, True):
        n = 1
        while True:
            start = counts()
            helix.empty_cache()
            if not runs_out_of_memory(step, n, persistent):
                break
            now = counts()
            assert same(now[0], start[0]) and now[1] == start[1], (
                f"allocation {n}: the step failed and changed something"
            )
            n += 1
        assert n > 5


def runs_out_of_memory(call: Callable[[], Any], n: int, persistent: bool) -> bool:
    _core.fail_allocation(n, persistent)
    try:
        call()
    except MemoryError:
        return True
    finally:
        _core.fail_allocation(0)
    return False


STATISTICS: dict[str, Callable[[], nn.Module]] = {
    "batch": lambda: nn.BatchNorm2d(3),
    "batch, averaged": lambda: nn.BatchNorm2d(3, momentum=None),
    "instance": lambda: nn.InstanceNorm2d(3, track_running_stats=True),
}


def buffers_of(layer: nn.Module) -> State:
    return [copied(value) for _, value in sorted(layer.named_buffers())]


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("name", STATISTICS)
def test_running_statistics_move_together_or_not_at_all(name: str, persistent: bool) -> None:
    """By every forward pass that succeeds, and by no other: a later part of the step that fails does not take it back."""
    layer, x = STATISTICS[name](), helix.randn(4, 3, 5, 5, requires_grad=True)
    kept, start = [b.clone() for b in layer.buffers()], buffers_of(layer)
    allocations = _core.allocation_count()
    layer(x)
    total, after, failed = _core.allocation_count() - allocations, buffers_of(layer), 0
    assert not same(start, after)
    for n in range(1, total + 1):
        for buffer, value in zip(layer.buffers(), kept, strict=True):
            buffer.copy_(value)
        helix.empty_cache()
        raised = runs_out_of_memory(lambda: layer(x), n, persistent)
        failed += raised
        assert same(buffers_of(layer), start if raised else after), f"allocation {n}: raised {raised}"
    assert failed > 10


def many_parameters(make: Make) -> optim.Optimizer:
    """Groups of more tensors than a call holds without memory, in two dtypes, so that a step is several fused calls."""
    groups = [
        {"params": [(f"{lr}.{i}", helix.ones(2, dtype=dtype).requires_grad_()) for i in range(count)], "lr": lr}
        for dtype, count, lr in ((helix.float32, 30, 0.1), (helix.float64, 300, 0.2), (helix.float32, 270, 0.3))
    ]
    return make(groups)


def give_gradients(optimizer: optim.Optimizer) -> None:
    for p in parameters(optimizer):
        p.grad = helix.full_like(p.detach(), 0.5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_allocation_of_several_fused_calls(name: str) -> None:
    optimizer = many_parameters(OPTIMIZERS[name])
    give_gradients(optimizer)
    optimizer.step()  # states are there, what is left to take is the room of the lists
    checkpoint = Checkpoint(optimizer)
    failed = 0
    for n in range(1, 100):
        checkpoint.restore()
        give_gradients(optimizer)
        if not fails_cleanly_with_gradients(optimizer, n):
            break
        failed += 1
    assert failed >= 2


def fails_cleanly_with_gradients(optimizer: optim.Optimizer, n: int) -> bool:
    start = state_of(optimizer)
    _core.fail_allocation(n)
    try:
        optimizer.step()
    except MemoryError:
        assert same(state_of(optimizer), start), f"allocation {n}: the step failed and changed something"
        return True
    finally:
        _core.fail_allocation(0)
    return False


class Hasty(optim.Adam):
    """Runs every group before it looks at the next."""

    def step(self, closure: Any = None) -> None:
        groups = self.param_groups
        try:
            for group in groups:
                self.param_groups = [group]
                super().step()
        finally:
            self.param_groups = groups


def test_a_leak_and_a_half_step_are_seen() -> None:
    kept: list[Any] = []
    training = Training(OPTIMIZERS["Adam"])

    def leaks() -> None:
        try:
            training.step()
        except MemoryError:
            _core.fail_allocation(0)
            kept.append(helix.zeros(3))
            raise

    def half_step() -> None:
        with helix.no_grad():
            next(training.model.parameters()).mul_(2.0)
        training.step()

    with pytest.raises(AssertionError, match="live counters"):
        sweep(training.optimizer, leaks)
    with pytest.raises(AssertionError, match="changed something"):
        sweep(training.optimizer, half_step)
    hasty = many_parameters(lambda groups: Hasty(groups))
    give_gradients(hasty)
    hasty.step()
    checkpoint = Checkpoint(hasty)
    with pytest.raises(AssertionError, match="changed something"):
        for n in range(1, 10):
            checkpoint.restore()
            give_gradients(hasty)
            fails_cleanly_with_gradients(hasty, n)
