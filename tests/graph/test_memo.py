"""What compiling keeps for graphs of the same structure: what it gives is what compiling anew gives, and nothing of the caller's
is kept."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import helix
from helix import nn
from helix.graph import memo
from helix.graph.compiling import Compiled
from helix.graph.plan import Planned

from .random_graphs import inputs_of, program
from .test_compile import MODELS

SLICE = 30


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    memo.MEMO.clear()
    yield
    memo.MEMO.clear()


def strict(function: Callable[..., Any]) -> Any:
    return helix.compile(function, fallback="error")


def bits(results: Any) -> list[bytes]:
    if isinstance(results, helix.Tensor):
        return [results.detach().numpy().tobytes()]
    return [part for result in results for part in bits(result)]


def on(function: Callable[..., Any], *inputs: Any) -> Any:
    """Calls from one line of the program."""
    with helix.no_grad():
        return function(*inputs)


def recalled(compiled: Compiled) -> bool:
    """Are all programs of the latest kind of call from the memo?"""
    programs = compiled.all()[-1]._programs()
    return bool(programs) and all(isinstance(program, memo.Recalled) for program in programs)


def step_of(name: str, lr: float = 1e-2) -> tuple[Any, nn.Module, Any]:
    """A compiled training step of a new model, and a batch."""
    make, shape = MODELS[name]
    helix.manual_seed(0)
    model = make()
    optimizer = helix.optim.AdamW(model.parameters(), lr=lr)

    def step(x: helix.Tensor) -> helix.Tensor:
        optimizer.zero_grad()
        result = model(x)
        loss = (result[0] if isinstance(result, tuple) else result).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return strict(step), model, helix.randn(shape)


# ---- it is what compiling anew gives -----------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_second_instance_takes_the_plans_of_the_first(name: str) -> None:
    make, shape = MODELS[name]

    def instance() -> tuple[Compiled, list[bytes]]:
        helix.manual_seed(1)
        compiled, x = strict(make().eval()), helix.randn(shape)
        with helix.no_grad():
            return compiled, bits([on(compiled, x), on(compiled, x * 2)])

    cold, expected = instance()
    warm, found = instance()
    assert not recalled(cold) and recalled(warm)
    assert found == expected
    assert str(warm.graph) == str(cold.graph) and warm.graph.difference(cold.graph) is None
    assert warm.explain().split(";")[:-1] == cold.explain().split(";")[:-1]
    helix.manual_seed(2)
    other = strict(make().eval())
    with helix.no_grad():
        assert bits(on(other, helix.randn(shape))) != expected[:1]
    assert recalled(other)


@pytest.mark.parametrize("name", MODELS)
def test_training_steps_go_on_alike(name: str) -> None:
    def trained(lr: float) -> tuple[Compiled, list[bytes]]:
        compiled, model, x = step_of(name, lr)
        losses = [compiled(x) for _ in range(4)]
        return compiled, bits([*losses, *model.parameters()])

    fast = trained(1e-1)[1]
    memo.MEMO.clear()
    cold, expected = trained(1e-2)
    warm, found = trained(1e-2)
    assert not recalled(cold) and recalled(warm)
    assert found == expected
    again, other = trained(1e-1)  # numbers that each run sets do not count
    assert recalled(again) and other == fast != expected


def test_the_same_function_compiled_again_goes_on_with_its_states() -> None:
    compiled, model, x = step_of("mlp")
    other, reference, _ = step_of("mlp")
    reference.load_state_dict(model.state_dict())
    for _ in range(2):
        assert bits(compiled(x)) == bits(other(x))
    again = strict(compiled.function)
    for _ in range(2):
        assert bits(again(x)) == bits(other(x))
    assert recalled(again)
    assert bits(list(model.parameters())) == bits(list(reference.parameters()))


@pytest.mark.parametrize("start", range(0, SLICE, 10))
def test_random_graphs(start: int) -> None:
    met = 0
    for number in range(start, start + 10):
        inputs, function = inputs_of(number), program(number)
        with helix.no_grad():
            cold, warm = helix.compile(function), helix.compile(function)
            helix.manual_seed(number)
            expected = cold(*inputs)
            helix.manual_seed(number)
            found = warm(*inputs)
        assert bits(found) == bits(expected), number
        assert warm.graph.difference(cold.graph) is None, number
        met += recalled(warm)
    assert met >= 5


def test_tensors_that_lie_in_another_way() -> None:
    first, second = strict(nn.Linear(6, 6)), strict(nn.Linear(6, 6))
    with helix.no_grad():
        on(first, helix.randn(6, 6))
        x = helix.randn(6, 6)
        assert bits(on(second, x)) == bits(second.function(x)) and recalled(second)
        assert helix.allclose(on(second, x.t()), second.function(x.t()), atol=1e-6)
        third = strict(nn.Linear(6, 6))
        assert helix.allclose(on(third, x.t()), third.function(x.t()), atol=1e-6) and recalled(third)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_a_second_instance(name: str) -> None:
    make, shape = MODELS[name]

    def instance() -> tuple[Compiled, list[bytes], Any]:
        helix.manual_seed(1)
        model = make()
        compiled, x = strict(model), helix.randn(shape).requires_grad_()
        found = []
        for _ in range(2):
            model.zero_grad()
            result = compiled(x)
            result = result[0] if isinstance(result, tuple) else result
            result.sin().sum().backward()
            found += bits([result, x.grad, *[p.grad for p in model.parameters()]])
        return compiled, found, (model, x)

    cold, expected, _ = instance()
    warm, found, (model, x) = instance()
    assert not recalled(cold) and recalled(warm)
    assert found == expected
    for mine, first in zip(warm.all()[-1].graphs, cold.all()[-1].graphs, strict=True):
        assert str(mine) == str(first) and mine.difference(first) is None
    for p in list(model.parameters())[1:]:
        p.requires_grad_(False)
    model.zero_grad()
    for call in (warm, model):
        x.grad = None
        result = call(x)
        (result[0] if isinstance(result, tuple) else result).cos().sum().backward()
        expected.append(x.grad)
    assert helix.allclose(expected[-2], expected[-1], rtol=1e-5, atol=1e-6)


def test_gradients_of_gradients_of_a_second_instance() -> None:
    def curved(x: helix.Tensor) -> helix.Tensor:
        return (x**3).sum()

    for _ in range(2):
        compiled, x = strict(curved), helix.tensor([2.0], requires_grad=True)
        (slope,) = helix.autograd.grad(compiled(x), [x], create_graph=True)
        assert helix.autograd.grad(slope, [x])[0].tolist() == [12.0]
        compiled(x).backward()
    assert recalled(compiled)


# ---- what differs is told apart ----------------------------------------------------------------------------

X = helix.tensor([[-0.0, 1.0], [2.0, -3.0]])
WRITTEN = (helix.zeros(2, 2), helix.zeros(2, 2))

# Pairs that differ in one thing; each function is the same code, on the same line.
PAIRS: dict[str, tuple[Callable[[helix.Tensor, Any], Any], Any, Any]] = {
    "sign of a zero": (lambda x, c: x + c, 0.0, -0.0),
    "int and float": (lambda x, c: x.to(helix.int32) * c, 2, 2.0),
    "bool and int": (lambda x, c: (x > 0) + c, True, 1),
    "number": (lambda x, c: x * c, 2.0, 2.0000000000000004),
    "infinities": (lambda x, c: x.clamp(max=c), float("inf"), -1e308),
    "attribute": (lambda x, c: x.sum(c), 0, 1),
    "kept axes": (lambda x, c: x.sum(0, keepdim=c), True, False),
    "none": (lambda x, c: x.sum(c), None, (0,)),
    "dtype": (lambda x, c: x.to(c), helix.float64, helix.float16),
    "baked constant": (lambda x, c: x + helix.tensor([c, 1.0]), 1.0, 3.0),
    "folded constant": (lambda x, c: x + helix.tensor([c, 1.0]).exp(), 1.0, 3.0),
    "folded ints": (lambda x, c: x * helix.arange(c, c + 2), 0, 5),
    "wiring": (lambda x, c: (x - x.exp()) if c else (x.exp() - x), True, False),
    "order of results": (lambda x, c: (x.exp(), x * 2) if c else (x * 2, x.exp()), True, False),
    "a result less": (lambda x, c: (x.exp(), x * 2)[:c], 1, 2),
    "random op": (lambda x, c: (helix.rand(2, 2), helix.rand(2, 2))[c] + x, 0, 1),
    "probability": (lambda x, c: nn.functional.dropout(x + 1, c), 0.25, 0.75),
    "effect": (lambda x, c: WRITTEN[c].add_(x).clone(), 0, 1),
    "activation": (lambda x, c: nn.functional.gelu(x, approximate=c), "none", "tanh"),
    "axes": (lambda x, c: x.permute(c), (0, 1), (1, 0)),
    "body": (lambda x, c: helix.cond(x.sum() > 0, lambda: x * c, lambda: x - c), 2.0, 3.0),
}


def wrong(pair: tuple[Callable[..., Any], Any, Any]) -> bool:
    """Is what one of the two gives, after the other was compiled, not what it gives without being compiled?"""
    function, *choices = pair
    for first, second in (choices, choices[::-1]):
        memo.MEMO.clear()
        for choice in (first, second):
            compiled = strict(lambda x, choice=choice: function(x, choice))
            results = []
            for call in (compiled, compiled.function):
                for written in WRITTEN:
                    written.zero_()
                helix.manual_seed(3)
                with helix.no_grad():
                    made = call(X)
                results.append((bits(made), [t.dtype for t in helix.graph.tracer.tensors_of(made)], bits(WRITTEN)))
            if results[0] != results[1]:
                return True
    return False


@pytest.mark.parametrize("name", PAIRS)
def test_near_collisions(name: str) -> None:
    assert not wrong(PAIRS[name])


def _key_without(index: int) -> Callable[..., Any]:
    line = memo._line
    return lambda *given: (*line(*given)[:index], *line(*given)[index + 1 :])


FAULTS: dict[str, tuple[str, Callable[..., Any], str]] = {
    "attributes": ("_line", _key_without(2), "attribute"),
    "wiring": ("_line", _key_without(1), "wiring"),
    "contents": ("_captured", lambda value: (value.kind, value.name, value.shape), "folded constant"),
    "dtypes": ("_marked", lambda attribute: b"", "dtype"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_seen(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    what, planted, name = FAULTS[fault]
    if fault == "dtypes":  # which stands in the dtypes of results too
        line = memo._line
        monkeypatch.setattr(memo, "_line", lambda *given: line(*given)[:-1])
    monkeypatch.setattr(memo, what, planted)
    assert wrong(PAIRS[name])


def test_lines_of_the_program_are_told_apart() -> None:
    """The profiler tells them."""
    first, second = strict(lambda x: x.exp() * 2), strict(lambda x: x.exp() * 2)
    third = strict(
        lambda x: x.exp() * 2,
    )
    for compiled in (first, second, third):
        on(compiled, X)
    assert recalled(second) and not recalled(third)


def test_modes_and_gradients_are_told_apart() -> None:
    layer = nn.Linear(2, 2)

    def loss(x: helix.Tensor) -> helix.Tensor:
        return layer(x).square().sum()

    with helix.no_grad():
        assert not strict(loss)(X).requires_grad
    found = strict(loss)(X)
    assert found.requires_grad
    found.backward()
    assert layer.weight.grad is not None
    layer.weight.requires_grad_(False)
    layer.zero_grad()
    strict(loss)(X).backward()
    assert layer.weight.grad is None and layer.bias.grad is not None


# ---- what is kept ------------------------------------------------------------------------------------------


def test_no_tensor_is_kept() -> None:
    compiled, model, x = step_of("transformer")
    compiled(x)
    compiled(x)
    inference = strict(model)
    with helix.no_grad():
        inference(x)
    gone = [weakref.ref(tensor) for tensor in (*model.parameters(), x)] + [weakref.ref(model)]
    del compiled, model, inference, x
    gc.collect()
    assert len(memo.MEMO.entries) == 2
    assert not [ref() for ref in gone if ref() is not None]


def plans() -> int:
    """How many there are, each with memory of its own."""
    gc.collect()
    return sum(isinstance(one, Planned) for one in gc.get_objects())


def test_memory_of_runs_is_not_kept() -> None:
    before = plans()
    compiled = strict(lambda x: (x.sort()[0] @ x).sum())
    compiled(helix.randn(8, 8))
    assert plans() == before + 1
    del compiled
    assert memo.MEMO.entries and plans() == before


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo, "MOST_PROGRAMS", 3)
    for size in range(1, 8):
        strict(lambda x: x.exp() * 2)(helix.ones(size))
        assert len(memo.MEMO.entries) <= 3
    last = strict(lambda x: x.exp() * 2)
    monkeypatch.setattr(memo, "MOST_VALUES", 1)
    last(helix.ones(100))
    strict(lambda x: x.exp() * 2)(helix.ones(101))
    assert len(memo.MEMO.entries) == 1


def test_threads() -> None:
    """Instances of one structure run side by side, each with memory of its own."""
    layers = [nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 8)) for _ in range(4)]
    inputs = [helix.randn(16, 8) for _ in layers]
    with helix.no_grad():
        strict(layers[0])(inputs[0])
        expected = [bits(strict(layer)(x)) for layer, x in zip(layers, inputs, strict=True)]
    faults: list[int] = []

    def work(i: int) -> None:
        with helix.no_grad():
            for _ in range(10):
                compiled = strict(layers[i])
                if any(bits(compiled(inputs[i])) != expected[i] for _ in range(3)):
                    faults.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
