"""How passes change a graph: many replacements, each at the cost of the value's users, and questions about what may be replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ... import _core
from ..ir import Graph, Node, Value
from ..symbols import Unknown

_FLAGS: dict[str, set[str]] = {}
_VIEWS: set[str] = set()
# Views that keep all elements and their order.
RESHAPES = frozenset({"reshape", "view", "squeeze", "unsqueeze"})
_KEEP_FILLING = frozenset(
    {"reshape", "view", "squeeze", "unsqueeze", "expand", "permute", "transpose", "t", "movedim", "clone"}
)
_FILLINGS = {"full": None, "zeros": 0, "ones": 1}
ARITHMETIC = frozenset({"add", "sub", "mul", "div"})
# Ops that read the memory of their input as it lies.
_READ_MEMORY = frozenset({"view", "view_of_base", "view_as_complex", "view_as_real", "view_dtype", "as_strided"})


def flags_of(op: str) -> set[str]:
    """The flags of an op's record; none for control flow."""
    if not _FLAGS:
        _FLAGS.update({record["name"]: record["flags"] for record in _core.ops()})
        _VIEWS.update([op for op, flags in _FLAGS.items() if "view" in flags])
    return _FLAGS.get(op, set())


def is_view(node: Node) -> bool:
    """May the results of this node show the memory of its first input? A reshape may."""
    if not _VIEWS:
        flags_of(node.op)
    return node.op in _VIEWS


def root(value: Value) -> Value:
    """The value whose memory a chain of views shows."""
    node = value.node
    while node is not None and is_view(node) and (source := node.inputs[0]) is not None:
        value, node = source, source.node
    return value


def memory(value: Value) -> Value:
    """As `root`, through those views alone that never copy."""
    while (
        value.node is not None
        and is_view(value.node)
        and value.node.op != "reshape"
        and value.node.inputs[0] is not None
    ):
        value = value.node.inputs[0]
    return value


def is_plain(value: Value) -> bool:
    """Is its memory surely its own, row by row? Of results of control flow, and of what is given, nothing is known."""
    return value.node is not None and not value.node.graphs and not is_view(value.node)


def is_dense(value: Value) -> bool:
    """Do its elements surely lie row by row?"""
    while value.node is not None and value.node.op in RESHAPES and value.node.inputs[0] is not None:
        value = value.node.inputs[0]
    return is_plain(value)


def is_known(shape: tuple[Any, ...]) -> bool:
    """Are all its sizes told, if only by dimensions?"""
    return not any(isinstance(size, Unknown) for size in shape)


class Call(NamedTuple):
    """A node to be made, whose result is like that of the node it replaces."""

    op: str
    inputs: tuple[Value | None, ...]
    attributes: tuple[Any, ...] = ()
    device: Any = None  # of the node that it replaces, if None


# What the result of a node can be replaced by, if it is of the form that the rule knows.
Rule = Callable[[Node], Value | Call | None]
_SWEEPS = 64


def sweep(graph: Graph, rules: Mapping[str, Sequence[Rule]]) -> int:
    """Applies the rules of each node's op, until none fits. Every rule makes the graph simpler, so that there is an end."""
    total = 0
    for _ in range(_SWEEPS):
        changes = Rewriter(graph)
        for node in list(graph.nodes):
            for rule in rules.get(node.op, ()):
                found = rule(node)
                if found is not None and changes.rewrite(node, found):
                    break
        if not changes.finish():
            break
        total += changes.changes
    return total


