"""Optimizer steps written by hand in plain ops become the ops that update a list of tensors at once: descent with weight decay
and momentum, averages, Adam. The results agree to some units of the last place.

What is written to a tensor is read as a sum of multiples of values. Where a gradient is itself a multiple of something, there are
several ways to read it; that is taken which most tensors share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import isclose, log, prod, sqrt
from typing import Any, NamedTuple

from ..fused import DIMS_AT
from ..ir import Effect, Graph, Node, Value
from .fusion import LEAST_ITEMS
from .rewriter import Rewriter

FEWEST = 2  # tensors of one step
FOREVER = 2**40  # steps, after which nothing is left of how an average began
_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
_DEEPEST = 8  # sums within sums
_NEAR = 1e-6  # of constants, which float32 may have rounded
_LEAST_KEPT = 0.5  # of a tensor: the ops take off what is lost of all of it, and the digits of the rest with it

Values = tuple[Value, ...]
Term = tuple[Values, Values]  # the values above and below a fraction
Sum = dict[Term, float]  # multiples of terms


class Step(NamedTuple):
    """A tensor's part of an op: `lists` are what it puts into each list of the op, `made` the values of those that are written."""

    op: str
    attributes: tuple[Any, ...]
    lists: tuple[Value, ...]
    made: tuple[Value, ...]
    writes: tuple[int, ...]

    @property
    def key(self) -> tuple[Any, ...]:
        first = self.lists[0]
        node = self.made[0].node
        assert node is not None
        rounded = tuple([float(f"{a:.9g}") if isinstance(a, float) else a for a in self.attributes])
        return self.op, rounded, first.dtype.name, node.device, len(self.lists)


