"""Dead code: nodes on which no output and no effect depends, and constants that nobody takes."""

from __future__ import annotations

from ..ir import Graph


def run(graph: Graph) -> int:
    """Random streams keep their numbers, so that what is left draws what it drew before."""
    gone = graph.prune()
    kept = {*graph.outputs, *[effect.target for effect in graph.effects], *[effect.value for effect in graph.effects]}
    captured = [v for v in graph.captured if v.kind != "constant" or v.users or v in kept]
    gone += len(graph.captured) - len(captured)
    graph.captured[:] = captured
    return gone
