"""Fusion: elementwise ops, and reductions with what stands before and behind them, become one op, `fused`.

A group may reduce its last axes, row by row, and go on with whole rows; or its first axes, all of them too: then it goes on with
what was reduced alone, in late members.

Nodes join the groups of what they take, in the order in which they run. A group must be able to run at once: nothing that a
member takes from outside may depend on another member. Groups are numbered as they begin, and every value knows the highest
number of a group on which it depends (its tide): a member's inputs lie in the group, or their tides below its number. That asks
a little more than needed, and each node once.
"""

from __future__ import annotations

from math import prod
from typing import Any

from ... import _core
from ..._core import OpCall
from ...errors import HelixError
from ..fused import (
    ABSENT,
    DIMS_AT,
    MOST_INPUTS,
    MOST_NUMBERS,
    MOST_OPERANDS,
    MOST_RESULTS,
    MOST_STEPS,
    Operand,
    Program,
    Result,
    Step,
    encode,
    reduced,
)
from ..ir import Graph, Node, Value
from ..symbols import Sizes, at
from ..text import attribute_names
from .rewriter import is_known

LEAST_ITEMS = 4096  # of the frame, where it is known: below, a group saves nothing
LEAST_SAVED = 40960  # elements of values that are not written, of elementwise ops alone: two of 2^14 are faster apart
LONGEST_ROW = 32768  # items that are reduced to one, where they are known: a tile holds whole rows
FEWEST_ROWS = 4  # to share out, unless the rows are short
SHORT_ROW = 4096
LEAST_COLUMNS = 16  # fewer sums side by side are read another way, one after another
LATE = frozenset({"sum", "mean", "prod", "nansum", "amax", "amin", "all", "any"})  # may reduce first axes


class Group:
    """Nodes that become one: their frame, how many of its last axes they reduce, or, below 0, of its first, and what they
    take from outside."""

    __slots__ = (
        "axes",
        "device",
        "dropped",
        "frame",
        "inputs",
        "into",
        "late",
        "members",
        "no_grad",
        "number",
        "numbers",
    )

    def __init__(self, number: int, frame: tuple[Any, ...], first: Node) -> None:
        self.number, self.frame = number, frame
        self.no_grad, self.device = first.no_grad, first.device
        self.axes = 0
        self.members: list[Node] = []
        self.inputs: dict[Value, None] = {}
        self.dropped: set[Node] = set()  # without the reduced axes: nobody inside takes those that reduce last axes
        self.late: set[Node] = set()  # those that reduce first axes, and what follows from them
        self.numbers = 0
        self.into: Group | None = None  # the group of which this one became a part

    @property
    def kept(self) -> tuple[Any, ...]:
        """The shape of what was reduced."""
        return reduced(self.frame, self.axes)

    def is_late(self, shape: tuple[Any, ...]) -> bool:
        """Is it the shape of what was reduced over first axes?"""
        return self.axes < 0 and shape in (self.kept, self.frame[-self.axes :])


