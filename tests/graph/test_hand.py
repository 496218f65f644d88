"""Graphs built by hand are the graphs of traces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import helix
from helix import nn
from helix.graph import Graph, GraphError, Spec


def build(function: Callable, *shapes: tuple[int, ...]) -> Graph:
    with Graph("by hand") as g:
        result = function(*[g.input(shape) for shape in shapes])
        g.output(*(result if isinstance(result, tuple) else (result,)))
    return g


LAYER = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Dropout(0.2), nn.Linear(8, 2))


def diamond(x: helix.Tensor, y: helix.Tensor) -> Any:
    left, right = x.exp(), y.tanh()
    joined = left @ right
    joined[0] = 1.0
    return joined.relu() + left.sum(), right


@pytest.mark.parametrize(
    ("function", "shapes"),
    [(LAYER, ((3, 4),)), (diamond, ((2, 3), (3, 3))), (lambda x: x, ((2,),))],
    ids=["layers", "diamond", "identity"],
)
def test_by_hand_and_traced(function: Callable, shapes: tuple) -> None:
    graph, traced = build(function, *shapes), helix.trace(function, *map(Spec, shapes))
    graph.check()
    assert graph.difference(traced) is None and graph.hash() == traced.hash()
    given = [helix.randn(shape) for shape in shapes]
    helix.manual_seed(3)
    expected = traced(*given)
    helix.manual_seed(3)
    found = graph(*given)
    for a, b in zip(
        found if isinstance(found, tuple) else [found], expected if isinstance(expected, tuple) else [expected]
    ):
        assert helix.equal(a, b)


def test_names_and_misuse() -> None:
    with Graph() as g:
        x = g.input((2, 3), helix.int64, "tokens")
        g.output(x + 1)
        with pytest.raises(GraphError, match="once"):
            g.output(x)
    assert g.inputs[0].name == "tokens" and g(helix.zeros(2, 3, dtype=helix.int64)).tolist() == [[1] * 3] * 2
    with pytest.raises(GraphError, match="built already"), g:
        pass
    with pytest.raises(GraphError, match="while a graph is built"):
        g.input((2,))
    with pytest.raises(GraphError, match="needs outputs"), Graph() as empty:
        empty.input((2,))
    with pytest.raises(helix.errors.ShapeError), Graph() as wrong:
        wrong.input((2, 3)) @ wrong.input((2, 3))
    assert not helix._core.tracing()
