"""Files of graphs: one safetensors file, with the captured tensors by name and the graph as JSON in its metadata.

A file is data alone: it names ops, shapes and numbers. Whatever it says is checked before a graph is made of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import msgspec

import helix

from .. import io
from .._core import Tensor
from ..errors import FormatError
from .ir import NOWHERE, Effect, Graph, Node, Place, Value
from .records import CONTROL, attributes_from, record_of
from .schema import (
    DEEP,
    FORMAT,
    CapturedData,
    DimData,
    EffectData,
    FileData,
    GraphData,
    InputData,
    NodeData,
    Record,
    broken,
    decode,
    dtype_named,
    encode,
    shape_of,
    tree_data,
    tree_of,
    unsaveable,
)
from .symbols import Dim, Expr
from .verify import verify

KEY = "helix.graph"
MAX_BYTES = 64_000_000  # of the JSON text
_BRACKETS = re.compile(rb"[][{}]")


# ---- writing -----------------------------------------------------------------------------------------------


def save(graph: Graph, path: str | os.PathLike[str]) -> None:
    io.save_file(tensors_of(graph), path, {KEY: to_json(graph)})


def tensors_of(graph: Graph) -> dict[str, Tensor]:
    """The captured tensors under their names in a file."""
    tensors = {value.name: value.source for value in graph.captured}
    if len(tensors) != len(graph.captured):
        raise unsaveable("two captured tensors have one name")
    for body in _bodies(graph):
        tensors.update({f"{i}:{value.name}": value.source for i, value in body})
    return tensors


def _bodies(graph: Graph) -> list[list[tuple[int, Value]]]:
    """The tensors that bodies hold, each body with its number in the order of the file."""
    found: list[list[tuple[int, Value]]] = []

    def walk(inner: Graph) -> None:
        number = len(found) + 1
        found.append([(number, value) for value in inner.captured])
        for node in inner.nodes:
            for body in node.graphs:
                walk(body)

    for node in graph.nodes:
        for body in node.graphs:
            walk(body)
    return found


def to_json(graph: Graph) -> str:
    if graph.told:
        raise unsaveable(
            f"{graph.name} is told numbers by its program at each run, such as a learning rate; save the graph of the loss "
            "or of its gradients, and step outside"
        )
    writer = _Writer()
    data = writer.graph(graph)
    places = list(writer.places)
    return msgspec.json.encode(FileData(FORMAT, writer.ops, places, data)).decode()


class _Writer:
    def __init__(self) -> None:
        self.places: dict[Place, int] = {NOWHERE: 0}
        self.ops: dict[str, Record] = {}

    def graph(self, graph: Graph, outermost: bool = True) -> GraphData:
        number: dict[int, int] = {}
        numbers: list[tuple[Any, str]] = []

        def of(value: Value) -> int:
            found = number.get(id(value))
            if found is None:
                if value.kind != "number":
                    raise unsaveable(f"{value!r} is taken, but not made in the graph; see graph.check()")
                numbers.append((encode(value.source), value.dtype.name))
                found = number[id(value)] = -len(numbers)
            return found

        for value in (*graph.inputs, *graph.captured):
            number[id(value)] = len(number)
        count, nodes = len(number), []
        for node in graph.nodes:
            inputs = [None if value is None else of(value) for value in node.inputs]
            for output in node.outputs:
                number[id(output)] = count
                count += 1
            nodes.append(self.node(node, inputs))
        outputs = [of(value) for value in graph.outputs]
        effects = [EffectData(e.kind, of(e.target), of(e.value)) for e in graph.effects]
        data = GraphData(
            graph.name,
            [InputData(v.name, v.dtype.name, [encode(size) for size in v.shape]) for v in graph.inputs],
            nodes,
            outputs,
            [CapturedData(v.name, v.kind, v.dtype.name, list(v.shape), v.source.requires_grad) for v in graph.captured],
            numbers,
            effects,
            [DimData(d.name, d.min, d.max, d.multiple_of) for d in graph.dims],
            graph.draws,
        )
        if outermost:
            data.in_tree, data.out_tree = tree_data(graph.in_tree), tree_data(graph.out_tree)
        return data

    def node(self, node: Node, inputs: list[int | None]) -> NodeData:
        if node.op not in CONTROL and node.op not in self.ops:
            record = record_of(node.op)
            self.ops[node.op] = Record(list(record.tensors), list(record.attributes))
        return NodeData(
            node.op,
            inputs,
            [(v.dtype.name, [encode(size) for size in v.shape]) for v in node.outputs],
            [encode(attribute) for attribute in node.attributes],
            node.list_length,
            node.no_grad,
            str(node.device) if node.device is not None else "",
            list(node.writes),
            self.places.setdefault(node.place, len(self.places)),
            [self.graph(body, False) for body in node.graphs],
        )


# ---- reading -----------------------------------------------------------------------------------------------


def load(path: str | os.PathLike[str], device: Any = None) -> Graph:
    """The graph of a file that `graph.save(path)` wrote, by this version of helix or an earlier one: bit for bit as it was.

    device: where captured tensors, and what ops make, shall be; as saved if None.

    Nothing in a file is run or imported, and only the file itself is read. Raises FormatError: HX2001 to HX2003 for a damaged
    file, HX4010 for one whose graph is not sound: of a later format, with unknown ops, parameters, dtypes or devices, shapes
    that the ops do not give, values taken before they are made, tensors that are absent or of another shape.

    Example:
        >>> graph = helix.trace(lambda x: x.exp() * 2, helix.graph.Spec((2,)))
        >>> graph.save("double.safetensors")
        >>> helix.graph.load("double.safetensors")(helix.zeros(2)).tolist()
        [2.0, 2.0]
    """
    _, metadata = io.load_header(path)
    if KEY not in metadata:
        raise broken(f"{os.path.basename(os.fspath(path))!r} holds tensors, but no graph")
    return from_json(metadata[KEY], io.load_file(path), device)


def from_json(text: str | bytes, tensors: Mapping[str, Tensor] | None = None, device: Any = None) -> Graph:
    """The graph of what `graph.to_json()` returned. `tensors` has the captured ones by name.

    Raises FormatError (HX4010) for text that is no sound graph.
    """
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) > MAX_BYTES:
        raise broken(f"it has {len(raw)} bytes, more than the {MAX_BYTES} allowed")
    _require_shallow(raw)
    try:
        version = msgspec.json.decode(raw, type=_Version).format
        if version != FORMAT:
            raise broken(f"it has format {version}, this helix reads format {FORMAT}; update helix")
        data = msgspec.json.decode(raw, type=FileData)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise broken(str(error)[:200]) from None
    try:
        return _Reader(data, tensors or {}, device).whole()
    except FormatError:
        raise
    except (helix.errors.HelixError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise broken(str(error)[:400]) from error


class _Version(msgspec.Struct):
    format: int


def _require_shallow(raw: bytes) -> None:
    """Brackets, those within texts too, may not lie deeper than any graph needs."""
    depth = 0
    for piece in _BRACKETS.finditer(raw):
        depth += 1 if piece[0] in b"[{" else -1
        if depth > 16 * DEEP:
            raise broken("it is nested too deeply")


class _Reader:
    def __init__(self, data: FileData, tensors: Mapping[str, Tensor], device: Any) -> None:
        self.data, self.tensors = data, tensors
        self.device = None if device is None else helix.device(device)
        self.devices: dict[str, Any] = {}
        self.taken: set[str] = set()
        self.bodies = 0
        for line in data.places:
            if line[2] < 0:
                raise broken(f"a place has line {line[2]}")

    def whole(self) -> Graph:
        graph = self.graph(self.data.graph, frozenset(), None, 0)
        left = next((name for name in self.tensors if name not in self.taken), None)
        if left is not None:
            raise broken(f"there is a tensor {left[:80]!r} that the graph does not take")
        verify(graph)
        return graph

    def graph(self, data: GraphData, names: frozenset[str], prefix: str | None, depth: int) -> Graph:
        if depth > DEEP:
            raise broken("bodies are nested too deeply")
        made = Graph(data.name)
        made.dims = tuple([Dim(d.name, d.min, d.max, d.multiple_of) for d in data.dims])
        if len({d.name for d in made.dims}) != len(made.dims) or (depth and made.dims):
            raise broken("a dimension is there twice, or belongs to a body")
        names = names | {d.name for d in made.dims}
        known: dict[str, Expr] = {d.name: d for d in made.dims}
        self.values(made, data, names, known, prefix or "")
        values: list[Value] = [*made.inputs, *made.captured]
        numbers = [self.number(source, kind, names) for source, kind in data.numbers]
        for node in data.nodes:
            made.nodes.append(self.node(node, values, numbers, names, depth))
            values += made.nodes[-1].outputs
        if self.device is None:
            _settle(made.captured)
        made.outputs = [_at(number, values, numbers) for number in data.outputs]
        made.effects = [self.effect(e, values, numbers) for e in data.effects]
        if not 0 <= data.draws < 1 << 31:
            raise broken(f"it draws {data.draws} random streams")
        made.draws = data.draws
        if depth == 0:
            self.trees(made, data)
        return made

    def trees(self, made: Graph, data: GraphData) -> None:
        if not (data.in_tree and data.out_tree):
            raise broken("the structure of inputs and outputs is not told")
        made.in_tree, made.out_tree = tree_of(data.in_tree), tree_of(data.out_tree)
        if made.in_tree.leaves != len(made.inputs) or made.out_tree.leaves != len(made.outputs):
            raise broken("the structure of inputs or outputs has another number of tensors")
        if made.in_tree.cls is not tuple:
            raise broken("the inputs are no tuple")

    def values(self, made: Graph, data: GraphData, names: frozenset[str], known: dict[str, Expr], prefix: str) -> None:
        for given in data.inputs:
            shape = shape_of(given.shape, names)
            made.inputs.append(Value("input", _with_dims(shape, known), dtype_named(given.dtype), given.name))
        for captured in data.captured:
            if captured.kind not in ("parameter", "buffer", "constant"):
                raise broken(f"{captured.kind[:40]!r} is no kind of captured tensor")
            source = self.tensor(prefix + captured.name, captured)
            made.captured.append(Value(captured.kind, source.shape, source.dtype, captured.name, source))
        named = [value.name for value in (*made.inputs, *made.captured)]
        if len(set(named)) != len(named):
            raise broken("two inputs or captured tensors have one name")

    def tensor(self, name: str, wanted: CapturedData) -> Tensor:
        found = self.tensors.get(name)
        if found is None:
            raise broken(f"the tensor {name[:80]!r} is absent")
        self.taken.add(name)
        expected = (shape_of(wanted.shape, frozenset()), dtype_named(wanted.dtype))
        if (found.shape, found.dtype) != expected:
            raise broken(
                f"the tensor {name[:80]!r} is {found.dtype.name}{list(found.shape)}, the graph says "
                f"{wanted.dtype[:40]}{wanted.shape}"
            )
        if self.device is not None and found.device != self.device:
            found = found.to(self.device)
        if wanted.requires_grad and not found.requires_grad:
            found = found.detach().requires_grad_()
        return found

    def number(self, source: Any, kind: str, names: frozenset[str]) -> Value:
        value = decode(source, names, DEEP)
        if type(value) not in (bool, int, float, complex) and not isinstance(value, Expr):
            raise broken(f"{str(value)[:80]!r} is no number")
        return Value("number", (), dtype_named(kind), source=value)

    def node(
        self, data: NodeData, values: list[Value], numbers: list[Value], names: frozenset[str], depth: int
    ) -> Node:
        inputs = tuple([None if i is None else _at(i, values, numbers) for i in data.inputs])
        attributes = tuple([decode(attribute, names) for attribute in data.attributes])
        if not 0 <= data.place < len(self.data.places):
            raise broken(f"{data.op[:40]!r} has no place {data.place}")
        if data.op not in CONTROL:
            if data.op not in self.data.ops:
                raise broken(f"the file does not tell the parameters of {data.op[:40]!r}")
            attributes, inputs = attributes_from(data, self.data.ops[data.op], attributes, inputs)
            if data.graphs:
                raise broken(f"{data.op[:40]!r} has no bodies")
        graphs = []
        for body in data.graphs:
            self.bodies += 1
            graphs.append(self.graph(body, names, f"{self.bodies}:", depth + 1))
        node = Node(
            data.op,
            inputs,
            attributes,
            data.list_length,
            self.data.places[data.place],
            data.no_grad,
            self.device_of(data.device),
            tuple(data.writes),
            tuple(graphs),
        )
        node.gives(*[(shape_of(shape, names), dtype_named(kind)) for kind, shape in data.outputs])
        for value in inputs:
            if value is not None:
                value.users.append(node)
        return node

    def device_of(self, name: str) -> Any:
        if not name:
            return None
        if name not in self.devices:
            try:
                self.devices[name] = self.device or helix.device(name)
            except helix.errors.HelixError as error:
                raise broken(f"device {name[:40]!r} is not here, load it with device=: {error}") from None
        return self.devices[name]

    def effect(self, data: EffectData, values: list[Value], numbers: list[Value]) -> Effect:
        target, value = _at(data.target, values, numbers), _at(data.value, values, numbers)
        there = target.kind in ("input", "parameter", "buffer", "constant")
        if data.kind not in ("write", "grad", "add") or not there or value.kind == "number":
            raise broken(f"an effect of kind {data.kind[:40]!r} on {target!r} cannot be")
        if data.kind == "write" and (target.shape, target.dtype) != (value.shape, value.dtype):
            raise broken(f"{value!r} cannot be written into {target!r}")
        return Effect(data.kind, target, value)


def _settle(captured: list[Value]) -> None:
    """Tensors of a file come to the devices of the nodes that take them first."""
    for value in captured:
        where = next((node.device for node in value.users if node.op not in CONTROL), None)
        if where is not None and value.source.device != where:
            moved = value.source.detach().to(where)
            value.source = moved.requires_grad_() if value.source.requires_grad else moved


def _at(number: int, values: list[Value], numbers: list[Value]) -> Value:
    if -len(numbers) <= number < 0:
        return numbers[-number - 1]
    if not 0 <= number < len(values):
        raise broken(f"value {number} is taken where there are {len(values)}: no value can be taken before it is made")
    return values[number]


def _with_dims(shape: tuple[Any, ...], known: dict[str, Expr]) -> tuple[Any, ...]:
    """Dimensions that stand alone are themselves."""
    alone = {Expr(dict(dim.terms)): dim for dim in known.values()}
    return tuple([alone.get(size, size) if isinstance(size, Expr) else size for size in shape])
