"""Copies, comparisons and hashes of graphs."""

from __future__ import annotations

from hashlib import blake2b
from itertools import zip_longest
from typing import Any

from .._core import dtype
from .ir import Effect, Graph, Node, Value


def copied(graph: Graph) -> Graph:
    made = Graph(graph.name)
    new: dict[int, Value] = {}

    def copy_of(value: Value) -> Value:
        found = new.get(id(value))
        if found is None:
            found = new[id(value)] = value.twin()
        return found

    made.inputs = [copy_of(value) for value in graph.inputs]
    made.captured = [copy_of(value) for value in graph.captured]
    for node in graph.nodes:
        inputs = tuple([None if value is None else copy_of(value) for value in node.inputs])
        twin = node.twin(inputs)
        for value, output in zip(node.outputs, twin.gives(*[(v.shape, v.dtype) for v in node.outputs]), strict=True):
            output.name = value.name
            new[id(value)] = output
        for taken in inputs:
            if taken is not None:
                taken.users.append(twin)
        made.nodes.append(twin)
    made.outputs = [copy_of(value) for value in graph.outputs]
    made.effects = [Effect(e.kind, copy_of(e.target), copy_of(e.value)) for e in graph.effects]
    made.dims, made.draws = graph.dims, graph.draws
    made.around, made.told = graph.around, graph.told
    made.in_tree, made.out_tree = graph.in_tree, graph.out_tree
    return made


def _plain(value: Any) -> Any:
    """An attribute or number so that it can be compared: a NaN is equal to itself."""
    if isinstance(value, dtype):
        return value.name
    return value if value == value else repr(value)


def _lines(graph: Graph) -> list[tuple[str, tuple[Any, ...], Node | None]]:
    """What decides, line by line: a caption, a tuple to compare, and the node that it stands for."""
    number: dict[int, Any] = {}
    for i, value in enumerate((*graph.inputs, *graph.captured)):
        number[id(value)] = i

    def name(value: Value | None) -> Any:
        if value is None:
            return None
        return ("number", _plain(value.source), value.dtype.name) if value.kind == "number" else number[id(value)]

    lines: list[tuple[str, tuple[Any, ...], Node | None]] = [
        (f"{v.kind} {v.name}", (v.kind, v.shape, v.dtype.name), None) for v in (*graph.inputs, *graph.captured)
    ]
    for node in graph.nodes:
        for output in node.outputs:
            number[id(output)] = len(number)
        attributes = tuple([_plain(a) for a in node.attributes])
        lines.append(
            (
                f"node {node.op}",
                (
                    node.op,
                    tuple([name(value) for value in node.inputs]),
                    attributes,
                    node.list_length,
                    node.no_grad,
                    node.writes,
                    tuple([(v.shape, v.dtype.name) for v in node.outputs]),
                    tuple([structure_hash(body) for body in node.graphs]),
                ),
                node,
            )
        )
    lines.append(("outputs", tuple([name(value) for value in graph.outputs]), None))
    lines += [("effect", (e.kind, name(e.target), name(e.value)), None) for e in graph.effects]
    lines.append(("random streams", (graph.draws,), None))
    lines += [("dimension", (d.name, d.min, d.max, d.multiple_of), None) for d in graph.dims]
    return lines


def difference(a: Graph, b: Graph) -> str | None:
    for mine, theirs in zip_longest(_lines(a), _lines(b)):
        if mine is None or theirs is None:
            return f"one graph ends where the other has {(mine or theirs)[0]}"
        if mine[1] != theirs[1] or repr(mine[1]) != repr(theirs[1]):
            where = mine[2].where if mine[2] is not None else ""
            return f"{mine[0]}{f' ({where})' if where else ''}: {mine[1]} is not {theirs[1]}"
    return None


def structure_hash(graph: Graph) -> str:
    made = blake2b(digest_size=16)
    for _, what, _ in _lines(graph):
        made.update(repr(what).encode())
        made.update(b"\n")
    return made.hexdigest()
