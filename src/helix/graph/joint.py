"""A traced function and its gradient as one graph, and that graph in two: forward, which keeps what backward needs, and backward."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .ir import Effect, Graph, Node, Value


class Parts(NamedTuple):
    """forward: (arguments) -> (results, kept). backward: (gradients of results, arguments, kept) -> gradients. again: forward
    without keeping and without effects, to be run with gradients recorded."""

    forward: Graph
    backward: Graph
    again: Graph
    kept: int


def part(graph: Graph, arguments: int, results: int) -> Parts:
    """Parts a graph of (arguments, gradients of results) -> (results, gradients)."""
    given, above = graph.inputs[:arguments], graph.inputs[arguments:]
    ahead = origins([*graph.outputs[:results], *[effect.value for effect in graph.effects]])
    behind = origins(graph.outputs[results:]) - ahead
    first = [node for node in graph.nodes if id(node) in ahead]
    second = [node for node in graph.nodes if id(node) in behind]
    kept = _crossing(graph, second, graph.outputs[results:], ahead)
    shown = graph.outputs[:results]
    forward = copied(graph, given, first, [*shown, *kept], graph.effects)
    again = copied(graph, given, first, shown)
    again.prune()
    backward = copied(graph, [*above, *given, *kept], second, graph.outputs[results:])
    return Parts(forward, backward, again, len(kept))


def origins(values: Iterable[Value]) -> set[int]:
    """The ids of the nodes that these depend on."""
    found: set[int] = set()
    waiting = [value.node for value in values if value.node is not None]
    while waiting:
        node = waiting.pop()
        if id(node) not in found:
            found.add(id(node))
            waiting += [value.node for value in node.inputs if value is not None and value.node is not None]
    return found


def _crossing(graph: Graph, second: list[Node], outputs: Sequence[Value], ahead: set[int]) -> list[Value]:
    """What backward takes of forward's results; and of what forward writes, as it was before."""
    written = {id(effect.target) for effect in graph.effects}
    taken = [value for node in second for value in node.inputs if value is not None]
    crossing = dict.fromkeys(
        value
        for value in (*taken, *outputs)
        if (value.node is not None and id(value.node) in ahead) or id(value) in written
    )
    return list(crossing)


def copied(
    graph: Graph, inputs: Sequence[Value], nodes: list[Node], outputs: Sequence[Value], effects: Iterable[Effect] = ()
) -> Graph:
    """A graph of its own of these nodes, with these values as inputs, and with the streams of the whole."""
    made = Graph(graph.name)
    made.draws = graph.draws
    new: dict[int, Value] = {}
    for i, value in enumerate(inputs):
        name = value.name if value.kind == "input" else f"kept{i}"
        new[id(value)] = Value("input", value.shape, value.dtype, name)
        made.inputs.append(new[id(value)])

    def copy_of(value: Value) -> Value:
        found = new.get(id(value))
        if found is None:
            found = new[id(value)] = Value(value.kind, value.shape, value.dtype, value.name, value.source)
            if value.kind != "number":
                made.captured.append(found)
        return found

    for node in nodes:
        taken = tuple([None if value is None else copy_of(value) for value in node.inputs])
        twin = node.twin(taken)
        for value, output in zip(node.outputs, twin.gives(*[(v.shape, v.dtype) for v in node.outputs]), strict=True):
            new[id(value)] = output
        made.append(twin)
    made.outputs = [copy_of(value) for value in outputs]
    made.effects = [Effect(effect.kind, copy_of(effect.target), copy_of(effect.value)) for effect in effects]
    return made
