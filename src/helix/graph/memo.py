"""What compiling found out, for the next graph of the same structure: plans, and which tensors they take.

A second instance of a model, or the same function compiled again, is only traced: its plans are those of the first, over tensors
of its own. No tensor from outside is kept here, no memory of a run, and no graph: where one is asked for it is made as ever.
"""

from __future__ import annotations

import marshal
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from threading import Lock
from typing import Any, NamedTuple, TypeVar

from .. import _core
from .._core import Draw, Tensor, dtype
from .executor import Program
from .ir import Gradient, Graph, Node, Value
from .passes.folding import MOST_BYTES
from .plan import Blueprint, Planned
from .records import record_of

T = TypeVar("T")

MOST_PROGRAMS = 256
MOST_VALUES = 1 << 15  # of all plans that are kept together: some 2 KB each
MOST_CONSTANTS = 1 << 20  # bytes of the program's own tensors that are looked through for a key
_PLAIN = frozenset({bool, int, float, complex, str, tuple, type(None)})


class Unknown(Exception):
    """A graph of which nothing is kept: with sizes of a run, bodies, or on a device that may be given other kernels."""


class Entry(NamedTuple):
    """A program without its graph. `captured`: names of the graph's own captured tensors; or what folding made, as it is."""

    captured: list[str | Value]
    blueprints: list[Blueprint]  # the program's own list: it grows as the program meets tensors that lie in other ways
    read: list[int]
    note: Any = None


class Recalled(Program):
    """A program with the plans of another. What else it has is made where somebody asks for it."""

    def __init__(self, entry: Entry, values: dict[str, Value], make: Callable[[], Graph]) -> None:
        self.sizes, self.runs, self.planning, self.make = {}, 0, 0.0, make
        self.captured = [(0, values[one] if isinstance(one, str) else one) for one in entry.captured]
        self.blueprints, self.read = entry.blueprints, entry.read
        self.plans = [Planned(blueprint) for blueprint in entry.blueprints]

    def __getattr__(self, name: str) -> Any:
        if name not in Program.MADE_OF_GRAPH:
            raise AttributeError(name)
        made = vars(Program(self.make(), {}))
        vars(self).update({part: made[part] for part in ("captured", *Program.MADE_OF_GRAPH)})
        return made[name]


class Memo:
    """Entries by key; the least recently used go."""

    def __init__(self) -> None:
        self.entries: OrderedDict[bytes, Entry] = OrderedDict()
        self.lock = Lock()

    def find(self, key: bytes) -> Entry | None:
        with self.lock:
            found = self.entries.get(key)
            if found is not None:
                self.entries.move_to_end(key)
            return found

    def keep(self, key: bytes, entry: Entry) -> None:
        with self.lock:
            self.entries[key] = entry
            self.entries.move_to_end(key)
            while len(self.entries) > 1 and (len(self.entries) > MOST_PROGRAMS or self.values() > MOST_VALUES):
                self.entries.popitem(last=False)

    def values(self) -> int:
        """How many values the plans have together, by which their memory goes."""
        return sum(blueprint.values for entry in self.entries.values() for blueprint in entry.blueprints)

    def clear(self) -> None:
        with self.lock:
            self.entries.clear()


MEMO = Memo()


class Structure:
    """The structure of a traced graph: where programs are made that are like those of another graph, they take its plans."""

    def __init__(self, graph: Graph, leaves: Sequence[Tensor], *rest: Any) -> None:
        self.graph = graph
        try:
            self.key: bytes | None = key_of(graph, ([str(leaf.device) for leaf in leaves], _core.modes(), rest))
        except (Unknown, ValueError, BufferError):
            self.key = None

    def program(self, part: Any, make: Callable[[], Graph]) -> Program:
        """The program of the graph that `make` makes of the traced one; `part` tells which of them it is."""
        return self.noted(part, lambda: (make(), None))[0]

    def noted(self, part: Any, make: Callable[[], tuple[Graph, T]]) -> tuple[Program, T]:
        """A program, and what else `make` says of it: numbers, of which none depends on a tensor's values."""
        if self.key is None:
            graph, note = make()
            return Program(graph, {}), note
        key = self.key + marshal.dumps(part, 2)
        entry = MEMO.find(key)
        if entry is not None:
            values = {value.name: value for value in self.graph.captured}
            return Recalled(entry, values, lambda: make()[0]), entry.note
        graph, note = make()
        program = Program(graph, {})
        captured = _references(program, self.graph)
        if captured is not None:
            MEMO.keep(key, Entry(captured, program.blueprints, program.read, note))
        return program, note


