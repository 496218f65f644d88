"""A slice of the random graphs; `make graphs` runs ten thousand. Planted faults are seen by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import helix
from helix.graph import Graph

from .random_graphs import check

SLICE = 100


@pytest.mark.parametrize("first", range(0, SLICE, 10))
def test_random_graphs(first: int) -> None:
    for number in range(first, first + 10):
        assert check(number) is None, number


def another_shape(graph: Graph) -> None:
    value = graph.outputs[0]
    value.shape = (*value.shape, 1)


def another_op(graph: Graph) -> None:
    for node in graph.nodes:
        if node.op == "sigmoid":
            node.op = "tanh"


def another_part(graph: Graph) -> None:
    for node in graph.nodes:
        if node.op == "exchange_part" and node.attributes[2]:
            node.attributes = (*node.attributes[:2], 0)


@pytest.mark.parametrize("fault", [another_shape, another_op, another_part], ids=lambda f: f.__name__)
def test_planted_faults_are_seen(fault: Callable[[Graph], Any]) -> None:
    assert any(check(number, fault) for number in range(40))


def test_a_planted_gradient_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    real = helix.graph.control_gradients.grad

    def wrong(*args: Any, **kwargs: Any) -> tuple:
        found = real(*args, **kwargs)
        return tuple([g if g is None else g * 1.01 for g in found])

    monkeypatch.setattr(helix.graph.control_gradients, "grad", wrong)
    assert any("gradient" in (check(number) or "") for number in range(20))