class Fusion:
    """One run of the pass."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.groups: list[Group] = []
        self.of: dict[Node, Group] = {}
        self.tide: dict[Node, int] = {}
        self.ends = {*graph.outputs, *[effect.value for effect in graph.effects]}

    # ---- growing groups --------------------------------------------------------------------------------------

    def grow(self) -> None:
        for node in self.graph.nodes:
            axes = fusible(node)
            if axes is not None:
                self._place(node, axes)
            self.tide[node] = self._tide_of(node)

    def _tide_of(self, node: Node) -> int:
        group = self.group(node)
        return max([-1 if group is None else group.number, *[self._tide(value) for value in node.inputs]])

    def group(self, node: Node | None) -> Group | None:
        """The group of a node, through the groups that became one."""
        found = self.of.get(node) if node is not None else None
        while found is not None and found.into is not None:
            found = found.into
        return found

    def _tide(self, value: Value | None) -> int:
        return -1 if value is None or value.node is None else self.tide[value.node]

    def _place(self, node: Node, axes: int) -> None:
        frame = node.inputs[0].shape if axes else node.outputs[0].shape  # type: ignore[union-attr]
        near = {}
        for value in node.inputs:
            group = self.group(value.node) if value is not None else None
            if group is not None:
                near[group.number] = group
        home = self._home(node, axes, [near[number] for number in sorted(near)])
        if home is None:
            if axes < 0:
                return  # nothing stands before it
            home = Group(len(self.groups), frame, node)
            self.groups.append(home)
        self._enter(node, axes, home)

    def _home(self, node: Node, axes: int, near: list[Group]) -> Group | None:
        """The group that a node joins, of those that it takes from; as many of them as may become one."""
        near = [group for group in near if self._suits(node, axes, group)]
        for group in near[1:]:
            if self._merges(near[0], group, axes):
                self._merge(near[0], group)
        for group in near:
            if group.into is None and self._joins(node, group):
                return group
        return None

    def _suits(self, node: Node, axes: int, group: Group) -> bool:
        """Has the node the shape of the group's frame, or of what is reduced in it?"""
        shape = node.outputs[0].shape
        if (node.no_grad, node.device) != (group.no_grad, group.device):
            return False
        if axes:
            source: Value = node.inputs[0]  # type: ignore[assignment]
            comes_before = axes > 0 or (self.group(source.node) is group and source.node not in group.late)
            return source.shape == group.frame and group.axes in (0, axes) and comes_before
        if group.late and any(value is not None and value.node in group.late for value in node.inputs):
            return group.is_late(shape)
        return shape == group.frame or (group.axes > 0 and shape == group.kept)

    def _joins(self, node: Node, group: Group) -> bool:
        taken = len(group.inputs) + sum(
            value is not None and self.group(value.node) is not group for value in node.inputs
        )
        if taken > MOST_INPUTS or group.numbers + len(node.inputs) > MOST_NUMBERS or len(group.members) >= MOST_STEPS:
            return False
        return self._outside_comes_before(node.inputs, group.number, (group,), group.axes < 0)

    def _outside_comes_before(self, values: Any, number: int, inside: tuple[Group, ...], late: bool = False) -> bool:
        for value in values:
            own = self.group(value.node) if value is not None else None
            if own is not None and own in inside:
                if not late and (value.node in own.dropped or value.node in own.late):
                    return False
            elif self._tide(value) >= number:
                return False
        return True

    def _merges(self, home: Group, other: Group, axes: int) -> bool:
        """Can two groups be one? `home` began first, and so gives the number."""
        if home.frame != other.frame or len({a for a in (home.axes, other.axes, axes) if a}) > 1:
            return False
        if (
            len(home.members) + len(other.members) >= MOST_STEPS
            or home.numbers + other.numbers + MOST_OPERANDS > MOST_NUMBERS
        ):
            return False
        if len(home.inputs) + len(other.inputs) + MOST_OPERANDS > MOST_INPUTS:
            return False
        return self._outside_comes_before((*home.inputs, *other.inputs), home.number, (home, other))

    def _merge(self, home: Group, other: Group) -> None:
        other.into = home
        home.axes = home.axes or other.axes
        home.members += other.members
        home.dropped |= other.dropped
        home.late |= other.late
        home.numbers += other.numbers
        inputs = {**home.inputs, **other.inputs}
        home.inputs = {value: None for value in inputs if self.group(value.node) is not home}

    def _enter(self, node: Node, axes: int, group: Group) -> None:
        self.of[node] = group
        group.members.append(node)
        group.axes = group.axes or axes
        if axes > 0 and not keeps(node):
            group.dropped.add(node)
        if axes < 0 or any(value is not None and value.node in group.late for value in node.inputs):
            group.late.add(node)
            if node.outputs[0].shape != group.kept:
                group.dropped.add(node)
        for value in node.inputs:
            if value is None:
                continue
            if is_constant(value):
                group.numbers += 1
            elif self.group(value.node) is not group:
                group.inputs[value] = None

    # ---- making nodes ----------------------------------------------------------------------------------------

    def make(self) -> int:
        """Puts a fused node in the place of every group that is worth it; how many."""
        order = {node: i for i, node in enumerate(self.graph.nodes)}
        made: dict[Node, Node] = {}  # of each member: the node that it became a part of
        sizes = sample_sizes(self.graph)
        count = 0
        for group in self.groups:
            if group.into is None:
                for members in self._parts(sorted(group.members, key=order.__getitem__)):
                    count += self._make(group, members, made, sizes)
        if count:
            self._exchange(made)
        return count

    def _results(self, members: list[Node]) -> list[Node]:
        inside = set(members)
        return [
            node
            for node in members
            if node.outputs[0] in self.ends or any(user not in inside for user in node.outputs[0].users.counts)
        ]

    def _parts(self, members: list[Node]) -> list[list[Node]]:
        """Parts that have no more results than a node can; what comes first needs nothing of what follows."""
        if len(members) < 2:
            return []
        if len(self._results(members)) <= MOST_RESULTS:
            return [members]
        middle = len(members) // 2
        return [*self._parts(members[:middle]), *self._parts(members[middle:])]

    def _make(self, group: Group, members: list[Node], made: dict[Node, Node], sizes: Sizes) -> int:
        results = self._results(members)
        if not results or not pays(group, members):
            return 0
        inputs, program = program_of(group, members, results)
        node = Node(
            "fused", inputs, encode(program, len(inputs)), len(inputs), results[-1].place, group.no_grad, group.device
        )
        specs = [(result.outputs[0].shape, result.outputs[0].dtype) for result in results]
        if not is_sound(node, specs, sizes):
            return 0
        node.outputs = tuple([result.outputs[0] for result in results])
        for member in members:
            made[member] = node
        return 1

    def _exchange(self, made: dict[Node, Node]) -> None:
        graph = self.graph
        for node in made:
            graph._let_go(node)
        for fused in dict.fromkeys(made.values()):
            for index, value in enumerate(fused.outputs):
                value.node, value.index = fused, index
            for taken in fused.inputs:
                if taken is not None:
                    taken.users.append(fused)
        graph.nodes = in_order(graph.nodes, made)
        graph.runner = None