def _references(program: Program, graph: Graph) -> list[str | Value] | None:
    """What the program has captured, by the names that the traced graph has for it; what passes made of numbers as it is. None
    where that is large."""
    names = {_identity(value): value.name for value in graph.captured}
    made: list[str | Value] = []
    for _, value in program.captured:
        name = names.get(_identity(value))
        if name is None and value.source.nbytes > MOST_BYTES:
            return None
        made.append(value.twin() if name is None else name)
    return made


def _identity(value: Value) -> tuple[bool, int]:
    return (True, id(value.leaf)) if isinstance(value, Gradient) else (False, id(value.source))


# ---- keys --------------------------------------------------------------------------------------------------


def key_of(graph: Graph, rest: Any) -> bytes:
    """Equal for graphs that are the same in all that decides how they run; of the tensors of the program itself, which may be
    folded, in their contents too; and in the lines that made the nodes, which the profiler tells. Names of inputs do not count.

    Raises Unknown, ValueError or BufferError for a graph that is not looked at.
    """
    if graph.dims:
        raise Unknown
    number: dict[Value, int] = {value: i for i, value in enumerate((*graph.inputs, *graph.captured))}

    def name(value: Value | None) -> Any:
        if value is None or value.kind != "number":
            return None if value is None else number[value]
        return value.source, value.dtype.code

    room = MOST_CONSTANTS
    lines: list[Any] = [(value.shape, value.dtype.code) for value in graph.inputs]
    for value in graph.captured:
        if value.fixed:
            room -= value.source.nbytes
        if room < 0:
            raise Unknown
        lines.append(_captured(value))
    told = set(graph.inputs[len(graph.given) :])
    places: dict[Any, int] = {}
    devices = {(value.leaf if isinstance(value, Gradient) else value.source).device for value in graph.captured}
    for node in graph.nodes:
        if node.graphs or node.op == "transfer":
            raise Unknown
        for output in node.outputs:
            number[output] = len(number)
        devices.add(node.device)
        is_told = bool(node.writes) and node.inputs[-1] in told
        lines.append(_line(node, [name(value) for value in node.inputs], is_told))
        lines.append(places.setdefault(node.place, len(places)))
    if any(device is not None and str(device) != "cpu" for device in devices):
        raise Unknown
    lines.append([name(value) for value in graph.outputs])
    lines.append([(effect.kind, name(effect.target), name(effect.value)) for effect in graph.effects])
    lines.append((graph.draws, graph.told, list(places), rest))
    return blake2b(marshal.dumps(lines, 2), digest_size=32).digest()


def _captured(value: Value) -> tuple[Any, ...]:
    told = value.kind, value.name, value.shape, value.dtype.code
    if isinstance(value, Gradient):
        return (*told, "gradient")
    tensor = value.source
    contents = bytes(memoryview(tensor.contiguous())) if value.fixed else None
    return (*told, tensor.strides, tensor.requires_grad, contents)


def _line(node: Node, inputs: list[Any], is_told: bool) -> tuple[Any, ...]:
    """`is_told`: each run sets the numbers of the node anew, so that those of the trace do not count."""
    attributes = tuple([a if type(a) in _PLAIN else _marked(a) for a in node.attributes])
    if is_told:
        names = record_of(node.op).attributes
        attributes = tuple(
            [None if type(a) is float or name == "step" else a for name, a in zip(names, attributes, strict=True)]
        )
    made = [(output.shape, output.dtype.code) for output in node.outputs]
    flags = node.list_length, node.no_grad, node.writes, node.device is None
    return node.op, inputs, attributes, flags, made


def _marked(attribute: Any) -> bytes:
    """An attribute that is no plain value, apart from all that are."""
    if isinstance(attribute, dtype):
        return b"dtype %d" % attribute.code
    if isinstance(attribute, Draw):
        return repr(attribute).encode()
    raise Unknown