class Rewriter:
    """Changes one graph. `replace` and `insert` act at once, but for the graph's outputs and effects, which `finish` writes."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.changes = 0
        self.new: dict[Value, Value] = {}
        self.ends = {*graph.outputs, *[effect.value for effect in graph.effects]}
        self._roots: set[Value] | None = None  # of the ends; found where the first change asks for them

    # ---- what may be done ----------------------------------------------------------------------------------

    def may(self, old: Value, new: Value, alike: bool = False) -> bool:
        """Is the graph the same with `new`, which has the values of `old`, in its place? Besides shape and dtype: gradients flow
        as before, what the graph returns lies in memory of its own, and ops that read memory find it as it was. `alike`: the
        nodes that make both are the same, so that memory is too."""
        if old is new or old.dtype is not new.dtype or old.shape != new.shape or not self._flows_alike(old, new):
            return False
        if new.kind == "number" and not all(_takes_number(user, old) for user in old.users.counts):
            return False
        if alike:
            return not (self.is_shown(old) and self.is_shown(new))
        own = self._is_own(new) or (old not in self.ends and (not self.is_shown(old) or memory(old) is memory(new)))
        return own and (is_dense(new) or not _reads_memory(old))

    def _flows_alike(self, old: Value, new: Value) -> bool:
        if flows(old) == flows(new):
            return True
        return old not in self.ends and all(user.no_grad and not user.graphs for user in old.users.counts)

    def _is_own(self, value: Value) -> bool:
        return value not in self.ends and is_plain(value) and not self.is_shown(value)

    def is_shown(self, value: Value) -> bool:
        """Does an output or an effect show the memory of the value?"""
        return root(value) in self._shown()

    def _shown(self) -> set[Value]:
        if self._roots is None:
            self._roots = {root(end) for end in self.ends}
        return self._roots

    # ---- doing it ------------------------------------------------------------------------------------------

    def replace(self, old: Value, new: Value) -> None:
        """All that take `old` take `new`, which is made before them."""
        shown = self._shown()
        for user in old.users.nodes:
            user.inputs = tuple([new if value is old else value for value in user.inputs])
            new.users.append(user, old.users.drop(user))
        if root(old) in shown:
            shown.add(root(new))
        if old in self.ends:
            self.ends.discard(old)
            self.ends.add(new)
            self.new[old] = new
        self.changes += 1

    def rewrite(self, node: Node, found: Value | Call) -> bool:
        """Puts what a rule found in the place of a node's only result, where that may be done."""
        (old,) = node.outputs
        if not (old.users or old in self.ends) or _stops_gradients(node, found):
            return False
        if isinstance(found, Value):
            if not self.may(old, found):
                return False
            self.replace(old, found)
            return True
        device = node.device if found.device is None else found.device
        made = Node(found.op, found.inputs, found.attributes, 0, node.place, node.no_grad, device)
        (new,) = made.gives((old.shape, old.dtype))
        if not self.may(old, new):
            return False
        self.graph.insert(made, self.graph.position(node))
        self.replace(old, new)
        return True

    def exchange(self, node: Node, inputs: tuple[Value | None, ...]) -> None:
        """The node takes other inputs."""
        self._shown()
        for value in node.inputs:
            if value is not None:
                value.users.drop(node)
        node.inputs = inputs
        for value in inputs:
            if value is not None:
                value.users.append(node)
        self.changes += 1

    def finish(self) -> int:
        """Outputs and effects take what replaced them, and what nobody takes any more is removed; the number of changes."""
        graph = self.graph
        if self.new:
            graph.outputs = [self._latest(value) for value in graph.outputs]
            for effect in graph.effects:
                effect.value = self._latest(effect.value)
        if self.changes:
            graph.runner = None
            graph.prune()
        return self.changes

    def _latest(self, value: Value) -> Value:
        while value in self.new:
            value = self.new[value]
        return value


def number_of(value: Value | None) -> int | float | None:
    """The real number that a value is everywhere: a Python number, or what a filled tensor is filled with."""
    while value is not None and value.node is not None and (value.node.op in _KEEP_FILLING or _is_small(value)):
        value = value.node.inputs[0]
    if value is None:
        return None
    if value.kind == "number":
        found = value.source
    elif value.node is not None and value.node.op in _FILLINGS:
        node = value.node
        found = node.attributes[1] if node.op == "full" else _FILLINGS[node.op]
        if not (node.op != "full" or value.dtype.is_floating_point or _is_held(found, value.dtype)):
            return None
    else:
        return None
    return found if type(found) in (bool, int, float) else None


def _is_small(value: Value) -> bool:
    """Is it a cast of a small whole number, which all numeric dtypes hold?"""
    node = value.node
    source = node.inputs[0] if node is not None and node.op == "cast" else None
    if source is None or source.kind != "number" or type(source.source) not in (int, float):
        return False
    if type(source.source) is float and not value.dtype.is_floating_point:
        return False
    return _is_held(source.source, value.dtype)


def _is_held(number: Any, kind: Any) -> bool:
    """Is it a small whole number, which all numeric dtypes hold?"""
    return kind.name != "bool" and number in range(0 if kind.name.startswith("u") else -100, 101)


def is_real(value: Value) -> bool:
    return not value.dtype.is_complex


def flows(value: Value) -> bool:
    """Can a gradient of this graph flow through the value?"""
    if not (value.dtype.is_floating_point or value.dtype.is_complex) or value.kind == "number":
        return False
    return value.node is None or not value.node.no_grad


def _stops_gradients(node: Node, found: Value | Call) -> bool:
    """Does an input of the node that `found` leaves out stop gradients, which would flow now?"""
    kept = (found,) if isinstance(found, Value) else found.inputs
    inner = [value.node for value in node.inputs if value is not None and value not in kept]
    return not node.no_grad and any(maker is not None and maker.no_grad and maker.inputs for maker in inner)


def _takes_number(user: Node, value: Value) -> bool:
    """Is the result of the user the same if a number stands in the place of the value?"""
    others = [v for v in user.inputs if v is not None and v is not value and v.kind != "number"]
    return user.op in ARITHMETIC and len(others) == 1 and others[0].dtype is value.dtype


def _reads_memory(value: Value) -> bool:
    """Does an op read the memory of the value as it lies, itself or through views?"""
    waiting, seen = [value], {value}
    while waiting:
        for user in waiting.pop().users.counts:
            if user.op in _READ_MEMORY or user.graphs:
                return True
            if is_view(user):
                fresh = [output for output in user.outputs if output not in seen]
                seen.update(fresh)
                waiting += fresh
    return False
