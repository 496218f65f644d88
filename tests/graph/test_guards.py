"""What Python held while a function was traced may change: then a compiled function does what the function does."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import helix
from helix import nn
from helix.graph.guards import MOST_PARTS, frozen

F = nn.functional
X = helix.tensor([[1.0, 2.0], [3.0, -4.0]])


def strict(function: Callable[..., Any]) -> Any:
    return helix.compile(function, fallback="error")


def bits(result: helix.Tensor) -> tuple[Any, bytes]:
    return result.dtype, result.detach().numpy().tobytes()


# ---- modules -----------------------------------------------------------------------------------------------


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
        self.layers = nn.Sequential(nn.Linear(2, 2))
        self.scales = nn.ParameterList([nn.Parameter(helix.ones(2))])
        self.register_buffer("shift", helix.ones(2))
        self.activation: Any = F.relu
        self.sizes, self.options, self.pair = [1, 2], {"k": 1.0}, (1, 2)
        self.states = (helix.ones(2), helix.ones(2))
        self.hook = self.first.register_forward_hook(lambda module, args, result: result * 2)
        self.first.register_forward_hook(lambda module, args, result: result + 2)

    def forward(self, x: helix.Tensor) -> helix.Tensor:
        y = self.activation(self.first(x)) * self.sizes[0] * self.options["k"] * self.pair[0] + self.shift
        y = self.layers(F.linear(y, self.second.weight, self.second.bias))  # whose call nobody sees
        for scale in self.scales:
            y = y * scale
        return y + self.states[0]


def weight() -> nn.Parameter:
    return nn.Parameter(helix.tensor([[1.0, 2.0], [3.0, 5.0]]))


def to_and_back(model: Model) -> None:
    model.to(helix.float64).to(helix.float32)
    with helix.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)


CHANGES: dict[str, Callable[[Model], Any]] = {
    "function": lambda m: setattr(m, "activation", F.gelu),
    "list": lambda m: setattr(m, "sizes", [3, 2]),
    "list in place": lambda m: m.sizes.__setitem__(0, 7),
    "dict in place": lambda m: m.options.update(k=5.0),
    "tuple": lambda m: setattr(m, "pair", (5, 2)),
    "tuple of tensors": lambda m: setattr(m, "states", (helix.ones(2) * 5, helix.ones(2))),
    "parameter of a module that is not called": lambda m: setattr(m.second, "weight", weight()),
    "module": lambda m: m.add_module("first", nn.Linear(2, 2)),
    "registered parameter": lambda m: m.first.register_parameter("weight", weight()),
    "registered buffer": lambda m: m.register_buffer("shift", helix.ones(2) * 3),
    "one layer more": lambda m: m.layers.append(nn.Linear(2, 2)),
    "one parameter more": lambda m: m.scales.append(nn.Parameter(helix.ones(2) * 3)),
    "assigned state": lambda m: m.load_state_dict({k: v * 3 for k, v in m.state_dict().items()}, assign=True),
    "other dtype and back": to_and_back,
    "one hook more": lambda m: m.first.register_forward_hook(lambda module, args, result: result * 3),
    "one hook less": lambda m: m.hook.remove(),
}


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_changes_of_a_module_are_seen(name: str, grad: bool) -> None:
    model = Model()
    compiled = strict(model)
    with helix.enable_grad() if grad else helix.no_grad():
        before = [compiled(X) for _ in range(3)][-1]
        assert compiled.compiled == 1
        CHANGES[name](model)
        expected = model(X)
        assert not helix.allclose(before, expected)
        assert all(helix.allclose(compiled(X), expected, atol=1e-5) for _ in range(2))
        assert compiled.compiled == 2


# ---- variables ---------------------------------------------------------------------------------------------

SCALE: Any = 2.0
CONFIG = SimpleNamespace(scale=2.0)


def helper(x: helix.Tensor) -> helix.Tensor:
    return x * SCALE


def twice(x: helix.Tensor) -> helix.Tensor:
    return helper(x) * 2


VALUES: dict[str, tuple[Any, Any, Callable[[helix.Tensor], helix.Tensor]]] = {
    "sign of a zero": (0.0, -0.0, lambda x: x * SCALE),
    "kind of number": (2, 2.0, lambda x: x.to(helix.int32) * SCALE),
    "tuple": ((2.0,), (3.0,), lambda x: x * SCALE[0]),
    "kind in a tuple": ((1,), (True,), lambda x: x * SCALE[0] if SCALE[0] is not True else x),
    "list": ([2.0], [3.0], lambda x: x * SCALE[0]),
    "function": (F.relu, F.gelu, lambda x: SCALE(x)),
    "of a function within": (2.0, 3.0, lambda x: (lambda: x * SCALE)()),
    "of a function that is called": (2.0, 3.0, twice),
}


@pytest.mark.parametrize("name", VALUES)
def test_changes_of_variables_are_seen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before, after, function = VALUES[name]
    monkeypatch.setitem(globals(), "SCALE", before)
    compiled = strict(function)
    for _ in range(2):
        assert bits(compiled(X)) == bits(function(X))
    monkeypatch.setitem(globals(), "SCALE", after)
    for _ in range(2):
        assert bits(compiled(X)) == bits(function(X))


def test_what_is_written_in_place_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[Any] = [2.0, {"k": [1.0]}]
    compiled = strict(lambda x: x * inside[0] * inside[1]["k"][0] * CONFIG.scale)
    assert [compiled(helix.ones(1)).item() for _ in range(2)] == [4.0, 4.0]
    inside[1]["k"][0] = 3.0
    assert compiled(helix.ones(1)).item() == 12.0
    monkeypatch.setattr(CONFIG, "scale", 5.0)
    assert compiled(helix.ones(1)).item() == 30.0


def test_objects_are_looked_into() -> None:
    class Scaled:
        def __init__(self) -> None:
            self.scale, self.calls = 2.0, 0

        def by_hand(self, x: helix.Tensor) -> helix.Tensor:
            return x * self.scale

        compiled = helix.compile(by_hand)

    one = Scaled()
    bound = strict(one.by_hand)
    for scale in (2.0, 3.0, 5.0):
        one.scale = scale
        assert bound(X).tolist() == one.compiled(X).tolist() == (X * scale).tolist()
    one.calls += 1  # which the function does not name
    bound(X)
    assert bound.compiled == 3


def test_an_attribute_is_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    holder = SimpleNamespace(SCALE=2.0)
    compiled = strict(lambda x: x * holder.SCALE)
    for value in (1.0, 2.0, 3.0):
        monkeypatch.setitem(globals(), "SCALE", value)
        compiled(X)
    assert compiled.compiled == 1


def test_a_model_whose_parts_are_read_alone() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    compiled = strict(lambda x: x @ model[0].weight)
    compiled(X)
    model[0].weight = weight()
    assert compiled(X).tolist() == (X @ model[0].weight).tolist()


def test_a_variable_that_is_gone() -> None:
    value = 2.0

    def function(x: helix.Tensor) -> helix.Tensor:
        return x * value  # noqa: F821

    compiled = strict(function)
    compiled(X)
    del value
    with pytest.raises(NameError):
        compiled(X)


def test_arguments_that_are_no_tensors() -> None:
    compiled = strict(lambda x, s: x * s)
    for value in (0.0, -0.0, 1, True, 1.0):
        assert bits(compiled(X.to(helix.int32), value)) == bits(X.to(helix.int32) * value)
    assert compiled.compiled == 5
    for _ in range(2):  # as NaN is no other than itself
        compiled(X, float("nan"))
    assert compiled.compiled == 6
    summed = strict(lambda x, array: x * float(array.sum()))
    for array in (np.array([1.0, 2.0]), np.array([1.0, 4.0])):
        assert summed(X, array).tolist() == (X * float(array.sum())).tolist()


def test_what_runs_as_it_is_may_write_what_it_holds() -> None:
    seen: list[float] = []

    def function(x: helix.Tensor) -> helix.Tensor:
        seen.append(x.sum().item())
        return x

    compiled = helix.compile(function)
    with pytest.warns(helix.errors.CompileWarning):
        compiled(X)
    for _ in range(3):
        compiled(X)
    assert compiled.compiled == 1 and len(seen) == 4


def test_large_containers_are_not_looked_into() -> None:
    large, small = list(range(MOST_PARTS + 1)), list(range(MOST_PARTS))
    assert frozen(large, 3) is large
    assert frozen(small, 3) == small and frozen(small, 3) is not small
    assert frozen(pair := (1, 2), 3) is pair
