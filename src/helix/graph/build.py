"""From a trace to a graph. The trace may write memory, in place and through views; in the graph every value is made once."""

from __future__ import annotations

from typing import Any

from .._core import Tensor, Trace, storage_number
from ..errors import TraceError
from .ir import NOWHERE, Effect, Gradient, Graph, Node, Place, Value

INPUT, CAPTURED, COMPUTED, ALIAS, MADE = 1, 2, 3, 4, 5

Memory = tuple[Any, ...]
# What a module calls a tensor: its kind and dotted name.
Named = dict[Memory, tuple[str, str]]


def memory_of(tensor: Tensor) -> Memory:
    """Equal for tensors that show the same elements in the same way."""
    return storage_number(tensor), tensor.storage_offset(), tensor.shape, tensor.strides, tensor.dtype


class Region:
    """What a traced step of control flow means: its op, attributes and bodies."""

    __slots__ = ("attributes", "graphs", "op")

    def __init__(self, op: str, attributes: tuple[Any, ...], graphs: tuple[Graph, ...]) -> None:
        self.op, self.attributes, self.graphs = op, attributes, graphs


class Builder:
    """Makes the graph of one trace.

    With `lift`, for bodies of control flow, captured tensors become inputs, and `lifted` lists them.
    """

    def __init__(
        self,
        trace: Trace,
        known: list[tuple[Any, ...]],
        named: Named,
        places: list[Place],
        regions: list[Region],
        lift: bool = False,
        name: str = "graph",
    ) -> None:
        self.trace, self.named, self.places, self.regions, self.lift = trace, named, places, regions, lift
        self.graph = Graph(name)
        self.graph.draws = trace.draws
        self.known = known
        self.calls = trace.calls()
        self.now: list[Value | None] = [None] * len(self.known)
        self.by_memory: dict[Memory, int] = {}
        self.by_storage: dict[int, list[int]] = {}  # the same captured tensors
        self.lifted: list[Tensor] = []
        self.roots: dict[int, int] = {}  # what views show; only where something is written
        self.version: dict[int, int] = {}
        self.seen: dict[int, int] = {}
        self.first: dict[int, Value] = {}  # of captured tensors and inputs: the value before any write
        self.writing = -1  # the captured tensor that a call writes
        self.place = NOWHERE
        self.leaves: dict[Memory, Tensor] = {}  # by the memory of the gradients that they have
        self.taken: set[str] = set()
        self.lent: dict[int, Value] = {}  # what was copied as a whole into something: it has the very value

    def inputs(self, tensors: list[Tensor], names: list[str]) -> None:
        for tensor, name in zip(tensors, names, strict=True):
            number = self.trace.number(tensor)
            value = Value("input", tensor.shape, tensor.dtype, self.unique(name))
            self.graph.inputs.append(value)
            self.now[number] = self.first[number] = value

    def run(self) -> None:
        """Makes a node of every call."""
        calls = self.calls
        first = next((i for i, call in enumerate(calls) if call[5] or call[10]), len(calls))
        for call in calls[:first]:  # nothing is written yet
            self.follow(call)
            self.plain(call)
        for call in calls[first:]:
            self.follow(call)
            self.careful(call)

    def outputs(self, tensors: list[Tensor]) -> None:
        numbers = [self.trace.number(tensor) for tensor in tensors]
        self.own(numbers)
        self.graph.outputs = [self.read(number) for number in numbers]

    def own(self, numbers: list[int]) -> None:
        """What the program made of Python values, or copied, and gives away, each run makes anew: its taker may write it."""
        shown = {out: call[1][0] for call in self.calls if call[6] for out in call[2]}
        for number in numbers:
            while number in shown:
                number = shown[number]
            number = self.known[number][1]
            made = self.known[number][0] == MADE and not self.known[number][6]
            value = self.captured(number) if made and self.now[number] is None else self.now[number]
            if value is not None and value.fixed:
                self.renew(value)
            root = self.root(number)
            if value is not None and root in self.lent and self.lent[root] is value:
                self.now[root] = self.emit("clone", (value,), (), (value.shape, value.dtype))
                self.version[root] += 1

    def renew(self, value: Value) -> None:
        """All that take a constant take a clone of it."""
        node = Node("clone", (value,))
        (made,) = node.gives((value.shape, value.dtype))
        for user in value.users.nodes:
            user.inputs = tuple([made if taken is value else taken for taken in user.inputs])
            made.users.append(user, value.users.drop(user))
        value.users.append(node)
        self.graph.insert(node, 0)
        self.now = [made if now is value else now for now in self.now]

    def effects(self, gradients: list[tuple[str, Tensor, Tensor]]) -> None:
        """Writes to memory that was there before, and gradients left with leaves."""
        for number, value in self.first.items():
            if self.version.get(number) and self.known[number][0] != MADE:
                self.graph.effects.append(Effect("write", value, self.current(number)))
        self.own([self.trace.number(gradient) for _, _, gradient in gradients])
        for kind, leaf, gradient in gradients:
            target = self.leaf(self.trace.number(leaf), leaf)
            self.graph.effects.append(Effect(kind, target, self.read(self.trace.number(gradient))))

    def leaf(self, v: int, leaf: Tensor) -> Value:
        """The value of a leaf that is given a gradient: its own, where another captured tensor shows the same memory."""
        value = self.captured(v)
        if value.kind == "input" or value.source is leaf:
            return value
        return self.captured_value(leaf, memory_of(leaf), v)

    # ---- calls ---------------------------------------------------------------------------------------------

    def plain(self, call: tuple[Any, ...]) -> Node:
        """A call that writes nothing."""
        op, inputs, outputs, attributes, list_length, _, _, no_grad, place, device, _, _ = call
        now = self.now
        values: tuple[Value | None, ...] = tuple([None if v < 0 else now[v] or self.read(v) for v in inputs])
        graphs: tuple[Graph, ...] = ()
        if type(op) is int:
            region = self.regions[op]
            op, attributes, graphs = region.op, region.attributes, region.graphs
        node = Node(op, values, attributes, list_length, self.places[place], no_grad, device, (), graphs)
        known = self.known
        made = node.gives(*[(known[v][2], known[v][3]) for v in outputs])
        for v, result in zip(outputs, made):
            now[v] = result
        for value in values:
            if value is not None:
                value.users.append(node)
        self.graph.nodes.append(node)
        return node

    def emit(
        self,
        op: str,
        inputs: tuple[Value, ...],
        attributes: tuple[Any, ...],
        spec: tuple[tuple[Any, ...], Any],
        like: Node | None = None,
    ) -> Value:
        node = Node(
            op, inputs, attributes, 0, self.place, like.no_grad if like else False, like.device if like else None
        )
        for value in inputs:
            value.users.append(node)
        self.graph.nodes.append(node)
        return node.gives(spec)[0]

    # ---- memory --------------------------------------------------------------------------------------------

    def follow(self, call: tuple[Any, ...]) -> None:
        """Notes what a view shows."""
        self.place = self.places[call[8]]
        if call[6]:
            for v in call[2]:
                self.roots[v] = self.root(call[1][0])

    def careful(self, call: tuple[Any, ...]) -> None:
        """A call of a program that writes memory."""
        op, inputs, outputs, attributes, list_length, into, _, no_grad, place, device, written, dtypes = call
        for v in inputs:
            if v >= 0:
                self.refresh(v)
        if not into and not written:
            self.plain(call)
            for v in outputs:
                self.seen[v] = self.version.get(self.root(v), 0)
            return
        targets = tuple([inputs[i] for i in written]) if written else outputs
        values = tuple([None if v < 0 else self.read(v) for v in inputs])
        if len({self.root(v) for v in targets}) < len(targets):
            raise TraceError(
                f"HX1702 two tensors that are written{self.located()} share their memory; tie them as one tensor",
                code="HX1702",
            )
        if op == "copy" and (source := _same_as(values[1], self.spec(targets[0]))) is not None:
            self.write(targets[0], source, None)
            self.lent[self.root(targets[0])] = self.current(self.root(targets[0]))
            return
        node = Node(op, values, attributes, list_length, self.places[place], no_grad, device, written)
        specs = [(self.known[v][2], dtypes[i] if into else self.known[v][3]) for i, v in enumerate(targets)]
        node.gives(*specs)
        for value in values:
            if value is not None:
                value.users.append(node)
        self.graph.nodes.append(node)
        for v, made in zip(targets, node.outputs, strict=True):
            self.write(v, made, node)

    def root(self, v: int) -> int:
        return self.roots.get(v, v)

    def current(self, number: int) -> Value:
        value = self.now[number]
        return self.captured(number) if value is None else value

    def read(self, v: int) -> Value:
        """The value of a number as the program would see it now."""
        v = self.known[v][1]
        if self.now[v] is None:
            return self.captured(v)
        self.refresh(v)
        return self.current(v)

    def refresh(self, v: int) -> None:
        """A view of something that was written since shows what was written."""
        root = self.root(v)
        version = self.version.get(root, 0)
        if root == v or self.seen.get(v, 0) == version:
            return
        self.seen[v] = version
        if self.known[v][2:6] == self.known[root][2:6]:
            self.now[v] = self.current(root)
            return
        self.require_plain(v, root)
        self.now[v] = self.emit("view_of_base", (self.current(root),), self.geometry(v, root), self.spec(v))

    def write(self, v: int, made: Value, node: Node | None) -> None:
        """From now on `v` has the value `made`, and so has what it is a part of."""
        shape, dtype = self.spec(v)
        if made.dtype is not dtype:
            made = self.emit("cast", (made,), (dtype,), (shape, dtype), node)
        root = self.root(v)
        if root != v and self.known[v][2:6] != self.known[root][2:6]:
            self.require_plain(v, root)
            whole = self.emit(
                "exchange_part", (self.current(root), made), self.geometry(v, root), self.spec(root), node
            )
        else:
            whole = made
        if self.first.get(root) is None and self.known[root][0] in (CAPTURED, MADE):
            self.first[root] = self.captured(root)
        if self.lift and self.known[root][0] in (INPUT, CAPTURED):
            raise TraceError(
                f"HX1702 a body writes a tensor from outside of it in place{self.located()}: {self.first[root]!r}. Carry it: pass "
                "it in as an operand, and return the new value, made out of place",
                code="HX1702",
            )
        if self.known[root][0] == CAPTURED:
            self.writing = root
            self.require_alone(root)
        self.now[root] = whole
        self.now[v] = made
        self.version[root] = self.version.get(root, 0) + 1
        self.seen[v] = self.version[root]

    def spec(self, v: int) -> tuple[tuple[Any, ...], Any]:
        return self.known[v][2], self.known[v][3]

    def geometry(self, v: int, root: int) -> tuple[Any, ...]:
        _, _, shape, _, strides, offset, _ = self.known[v]
        return shape, strides, offset - self.known[root][5]

    def require_plain(self, v: int, root: int) -> None:
        dense: list[int] = []
        step = 1
        for size in reversed(self.known[root][2]):
            dense.insert(0, step)
            step *= size
        strides = self.known[root][4]
        gaps = any(size > 1 and a != b for size, a, b in zip(self.known[root][2], strides, dense, strict=True))
        if gaps or self.known[v][3] is not self.known[root][3]:
            what = "of gaps in its memory" if gaps else "the view shows it in another dtype"
            raise TraceError(
                f"HX1702 a write to a part of {self.current(root)!r} cannot be captured, because {what}"
                f"{self.located()}; make a contiguous copy of it, or write out of place with helix.where or index_put",
                code="HX1702",
            )

    def require_alone(self, v: int) -> None:
        """A written tensor must not share its memory with another captured one that shows other elements."""
        if self.writing < 0:
            return
        for number in self.by_storage.get(storage_number(self.trace.tensor(v)), ()):
            if number != v and (self.version.get(v) or self.version.get(number) or self.writing in (v, number)):
                raise TraceError(
                    f"HX1702 a captured tensor is written{self.located()} that shares its memory with another one that the traced "
                    f"function takes, {self.first.get(v, self.now[v])!r} and {self.first.get(number, self.now[number])!r}; take one "
                    "from the other inside of the function",
                    code="HX1702",
                )

    def located(self) -> str:
        _, file, line = self.place
        return f" at {file}:{line}" if file else ""

    # ---- captured tensors ----------------------------------------------------------------------------------

    def captured(self, v: int) -> Value:
        """The value of a tensor that was there before, or of one that the program made of Python values."""
        found = self.now[v]
        if found is not None:
            return self.first.get(v, found)
        tensor = self.trace.tensor(v)
        if self.known[v][6]:
            value = Value("number", (), tensor.dtype, source=tensor.item())
        else:
            memory = memory_of(tensor)
            twin = self.by_memory.setdefault(memory, v)
            if twin == v:
                self.by_storage.setdefault(memory[0], []).append(v)
            else:
                self.roots[v] = twin
                self.seen[v] = self.version.get(twin, 0)
                self.now[v] = self.current(twin)
                return self.now[v]  # type: ignore[return-value]
            value = self.captured_value(tensor, memory, v)
        self.now[v] = value
        if not self.known[v][6]:
            self.require_alone(v)
        return value

    def captured_value(self, tensor: Tensor, memory: Memory, v: int) -> Value:
        outside = self.known[v][0] != MADE
        if outside and self.lift:
            value = Value("input", tensor.shape, tensor.dtype, self.unique("taken"))
            self.graph.inputs.append(value)
            self.lifted.append(tensor)
            self.first[v] = value
            return value
        if memory in self.leaves:
            value = Gradient(self.leaves[memory], self.unique(self._gradient_name(memory)))
        else:
            kind, name = self.named.get(memory, ("constant", f"constant{len(self.graph.captured)}"))
            value = Value(kind, tensor.shape, tensor.dtype, self.unique(name), tensor)
            value.fixed = not outside
        self.graph.captured.append(value)
        return value

    def _gradient_name(self, memory: Memory) -> str:
        known = self.named.get(memory_of(self.leaves[memory]))
        return f"{known[1]}.grad" if known else f"gradient{len(self.graph.captured)}"

    def unique(self, name: str) -> str:
        made, count = name, 1
        while made in self.taken:
            count += 1
            made = f"{name}_{count}"
        self.taken.add(made)
        return made


def _same_as(source: Value | None, spec: tuple[tuple[Any, ...], Any]) -> Value | None:
    """What a copy writes, where it neither casts nor spreads it."""
    plain = source is not None and source.kind != "number" and (source.shape, source.dtype) == spec
    return source if plain else None