def in_order(nodes: list[Node], made: dict[Node, Node]) -> list[Node]:
    """The nodes, fused ones in the places of their members, each after what it takes."""
    placed: set[Node] = set()
    ordered: list[Node] = []
    for first in nodes:
        waiting = [made.get(first, first)]
        while waiting:
            node = waiting[-1]
            if node in placed:
                waiting.pop()
                continue
            needed = [v.node for v in node.inputs if v is not None and v.node is not None and v.node not in placed]
            if needed:
                waiting += reversed(needed)
            else:
                placed.add(waiting.pop())
                ordered.append(node)
    return ordered


# ---- what can be fused, and what for -----------------------------------------------------------------------------


def fusible(node: Node) -> int | None:
    """How many of the last axes a node reduces, below 0 of the first, 0 for an elementwise one; None for what cannot be a
    part."""
    if node.op not in DIMS_AT or node.writes or node.graphs or len(node.outputs) != 1:
        return None
    shapes = [value.shape for value in (*node.inputs, *node.outputs) if value is not None]
    if not all(map(is_known, shapes)) or any(map(is_unsuited, node.inputs)):
        return None
    if DIMS_AT[node.op] < 0:
        return 0
    dims, rank = node.attributes[DIMS_AT[node.op]], len(shapes[0])
    if dims and sorted(dims) == list(range(rank - len(dims), rank)) and rows_pay(shapes[0], len(dims)):
        return len(dims)
    first = bool(dims) and node.op in LATE and sorted(dims) == list(range(len(dims)))
    return -len(dims) if first and columns_pay(node.inputs[0], len(dims)) else None  # type: ignore[arg-type]


def is_unsuited(value: Value | None) -> bool:
    return value is not None and value.kind == "number" and isinstance(value.source, complex)


def is_constant(value: Value) -> bool:
    """A number that stands in the program. One that depends on dimensions is an input."""
    return value.kind == "number" and isinstance(value.source, (bool, int, float))


def keeps(node: Node) -> bool:
    return bool(node.attributes[attribute_names(node.op).index("keepdim")])


