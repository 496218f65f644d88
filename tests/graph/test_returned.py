"""What a graph returns is the memory that the function itself would return: an argument or a captured tensor as it is, a view of one, or
fresh memory that no other run shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import helix
from helix._core import storage_number
from helix.graph.build import Builder

CONSTANT = helix.tensor([1.0, 2.0, 3.0])
PARAMETER = helix.nn.Parameter(helix.tensor([1.0, 2.0, 3.0]))


def made() -> helix.Tensor:
    return helix.tensor([1.0, 2.0, 3.0])


def with_view(t: helix.Tensor) -> tuple[helix.Tensor, helix.Tensor]:
    return t, t[1:]


def copied(x: helix.Tensor) -> helix.Tensor:
    t = helix.empty(3)
    t.copy_(x)
    return t


CASES: dict[str, Callable[[helix.Tensor], Any]] = {
    "fill": lambda x: helix.ones(3),
    "folded": lambda x: helix.ones(3) * 2,
    "fill of one number": lambda x: helix.ones(3).sum().expand(4).clone(),
    "made": lambda x: made(),
    "view of what was made": lambda x: made()[1:],
    "made, twice the same": lambda x: (lambda t: (t, t))(made()),
    "made twice": lambda x: (made(), made()),
    "made, and a view": lambda x: with_view(made()),
    "fill and a view": lambda x: with_view(helix.ones(3)),
    "folded and a view": lambda x: with_view(made() + 1),
    "several": lambda x: {"a": helix.arange(3), "b": helix.arange(3) + 1, "c": helix.eye(2)},
    "captured": lambda x: CONSTANT,
    "captured view": lambda x: CONSTANT[1:],
    "captured twice": lambda x: (CONSTANT, CONSTANT),
    "captured and a view": lambda x: with_view(CONSTANT),
    "captured, copied": lambda x: CONSTANT.clone(),
    "captured, times 1": lambda x: CONSTANT * 1,
    "parameter": lambda x: PARAMETER,
    "parameter, detached": lambda x: PARAMETER.detach(),
    "argument": lambda x: x,
    "argument twice": lambda x: (x, x),
    "argument, detached": lambda x: x.detach(),
    "view of the argument": lambda x: x[1:],
    "argument and a view": lambda x: with_view(x),
    "argument and more": lambda x: (x, x.sum()),
    "argument, times 1": lambda x: x * 1,
    "argument, plus 0": lambda x: x + 0,
    "argument, copied": lambda x: x.clone(),
    "copy of a view": lambda x: x[1:].clone(),
    "view of a copy": lambda x: x.clone()[1:],
    "view of nothing done": lambda x: (x + 0)[1:],
    "copied into another": copied,
    "same shape": lambda x: x.reshape(3),
    "there and back": lambda x: x.reshape(1, 3).reshape(3),
    "turned twice": lambda x: x.reshape(3, 1).mT.mT,
    "same dtype": lambda x: x.to(helix.float32),
    "wider and back": lambda x: x.double().float(),
    "minus minus": lambda x: x.neg().neg(),
    "twins": lambda x: (x + 1, x + 1),
    "one result twice": lambda x: (lambda t: (t, t))(x + 1),
    "result and a view": lambda x: with_view(x + 1),
    "result and a copy": lambda x: (lambda t: (t, t.clone()))(x + 1),
    "what is done twice": lambda x: (lambda t: (t, t.relu()))(x.relu()),
}
# Of control flow the results are always fresh: which branch ran, and whether a loop went round, shall not matter.
FRESH: dict[str, Callable[[helix.Tensor], Any]] = {
    "choice of what was made": lambda x: helix.cond(x.sum() > 0, made, lambda: made() * 2),
    "choice of fills": lambda x: helix.cond(x.sum() > 0, lambda: helix.ones(2), lambda: helix.zeros(2)),
    "choice of an operand": lambda x: helix.cond(x.sum() > 0, lambda: x, lambda: x),
    "choice of a captured tensor": lambda x: helix.cond(x.sum() > 0, lambda: CONSTANT, lambda: CONSTANT),
    "carry made": lambda x: helix.scan(lambda c, r: (made(), c.sum() + r), helix.zeros(3), x),
    "carry as it came": lambda x: helix.scan(lambda c, r: (c, c), x, x),
    "carry captured": lambda x: helix.scan(lambda c, r: (CONSTANT, c), x, x),
    "carry twice": lambda x: helix.scan(lambda c, r: ((c[0] + r, c[0] + r), r), (x, x), x),
    "loop of no rounds": lambda x: helix.while_loop(lambda v: v.sum() < -100, lambda v: v * 2, x.detach()),
    "loop over what was made": lambda x: helix.while_loop(lambda v: v.sum() < -100, lambda v: v * 2, made()),
}


def leaves(result: Any) -> Iterator[helix.Tensor]:
    if isinstance(result, helix.Tensor):
        yield result
    else:
        for part in result.values() if isinstance(result, dict) else result:
            yield from leaves(part)


def sharing(x: helix.Tensor, results: list[helix.Tensor]) -> list[tuple[bool, bool]]:
    """For each result, and each tensor before it: are they one, and do they show one memory?"""
    every = [x, CONSTANT, PARAMETER, *results]
    numbers = [storage_number(t) for t in every]
    return [(every[i] is every[k], numbers[i] == numbers[k]) for k in range(3, len(every)) for i in range(k)]


def faults(function: Callable[[helix.Tensor], Any], run: Callable[..., Any], grad: bool, fresh: bool) -> list[str]:
    found: list[str] = []
    held: list[helix.Tensor] = []
    x = helix.tensor([1.0, 2.0, 3.0], requires_grad=grad)
    outside = {storage_number(t) for t in (x, CONSTANT, PARAMETER)}
    with helix.enable_grad() if grad else helix.no_grad():
        expected = list(leaves(function(x)))
        numbers = [t.tolist() for t in expected]
        pattern = [(False, False)] * len(sharing(x, expected)) if fresh else sharing(x, expected)
        for k in range(3):
            results = list(leaves(run(x)))
            if [t.tolist() for t in results] != numbers:
                found.append(f"run {k} gives {[t.tolist() for t in results]}, not {numbers}")
            if sharing(x, results) != pattern:
                found.append(f"run {k} shares memory as {sharing(x, results)}, not {pattern}")
            mine = [t for t in results if storage_number(t) not in outside]
            if {storage_number(t) for t in mine} & {storage_number(t) for t in held}:
                found.append(f"run {k} shows memory of a run before")
            held += mine
            for t in mine:
                t.detach().mul_(7)
    return found


@pytest.mark.parametrize("grad", [False, True], ids=["", "grad"])
@pytest.mark.parametrize("name", [*CASES, *FRESH])
def test_results_are_the_functions_own_or_fresh(name: str, grad: bool) -> None:
    fresh = name in FRESH
    function = FRESH[name] if fresh else CASES[name]

    def called(x: helix.Tensor) -> Any:
        return function(x)

    compiled = helix.compile(called, fallback="error")
    graph = helix.trace(called, helix.zeros(3))
    optimized = helix.graph.optimize(graph)
    loop = name.startswith("loop") and grad  # has no gradient
    assert not (found := faults(function, compiled, grad and not loop, fresh)), found
    if not grad:
        assert not (found := faults(function, graph, False, fresh)), found
        assert not (found := faults(function, optimized, False, fresh)), found


def test_a_shared_constant_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Builder, "own", lambda builder, numbers: None)
    assert faults(CASES["made"], helix.compile(CASES["made"]), False, False)


def test_gradients_are_the_parameters_own() -> None:
    weight = helix.nn.Parameter(helix.ones(3))

    @helix.compile
    def step() -> helix.Tensor:
        weight.grad = None
        (weight * made()).sum().backward()
        return weight.detach() * 0

    seen = []
    for _ in range(3):
        step()
        assert weight.grad is not None and weight.grad.tolist() == [1.0, 2.0, 3.0]
        seen.append(weight.grad)
        weight.grad.mul_(5)
    assert len({storage_number(t) for t in seen}) == 3


def test_an_argument_that_is_returned_keeps_its_history() -> None:
    x = helix.ones(3, requires_grad=True)
    compiled = helix.compile(lambda x: (x, x.exp()), fallback="error")
    for _ in range(2):
        same, other = compiled(x)
        assert same is x
        (same.sum() + other.sum()).backward()
        assert x.grad is not None and helix.equal(x.grad, x.detach().exp() + 1)
        x.grad = None
