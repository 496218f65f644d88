"""Gradients of control flow within a trace, which are control flow again: a choice between the gradients of its sides, a scan the
other way. What was computed forward is computed anew where the results do not show it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .. import _core
from .._core import Tensor
from ..autograd import enable_grad, grad
from ..errors import GradientError, TraceError
from .build import Region
from .control import Leaves, RowLike, choose, scanned, traced_body
from .executor import Program, interpret
from .ir import Graph
from .streams import Streams, plain, recorded, runs
from .tracer import active
from .tree import Tree, flatten


def _pullback(graph: Graph, inputs: Leaves, gradients: Leaves, needed: Sequence[int]) -> Leaves:
    """The gradients of a body's inputs, given those of its outputs."""
    with enable_grad():
        free = [inputs[i] if inputs[i].requires_grad else inputs[i].requires_grad_() for i in needed]
        results = interpret(graph, inputs, {})
        pairs = [(r, g) for r, g in zip(results, gradients, strict=True) if r.requires_grad]
        if not pairs:
            return [_zeros(tensor) for tensor in free]
        found = backward([r for r, _ in pairs], free, [g for _, g in pairs])
    return [_zeros(tensor) if g is None else g for tensor, g in zip(free, found, strict=True)]


def backward(results: Leaves, inputs: Leaves, gradients: Leaves | None = None) -> tuple[Tensor | None, ...]:
    """Gradients within the running trace, by the very steps of a backward pass; in the graph they can be differentiated again."""
    tracer = active()
    if tracer is None:
        raise TraceError("HX1702 no trace is running", code="HX1702")
    with tracer.following():
        return grad(results, inputs, gradients, allow_unused=True)


def _zeros(like: Tensor) -> Tensor:
    return _core.op_named("zeros_like")(like)


def _cond_gradient(meaning: Region, inputs: Leaves, gradients: Leaves, needed: list[int]) -> Leaves:
    condition, given = inputs[0], inputs[1:]
    count, *places = plain(meaning.attributes)
    wanted = [i - 1 for i in needed]

    def branch(k: int) -> Callable[..., tuple[Tensor, ...]]:
        mine = [*range(count), *places[k]]

        def pull(*tensors: Tensor) -> tuple[Tensor, ...]:
            values, upstream = list(tensors[: len(given)]), list(tensors[len(given) :])
            at = [mine.index(i) for i in wanted if i in mine]
            found = iter(_pullback(meaning.graphs[k], [values[i] for i in mine], upstream, at))
            return tuple([next(found) if i in mine else _zeros(values[i]) for i in wanted])

        return pull

    streams = Streams.of(meaning.attributes)
    return list(choose(condition, branch(0), branch(1), (*given, *gradients), streams))


def _scan_gradient(
    meaning: Region, inputs: Leaves, gradients: Leaves, needed: list[int], results: Sequence[Tensor] = ()
) -> Leaves:
    """The carries, of the results or by forward once more; then a scan the other way carries the gradients of carry and taken
    tensors."""
    n, rows, reverse = plain(meaning.attributes)
    graph, streams = meaning.graphs[0], Streams.of(meaning.attributes)
    carry, xs, taken = inputs[:n], inputs[n : n + rows], inputs[n + rows :]
    outer = [i for i in needed if i >= n + rows]
    inner = [i for i in needed if n <= i < n + rows]
    smooth = [i for i in range(n) if carry[i].is_floating_point() or carry[i].is_complex()]

    def forward(now: Leaves, x: Leaves) -> tuple[Leaves, Leaves]:
        after = runs(Program(graph, {}), streams)([*now, *x, *taken])
        return after[:n], list(now)

    carries = _carries_shown(graph, carry, results, reverse)
    if carries is None:
        _, carries = scanned(forward, carry, xs, reverse, streams)

    def backward(now: tuple[Leaves, Leaves], x: tuple[Leaves, Leaves, Leaves]) -> tuple[tuple[Leaves, Leaves], Leaves]:
        above, sums = now
        before, row, upstream = x
        full = [_zeros(c) for c in before]
        for i, g in zip(smooth, above, strict=True):
            full[i] = g
        wanted = [*smooth, *inner, *outer]
        found = _pullback(graph, [*before, *row, *taken], [*full, *upstream], wanted)
        a, b = len(smooth), len(smooth) + len(inner)
        return (found[:a], [s + g for s, g in zip(sums, found[b:], strict=True)]), found[a:b]

    start = ([gradients[i] for i in smooth], [_zeros(inputs[i]) for i in outer])
    (first, sums), along = scanned(backward, start, (carries, xs, gradients[n:]), not reverse, streams)
    found = {
        **dict(zip(smooth, first, strict=True)),
        **dict(zip(inner, along, strict=True)),
        **dict(zip(outer, sums, strict=True)),
    }
    return [found[i] for i in needed]


def _carries_shown(graph: Graph, init: Leaves, results: Sequence[Tensor], reverse: bool) -> Leaves | None:
    """What was carried to each row, where every carry is also among what the rows give."""
    n, found = len(init), []
    cat = _core.op_named("cat")
    for start, carried in zip(init, graph.outputs[:n], strict=True):
        same = [y for y, output in zip(results[n:], graph.outputs[n:], strict=False) if output is carried]
        if not same:
            return None
        first = start.unsqueeze(0)
        found.append(cat([same[0][1:], first], 0) if reverse else cat([first, same[0][:-1]], 0))
    return found


def _loop_gradient(meaning: Region, inputs: Leaves, gradients: Leaves, needed: list[int]) -> Leaves:
    """That of a scan over as many steps as there may be, each of which is a choice between the body and nothing."""
    count, *places = plain(meaning.attributes)
    if len(places) == 2:
        raise GradientError(
            "HX1503 while_loop: a traced loop without a bound has no gradient, as its length is not known; give max_steps, use "
            "helix.scan, or detach what goes in",
            code="HX1503",
        )
    streams = Streams.of(meaning.attributes)
    test, step = [runs(Program(graph, {}), streams) for graph in meaning.graphs]

    def turn(now: Leaves, _: Tensor) -> tuple[Leaves, None]:
        (going,) = test([*now, *[inputs[i] for i in places[0]]])
        body = lambda *carry: step([*carry, *[inputs[i] for i in places[1]]])  # noqa: E731
        return choose(going, body, lambda *carry: list(carry), tuple(now), Streams.take()), None

    carry, tree = flatten(inputs[:count])
    numbers = _core.op_named("arange")(places[2])
    found = traced_body(turn, [*carry, RowLike(numbers)], Tree(tuple, (), (tree, flatten(numbers)[1])), "body")
    bounded = Region("scan", (count, 1, False, *recorded(streams, found.graph)), (found.graph,))
    at = {id(tensor): count + 1 + k for k, tensor in enumerate(found.taken)}
    places_of = {i: i if i < count else at.get(id(inputs[i])) for i in needed}
    wanted = [place for place in places_of.values() if place is not None]
    made = dict(zip(wanted, _scan_gradient(bounded, [*carry, numbers, *found.taken], gradients, wanted), strict=True))
    return [_zeros(inputs[i]) if place is None else made[place] for i, place in places_of.items()]


RULES: dict[str, Callable[..., Leaves]] = {"cond": _cond_gradient, "scan": _scan_gradient, "while_loop": _loop_gradient}
