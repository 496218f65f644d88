"""Writes nodes: one method for every operator of the standard, by the standard's own schemas."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol, overload

import numpy as np

from ... import _core
from ...data.extras import needed
from ...graph.ir import Graph, Node, Value
from ...graph.symbols import Expr
from ..types import CODES
from .edge import Edge, Pair
from .faults import unwritable
from .kernels import computed_in
from .sizes import Size, Sizes, known
from .table import ending, handler_of

BY_ELEMENT = frozenset(
    (
        "Abs",
        "Neg",
        "Sign",
        "Sqrt",
        "Exp",
        "Log",
        "Sin",
        "Cos",
        "Floor",
        "Ceil",
        "Round",
        "Reciprocal",
        "Cast",
        "Not",
        "IsNaN",
        "IsInf",
        "Identity",
        "Relu",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Mod",
        "Max",
        "Min",
        "Where",
        "And",
        "Or",
        "Xor",
        "Equal",
        "Less",
        "LessOrEqual",
        "Greater",
        "GreaterOrEqual",
    )
)
_SHORT = {"float": "float32", "double": "float64"}


class Operator(Protocol):
    """Writes one node, with `emit`."""

    @overload
    def __call__(self, *inputs: Any, outputs: int, **attributes: Any) -> tuple[Edge, ...]: ...
    @overload
    def __call__(self, *inputs: Any, **attributes: Any) -> Edge: ...


class Writer:
    """The model as it is written. `node` is the node of the graph that is being written, `out` its results."""

    def __init__(self, opset: int) -> None:
        self.onnx = needed("onnx", "onnx", "helix.onnx.export")
        self.opset = opset
        self.start: list[Any] = []  # nodes that compute sizes, before all others
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.constants: dict[Any, Edge] = {}
        self.edges: dict[int, Edge | Pair] = {}
        self.taken: set[str] = set()
        self.provided: set[int] = set()  # nodes whose results another one has written
        self.sizes = Sizes(self)
        self.node: Node | None = None
        self.path = ""

    @property
    def out(self) -> tuple[Value, ...]:
        assert self.node is not None
        return self.node.outputs

    @property
    def dtype(self) -> str:
        """Of the first result."""
        return str(self.out[0].dtype.name)

    # ---- operators -----------------------------------------------------------------------------------------

    def __getattr__(self, op: str) -> Operator:
        if not op[:1].isupper():
            raise AttributeError(op)
        return lambda *inputs, **attributes: self.emit(op, inputs, attributes)

    def emit(self, op: str, inputs: Sequence[Any], attributes: dict[str, Any], bodies: Any = None) -> Any:
        """One node. Numbers become scalars of the type of the first tensor, lists of sizes int64; None is left out.

        `outputs=n` gives a tuple of n results; `dtype=` says what the schema leaves open.
        """
        count = attributes.pop("outputs", None)
        wanted = attributes.pop("dtype", None)
        schema = self.onnx.defs.get_schema(op, self.opset, "")
        like = next((edge.dtype for edge in inputs if isinstance(edge, Edge)), None)
        given = [self.operand(value, like) for value in inputs]
        types: dict[str, str] = {}
        back: dict[str, str] = {}
        formal = [schema.inputs[min(i, len(schema.inputs) - 1)] for i in range(len(given))]
        main = "T" if any(parameter.type_str == "T" for parameter in formal) else formal[0].type_str if formal else ""
        for i, (edge, parameter) in enumerate(zip(given, formal, strict=True)):
            kind = parameter.type_str
            if edge is None or kind.startswith("tensor(") or not parameter.is_homogeneous:
                continue
            if kind not in types:
                types[kind] = edge.dtype
                wide = computed_in(op, edge.dtype) if kind == main and op != "Cast" else edge.dtype
                if wide != edge.dtype:
                    back[kind] = wide
            if kind in back:
                given[i] = edge.to(back[kind])
        results = self._results(schema, count or 1, {**types, **back}, wanted, attributes)
        names = self._append(op, given, attributes, len(results))
        shape = _stretched(given) if op in BY_ELEMENT else None
        made = [
            Edge(self, name, dtype, shape).to(types[kind]) if kind in back else Edge(self, name, dtype, shape)
            for name, (kind, dtype) in zip(names, results, strict=True)
        ]
        return made[0] if count is None else tuple(made)

    def _results(
        self, schema: Any, count: int, types: dict[str, str], wanted: Any, attributes: dict[str, Any]
    ) -> list[tuple[str, str]]:
        results = []
        for i in range(count):
            kind = schema.outputs[min(i, len(schema.outputs) - 1)].type_str
            if wanted is not None:
                dtype = wanted if isinstance(wanted, str) else wanted[i]
            elif kind.startswith("tensor("):
                dtype = _SHORT.get(kind[7:-1], kind[7:-1])
            elif kind in types:
                dtype = types[kind]
            else:
                (dtype,) = {
                    _SHORT.get(t[7:-1], t[7:-1]) for c in schema.type_constraints if c.type_param_str == kind
                    for t in c.allowed_type_strs
                }  # fmt: skip
            results.append((kind, dtype))
        return results

    def _append(self, op: str, given: list[Edge | None], attributes: dict[str, Any], count: int) -> list[str]:
        names = [edge.name if edge is not None else "" for edge in given]
        while names and not names[-1]:
            names.pop()
        base = self.unique(f"{self.path}/{op}" if self.path else op)
        outputs = [base if count == 1 else f"{base}.{i}" for i in range(count)]
        made = self.onnx.helper.make_node(op, names, outputs, name=base, **attributes)
        if self.node is not None and self.node.place[1]:
            _, file, line = self.node.place
            made.doc_string = f"{self.node.op} {os.path.basename(file)}:{line}"
        self.nodes.append(made)
        return outputs

    def unique(self, name: str) -> str:
        made, count = name, 0
        while made in self.taken:
            count += 1
            made = f"{name}_{count}"
        self.taken.add(made)
        return made

    # ---- operands ------------------------------------------------------------------------------------------

    def operand(self, value: Any, like: str | None = None) -> Edge | None:
        if value is None or isinstance(value, Edge):
            return value
        if isinstance(value, (list, tuple)):
            return self.sizes.vector(value)
        if isinstance(value, Expr):
            return self.sizes.number(value, like or "int64")
        return self.constant(value, like or "float32")

    def constant(self, value: Any, dtype: str) -> Edge:
        """A number, or an array, of this dtype."""
        array = np.asarray(value)
        key = (dtype, array.shape, array.tobytes(), str(array.dtype))
        if key not in self.constants:
            if dtype == "bfloat16":
                import ml_dtypes

                array = array.astype(ml_dtypes.bfloat16)
            else:
                with np.errstate(all="ignore"):
                    array = array.astype(dtype)
            name = self.unique("constant")
            self.initializers[name] = self.onnx.numpy_helper.from_array(np.array(array, order="C"), name)
            self.constants[key] = Edge(self, name, dtype, array.shape)
        return self.constants[key]

    def ints(self, values: Sequence[int]) -> Edge:
        return self.constant(np.array(values, dtype=np.int64), "int64")

    def cast(self, edge: Edge, dtype: str) -> Edge:
        if edge.dtype == dtype:
            return edge
        made: Edge = self.emit("Cast", [edge], {"to": CODES[dtype], "dtype": dtype})
        made.shape = edge.shape
        return made

    def tensor(self, value: Value) -> Any:
        """The edge, or pair, of a value of the graph."""
        if value.kind == "number":
            dtype = str(value.dtype.name)
            if isinstance(value.source, Expr):
                return self.sizes.number(value.source, dtype)
            if "complex" in dtype:
                part = "float64" if dtype == "complex128" else "float32"
                number = complex(value.source)
                return Pair(self._scalar(number.real, part), self._scalar(number.imag, part))
            return self._scalar(value.source, dtype)
        return self.edges[id(value)]

    def _scalar(self, value: Any, dtype: str) -> Edge:
        made = self.constant(value, dtype)
        made.shape = ()
        return made

    # ---- places --------------------------------------------------------------------------------------------

    @contextmanager
    def at_start(self) -> Iterator[None]:
        """What is written inside comes before all other nodes of the model."""
        nodes, node, path = self.nodes, self.node, self.path
        self.nodes, self.node, self.path = self.start, None, "sizes"
        try:
            yield
        finally:
            self.nodes, self.node, self.path = nodes, node, path

    @contextmanager
    def body(self) -> Iterator[list[Any]]:
        """What is written inside makes a list of its own."""
        nodes, node, path = self.nodes, self.node, self.path
        self.nodes = []
        try:
            yield self.nodes
        finally:
            self.nodes, self.node, self.path = nodes, node, path

    # ---- graphs --------------------------------------------------------------------------------------------

    def write(self, graph: Graph) -> list[Edge | Pair]:
        """Writes the nodes; the edges of the outputs."""
        for value in graph.captured:
            self.provide(value, self.captured(value))
        with ending(graph.outputs):
            for node in graph.nodes:
                self.write_node(node)
        return [self.tensor(value) for value in graph.outputs]

    def captured(self, value: Value) -> Edge | Pair:
        """A tensor that the model holds, under its name."""
        tensor = value.source.detach()
        if value.dtype.is_complex:
            return Pair(*[
                self._held(f"{value.name}.{name}", getattr(tensor, name).contiguous().numpy()) for name in ("real", "imag")
            ])  # fmt: skip
        return self._held(value.name, tensor.numpy())

    def _held(self, name: str, array: Any) -> Edge:
        name = self.unique(name)
        self.initializers[name] = self.onnx.numpy_helper.from_array(np.array(array, order="C"), name)
        return Edge(self, name, str(array.dtype), array.shape)

    def provide(self, value: Value, edge: Edge | Pair) -> None:
        """Says what stands for a value."""
        self.edges[id(value)] = _fitted(value, edge)
        if value.node is not None:
            self.provided.add(id(value.node))

    def write_node(self, node: Node) -> None:
        if id(node) in self.provided:
            return
        handler = handler_of(node)
        if handler is None:
            raise unwritable(node, "ONNX has no operator for it, and helix no parts that it is made of")
        self.node, self.path = node, "/".join(part for part in (node.place[0], node.op) if part)
        inputs = [None if value is None else self.tensor(value) for value in node.inputs]
        made = handler(self, inputs) if node.graphs else handler(self, *_arguments(node, inputs))
        made = made if isinstance(made, tuple) else (made,)
        for value, edge in zip(node.outputs, made, strict=False):
            if edge is not None:
                self.edges[id(value)] = _fitted(value, edge)

    def info(self, edge: Edge) -> Any:
        """What the model says of an input or output."""
        assert edge.shape is not None
        sizes = [size if isinstance(size, int) else str(size) if known(size) else None for size in edge.shape]
        return self.onnx.helper.make_tensor_value_info(edge.name, CODES[edge.dtype], sizes)

    def reshape(self, edge: Edge, shape: Sequence[Size]) -> Edge:
        """-1 stands for one size that is not known."""
        open_sizes = [i for i, size in enumerate(shape) if not isinstance(size, int)]
        if len(open_sizes) == 1 and 0 not in shape:
            shape = [-1 if i in open_sizes else size for i, size in enumerate(shape)]
        made: Edge = self.emit("Reshape", [edge, list(shape)], {"allowzero": 1} if 0 in shape else {})
        made.shape = tuple(shape)
        return made


def _stretched(edges: Sequence[Edge | None]) -> tuple[Any, ...] | None:
    """The shape of a result that has an element for each, where nothing but numbers is stretched."""
    shapes = {edge.shape for edge in edges if edge is not None and edge.shape != ()}
    return () if not shapes else shapes.pop() if len(shapes) == 1 else None


def _arguments(node: Node, inputs: list[Any]) -> list[Any]:
    """Tensors and attributes in the order of the record; a list of tensors is one argument."""
    rest, attributes, found = iter(inputs), iter(node.attributes), []
    for parameter in _parameters()[node.op]:
        kind = parameter["kind"]
        if kind == "Sequence[Tensor]":
            found.append([next(rest) for _ in range(node.list_length)])
        else:
            found.append(next(rest if "Tensor" in kind else attributes))
    return found


@cache
def _parameters() -> dict[str, list[dict[str, Any]]]:
    return {record["name"]: record["params"] for record in _core.ops()}


def _fitted(value: Value, edge: Any) -> Any:
    """Of the value's shape and dtype."""
    if isinstance(edge, Pair):
        edge.re.shape = edge.im.shape = value.shape
        return edge
    edge = edge.to(value.dtype.name)
    made = Edge(edge.writer, edge.name, edge.dtype, value.shape)
    return made
