"""How passes change a graph: many replacements, each at the cost of the value's users, and questions about what may be replaced."""

from __future__ import annotations

from typing import Any

from ... import _core
from ..ir import Graph, Node, Value
from ..symbols import Unknown

_FLAGS: dict[str, set[str]] = {}
# Views that keep all elements and their order.
RESHAPES = frozenset({"reshape", "view", "squeeze", "unsqueeze"})
# Ops that read the memory of their input as it lies.
_READ_MEMORY = frozenset({"view", "view_of_base", "view_as_complex", "view_as_real", "view_dtype", "as_strided"})


def flags_of(op: str) -> set[str]:
    """The flags of an op's record; none for control flow."""
    if not _FLAGS:
        _FLAGS.update({record["name"]: record["flags"] for record in _core.ops()})
    return _FLAGS.get(op, set())


def is_view(node: Node) -> bool:
    """May the results of this node show the memory of its first input? A reshape may."""
    return "view" in flags_of(node.op)


def root(value: Value) -> Value:
    """The value whose memory a chain of views shows."""
    while value.node is not None and is_view(value.node) and value.node.inputs[0] is not None:
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


def is_known(shape: tuple) -> bool:
    """Are all its sizes told, if only by dimensions?"""
    return not any(isinstance(size, Unknown) for size in shape)


class Rewriter:
    """Changes one graph. `replace` and `insert` act at once, but for the graph's outputs and effects, which `finish` writes."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.changes = 0
        self.new: dict[Value, Value] = {}
        self.ends = {*graph.outputs, *[effect.value for effect in graph.effects]}
        self._shown: dict[Value, int] | None = None

    # ---- what may be done ----------------------------------------------------------------------------------

    def may(self, old: Value, new: Value, alike: bool = False) -> bool:
        """Is the graph the same with `new`, which has the values of `old`, in its place? Besides shape and dtype: gradients flow
        as before, what the graph returns lies in memory of its own, and ops that read memory find it as it was. `alike`: the
        nodes that make both are the same, so that memory is too."""
        if old is new or old.dtype is not new.dtype or old.shape != new.shape or not self._flows_alike(old, new):
            return False
        if alike:
            return old not in self.ends or new not in self.ends
        return (old not in self.ends or self._is_own(new)) and (is_dense(new) or not _reads_memory(old))

    def _flows_alike(self, old: Value, new: Value) -> bool:
        if flows(old) == flows(new):
            return True
        return old not in self.ends and all(user.no_grad and not user.graphs for user in old.users.counts)

    def _is_own(self, value: Value) -> bool:
        if value in self.ends or not is_plain(value):
            return False
        if self._shown is None:
            self._shown = {}
            for end in self.ends:
                shown = root(end)
                self._shown[shown] = self._shown.get(shown, 0) + 1
        return value not in self._shown

    # ---- doing it ------------------------------------------------------------------------------------------

    def replace(self, old: Value, new: Value) -> None:
        """All that take `old` take `new`, which is made before them."""
        for user in old.users.nodes:
            user.inputs = tuple([new if value is old else value for value in user.inputs])
            new.users.append(user, old.users.drop(user))
        if old in self.ends:
            self.ends.discard(old)
            self.ends.add(new)
            self.new[old] = new
            self._shown = None
        self.changes += 1

    def exchange(self, node: Node, inputs: tuple[Value | None, ...]) -> None:
        """The node takes other inputs."""
        for value in node.inputs:
            if value is not None:
                value.users.drop(node)
        node.inputs = inputs
        for value in inputs:
            if value is not None:
                value.users.append(node)
        self.changes += 1

    def insert(
        self, before: Node, op: str, inputs: tuple[Value | None, ...], attributes: tuple, shape: tuple, dtype: Any
    ) -> Value:
        """A new node in front of another, which has the place of that one."""
        node = Node(op, inputs, attributes, 0, before.place, before.no_grad, before.device)
        made = node.gives((shape, dtype))[0]
        self.graph.insert(node, self.graph.position(before))
        return made

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


def flows(value: Value) -> bool:
    """Can a gradient of this graph flow through the value?"""
    if not (value.dtype.is_floating_point or value.dtype.is_complex) or value.kind == "number":
        return False
    return value.node is None or not value.node.no_grad


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
