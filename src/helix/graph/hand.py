"""Graphs built by hand: what is computed from their inputs is recorded as a trace is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._core import Tensor
from ..errors import GraphError
from .ir import Graph
from .spec import Spec
from .tracer import Tracer
from .tree import Tree


class Hand:
    """Records on behalf of a graph, which must be empty."""

    def __init__(self, graph: Graph) -> None:
        if graph.nodes or graph.inputs or graph.hand is not None:
            raise GraphError(f"HX4001 {graph.name} is built already; make another Graph", code="HX4001")
        self.graph = graph
        self.names: list[str] = []
        self.told = False
        self.tracer = Tracer()
        self.tracer.__enter__()

    def input(self, shape: Sequence[int], dtype: Any, name: str) -> Tensor:
        spec = Spec(shape, dtype)
        self.names.append(name or f"input{len(self.names)}")
        return self.tracer.input(spec.shape, spec.dtype)

    def output(self, tensors: tuple[Tensor, ...]) -> None:
        if self.told or not tensors:
            raise GraphError("HX4001 the outputs of a graph are named once, all together", code="HX4001")
        self.told = True
        self.tracer.outputs(tensors)

    def finish(self, kind: Any, error: BaseException | None, frames: Any) -> None:
        self.tracer.__exit__(kind, error, frames)
        if error is not None:
            return
        if not self.told:
            raise GraphError("HX4001 a graph needs outputs: g.output(y) within the with", code="HX4001")
        made, _ = self.tracer.graph(self.names, name=self.graph.name)
        graph = self.graph
        graph.inputs, graph.captured, graph.nodes = made.inputs, made.captured, made.nodes
        graph.outputs, graph.effects, graph.draws = made.outputs, made.effects, made.draws
        leaf = Tree(Tensor)
        graph.in_tree = Tree(tuple, (), (leaf,) * len(made.inputs))
        graph.out_tree = leaf if len(made.outputs) == 1 else Tree(tuple, (), (leaf,) * len(made.outputs))
