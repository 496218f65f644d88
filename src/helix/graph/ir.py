"""The graph: values, the nodes that make them, and a list of nodes in an order in which they can run."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from .._core import Tensor, op_named
from ..errors import GraphError
from .symbols import Dim, has_symbols
from .tree import Tree
from .users import Users

if TYPE_CHECKING:
    from .around import Around

# Where a node was made: dotted path of the module, file and line of the user's program.
Place = tuple[str, str, int]
NOWHERE: Place = ("", "", 0)

_STEP = 1 << 40  # between the order numbers of neighbours: as many halvings, before they are counted again
_order = attrgetter("order")


class Value:
    """What an edge of a graph carries.

    `kind` says where it comes from: "input"; "parameter", "buffer" or "constant", whose tensor is `source`; "number", a
    Python number `source`; or "result", output `index` of `node`. `users` holds each node once for every time it takes it.
    `fixed` is a constant that the traced program made, so that nobody else can change it.
    """

    __slots__ = ("dtype", "fixed", "index", "kind", "name", "node", "shape", "source", "users")

    def __init__(self, kind: str, shape: tuple[Any, ...], dtype: Any, name: str = "", source: Any = None) -> None:
        self.kind = kind
        self.shape = shape
        self.dtype = dtype
        self.name = name
        self.source = source
        self.node: Node | None = None
        self.index = 0
        self.fixed = False
        self.users = Users()

    def twin(self) -> Value:
        """One like it, for another graph."""
        made = Value(self.kind, self.shape, self.dtype, self.name, self.source)
        made.fixed = self.fixed
        return made

    def __repr__(self) -> str:
        from .text import value_text

        return value_text(self)


class Gradient(Value):
    """The gradient of a leaf, as it is when a run begins: zeros where there is none."""

    __slots__ = ("leaf",)

    def __init__(self, leaf: Tensor, name: str) -> None:
        self.leaf = leaf
        super().__init__("constant", leaf.shape, leaf.dtype, name)

    @property
    def source(self) -> Any:
        if self.leaf.grad is None:
            self.leaf.grad = op_named("zeros_like")(self.leaf.detach())
        return self.leaf.grad

    @source.setter
    def source(self, value: Any) -> None:
        pass

    def twin(self) -> Value:
        return Gradient(self.leaf, self.name)


class Node:
    """One call: of an op record by name, or of control flow, whose bodies are `graphs`.

    `inputs` are values, None for a tensor left out; a list of tensors, `list_length` long, stands among them in its place.
    `attributes` are the record's, in its order, as its shape rule leaves them. Gradients do not flow through a node with
    `no_grad`. `writes` are the inputs of which an op that changes tensors in place makes new versions: they are its outputs.
    """

    __slots__ = (
        "attributes",
        "device",
        "graphs",
        "inputs",
        "list_length",
        "no_grad",
        "op",
        "order",
        "outputs",
        "place",
        "writes",
    )

    def __init__(
        self,
        op: str,
        inputs: tuple[Value | None, ...],
        attributes: tuple[Any, ...] = (),
        list_length: int = 0,
        place: Place = NOWHERE,
        no_grad: bool = False,
        device: Any = None,
        writes: tuple[int, ...] = (),
        graphs: tuple[Graph, ...] = (),
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.attributes = attributes
        self.list_length = list_length
        self.place = place
        self.no_grad = no_grad
        self.device = device
        self.writes = writes
        self.graphs = graphs
        self.outputs: tuple[Value, ...] = ()
        self.order = 0  # grows along the list of the graph

    def twin(self, inputs: tuple[Value | None, ...]) -> Node:
        """The same call on other inputs, with no results yet."""
        same = (self.attributes, self.list_length, self.place, self.no_grad, self.device, self.writes, self.graphs)
        return Node(self.op, inputs, *same)

    def gives(self, *specs: tuple[tuple[Any, ...], Any]) -> tuple[Value, ...]:
        """Makes the outputs, one for each (shape, dtype)."""
        made = []
        for index, (shape, dtype) in enumerate(specs):
            value = Value("result", shape, dtype)
            value.node, value.index = self, index
            made.append(value)
        self.outputs = tuple(made)
        return self.outputs

    @property
    def where(self) -> str:
        """ "model.py:12, in layers.0": for messages."""
        module, file, line = self.place
        return ", in ".join(part for part in (f"{file}:{line}" if file else "", module) if part)

    def __repr__(self) -> str:
        from .text import node_text

        return node_text(self)


class Effect:
    """What a run changes besides its results: "write" puts the value into the target's tensor, "grad" into its `.grad`, "add"
    adds it to its `.grad`, where there is one."""

    __slots__ = ("kind", "target", "value")

    def __init__(self, kind: str, target: Value, value: Value) -> None:
        self.kind, self.target, self.value = kind, target, value


class Graph:
    """A computation: inputs, captured tensors, nodes in the order in which they run, outputs and effects.

    Made by `helix.trace`, or by hand; `graph(*inputs)` runs it.

    Example:
        >>> with helix.graph.Graph() as g:
        ...     x = g.input((2,))
        ...     g.output(x.exp() + 1)
        >>> g(helix.zeros(2)).tolist()
        [2.0, 2.0]
    """

    __slots__ = (
        "_nodes",
        "_numbered",
        "around",
        "captured",
        "dims",
        "draws",
        "effects",
        "hand",
        "in_tree",
        "inputs",
        "name",
        "out_tree",
        "outputs",
        "runner",
        "told",
    )

    def __init__(self, name: str = "graph") -> None:
        self.name = name
        self.inputs: list[Value] = []
        self.captured: list[Value] = []
        self.nodes = []
        self.outputs: list[Value] = []
        self.effects: list[Effect] = []
        self.dims: tuple[Dim, ...] = ()
        self.draws = 0  # how many random streams a run takes
        self.in_tree = Tree(tuple)
        self.out_tree = Tree(tuple)
        self.runner: Any = None
        self.around: tuple[Around, ...] = ()  # who takes part in each run
        self.told = 0  # how many inputs, at the end, come from them
        self.hand: Any = None  # while it is built by hand: what records

    # ---- building by hand ------------------------------------------------------------------------------------

    def __enter__(self) -> Graph:
        """Ordinary ops and layers on tensors that `input` gives add nodes, until the end of the `with`."""
        from .hand import Hand

        self.hand = Hand(self)
        return self

    def __exit__(self, kind: Any, error: BaseException | None, frames: Any) -> None:
        hand, self.hand = self.hand, None
        hand.finish(kind, error, frames)

    def input(self, shape: Sequence[int], dtype: Any = None, name: str = "") -> Tensor:
        """A tensor that a run will be given, within `with Graph() as g:`."""
        return self._hand().input(shape, dtype, name)

    def output(self, *tensors: Tensor) -> None:
        """Says what a run returns: one tensor, or several as a tuple."""
        self._hand().output(tensors)

    def _hand(self) -> Any:
        if self.hand is None:
            raise GraphError(
                "HX4001 inputs and outputs are named while a graph is built: with Graph() as g: x = g.input((2, 3))",
                code="HX4001",
            )
        return self.hand

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Runs the graph. See `helix.graph.Executor`."""
        if self.runner is None:
            from .executor import Executor

            self.runner = Executor(self)
        return self.runner(*args, **options)

    # ---- looking -------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The tensors that modules hold, by their dotted names; buffers are among them."""
        return {value.name: value.source for value in self.captured if value.kind in ("parameter", "buffer")}

    @property
    def nodes(self) -> list[Node]:
        """In the order in which they run."""
        return self._nodes

    @nodes.setter
    def nodes(self, nodes: list[Node]) -> None:
        self._nodes = nodes
        self._numbered = -1

    def number(self) -> None:
        """Gives the nodes the order numbers by which `position` finds them, unless they have them."""
        if self._numbered != len(self._nodes):
            for i, node in enumerate(self._nodes, 1):
                node.order = i * _STEP
            self._numbered = len(self._nodes)

    @property
    def given(self) -> list[Value]:
        """The inputs that a caller gives; others are numbers of the program around, such as a learning rate."""
        return self.inputs[: len(self.inputs) - self.told]

    def values(self) -> Iterator[Value]:
        """All values: inputs, captured tensors, results."""
        yield from self.inputs
        yield from self.captured
        for node in self.nodes:
            yield from node.outputs

    def find(self, op: str) -> list[Node]:
        """The nodes of an op."""
        return [node for node in self.nodes if node.op == op]

    def node_at(self, value: Value) -> int:
        """The position of the node that makes a value; -1 for inputs, captured tensors and numbers."""
        return -1 if value.node is None else self.position(value.node)

    def position(self, node: Node) -> int:
        """Where a node stands in the list: found by halving."""
        for _ in range(2):
            self.number()
            at = bisect_left(self._nodes, node.order, key=_order)
            if at < len(self._nodes) and self._nodes[at] is node:
                return at
            self._numbered = -1  # the list was changed by other hands
        raise GraphError(f"HX4001 the node {node.op} does not stand in this graph", code="HX4001", op=node.op)

    def is_symbolic(self) -> bool:
        """Are there sizes that only a run tells?"""
        return bool(self.dims) or any(has_symbols(value.shape) for value in self.values())

    # ---- changing ------------------------------------------------------------------------------------------

    def append(self, node: Node, before: Node | None = None) -> Node:
        """Puts a node at the end, or before another; everything it takes must have been made before it.

        Raises GraphError (HX4001), before anything is changed.
        """
        at = len(self.nodes) if before is None else self.position(before)
        for value in node.inputs:
            if value is not None and self.node_at(value) >= at:
                raise GraphError(
                    f"HX4001 {node.op} cannot stand at {at}: {value!r}, which it takes, is made later",
                    code="HX4001",
                    op=node.op,
                )
        self.insert(node, at)
        return node

    def insert(self, node: Node, at: int) -> None:
        """Puts a node at a position, unchecked: `append` without its questions."""
        self.number()
        nodes = self._nodes
        low = nodes[at - 1].order if at else 0
        node.order = (low + nodes[at].order) // 2 if at < len(nodes) else low + _STEP
        nodes.insert(at, node)
        self._numbered = len(nodes) if node.order > low else -1
        for value in node.inputs:
            if value is not None:
                value.users.append(node)
        self.runner = None

    def replace(self, old: Value, new: Value, within: Callable[[Node], bool] | None = None) -> None:
        """Everything that takes `old` takes `new` from now on, outputs and effects too; or only the nodes of which `within`
        is true. `new` may be made of `old`: the nodes up to the one that makes it go on taking `old`.

        Raises GraphError (HX4001), before anything is changed, where shape or dtype differ, or a user comes before `new`.
        """
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            raise GraphError(
                f"HX4001 {old!r} cannot be replaced by {new!r}: shape and dtype must be the same; cast or reshape it first",
                code="HX4001",
                expected=f"{old.dtype.name}{list(old.shape)}",
                got=f"{new.dtype.name}{list(new.shape)}",
            )
        at = self.node_at(new)
        users = [node for node in old.users.nodes if within is None or within(node)]
        early = {id(node) for node in users if self.position(node) <= at}
        if early and new.node is not None:
            origin = self._origins(new.node, min(node.order for node in users))
            users = [node for node in users if id(node) not in origin]
        for user in users:
            if id(user) in early:
                raise GraphError(
                    f"HX4001 {user.op} takes {old!r} before {new!r} is made; insert what makes it earlier",
                    code="HX4001",
                )
        for user in users:
            self._exchange(user, old, new)
        if within is None:
            self.outputs = [new if value is old else value for value in self.outputs]
            for effect in self.effects:
                if effect.value is old:
                    effect.value = new
        self.runner = None

    @staticmethod
    def _origins(node: Node, first: int) -> set[int]:
        """The nodes that a node depends on, and itself, from the order number `first` on."""
        found, waiting = {id(node)}, [node]
        while waiting:
            for value in waiting.pop().inputs:
                maker = None if value is None else value.node
                if maker is not None and maker.order >= first and id(maker) not in found:
                    found.add(id(maker))
                    waiting.append(maker)
        return found

    @staticmethod
    def _exchange(user: Node, old: Value, new: Value) -> None:
        user.inputs = tuple([new if value is old else value for value in user.inputs])
        new.users.append(user, old.users.drop(user))

    def remove(self, node: Node) -> None:
        """Takes a node out whose results nobody takes.

        Raises GraphError (HX4001) where somebody does.
        """
        at = self.position(node)
        ends = [*self.outputs, *(effect.value for effect in self.effects)]
        for value in node.outputs:
            if value.users or any(value is end for end in ends):
                user = value.users[0].op if value.users else "the graph's outputs"
                raise GraphError(
                    f"HX4001 {node.op} cannot be removed: {user} takes {value!r}", code="HX4001", op=node.op
                )
        del self._nodes[at]
        self._numbered = len(self._nodes)
        self._let_go(node)
        self.runner = None

    @staticmethod
    def _let_go(node: Node) -> None:
        for value in node.inputs:
            if value is not None:
                value.users.drop(node)

    def prune(self) -> int:
        """Removes the nodes on which no output and no effect depends; returns how many."""
        live = {value.node for value in (*self.outputs, *(effect.value for effect in self.effects))}
        dead = []
        for node in reversed(self.nodes):
            if node in live:
                live.update([value.node for value in node.inputs if value is not None])
            else:
                dead.append(node)
        if dead:
            self.nodes = [node for node in self.nodes if node in live]
            for node in dead:
                self._let_go(node)
            self.runner = None
        return len(dead)

    def check(self) -> None:
        """Raises GraphError (HX4001) unless every value is made before it is taken, by the node it says, and every use is
        known to it."""
        made = {id(value) for value in (*self.inputs, *self.captured)}
        uses: dict[int, int] = {}
        for node in self.nodes:
            for value in node.inputs:
                if value is None:
                    continue
                uses[id(value)] = uses.get(id(value), 0) + 1
                if value.kind != "number" and id(value) not in made:
                    raise GraphError(
                        f"HX4001 {node.op} takes {value!r}, which is not made before it", code="HX4001", op=node.op
                    )
            made |= {id(value) for value in node.outputs}
            if any(value.node is not node or value.index != i for i, value in enumerate(node.outputs)):
                raise GraphError(
                    f"HX4001 an output of {node.op} names another node as its maker", code="HX4001", op=node.op
                )
        for value in (*self.outputs, *(effect.value for effect in self.effects)):
            if value.kind != "number" and id(value) not in made:
                raise GraphError(f"HX4001 the output {value!r} is not made in this graph", code="HX4001")
        for value in self.values():
            if len(value.users) != uses.get(id(value), 0):
                raise GraphError(
                    f"HX4001 {value!r} knows {len(value.users)} uses, it has {uses.get(id(value), 0)}", code="HX4001"
                )

    # ---- what it costs ---------------------------------------------------------------------------------------

    def cost(self) -> Any:
        """Operations, and bytes read and written, of a run. `helix.graph.analysis.cost(node)` is that of one node."""
        from .analysis import total

        return total(self)

    def peak_bytes(self) -> int:
        """The most memory that a run holds at a time, about: inputs, captured tensors and what is still needed."""
        from .analysis import peak_bytes

        return peak_bytes(self)

    def statistics(self) -> Any:
        """Counts of nodes, ops and parameters, depth, operations, bytes moved and held."""
        from .analysis import statistics

        return statistics(self)

    def summary(self) -> str:
        """A table of the nodes and what they cost."""
        from .analysis import summary

        return summary(self)

    # ---- as a picture ----------------------------------------------------------------------------------------

    def to_svg(self, depth: int | None = None) -> str:
        """The graph as an SVG picture: ops as boxes, modules around them. Modules `depth` levels down are closed: 0 shows the
        outermost ones as one box each.

        Example:
            >>> helix.trace(lambda x: x.exp() * 2, helix.graph.Spec((2,))).to_svg()[:4]
            '<svg'
        """
        from .svg import to_svg

        return to_svg(self, depth)

    def to_html(self) -> str:
        """The graph as one HTML page that needs no network: zoom, search, modules that open and close, shapes and costs.

        Example:
            >>> page = helix.trace(lambda x: x.exp() * 2, helix.graph.Spec((2,))).to_html()
            >>> "http" in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
            False
        """
        from .view import to_html

        return to_html(self)

    def _repr_svg_(self) -> str:
        return self.to_svg()

    def _repr_html_(self) -> str:
        from .view import in_notebook

        return in_notebook(self)

    # ---- as a whole ----------------------------------------------------------------------------------------

    def executor(self) -> Any:
        """A callable that runs the graph."""
        from .executor import Executor

        return Executor(self)

    def copy(self) -> Graph:
        """A graph of its own over the same tensors."""
        from .structure import copied

        return copied(self)

    def at(self, **sizes: int) -> Graph:
        """The graph for these sizes of its dimensions: shapes, attributes and numbers worked out.

        Raises ArgumentError (HX1103) unless every dimension is given a size.
        """
        from .retrace import specialised

        return specialised(self, sizes)

    def place(self, rules: Any) -> Graph:
        """The graph with its nodes on several devices, by module. See `helix.graph.place`."""
        from .placement import place

        return place(self, rules)

    def save(self, path: Any) -> None:
        """Writes graph and captured tensors to one file (safetensors, the graph in its metadata), which `helix.graph.load` reads.

        Raises FormatError (HX4011) for what a file cannot hold: values in the structure of inputs and outputs that are no data,
        containers of other classes than dicts, lists, tuples, named tuples and dataclasses.
        """
        from .files import save

        save(self, path)

    def to_json(self) -> str:
        """The graph as JSON, captured tensors by name, shape and dtype; `helix.graph.from_json(text, tensors)` reads it."""
        from .files import to_json

        return to_json(self)

    def difference(self, other: Graph) -> str | None:
        """The first thing in which the graphs differ, as text; None where they compute the same in the same way. Names, places
        and the values of captured tensors do not count."""
        from .structure import difference

        return difference(self, other)

    def hash(self) -> str:
        """A hash of the structure: of all that `difference` compares."""
        from .structure import structure_hash

        return structure_hash(self)

    def __len__(self) -> int:
        return len(self.nodes)

    def __str__(self) -> str:
        from .text import graph_text

        return graph_text(self)

    def __repr__(self) -> str:
        return f"<graph {self.name}: {len(self.inputs)} inputs, {len(self.nodes)} nodes, {len(self.outputs)} outputs>"


def users_in(graph: Graph, values: Sequence[Value]) -> list[Node]:
    """The nodes that take one of these values, in order."""
    wanted = {id(user) for value in values for user in value.users}
    return [node for node in graph.nodes if id(node) in wanted]
