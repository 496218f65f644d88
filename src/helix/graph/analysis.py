"""What a graph costs: operations and bytes of every node, how long values live, and the memory of a run at its peak."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any, NamedTuple

from .. import _core
from ..errors import GraphError
from ..flops import flops_of
from .fused import DIMS_AT, decode, reduced, stretched
from .ir import Graph, Node, Value
from .text import spec_text
from .workspaces import of_kernel

BLOCK = 64  # bytes to which the pool rounds a block up


class Cost(NamedTuple):
    """Floating-point operations (a multiply-add counts as two), and bytes read and written where no cache helps."""

    flops: int
    bytes_read: int
    bytes_written: int

    @property
    def bytes(self) -> int:
        return self.bytes_read + self.bytes_written

    @property
    def intensity(self) -> float:
        """Operations for each byte moved."""
        return self.flops / self.bytes if self.bytes else 0.0

    def plus(self, other: Cost, times: int = 1) -> Cost:
        """Both together, the other so many times."""
        return Cost(*[a + times * b for a, b in zip(self, other, strict=True)])


NOTHING = Cost(0, 0, 0)


class Life(NamedTuple):
    """Where a value lives: it is made at node `first` (-1: it is there before), and last taken at node `last`."""

    value: Value
    first: int
    last: int
    bytes: int


class Statistics(NamedTuple):
    """Counts of a graph."""

    nodes: int
    ops: dict[str, int]
    depth: int
    parameters: int
    parameter_bytes: int
    flops: int
    bytes_moved: int
    peak_bytes: int


_VIEWS: set[str] = set()
_FREE = frozenset({"empty", "empty_like", "new_empty"})


def is_view(node: Node) -> bool:
    """Do the results of this node show the memory of its first input?"""
    if not _VIEWS:
        _VIEWS.update(record["name"] for record in _core.ops() if "view" in record["flags"])
    return node.op in _VIEWS and not _copies(node)


def _copies(node: Node) -> bool:
    """A reshape of what does not lie row by row is a copy: of a view that permutes, and is no reshape itself."""
    if node.op not in ("reshape", "view_as", "expand_as"):
        return False
    source = node.inputs[0].node if node.inputs[0] is not None else None
    while source is not None and is_view(source):
        if source.op not in ("reshape", "view", "squeeze", "unsqueeze"):
            return node.op == "reshape" and not _keeps_rows(source)
        source = source.inputs[0].node if source.inputs[0] is not None else None
    return False


def _keeps_rows(node: Node) -> bool:
    """A slice of the first axis lies row by row as its source does."""
    return node.op in ("select", "slice", "narrow") and node.attributes[0] == 0 and node.attributes[-1:] != (-1,)


def bytes_of(value: Value | None) -> int:
    """Of its elements; a number has none.

    Raises GraphError (HX4001) where the shape holds a dimension.
    """
    if value is None or value.kind == "number":
        return 0
    if any(not isinstance(size, int) for size in value.shape):
        raise GraphError(
            f"HX4001 {value!r} has no size yet; give its dimensions one with graph.at(...)",
            code="HX4001",
            got=str(value.shape),
        )
    return int(prod(value.shape)) * int(value.dtype.itemsize)


def cost(node: Node) -> Cost:
    """Of one node. Views cost nothing; a choice costs its dearer body, a scan its body times its length; of a loop, whose
    length is not known, one round is counted."""
    if node.graphs:
        return _control_cost(node)
    if is_view(node) or node.op in _FREE:
        return NOTHING
    read, written = sum(map(bytes_of, node.inputs)), sum(map(bytes_of, node.outputs))
    inputs = tuple([None if v is None else (v.shape, v.dtype.name) for v in node.inputs])
    output = node.outputs[0] if node.outputs else None
    if node.op == "transfer":
        return Cost(0, read, written)
    if node.op == "fused":
        return Cost(_fused_flops(node), read, written)
    flops = flops_of(node.op, inputs, None if output is None else (output.shape, output.dtype.name))
    return Cost(flops, read, written)


def _fused_flops(node: Node) -> int:
    """Of all steps, each over what its operands stretch to; reductions keep their axes as 1."""
    taken = [value for value in node.inputs if value is not None]
    ints, floats = node.attributes
    program = decode(ints, floats, len(taken))
    made: list[tuple[Any, ...]] = []
    flops = 0
    for step in program.steps:
        shapes = [
            taken[o.at].shape if o.kind == "input" else made[o.at] for o in step.operands if o.kind in ("input", "step")
        ]
        frame = stretched(shapes)
        flops += flops_of(step.op, ((frame, ""),), (frame, ""))
        reduces = DIMS_AT[step.op] >= 0
        made.append(reduced(frame, program.axes) if reduces else frame)
    return flops


def _control_cost(node: Node) -> Cost:
    if node.op == "function":
        return total(node.graphs[0])
    costs = [total(body) for body in node.graphs]
    if node.op == "cond":
        return max(costs)
    if node.op == "scan":
        n, rows, _ = node.attributes
        length = next((v.shape[0] for v in node.inputs[n : n + rows] if v is not None), 0)
        return NOTHING.plus(costs[0], length)
    return costs[0].plus(costs[1])


def total(graph: Graph) -> Cost:
    """Of all nodes."""
    found = NOTHING
    for node in graph.nodes:
        found = found.plus(cost(node))
    return found


# ---- memory ------------------------------------------------------------------------------------------------


def liveness(graph: Graph) -> list[Life]:
    """Of every value that has memory of its own: inputs, captured tensors, and results that are no views. What a view shows
    lives as long as the view."""
    owner: dict[int, Value] = {}
    last: dict[int, int] = {}
    made: list[tuple[Value, int]] = [(value, -1) for value in (*graph.inputs, *graph.captured)]
    end = len(graph.nodes)
    for i, node in enumerate(graph.nodes):
        shown = node.inputs[0] if is_view(node) else None
        for value in node.outputs:
            if shown is not None:
                owner[id(value)] = owner.get(id(shown), shown)
            else:
                made.append((value, i))
                last[id(value)] = i
        for taken in node.inputs:
            if taken is not None:
                last[id(owner.get(id(taken), taken))] = i
    for value in (*graph.inputs, *graph.captured, *graph.outputs, *(effect.value for effect in graph.effects)):
        last[id(owner.get(id(value), value))] = end
    return [Life(value, first, last[id(value)], bytes_of(value)) for value, first in made]


def workspace(node: Node) -> int:
    """Bytes that a node needs besides its results: the bodies of control flow, at their peak; what its kernel on the CPU holds, about."""
    if node.graphs:
        return max(map(_results, node.graphs[:1] if node.op == "function" else node.graphs))
    return of_kernel(node)


def rounded(size: int) -> int:
    """As the pool rounds a block up."""
    return -(-size // BLOCK) * BLOCK


def _results(graph: Graph) -> int:
    """The peak of the results alone, without inputs and captured tensors."""
    steps = [0] * (len(graph.nodes) + 2)
    for life in liveness(graph):
        if life.first >= 0:
            steps[life.first] += rounded(life.bytes)
            steps[life.last + 1] -= rounded(life.bytes)
    highest = now = 0
    for i, node in enumerate(graph.nodes):
        now += steps[i]
        highest = max(highest, now + workspace(node))
    return max(highest, now)


def peak_bytes(graph: Graph) -> int:
    """The most memory that a run holds at a time: inputs, captured tensors, and the results that are still needed."""
    there = sum(rounded(life.bytes) for life in liveness(graph) if life.first < 0)
    return there + _results(graph)


# ---- all together ------------------------------------------------------------------------------------------


def statistics(graph: Graph) -> Statistics:
    """Counts of nodes by op, the longest chain of nodes, parameters, and what a run costs."""
    depth: dict[int, int] = {}
    ops: dict[str, int] = {}
    for node in graph.nodes:
        ops[node.op] = ops.get(node.op, 0) + 1
        level = 1 + max((depth.get(id(value), 0) for value in node.inputs if value is not None), default=0)
        for value in node.outputs:
            depth[id(value)] = level
    parameters = [value for value in graph.captured if value.kind == "parameter"]
    done = total(graph)
    ordered = dict(sorted(ops.items(), key=lambda item: (-item[1], item[0])))
    return Statistics(
        len(graph.nodes),
        ordered,
        max(depth.values(), default=0),
        sum(int(prod(value.shape)) for value in parameters),
        sum(map(bytes_of, parameters)),
        done.flops,
        done.bytes,
        peak_bytes(graph),
    )


def summary(graph: Graph) -> str:
    """A table of nodes: module, op, result, operations, bytes moved, operations for each byte; and the sums."""
    rows = [("module", "op", "result", "MFLOP", "MB", "FLOP/byte")]
    for node in graph.nodes:
        done = cost(node)
        result = ", ".join(spec_text(value.shape, value.dtype) for value in node.outputs)
        rows.append(
            (
                node.place[0],
                node.op,
                result,
                f"{done.flops / 1e6:.3f}",
                f"{done.bytes / 1e6:.3f}",
                f"{done.intensity:.2f}",
            )
        )
    found = statistics(graph)
    foot = (
        f"{found.nodes} nodes, depth {found.depth}; {found.parameters:,} parameters ({found.parameter_bytes / 1e6:.2f} MB); "
        f"{found.flops / 1e9:.4f} GFLOP, {found.bytes_moved / 1e6:.2f} MB moved, at most {found.peak_bytes / 1e6:.2f} MB held"
    )
    return "\n".join([*_aligned(rows), foot])


def _aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    table = list(rows)
    widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]
    lines = []
    for row in table:
        left = [cell.ljust(width) for cell, width in zip(row[:3], widths[:3], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True)]
        lines.append("  ".join([*left, *right]).rstrip())
    return lines
