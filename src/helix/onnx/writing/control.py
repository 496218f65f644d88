"""Choices, scans, loops; what their bodies take from outside they see by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...graph.ir import Graph, Value
from .edge import Edge, Pair
from .table import writes
from .writer import Writer

Any_ = Edge | Pair


def parts(values: Iterable[Any_]) -> list[Edge]:
    """A complex tensor is two."""
    return [edge for value in values for edge in ((value.re, value.im) if isinstance(value, Pair) else (value,))]


def gathered(values: Iterable[Value], edges: Iterable[Edge]) -> list[Any_]:
    rest = iter(edges)
    return [Pair(next(rest), next(rest)) if value.dtype.is_complex else next(rest) for value in values]


def bind(w: Writer, values: Iterable[Value], edges: Iterable[Any_]) -> None:
    for value, edge in zip(values, edges, strict=True):
        w.provide(value, edge)


def placeholders(w: Writer, values: Iterable[Value]) -> list[Any_]:
    """Inputs of a body."""
    made: list[Any_] = []
    for value in values:
        kind = {"complex128": "float64", "complex64": "float32"}.get(value.dtype.name, value.dtype.name)
        edges = [Edge(w, w.unique("carried"), kind, value.shape) for _ in range(1 + value.dtype.is_complex)]
        made.append(Pair(*edges) if value.dtype.is_complex else edges[0])
    return made


def body_of(w: Writer, nodes: list[Any], inputs: list[Edge], outputs: list[Edge], name: str) -> Any:
    """The protobuf of a body."""
    infos = [w.info(edge) for edge in inputs]
    return w.onnx.helper.make_graph(nodes, w.unique(name), infos, [w.info(edge) for edge in outputs])


def own(w: Writer, edges: list[Edge], values: Iterable[Value]) -> list[Edge]:
    """Results of a body, made in it."""
    shapes = [value.shape for value in values for _ in range(1 + value.dtype.is_complex)]
    made = []
    for edge, shape in zip(edges, shapes, strict=True):
        result = w.Identity(edge)
        result.shape = shape
        made.append(result)
    return made


@writes("cond")
def cond(w: Writer, inputs: list[Any]) -> tuple[Any, ...]:
    node = w.node
    assert node is not None
    condition, *given = inputs
    count, *places = node.attributes
    branches = []
    for graph, mine, name in zip(node.graphs, places, ("if_true", "if_false"), strict=True):
        with w.body() as nodes:
            bind(w, graph.inputs, [given[i] for i in (*range(count), *mine)])
            results = own(w, parts(w.write(graph)), graph.outputs)
        branches.append(body_of(w, nodes, [], results, name))
    w.node = node
    kinds = [edge.dtype for edge in results]
    made = w.emit("If", [condition.to("bool")], {"then_branch": branches[0], "else_branch": branches[1],
                                                 "outputs": len(kinds), "dtype": kinds})  # fmt: skip
    return tuple(gathered(node.graphs[0].outputs, made))


@writes("scan")
def scan(w: Writer, inputs: list[Any]) -> tuple[Any, ...]:
    node = w.node
    assert node is not None
    n, rows, reverse = node.attributes
    (graph,) = node.graphs
    carried, along = parts(inputs[:n]), parts(inputs[n : n + rows])
    with w.body() as nodes:
        own_inputs = placeholders(w, graph.inputs[: n + rows])
        bind(w, graph.inputs, [*own_inputs, *inputs[n + rows :]])
        results = own(w, parts(w.write(graph)), graph.outputs)
    w.node = node
    body = body_of(w, nodes, parts(own_inputs), results, "body")
    kinds = [edge.dtype for edge in results]
    made = w.emit(
        "Scan", [*carried, *along],
        {"body": body, "num_scan_inputs": len(along), "scan_input_directions": [int(reverse)] * len(along),
         "scan_output_directions": [int(reverse)] * (len(results) - len(carried)), "outputs": len(kinds), "dtype": kinds},
    )  # fmt: skip
    return tuple(gathered(graph.outputs, made))


@writes("while_loop")
def while_loop(w: Writer, inputs: list[Any]) -> tuple[Any, ...]:
    node = w.node
    assert node is not None
    count, ours, theirs, *bound = node.attributes
    test, step = node.graphs
    first = _tested(w, test, inputs, count, ours)
    with w.body() as nodes:
        turn = Edge(w, w.unique("turn"), "int64", ())
        going = Edge(w, w.unique("going"), "bool", ())
        own_inputs = placeholders(w, step.inputs[:count])
        bind(w, step.inputs, [*own_inputs, *[inputs[i] for i in theirs]])
        made = w.write(step)
        results = own(w, parts(made), step.outputs)
        again = w.Identity(_tested(w, test, [*made, *inputs[count:]], count, ours))
        again.shape = ()
    w.node = node
    body = body_of(w, nodes, [turn, going, *parts(own_inputs)], [again, *results], "body")
    kinds = [edge.dtype for edge in results]
    found = w.emit(
        "Loop",
        [w.constant(bound[0], "int64") if bound else None, first, *parts(inputs[:count])],
        {"body": body, "outputs": len(kinds), "dtype": kinds},
    )
    return tuple(gathered(step.outputs, found))


def _tested(w: Writer, test: Graph, given: list[Any], count: int, places: tuple[Any, ...]) -> Edge:
    bind(w, test.inputs, [*given[:count], *[given[i] for i in places]])
    (found,) = w.write(test)
    assert isinstance(found, Edge)
    return w.Reshape(found.to("bool"), w.ints([]))
