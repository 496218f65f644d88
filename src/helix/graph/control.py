"""Control flow that a trace can keep: a choice, a scan, a loop. Outside of a trace they are Python's, with gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count as counted
from typing import Any, TypeVar, TypeVarTuple, overload

from .. import _core
from .._core import Tensor, storage_number
from ..autograd import Function, enable_grad
from ..errors import ArgumentError, ParameterError, TraceError
from .build import Region
from .executor import Program
from .ir import Graph, Node
from .streams import Streams, iteration, plain, recorded, runs
from .symbols import Sizes
from .tracer import Tracer, active
from .tree import Tree, flatten

Leaves = list[Tensor]
Carry = TypeVar("Carry")
Row = TypeVar("Row")
Made = TypeVar("Made")
Operand = TypeVar("Operand")
Operands = TypeVarTuple("Operands")


def cond(
    condition: Tensor | bool,
    if_true: Callable[[*Operands], Made],
    if_false: Callable[[*Operands], Made],
    *operands: *Operands,
) -> Made:
    """`if_true(*operands)` where `condition` is true, else `if_false(*operands)`; only the one is run.

    condition: a tensor of one element, or a bool. operands: tensors, or containers of them. Within `helix.trace` both
    functions are recorded, and must return tensors of the same structure, shapes and dtypes. Gradients flow through the one
    that is run.

    Random numbers: a choice by a tensor takes one stream of the generator, from which what is run has a generator of its own,
    so that a graph draws what eager code draws. `scan` and `while_loop` do so for each iteration.

    Raises TraceError (HX1702) where the two return something else, or write tensors from outside in place.

    Example:
        >>> helix.cond(helix.tensor(2.0) > 1, lambda x: x + 1, lambda x: x - 1, helix.tensor(5.0)).item()
        6.0
    """
    if not isinstance(condition, Tensor):
        return (if_true if condition else if_false)(*operands)
    made: Made = choose(condition, if_true, if_false, operands, Streams.take())
    return made


def choose(
    condition: Tensor,
    if_true: Callable[..., Any],
    if_false: Callable[..., Any],
    operands: tuple[Any, ...],
    streams: Streams | None,
) -> Any:
    """`cond` with streams that are taken already; None where nothing is drawn."""
    if not _core.tracing() or active() is None:
        with iteration(streams, 0):
            return (if_true if condition else if_false)(*operands)
    if condition.numel() != 1:
        raise ParameterError(
            f"HX1403 cond: condition must have one element, got shape {condition.shape}", code="HX1403"
        )
    leaves, tree = flatten(operands)
    one, other = traced_body(if_true, leaves, tree, "if_true"), traced_body(if_false, leaves, tree, "if_false")
    _require_same(one, other, "cond: if_true", "if_false")
    inputs, places = _joined(leaves, one, other)
    graphs = (one.graph, other.graph)
    attributes = (len(leaves), *places, *recorded(streams, *graphs))
    results = _record("cond", attributes, graphs, [condition.reshape(()), *inputs], one.specs)
    return one.tree.fill(iter(results))


def scan(
    body: Callable[[Carry, Row], tuple[Carry, Made]], init: Carry, xs: Row, reverse: bool = False
) -> tuple[Carry, Made]:
    """Goes along the first axis of `xs`: `carry, y = body(carry, x)` for each; the last carry, and the y's stacked.

    init: the first carry, tensors in any structure, of which shapes and dtypes stay. xs: tensors in any structure, of one
    length. `reverse` begins at the end, and stacks in the order of xs. Within `helix.trace` the body is recorded once,
    whatever the length. Gradients flow through all steps.

    Raises ArgumentError (HX1103) for tensors of unequal length; TraceError (HX1702) where the carry changes its shape, or the
    body writes tensors from outside in place.

    Example:
        >>> total, sums = helix.scan(lambda c, x: (c + x, c + x), helix.tensor(0.0), helix.tensor([1.0, 2.0, 3.0]))
        >>> total.item(), sums.tolist()
        (6.0, [1.0, 3.0, 6.0])
    """
    return scanned(body, init, xs, reverse, Streams.take())


def scanned(
    body: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any, reverse: bool, streams: Streams | None
) -> tuple[Any, Any]:
    """`scan` with streams that are taken already; None where nothing is drawn."""
    carry, carry_tree = flatten(init)
    rows, row_tree = flatten(xs)
    lengths = {row.shape[0] if row.ndim else None for row in rows}
    if len(lengths) != 1 or None in lengths:
        raise ArgumentError(
            f"HX1103 scan: xs must be tensors of one length, got shapes {[row.shape for row in rows]}",
            code="HX1103",
            argument="xs",
        )
    (length,) = lengths
    if not _core.tracing() or active() is None:
        return _scan_now(body, init, rows, row_tree, int(length or 0), reverse, streams)
    found = traced_body(
        body, [*carry, *[RowLike(row) for row in rows]], Tree(tuple, (), (carry_tree, row_tree)), "body"
    )
    _require_carry(found, carry, carry_tree, "scan")
    n = len(carry)
    ys = [((length, *shape), dtype) for shape, dtype in found.specs[n:]]
    inputs = [*carry, *rows, *found.taken]
    attributes = (n, len(rows), reverse, *recorded(streams, found.graph))
    results = _record("scan", attributes, (found.graph,), inputs, found.specs[:n] + ys)
    last, stacked = found.tree.fill(iter(results))
    return last, stacked


@overload
def while_loop(
    condition: Callable[[Operand], Tensor | bool],
    body: Callable[[Operand], Operand],
    operand: Operand,
    /,
    *,
    max_steps: int | None = None,
) -> Operand: ...
@overload
def while_loop(
    condition: Callable[[*Operands], Tensor | bool],
    body: Callable[[*Operands], tuple[*Operands]],
    *operands: *Operands,
    max_steps: int | None = None,
) -> tuple[*Operands]: ...
def while_loop(  # type: ignore[misc]  # it takes any number of operands, which a checker does not see
    condition: Callable[..., Any], body: Callable[..., Any], *operands: Any, max_steps: int | None = None
) -> Any:
    """`operands = body(*operands)` as long as `condition(*operands)` is true; the last operands.

    operands: tensors in any structure, of which shapes and dtypes stay. One operand is returned as it is, several as a tuple,
    which is also what the body returns. max_steps: the loop ends after so many steps at the latest.

    Outside of a trace gradients flow through all steps. Within one they need `max_steps`: the gradient of a loop is that of a
    scan over so many steps, of which those after the end do nothing; it keeps the operands of each.

    Raises TraceError (HX1702) where an operand changes its shape, or the functions write tensors from outside in place;
    GradientError (HX1503) where the gradient of a traced loop without max_steps is asked for.

    Example:
        >>> helix.while_loop(lambda x: x < 100, lambda x: x * 2, helix.tensor(3)).item()
        192
    """
    if max_steps is not None and (type(max_steps) is not int or max_steps < 1):
        raise ParameterError(
            f"HX1403 while_loop: max_steps must be a positive int or None, got {max_steps!r}",
            code="HX1403",
            argument="max_steps",
            got=max_steps,
        )
    return _loop(condition, body, operands, max_steps, Streams.take())


def _loop(
    condition: Callable[..., Any],
    body: Callable[..., Any],
    operands: tuple[Any, ...],
    max_steps: int | None,
    streams: Streams | None,
) -> Any:
    if not _core.tracing() or active() is None:
        return _loop_now(condition, body, operands, max_steps, streams)
    leaves, tree = flatten(operands)
    single = len(operands) == 1
    test = traced_body(condition, leaves, tree, "condition")
    if len(test.specs) != 1 or any(size != 1 for size in test.specs[0][0]):
        raise TraceError("HX1702 while_loop: condition must return one tensor of one element", code="HX1702")
    step = traced_body(lambda *given: (body(*given),) if single else tuple(body(*given)), leaves, tree, "body")
    _require_carry(step, leaves, tree, "while_loop", whole=True)
    inputs, places = _joined(leaves, test, step)
    graphs = (test.graph, step.graph)
    bound = () if max_steps is None else (max_steps,)
    attributes = (len(leaves), *places, *bound, *recorded(streams, *graphs))
    results = _record("while_loop", attributes, graphs, inputs, step.specs)
    made = step.tree.fill(iter(results))
    return made[0] if single else made


# ---- bodies ------------------------------------------------------------------------------------------------


class Body:
    """A traced function: its graph, what it takes from outside, and what it returns."""

    def __init__(self, graph: Graph, taken: Leaves, tree: Tree) -> None:
        self.graph, self.taken, self.tree = graph, taken, tree
        self.specs: list[tuple[tuple[Any, ...], Any]] = [(value.shape, value.dtype) for value in graph.outputs]


class RowLike:
    """What a row of a tensor is like."""

    def __init__(self, tensor: Tensor) -> None:
        self.shape, self.dtype, self.device = tensor.shape[1:], tensor.dtype, tensor.device


def traced_body(function: Callable[..., Any], leaves: Sequence[Tensor | RowLike], tree: Tree, name: str) -> Body:
    tracer = Tracer()
    with tracer:
        inputs = [tracer.input(leaf.shape, leaf.dtype, leaf.device) for leaf in leaves]
        result = function(*tree.fill(iter(inputs)))
        results, out_tree = flatten(result)
        tracer.outputs(results)
    graph, taken = tracer.graph(lift=True, name=name)
    return Body(graph, taken, out_tree)


def _joined(leaves: Leaves, one: Body, other: Body) -> tuple[Leaves, tuple[tuple[int, ...], tuple[int, ...]]]:
    """The inputs of both, and for each which of those taken from outside are its own."""
    outside: Leaves = []
    at: dict[int, int] = {}
    places = []
    for body in (one, other):
        mine = []
        for tensor in body.taken:
            if id(tensor) not in at:
                at[id(tensor)] = len(leaves) + len(outside)
                outside.append(tensor)
            mine.append(at[id(tensor)])
        places.append(tuple(mine))
    return [*leaves, *outside], (places[0], places[1])


def _require_same(one: Body, other: Body, left: str, right: str) -> None:
    if one.tree == other.tree and one.specs == other.specs:
        return
    raise TraceError(
        f"HX1702 {left} returns {one.tree} of {_told(one.specs)}, {right} {other.tree} of {_told(other.specs)}; structure, shapes "
        "and dtypes must be the same",
        code="HX1702",
    )


def _require_carry(body: Body, carry: Leaves, tree: Tree, op: str, whole: bool = False) -> None:
    """What the body returns as carry is like what it got."""
    if not whole and (body.tree.cls is not tuple or len(body.tree.parts) != 2):
        raise TraceError(f"HX1702 {op}: body must return (carry, y), got {body.tree}", code="HX1702")
    returned = body.tree if whole else body.tree.parts[0]
    wanted = [(leaf.shape, leaf.dtype) for leaf in carry]
    if returned != tree or body.specs[: len(carry)] != wanted:
        raise TraceError(
            f"HX1702 {op}: body takes {tree} of {_told(wanted)}, and must return it like that, got {returned} of "
            f"{_told(body.specs[: len(carry)])}",
            code="HX1702",
        )


def _told(specs: Sequence[tuple[tuple[Any, ...], Any]]) -> str:
    return "(" + ", ".join(f"{dtype.name}{list(shape)}" for shape, dtype in specs) + ")"


# ---- recording ---------------------------------------------------------------------------------------------


def _record(
    op: str,
    attributes: tuple[Any, ...],
    graphs: tuple[Graph, ...],
    inputs: Leaves,
    specs: list[tuple[tuple[Any, ...], Any]],
) -> Leaves:
    """One step of the running trace. Its gradient is control flow again, which computes forward anew."""
    meaning = Region(op, attributes, graphs)
    if not _core.is_grad_enabled() or not any(tensor.requires_grad for tensor in inputs):
        return _here(meaning, inputs, specs)
    made = _Step.apply(meaning, specs, *inputs)
    return list(made)


def _here(meaning: Region, inputs: Leaves, specs: list[tuple[tuple[Any, ...], Any]]) -> Leaves:
    tracer = active()
    if tracer is None:
        raise TraceError("HX1702 no trace is running", code="HX1702")
    return tracer.region(meaning, inputs, specs)


class _Step(Function):
    inline = True

    @staticmethod
    def forward(ctx: Any, meaning: Region, specs: list[Any], *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.meaning, ctx.count = meaning, len(inputs)
        with enable_grad():  # a graph of the trace lets gradients through
            made = tuple(_here(meaning, list(inputs), specs))
        ctx.save_for_backward(*inputs, *(made if meaning.op == "scan" else ()))
        return made

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs, made = list(ctx.saved_tensors[: ctx.count]), list(ctx.saved_tensors[ctx.count :])
        from .control_gradients import RULES

        needed = [i for i, wanted in enumerate(ctx.needs_input_grad[2:]) if wanted]
        results = (made,) if made else ()
        found = dict(
            zip(needed, RULES[ctx.meaning.op](ctx.meaning, inputs, list(gradients), needed, *results), strict=True)
        )
        return (None, None, *[found.get(i) for i in range(len(inputs))])


# ---- running -----------------------------------------------------------------------------------------------


def _scan_now(
    body: Callable[..., Any],
    init: Any,
    rows: Leaves,
    tree: Tree,
    length: int,
    reverse: bool,
    streams: Streams | None,
) -> tuple[Any, Any]:
    if not length:
        raise ParameterError(
            "HX1403 scan: xs have no rows, so that the results have no shape", code="HX1403", argument="xs"
        )
    ys: list[Leaves] = []
    carry, out_tree = init, None
    for i in range(length - 1, -1, -1) if reverse else range(length):
        with iteration(streams, i):
            carry, y = body(carry, tree.fill(iter([row[i] for row in rows])))
        leaves, out_tree = flatten(y)
        ys.append(leaves)
    if reverse:
        ys.reverse()
    stack = _core.op_named("stack")
    stacked = [stack(list(column), 0) for column in zip(*ys, strict=True)]
    return carry, (out_tree or tree).fill(iter(stacked))


def _loop_now(
    condition: Callable[..., Any],
    body: Callable[..., Any],
    operands: tuple[Any, ...],
    max_steps: int | None,
    streams: Streams | None,
) -> Any:
    several = len(operands) != 1
    for i in counted() if max_steps is None else range(max_steps):
        with iteration(streams, i):
            if not condition(*operands):
                break
            own = None if streams is None else Streams.take()
            with iteration(own, 0):
                result = body(*operands)
        operands = tuple(result) if several else (result,)
    return operands if several else operands[0]


def runner(node: Node, sizes: Sizes, program: type[Program] = Program) -> Callable[[Leaves, int, int], Leaves]:
    """What runs a node of control flow: eagerly, or as a step of the running trace. Bodies are run by `program`."""
    if node.op == "function":
        from .custom import runner as of_function

        return of_function(node, sizes)
    programs = [program(graph, sizes) for graph in node.graphs]
    run = {"cond": _run_cond, "scan": _run_scan, "while_loop": _run_while}[node.op](node, programs)
    return lambda inputs, seed, first: _apart(run(inputs, seed, first), inputs)


def _apart(results: Leaves, inputs: Leaves) -> Leaves:
    """Results in memory of their own, as a plan has them: a choice may have chosen an operand, a loop have gone no round."""
    if _core.tracing():
        return results
    given = {storage_number(tensor) for tensor in inputs}
    made = []
    for result in results:
        taken = storage_number(result) in given
        made.append(result.clone() if taken else result)
        given.add(storage_number(made[-1]))
    return made


def _run_cond(node: Node, programs: list[Program]) -> Callable[[Leaves, int, int], Leaves]:
    count, *places = plain(node.attributes)

    def run(inputs: Leaves, seed: int, first: int) -> Leaves:
        streams = Streams.of(node.attributes, seed, first)

        def branch(k: int) -> Callable[..., Leaves]:
            body = runs(programs[k], streams)
            return lambda *tensors: body([tensors[i] for i in (*range(count), *places[k])])

        return list(choose(inputs[0], branch(0), branch(1), tuple(inputs[1:]), streams))

    return run


def _run_scan(node: Node, programs: list[Program]) -> Callable[[Leaves, int, int], Leaves]:
    n, rows, reverse = plain(node.attributes)

    def run(inputs: Leaves, seed: int, first: int) -> Leaves:
        streams = Streams.of(node.attributes, seed, first)
        one = runs(programs[0], streams)

        def body(carry: Leaves, x: Leaves) -> tuple[Leaves, Leaves]:
            results = one([*carry, *x, *inputs[n + rows :]])
            return results[:n], results[n:]

        carry, ys = scanned(body, inputs[:n], inputs[n : n + rows], reverse, streams)
        return [*carry, *ys]

    return run


def _run_while(node: Node, programs: list[Program]) -> Callable[[Leaves, int, int], Leaves]:
    count, *places = plain(node.attributes)
    max_steps = places[2] if len(places) > 2 else None

    def run(inputs: Leaves, seed: int, first: int) -> Leaves:
        streams = Streams.of(node.attributes, seed, first)
        test, step = [runs(program, streams) for program in programs]
        condition = lambda now: test([*now, *[inputs[i] for i in places[0]]])[0]  # noqa: E731
        body = lambda now: step([*now, *[inputs[i] for i in places[1]]])  # noqa: E731
        return list(_loop(condition, body, (inputs[:count],), max_steps, streams))

    return run