class Updates:
    """One run of the pass."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.written: dict[Value, Value] = {}  # what is written, and to which tensor
        for effect in graph.effects:
            if effect.kind == "write" and _is_update(effect):
                self.written[effect.value] = effect.target

    def steps(self) -> list[list[Step]]:
        """Those that go together."""
        ways = {value: list(self._ways(value)) for value in self.written}
        count = Counter(key for found in ways.values() for key in {step.key for step in found})
        together: dict[tuple[Any, ...], list[Step]] = {}
        states = {made for found in ways.values() for step in found[:1] for made in step.made[1:]}
        for value, found in ways.items():
            if found and value not in states:
                best = max(reversed(found), key=lambda step: count[step.key])
                together.setdefault(best.key, []).append(best)
        return list(together.values())

    def _ways(self, made: Value) -> Iterator[Step]:
        """How the update of one tensor can be read, the one that takes most in last."""
        tensor = self.written[made]
        adam = self._adam(tensor, made)
        if adam is not None:
            yield adam
            return
        readings = list(self._readings(made, tensor))
        moved = [step for kept, factor, other in readings for step in self._momentum(tensor, made, kept, factor, other)]
        yield from moved
        for kept, factor, other in [] if moved else readings:
            if kept < _LEAST_KEPT or not _alike(other, tensor) or other is tensor or other in self.written:
                continue
            if _is_made_for_it(other):
                continue
            if factor < 0:
                yield _descent((tensor, other), (made,), -factor, 0.0, 0.0, (1 - kept) / -factor)
            elif _is_average(kept, factor):
                numbers = (1.0, 0.0, 1.0, factor, *[0.0] * 6)
                yield Step("rule_step", ("average", 0, *numbers), (tensor, other), (made,), (0,))

    # ---- sums of multiples -----------------------------------------------------------------------------------

    def _two(self, made: Value, tensor: Value) -> tuple[float, float, Term] | None:
        """a, b and x, where the value is a times the tensor and b times x."""
        found = self._sum(made, tensor)
        kept = found.pop(((tensor,), ()), None)
        if kept is None or len(found) != 1:
            return None
        ((other, factor),) = found.items()
        return kept, factor, other

    def _readings(self, made: Value, tensor: Value) -> Iterator[tuple[float, float, Value]]:
        """The same of a value x, which may be a multiple itself."""
        found = self._two(made, tensor)
        if found is None or len(found[2][0]) != 1 or found[2][1]:
            return
        kept, factor, ((other,), _) = found
        while True:
            yield kept, factor, other
            inner = None if other in self.written else _multiple(other)
            if inner is None:
                return
            other, factor = inner[0], factor * inner[1]

    def _sum(self, value: Value, tensor: Value) -> Sum:
        """The value as a sum; what does not depend on the tensor is not taken apart."""
        if value is tensor or not self._holds(value, tensor, 0):
            return {((value,), ()): 1.0}
        total: Sum = {}
        for (above, below), factor in _parts(value):
            inner = self._sum(above[0], tensor) if len(above) == 1 and not below else {(above, below): 1.0}
            for term, times in inner.items():
                total[term] = total.get(term, 0.0) + times * factor
        return total

    def _holds(self, value: Value, tensor: Value, depth: int) -> bool:
        if value is tensor:
            return True
        if depth > _DEEPEST or (depth and value in self.written):
            return False
        return any(self._holds(one, tensor, depth + 1) for (above, _), _ in _parts(value) for one in above)

    def _product(self, value: Value) -> tuple[float, Values, Values]:
        """A number, and the values above and below a fraction; of what is written by itself, and of what is no product, 1 and it."""
        one = _multiple(value)
        node = value.node
        if value in self.written or node is None:
            return 1.0, (value,), ()
        if one is not None:
            times, above, below = self._product(one[0])
            return times * one[1], above, below
        both = [x for x in node.inputs if x is not None and x.kind != "number"]
        if len(both) == 2 and (node.op == "mul" or (node.op == "div" and node.attributes == ("none",))):
            (x, a, b), (y, c, d) = map(self._product, both)
            return (x * y, a + c, b + d) if node.op == "mul" else (x / y, a + d, b + c)
        return 1.0, (value,), ()

    # ---- forms -----------------------------------------------------------------------------------------------

    def _momentum(self, tensor: Value, made: Value, kept: float, factor: float, moved: Value) -> Iterator[Step]:
        buffer = self.written.get(moved)
        if buffer is None or kept != 1 or factor >= 0 or not _alike(buffer, tensor):
            return
        for momentum, fresh, gradient in self._readings(moved, buffer):
            if _alike(gradient, tensor) and momentum and gradient is not tensor:
                lists = (tensor, gradient, buffer)
                yield _descent(lists, (made, moved), -factor, momentum, 1 - fresh, 0.0)

    def _adam(self, tensor: Value, made: Value) -> Step | None:
        """p - size m / (scale sqrt(v) + eps), of averages of gradients and of their squares."""
        found = self._two(made, tensor)
        if found is None:
            return None
        kept, factor, (above, below) = found
        if kept < _LEAST_KEPT:
            return None
        tops, unders = [self._product(x) for x in above], [self._product(x) for x in below]
        size = factor * prod(times for times, _, _ in tops) / prod(times for times, _, _ in unders)
        above = tuple([x for _, over, _ in tops for x in over] + [x for _, _, under in unders for x in under])
        below = tuple([x for _, _, under in tops for x in under] + [x for _, over, _ in unders for x in over])
        if len(above) != 1 or len(below) != 1 or above[0] not in self.written:
            return None
        root = self._root(below[0])
        return None if root is None else self._adam_of(tensor, made, above[0], root, kept, size)

    def _adam_of(
        self, tensor: Value, made: Value, mean: Value, root: tuple[Value, float, float], kept: float, size: float
    ) -> Step | None:
        square, scale, eps = root
        old, old_square = self.written[mean], self.written.get(square)
        if old_square is None or not all(_alike(x, tensor) for x in (old, old_square)):
            return None
        for beta1, fresh, gradient in self._readings(mean, old):
            found = self._two(square, old_square)
            rest = None if found is None else _squares(found[2], gradient)
            if found is None or rest is None or not _alike(gradient, tensor) or not _is_average(beta1, fresh):
                continue
            beta2, steps = found[0], _steps_of(scale, found[0])
            if steps is None or not _LEAST_KEPT <= beta1 < 1 or size >= 0 or not _is_average(beta2, found[1] * rest):
                continue
            lr = -size * (1 - beta1**steps)
            attributes = (lr, beta1, beta2, eps, (1 - kept) / lr, steps, True, False, False)
            return Step("adam_step", attributes, (tensor, gradient, old, old_square), (made, mean, square), (0, 2, 3))
        return None

    def _root(self, value: Value) -> tuple[Value, float, float] | None:
        """x, scale and eps, where the value is scale sqrt(x) + eps."""
        node = value.node
        if node is None or node.op != "add" or node.attributes != (1,) or node.inputs[0] is None:
            return None
        eps = _number(node.inputs[1])
        times, above, below = self._product(node.inputs[0])
        root = above[0].node if len(above) == 1 and not below else None
        if eps is None or eps < 0 or root is None or root.op != "sqrt" or root.inputs[0] is None:
            return None
        inner, above, below = self._product(root.inputs[0])
        if len(above) != 1 or below or inner <= 0 or times <= 0:
            return None
        return above[0], times * sqrt(inner), eps

    # ---- making nodes ----------------------------------------------------------------------------------------

    def make(self) -> int:
        count = 0
        changes = Rewriter(self.graph)
        self.graph.number()
        for steps in self.steps():
            fit = _at_once(self.graph, steps)
            if len(fit) >= FEWEST:
                self._exchange(fit, changes)
                count += 1
        return count if changes.finish() else 0

    def _exchange(self, steps: list[Step], changes: Rewriter) -> None:
        first = steps[0]
        lists = [[step.lists[k] for step in steps] for k in range(len(first.lists))]
        inputs = [value for values in lists for value in values]
        writes = tuple([k * len(steps) + i for k in first.writes for i in range(len(steps))])
        last = max((value.node for step in steps for value in step.made), key=lambda node: node.order)  # type: ignore[union-attr]
        node = Node(first.op, (*inputs, None), first.attributes, len(inputs), last.place, True, last.device, writes)  # type: ignore[union-attr]
        made = node.gives(*[(inputs[at].shape, inputs[at].dtype) for at in writes])
        self.graph.insert(node, self.graph.position(last) + 1)  # type: ignore[arg-type]
        for k in range(len(first.writes)):
            for i, step in enumerate(steps):
                changes.replace(step.made[k], made[k * len(steps) + i])


# ---- words -----------------------------------------------------------------------------------------------------------


def _is_update(effect: Effect) -> bool:
    node = effect.value.node
    return node is not None and not node.writes and effect.value.dtype.name in _FLOATS


def _number(value: Value | None) -> float | None:
    if value is None or value.kind != "number" or type(value.source) not in (int, float):
        return None
    return float(value.source)


def _parts(value: Value) -> list[tuple[Term, float]]:
    """What a value is the sum of; nothing where it is no sum."""
    node = value.node
    if node is None or len(node.outputs) != 1:
        return []
    known = [x for x in node.inputs if x is not None and x.kind != "number"]
    if node.op in ("add", "sub") and len(known) == 2:
        times = float(node.attributes[0])
        return [(((known[0],), ()), 1.0), (((known[1],), ()), times if node.op == "add" else -times)]
    if node.op in ("addcmul", "addcdiv") and len(known) == 3:
        a, b, c = known
        return [(((a,), ()), 1.0), (((b, c), ()) if node.op == "addcmul" else ((b,), (c,)), float(node.attributes[0]))]
    weight = _number(node.inputs[2]) if node.op == "lerp" else None
    if weight is not None and len(known) == 2:
        return [(((known[0],), ()), 1 - weight), (((known[1],), ()), weight)]
    one = _multiple(value)
    return [] if one is None else [(((one[0],), ()), one[1])]


def _multiple(value: Value) -> tuple[Value, float] | None:
    """x and c, where the value is c times x."""
    node = value.node
    if node is None or not node.inputs or node.inputs[0] is None:
        return None
    if node.op == "neg":
        return node.inputs[0], -1.0
    if node.op not in ("mul", "div") or node.inputs[1] is None:
        return None
    a, b = node.inputs[0], node.inputs[1]
    left, right = _number(a), _number(b)
    if right is not None and left is None and (node.op == "mul" or (node.attributes == ("none",) and right)):
        return a, right if node.op == "mul" else 1 / right
    return (b, left) if left is not None and right is None and node.op == "mul" else None


def _squares(term: Term, x: Value) -> float | None:
    """How many times the square of x a term is."""
    above, below = term
    if below:
        return None
    if len(above) == 2:
        times = [_times(one, x) for one in above]
        return times[0] * times[1] if times[0] is not None and times[1] is not None else None
    (value,) = above
    one = _multiple(value)
    if one is not None:
        inner = _squares(((one[0],), ()), x)
        return None if inner is None else inner * one[1]
    node = value.node
    if node is None or node.op not in ("mul", "square", "pow") or node.inputs[0] is None:
        return None
    if node.op == "pow" and _number(node.inputs[1]) != 2:
        return None
    other = node.inputs[1] if node.op == "mul" else node.inputs[0]
    return None if other is None else _squares(((node.inputs[0], other), ()), x)


def _times(value: Value, x: Value) -> float | None:
    """c, where the value is c times x."""
    if value is x:
        return 1.0
    one = _multiple(value)
    inner = None if one is None else _times(one[0], x)
    return None if one is None or inner is None else inner * one[1]


def _is_made_for_it(value: Value) -> bool:
    """Is it made element by element, for one use, and large? Fusion does it on the way then, without memory."""
    known = value.node is not None and DIMS_AT.get(value.node.op, 0) < 0 and value.users.total == 1
    return known and all(isinstance(size, int) for size in value.shape) and prod(value.shape) >= LEAST_ITEMS


def _alike(a: Value, b: Value) -> bool:
    return a.shape == b.shape and a.dtype is b.dtype


def _is_average(kept: float, fresh: float) -> bool:
    """Do the two parts make a whole? The smaller one is as exact as the other."""
    return isclose(fresh, 1 - kept, rel_tol=_NEAR) and isclose(kept, 1 - fresh, rel_tol=_NEAR)


def _steps_of(scale: float, beta: float) -> int | None:
    """After how many steps an average that began with zeros is corrected by this root."""
    if not 0 < beta < 1:
        return None
    if isclose(scale, 1, rel_tol=_NEAR):
        return FOREVER
    left = 1 - 1 / scale**2
    if not 0 < left < 1:
        return None
    steps = max(1, round(log(left) / log(beta)))
    return steps if isclose(1 - beta**steps, 1 / scale**2, rel_tol=_NEAR) else None


def _descent(
    lists: tuple[Value, ...], made: tuple[Value, ...], lr: float, momentum: float, dampening: float, decay: float
) -> Step:
    return Step("sgd_step", (lr, momentum, dampening, decay, False, False), lists, made, (0, 2)[: len(made)])


def _at_once(graph: Graph, steps: list[Step]) -> list[Step]:
    """Those of which nobody takes a result before all of them are there, or a gradient of one."""
    made = {value for step in steps for value in step.made}
    nodes = [value.node for value in made if value.node is not None]
    last = max(node.order for node in nodes)
    taken = {value for step in steps for value in step.lists}
    inside = _taken_in(graph, made, taken, nodes)

    def waits(value: Value) -> bool:
        users = [user for user in value.users.counts if user not in inside]
        stops = value.node is not None and value.node.no_grad
        if value in taken or not all(user.order > last for user in users):
            return False
        return stops or (not users and value not in graph.outputs)

    fit = [step for step in steps if all(map(waits, step.made))]
    return fit if len(fit) in (0, len(steps)) else _at_once(graph, fit)


def _taken_in(graph: Graph, made: set[Value], kept: set[Value], nodes: list[Node]) -> set[Node]:
    """The nodes that nobody needs but these: they go with them. `kept`: what is needed all the same."""
    ends = kept | ({*graph.outputs, *[effect.value for effect in graph.effects]} - made)
    inside, waiting = set(nodes), list(nodes)
    while waiting:
        for value in waiting.pop().inputs:
            node = value.node if value is not None else None
            if node is None or node in inside or any(one in ends for one in node.outputs):
                continue
            if all(user in inside for one in node.outputs for user in one.users.counts):
                inside.add(node)
                waiting.append(node)
    return inside


def run(graph: Graph) -> int:
    """Finds the updates and does those alike at once, until none is left: what is done may leave other readings to the rest."""
    count = 0
    while made := Updates(graph).make():
        count += made
    return count