def rows_pay(shape: tuple[Any, ...], axes: int) -> bool:
    """Are the rows that are reduced to one short enough for a tile, and enough of them for all threads?"""
    inner, outer = shape[len(shape) - axes :], shape[: len(shape) - axes]
    if not all(isinstance(size, int) for size in inner):
        return bool(outer)
    items = prod(inner)
    many = not all(isinstance(size, int) for size in outer) or prod(outer) >= FEWEST_ROWS
    return items <= LONGEST_ROW and (many or items <= SHORT_ROW)


def columns_pay(value: Value, axes: int) -> bool:
    """Can the sums over first axes be fed as they are made? There is more than one row, and all goes into one sum, or into many
    side by side."""
    outer, inner = value.shape[:axes], value.shape[axes:]
    several = not all(isinstance(size, int) for size in outer) or prod(outer) > 1
    wide = all(isinstance(size, int) for size in inner) and prod(inner) >= LEAST_COLUMNS
    return several and (not inner or wide) and not value.dtype.is_complex


def pays(group: Group, members: list[Node]) -> bool:
    """Are enough values not written and read again to make up for the call of a program?"""
    inside = set(members)
    inner = sum(value is not None and value.node in inside for node in members for value in node.inputs)
    if not inner or not all(isinstance(size, int) for size in group.frame):
        return inner > 0
    items = prod(group.frame)
    return items >= LEAST_ITEMS and (group.axes != 0 or inner * items >= LEAST_SAVED)


def program_of(group: Group, members: list[Node], results: list[Node]) -> tuple[tuple[Value, ...], Program]:
    """What the members take from outside, and what they do as a program."""
    inside = {node: i for i, node in enumerate(members)}
    inputs: dict[Value, int] = {}
    numbers: dict[tuple[Any, ...], int] = {}
    steps = []
    for node in members:
        operands = []
        for value in node.inputs:
            if value is None:
                operands.append(ABSENT)
            elif value.node in inside:
                operands.append(Operand("step", inside[value.node]))
            elif is_constant(value):
                number = plain_number(value)
                operands.append(
                    Operand("number", numbers.setdefault((type(number), repr(number), number), len(numbers)))
                )
            else:
                operands.append(Operand("input", inputs.setdefault(value, len(inputs))))
        steps.append(Step(node.op, tuple(operands), step_attributes(node)))
    kept = tuple([key[2] for key in numbers])
    shown = tuple([Result(inside[node], node in group.dropped) for node in results])
    return tuple(inputs), Program(group.axes, kept, tuple(steps), shown)


def plain_number(value: Value) -> bool | int | float:
    """A number of the kind that its dtype has."""
    if value.dtype.name == "bool":
        return bool(value.source)
    return float(value.source) if value.dtype.is_floating_point else int(value.source)


def step_attributes(node: Node) -> tuple[Any, ...]:
    if DIMS_AT[node.op] < 0:
        return node.attributes
    attributes = list(node.attributes)
    attributes[DIMS_AT[node.op]] = None
    attributes[attribute_names(node.op).index("keepdim")] = True
    return tuple(attributes)


def sample_sizes(graph: Graph) -> Sizes:
    """Some size for each dimension, no two alike where that may be."""
    sizes: dict[str, int] = {}
    for dim, size in zip(graph.dims, range(5, 99, 2), strict=False):
        wanted = -(-max(size, dim.min) // dim.multiple_of) * dim.multiple_of
        sizes[dim.name] = (
            wanted if dim.max is None or wanted <= dim.max else dim.max // dim.multiple_of * dim.multiple_of
        )
    return sizes


def is_sound(node: Node, specs: list[tuple[tuple[Any, ...], Any]], sizes: Sizes) -> bool:
    """Does the core take the program, and give what the members gave?"""
    trace = _core.Trace()
    try:
        with trace:
            given = [trace.input(at(v.shape, sizes), v.dtype, None) for v in node.inputs if v is not None]
            call: Any = OpCall(node.op, node.attributes, node.list_length, node.device)
            made = call(given)
    except HelixError:
        return False
    return [(tuple(x.shape), x.dtype) for x in made] == [(tuple(at(shape, sizes)), kind) for shape, kind in specs]


def run(graph: Graph) -> int:
    """Bit for bit: every step is computed by its op's own kernel."""
    fusion = Fusion(graph)
    fusion.grow()
    return fusion.make()
