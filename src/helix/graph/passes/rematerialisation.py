"""Rematerialisation: values that wait long for their next use are let go and computed again, until a run fits into a budget.

The same nodes run again on the same values, random ones with the same streams, so that the numbers are the same bit for bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ...errors import GraphError
from ..analysis import bytes_of, cost, is_view, liveness, peak_bytes, rounded, workspace
from ..ir import Graph, Node, Value

_DEEPEST, _LONGEST = 12, 48  # of a chain that is computed again
_MOVE = 4  # what a byte moved costs, in operations


class Gap(NamedTuple):
    """A value that is needed at node `before` and not again until node `after`."""

    value: Value
    before: int
    after: int
    key: tuple[int, int, int]  # where the value is made and taken


class Chain(NamedTuple):
    """The nodes that compute a value again, and the values that they keep longer, each from its last use on."""

    nodes: list[Node]
    kept: dict[Value, int]


def run(graph: Graph, memory: int) -> int:
    """Changes the graph so that `peak_bytes` is at most `memory`; how many values are computed again.

    Raises GraphError (HX4001), which tells the least that is reached, before anything is changed, where that is more.
    """
    made, total = _fitted(graph, memory)
    if (least := peak_bytes(made)) > memory:
        while (reached := peak_bytes(_fitted(graph, least)[0])) > least:
            least = reached
        raise GraphError(
            f"HX4001 {graph.name} does not fit into {memory} bytes: computing values again, it comes down to {least}; give it that, or "
            "trace it for smaller inputs",
            code="HX4001",
            argument="memory",
            expected=f"at least {least}",
            got=memory,
        )
    if total:
        graph.inputs, graph.captured, graph.nodes = made.inputs, made.captured, made.nodes
        graph.outputs, graph.effects, graph.runner = made.outputs, made.effects, None
    return total


def _fitted(graph: Graph, memory: int) -> tuple[Graph, int]:
    """A copy that comes as near to the budget as it can, and how many values it computes again. Every step lowers the excess."""
    total = 0
    refused: set[tuple[int, int, int]] = set()
    picture = _Picture(graph.copy())
    while excess := picture.excess(memory):
        choice = picture.best(memory, refused)
        if choice is None:
            break
        following = _Picture(picture.with_again(*choice))
        if following.excess(memory) < excess:
            picture, total = following, total + 1
            refused.clear()
        else:
            refused.add(choice[0].key)
    return picture.graph, total


class _Picture:
    """What lives when in a graph: the memory at each node, and the uses of each value that has memory of its own."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.at = {node: i for i, node in enumerate(graph.nodes)}
        self.owner: dict[Value, Value] = {}
        self.uses: dict[Value, list[int]] = {}
        self.ends = {*graph.outputs, *[effect.value for effect in graph.effects]}
        for i, node in enumerate(graph.nodes):
            self._enter(node, i)
        self.ends = {self.owner.get(value, value) for value in self.ends}
        lives = liveness(graph)
        self.there = sum(rounded(life.bytes) for life in lives if life.first < 0)
        self.size = {life.value: rounded(life.bytes) for life in lives if life.first >= 0}
        self.last = {life.value: life.last for life in lives}
        self.held = self._memory([life for life in lives if life.first >= 0])

    def _enter(self, node: Node, i: int) -> None:
        for value in node.inputs:
            if value is not None:
                self.uses.setdefault(self.owner.get(value, value), []).append(i)
        shown = node.inputs[0] if is_view(node) else None
        for value in node.outputs:
            if shown is not None:
                self.owner[value] = self.owner.get(shown, shown)

    def _memory(self, lives: list[Any]) -> list[int]:
        steps = [0] * (len(self.graph.nodes) + 2)
        for life in lives:
            steps[life.first] += rounded(life.bytes)
            steps[life.last + 1] -= rounded(life.bytes)
        held, now = [], self.there
        for i, node in enumerate(self.graph.nodes):
            now += steps[i]
            held.append(now + workspace(node))
        return held

    def excess(self, memory: int) -> int:
        """How far the run lies above the budget, over all nodes."""
        return sum([held - memory for held in self.held if held > memory])

    # ---- choosing ------------------------------------------------------------------------------------------

    def best(self, memory: int, refused: set[tuple[int, int, int]]) -> tuple[Gap, Chain] | None:
        """The gap around one of the fullest nodes that takes most of the excess away for what computing again costs."""
        order = sorted(range(len(self.held)), key=lambda i: -self.held[i])
        tried = set(refused)
        for peak in order[:32]:
            if self.held[peak] <= memory:
                break
            found: tuple[float, Gap, Chain] | None = None
            for gap in self._gaps(peak):
                if gap.key in tried:
                    continue
                tried.add(gap.key)
                chain = self._chain(gap)
                gain = 0 if chain is None else self._gain(gap, chain, memory)
                if chain is None or gain <= 0:
                    continue
                worth = gain / (1 + sum(_price(node) for node in chain.nodes))
                if found is None or worth > found[0]:
                    found = worth, gap, chain
            if found is not None:
                return found[1], found[2]
        return None

    def _gaps(self, peak: int) -> list[Gap]:
        found = []
        for value, size in self.size.items():
            node = value.node
            if node is None or not size or self.last[value] <= peak or self.at[node] >= peak:
                continue
            uses = self.uses.get(value, [])
            before = max([i for i in uses if i <= peak], default=self.at[node])
            after = next((i for i in uses if i > peak), None)
            if after is not None and before < peak and value not in self.ends and not node.writes and not node.graphs:
                found.append(Gap(value, before, after, (self.at[node], value.index, after)))
        return found

    def _chain(self, gap: Gap) -> Chain | None:
        """What must run before `gap.after` to have the value there again."""
        chain = Chain([], {})
        return chain if gap.value.node is not None and self._add(gap.value.node, gap, chain, 0) else None

    def _add(self, node: Node, gap: Gap, chain: Chain, depth: int) -> bool:
        if node in chain.nodes:
            return True
        if depth > _DEEPEST or len(chain.nodes) >= _LONGEST or node.writes or node.graphs:
            return False
        for value in node.inputs:
            maker = value.node if value is not None else None
            if value is None or maker is None:
                continue
            source = self.owner.get(value, value)
            if self._is_there(source, gap):
                continue
            if source.node is not None and self.last[source] > gap.before and source is not gap.value:
                chain.kept[source] = self.last[source]
            elif not self._add(maker, gap, chain, depth + 1):
                return False
        chain.nodes.append(node)
        return True

    def _is_there(self, source: Value, gap: Gap) -> bool:
        return source.node is None or (source is not gap.value and self.last[source] >= gap.after)

    def _gain(self, gap: Gap, chain: Chain, memory: int) -> int:
        """By how much the excess falls."""
        size, gain = self.size[gap.value], 0
        made = [rounded(bytes_of(v)) for node in chain.nodes if not is_view(node) for v in node.outputs]
        working = max([workspace(node) for node in chain.nodes], default=0)
        for i in range(gap.before + 1, gap.after + 1):
            held = self.held[i]
            change = sum([self.size[source] for source, last in chain.kept.items() if last < i])
            change += sum(made) - size + working if i == gap.after else -size
            gain += max(held - memory, 0) - max(held + change - memory, 0)
        return gain

    # ---- doing it ------------------------------------------------------------------------------------------

    def with_again(self, gap: Gap, chain: Chain) -> Graph:
        """A copy that runs the chain again in front of the node after the gap; what comes from there on takes its results."""
        graph = self.graph.copy()
        twin = dict(zip(self.graph.nodes, graph.nodes, strict=True))
        first = graph.nodes[gap.after]
        shown = [
            v
            for v, owner in self.owner.items()
            if owner is gap.value and v.node is not None and self.at[v.node] < gap.after
        ]
        held = {twin[v.node].outputs[v.index] for v in (gap.value, *shown) if v.node is not None}
        again: dict[Value, Value] = {}
        for node in chain.nodes:
            _copy(twin[node], first, graph, again)
        for node in graph.nodes[graph.position(first) :]:
            for value in dict.fromkeys(v for v in node.inputs if v is not None and (v in held or v in again)):
                new = _anew(value, first, graph, again)
                new.users.append(node, value.users.drop(node))
                node.inputs = tuple([new if v is value else v for v in node.inputs])
        return graph


def _copy(node: Node, before: Node, graph: Graph, again: dict[Value, Value]) -> None:
    inputs = tuple([None if v is None else again.get(v, v) for v in node.inputs])
    twin = Node(node.op, inputs, node.attributes, node.list_length, node.place, node.no_grad, node.device)
    again.update(zip(node.outputs, twin.gives(*[(v.shape, v.dtype) for v in node.outputs]), strict=True))
    graph.insert(twin, graph.position(before))


def _anew(value: Value, before: Node, graph: Graph, again: dict[Value, Value]) -> Value:
    """The value, or a view of it, of what was computed again."""
    if value not in again and value.node is not None:
        if value.node.inputs[0] is not None:
            _anew(value.node.inputs[0], before, graph, again)
        _copy(value.node, before, graph, again)
    return again[value]


def _price(node: Node) -> int:
    done = cost(node)
    return done.flops + _MOVE * done.bytes
