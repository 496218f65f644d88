"""Layout: orders of axes go through elementwise ops to where they meet their opposites, and both go. Bit for bit: the same op runs on the
same elements, in another order."""

from __future__ import annotations

from ..fused import DIMS_AT
from ..ir import Graph, Node, Value
from .rewriter import Rewriter
from .views import ORDERS, order_of

JOINS = frozenset({"cat", "stack"})
COPIES = frozenset({"clone", "reshape"})
_BESIDES = frozenset({"clone", "masked_fill"})  # elementwise, besides what can be fused


def run(graph: Graph) -> int:
    """Of an op between two orders of axes, the second is done on its inputs; where that makes none of them plain, it stays."""
    changes = Rewriter(graph)
    for node in list(graph.nodes):
        if node.op in ORDERS and node.inputs[0] is not None and node.inputs[0].node is not None:
            _sink(node, node.inputs[0].node, changes)
            _join(node, node.inputs[0].node, changes)
    return changes.finish()


def _join(outer: Node, op: Node, changes: Rewriter) -> None:
    """Parts that are joined, then put in another order of axes and copied: the parts in that order are joined."""
    (old,) = outer.outputs
    if (
        op.op not in JOINS
        or len(op.outputs[0].users) != 1
        or op.outputs[0] in changes.ends
        or op.no_grad != outer.no_grad
    ):
        return
    if old in changes.ends or not old.users or any(user.op not in COPIES for user in old.users.nodes):
        return
    order, dim = order_of(outer), op.attributes[0] % len(old.shape)
    at, inner = order.index(dim), order
    if op.op == "stack":
        inner = tuple([axis - (axis > dim) for axis in order if axis != dim])
    parts = []
    for part in op.inputs:
        if part is None:
            return
        turned = Node("permute", (part,), (inner,), 0, outer.place, outer.no_grad, outer.device)
        turned.gives((tuple([part.shape[axis] for axis in inner]), part.dtype))
        parts.append(turned)
    made = Node(op.op, tuple([p.outputs[0] for p in parts]), (at,), len(parts), op.place, op.no_grad, op.device)
    (new,) = made.gives((old.shape, old.dtype))
    if changes.may(old, new):
        for node in (*parts, made):
            changes.graph.insert(node, changes.graph.position(outer))
        changes.replace(old, new)


def _sink(outer: Node, op: Node, changes: Rewriter) -> None:
    """outer(op(inner(x), …)) becomes op(x, …) where outer undoes inner; and so for trees of such ops."""
    (old,), order = outer.outputs, order_of(outer)
    plain: dict[Value, Value] = {}
    found: list[Node] = []
    if op.op in ORDERS or not _reaches(op.outputs[0], outer, changes, plain, found) or not plain:
        return
    twins = []
    for node in found:
        inputs = tuple([None if v is None else plain.get(v, v) for v in node.inputs])
        twin = Node(node.op, inputs, node.attributes, 0, node.place, node.no_grad, node.device)
        shape = tuple([node.outputs[0].shape[axis] for axis in order])
        (plain[node.outputs[0]],) = twin.gives((shape, node.outputs[0].dtype))
        twins.append(twin)
    new = plain[op.outputs[0]]
    if changes.may(old, new):
        for twin in twins:
            changes.graph.insert(twin, changes.graph.position(outer))
        changes.replace(old, new)


def _reaches(value: Value, outer: Node, changes: Rewriter, plain: dict[Value, Value], found: list[Node]) -> bool:
    """Is the value made of orders of axes that `outer` undoes, by elementwise ops that nobody else needs? `plain` tells what is before
    the orders, `found` the ops."""
    node, order = value.node, order_of(outer)
    if value in plain or node is None or len(value.shape) != len(order) or node.no_grad != outer.no_grad:
        return value in plain
    if node.op in ORDERS:
        before, source = order_of(node), node.inputs[0]
        undone = tuple([before[axis] for axis in order]) == tuple(range(len(order)))
        if undone and source is not None:
            plain[value] = source
        return undone
    if len(value.users) != 1 or value in changes.ends or len(node.outputs) != 1 or not is_elementwise(node):
        return False
    for taken in node.inputs:
        if taken is not None and taken.kind != "number" and not _reaches(taken, outer, changes, plain, found):
            return False
    found.append(node)
    return True


def is_elementwise(node: Node) -> bool:
    """Is each element of the result made of the elements in its place?"""
    return not node.writes and (DIMS_AT.get(node.op) == -1 or node.op in _BESIDES)
