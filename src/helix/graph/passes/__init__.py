"""Passes: small rewrites of a graph that keep what it computes.

A pass is one file with `run(graph) -> int`, which changes the graph in place and returns how many changes it made, 0 the second
time. `PASSES` is the table of them, in the order in which they run; `optimize` runs them on a copy until none finds anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ...errors import ArgumentError
from ..ir import Graph
from . import (
    composites,
    dead,
    folding,
    fusion,
    gradients,
    layout,
    rematerialisation,
    simplification,
    subexpressions,
    updates,
    views,
)

Run = Callable[[Graph], int]
MOST_RUNS = 64  # of passes, of which few find anything after the first round


class Pass(NamedTuple):
    """A pass: what runs it, and what it does. `last`: it runs where it is named, after all others."""

    run: Run
    about: str
    last: bool = False


PASSES: dict[str, Pass] = {
    "folding": Pass(
        folding.run, "what depends on numbers and on the program's own constants is computed once; bit for bit"
    ),
    "simplification": Pass(
        simplification.run, "ops that change nothing, undo each other or have a simpler form; bit for bit"
    ),
    "views": Pass(views.run, "reshapes, orders of axes and copies that undo each other or can be one; bit for bit"),
    "layout": Pass(layout.run, "orders of axes go through elementwise ops to meet their opposites; bit for bit"),
    "subexpressions": Pass(subexpressions.run, "what is computed twice is computed once; bit for bit"),
    "dead": Pass(dead.run, "what nobody takes is not computed; bit for bit"),
    "gradients": Pass(
        gradients.run, "zeros that are added go, parts among zeros are joined; to 1e-6 and the signs of zeros", True
    ),
    "composites": Pass(
        composites.run, "norms, softmax, attention and the like, written by hand, become helix's ops; to 1e-6", True
    ),
    "updates": Pass(
        updates.run, "optimizer steps written by hand become the ops that update lists of tensors; to 1e-6", True
    ),
    "fusion": Pass(
        fusion.run, "elementwise ops and reductions of rows are done as one, tile by tile; bit for bit", True
    ),
}


def optimize(graph: Graph, passes: Sequence[str | Run] | None = None, *, memory: int | None = None) -> Graph:
    """A copy of a graph that does less and computes the same; bodies of control flow too.

    passes: names of `helix.graph.passes.PASSES`, or functions like theirs, in the order in which they run; all of the table if
        None but `gradients`, `composites` and `updates`, whose last bits differ, and `fusion`. They run in turn until none of them finds anything to change.

    memory: bytes that a run may hold at a time, by `graph.peak_bytes()`: values that wait long for their next use are let go and
        computed again, the cheapest first, until it fits.

    Raises ArgumentError (HX1103) for a name that no pass has; GraphError (HX4001), which tells the least that can be reached, for a
    graph that does not fit into `memory`.

    Example:
        >>> graph = helix.trace(lambda x: x.exp() + x.exp(), helix.graph.Spec((2,)))
        >>> [node.op for node in helix.graph.optimize(graph).nodes]
        ['exp', 'add']
    """
    made = _optimized(graph, [_found(wanted) for wanted in (_early() if passes is None else passes)], {})
    if memory is not None:
        rematerialisation.run(made, memory)
    return made


def _early() -> list[str]:
    return [name for name, known in PASSES.items() if not known.last]


def _found(wanted: str | Run) -> Run:
    if not isinstance(wanted, str):
        return wanted
    if wanted not in PASSES:
        raise ArgumentError(
            f"HX1103 there is no pass named {wanted!r}; there are {', '.join(PASSES)}",
            code="HX1103",
            argument="passes",
            got=wanted,
        )
    return PASSES[wanted].run


def _optimized(graph: Graph, passes: list[Run], bodies: dict[int, Graph]) -> Graph:
    made = graph.copy()
    for node in made.nodes:
        node.graphs = tuple([_body(body, passes, bodies) for body in node.graphs])
    quiet, turn = 0, 0
    while quiet < len(passes) and turn < MOST_RUNS:
        quiet = 1 if passes[turn % len(passes)](made) else quiet + 1
        turn += 1
    return made


def _body(body: Graph, passes: list[Run], bodies: dict[int, Graph]) -> Graph:
    """A body that two nodes share stays one."""
    if id(body) not in bodies:
        bodies[id(body)] = _optimized(body, passes, bodies)
    return bodies[id(body)]
