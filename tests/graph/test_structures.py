"""Structures of inputs and results: what goes in comes back as it was."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest

import helix
from helix.graph import Spec
from helix.graph.tree import flatten


@dataclass
class Output(OrderedDict):
    """A dataclass that is a dict of those of its fields that are there, as transformers has them."""

    loss: Any = None
    logits: Any = None
    states: Any = None

    def __post_init__(self) -> None:
        self.update({name: value for name, value in vars(self).items() if value is not None})


@dataclass
class Pair:
    first: Any
    second: Any = field(init=False)

    def __post_init__(self) -> None:
        self.second = self.first


@dataclass(frozen=True)
class Frozen:
    first: Any
    second: Any = field(init=False, default=3)


def pair(x: Any) -> Pair:
    made = Pair(x)
    made.second = x * 2
    return made


MAKES = {
    "defaultdict": lambda x: defaultdict(list, a=x, b=x * 2),
    "ordered": lambda x: OrderedDict(b=x, a=x * 2),
    "model output": lambda x: Output(logits=x, states=(x * 2,)),
    "a field that is made": pair,
    "frozen": Frozen,
    "nested": lambda x: {"deep": [defaultdict(int, a=Pair(x))]},
}


@pytest.mark.parametrize("name", MAKES)
def test_structures_come_back(name: str) -> None:
    make = MAKES[name]
    graph = helix.trace(make, Spec((2,)))
    x = helix.tensor([1.0, 2.0])
    found, expected = graph(x), make(x)
    assert type(found) is type(expected)
    assert [t.tolist() for t in flatten(found)[0]] == [t.tolist() for t in flatten(expected)[0]]
    assert flatten(found)[1] == flatten(expected)[1]
    if isinstance(found, defaultdict):
        assert found.default_factory is list and found["new"] == []
    if isinstance(found, Output):
        assert found.loss is None and found.logits is found["logits"]
