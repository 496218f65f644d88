"""Tracing a graph: its nodes run through dispatch on shapes again, and make another graph."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from .executor import interpret
from .ir import Graph
from .spec import Spec
from .symbols import Sizes
from .tracing import Derived, trace_derived, trace_once


def specialised(graph: Graph, sizes: Sizes) -> Graph:
    """The graph for these sizes of its dimensions."""
    names = sorted(dim.name for dim in graph.dims)
    if sorted(sizes) != names:
        raise ArgumentError(
            f"HX1103 {graph.name} has the dimensions {names}, got sizes of {sorted(sizes)}",
            code="HX1103",
            expected=names,
        )
    for dim in graph.dims:
        dim.check(sizes[dim.name])
    specs = [Spec(value.shape, value.dtype) for value in graph.given]
    made = trace_once(
        Derived(graph, lambda leaves: tuple(interpret(graph, leaves, sizes))), specs, graph.in_tree, sizes
    )
    made.out_tree = graph.out_tree
    return made


def infer(graph: Graph) -> Graph:
    """Shapes and dtypes worked out again, by the rules of the records: after a change, or for other shapes of the inputs.

    Raises what the records raise (ShapeError and others), naming the node and the line on which it was made.
    """

    def again(leaves: list[Any]) -> tuple[Any, ...]:
        return tuple(interpret(graph, leaves, graph.executor().sizes(leaves)))

    made = trace_derived(graph, again)
    made.out_tree = graph.out_tree
    return made
