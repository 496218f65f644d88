"""A custom `helix.autograd.Function` within a trace: one step with two bodies, its forward and its backward.

Both are recorded once, together. What backward needs of forward's intermediate values becomes further results of the step, which,
as in eager code, have no gradient of their own; results that were saved keep theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from .. import _core
from .._core import Tensor
from ..autograd import Function, FunctionContext, enable_grad, no_grad
from ..errors import GradientError, HelixError, TraceError
from .build import Region
from .executor import Program
from .ir import Graph, Node
from .joint import copied, origins
from .streams import Streams, drawing, plain, recorded
from .symbols import Sizes
from .tracer import Tracer, active

Leaves = list[Tensor]
OP = "function"


class _Step(Function):
    """The step, with the gradient rule that was recorded. `attributes` are (name, number of results, which of them have a
    gradient, the inputs that backward gives a gradient, why there is no backward), and the first of the streams that it takes."""

    inline = True

    @staticmethod
    def forward(ctx: Any, meaning: Region, run: Callable[[Leaves], Leaves], *inputs: Tensor) -> tuple[Tensor, ...]:
        with enable_grad():  # a graph of the trace lets gradients through
            made = run(list(inputs))
        followed = meaning.attributes[2]
        ctx.meaning, ctx.count = meaning, len(inputs)
        tracer = active()
        if tracer is None:
            ctx.traced = None
            ctx.save_for_backward(*inputs, *made)
        else:  # the trace keeps the results, with their history
            ctx.traced = ref(tracer), [tracer.trace.number(tensor) for tensor in made]
            ctx.save_for_backward(*inputs)
        ctx.mark_non_differentiable(*[tensor for i, tensor in enumerate(made) if i not in followed])
        return tuple(made)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        name, count, _, targets, refusal = plain(ctx.meaning.attributes)
        if refusal:
            raise GradientError(
                f"HX1503 {name}: its backward could not be traced, so that the graph has no gradient: {refusal}",
                op=name,
                code="HX1503",
            )
        saved = list(ctx.saved_tensors)
        if ctx.traced is not None:
            tracer, numbers = ctx.traced
            saved += [tracer().trace.tensor(number) for number in numbers]
        inputs, results, kept = saved[: ctx.count], saved[ctx.count :][:count], saved[ctx.count + count :]
        made = Program(ctx.meaning.graphs[1], {}).run([*inputs, *results, *gradients[:count], *kept], 0, 0)
        found = dict(zip(targets, made, strict=True))
        return (None, None, *[found.get(i) for i in range(ctx.count)])


def record(function: type[Function], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What `function.apply(*args, **kwargs)` returns within a trace.

    Raises TraceError (HX1702), naming the function, where it cannot be one step: it writes tensors in place, or its backward
    draws random numbers.
    """
    body = _Recorded(function, args, kwargs)
    streams = (_core.Draw(_core.trace_draws(body.draws)),) if body.draws else ()
    meaning = Region(OP, (*body.attributes, *streams), body.graphs)
    made = _step(meaning, [*body.given, *body.taken])
    results = list(body.raw)
    for place, tensor in zip(body.places, made, strict=False):
        results[place] = tensor
    return tuple(results) if body.several else results[0]


def _step(meaning: Region, inputs: Leaves) -> Leaves:
    specs = [(value.shape, value.dtype) for value in meaning.graphs[0].outputs]

    def run(given: Leaves) -> Leaves:
        tracer = active()
        if tracer is None:
            raise TraceError("HX1702 no trace is running", code="HX1702")
        return tracer.region(meaning, given, specs)

    return _followed(meaning, run, inputs)


def _followed(meaning: Region, run: Callable[[Leaves], Leaves], inputs: Leaves) -> Leaves:
    if not _core.is_grad_enabled() or not any(tensor.requires_grad for tensor in inputs):
        return run(inputs)
    return list(_Step.apply(meaning, run, *inputs))


class _Recorded:
    """A Function's forward and backward as graphs."""

    def __init__(self, function: type[Function], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.name, self.count = function.__name__, len(args)
        self.where = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        self.given: Leaves = [args[i] for i in self.where]
        self.refusal = ""
        tracer = Tracer()
        try:
            with tracer:
                inputs = [tracer.input(t.shape, t.dtype, t.device) for t in self.given]
                ctx = self._forward(function, inputs, args, kwargs)
                self.draws = tracer.trace.draws
                results = [self.raw[i] for i in self.places]
                shown = [tracer.input(t.shape, t.dtype, t.device) for t in results]
                above = [tracer.input(t.shape, t.dtype, t.device) for t in results]
                _show(ctx, results, shown)
                found = self._backward(function, ctx, above)
                targets = [k for k, g in enumerate(found) if g is not None]
                tracer.outputs([*results, *[g for g in found if g is not None]])
            graph, self.taken = tracer.graph(lift=True, name=self.name)
        except TraceError as error:
            raise self._refused(str(error)) from error
        self.graphs = _parted(graph, len(inputs), len(results))
        if drawing(self.graphs[1]):
            raise self._refused("its backward draws random numbers; draw them in forward, and keep them with ctx")
        self.attributes = (self.name, len(results), self.followed, tuple(targets), self.refusal)

    def _refused(self, why: str) -> TraceError:
        return TraceError(
            f"HX1702 the Function {self.name} cannot be traced with its gradient: {why}. Call it under helix.no_grad() where no "
            "gradient is wanted, or write it as ops",
            code="HX1702",
            op=self.name,
        )

    def _forward(self, function: type[Function], inputs: Leaves, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        ctx: Any = FunctionContext()
        ctx._name = self.name
        full = list(args)
        for place, tensor in zip(self.where, inputs, strict=True):
            full[place] = tensor
        ctx.needs_input_grad = tuple([_smooth(a) for a in full])
        with no_grad():
            made = function.forward(ctx, *full, **kwargs)
        self.several = isinstance(made, tuple)
        self.raw = made if isinstance(made, tuple) else (made,)
        self.places = [i for i, result in enumerate(self.raw) if isinstance(result, Tensor)]
        marked = [id(t) for t in ctx._non_differentiable]
        self.followed = tuple(
            [k for k, i in enumerate(self.places) if _smooth(self.raw[i]) and id(self.raw[i]) not in marked]
        )
        return ctx

    def _backward(self, function: type[Function], ctx: Any, above: Leaves) -> list[Tensor | None]:
        """The gradients of the tensors among the arguments; none where backward cannot be traced, which `refusal` tells."""
        from ..autograd import gradients_of

        given: list[Tensor | None] = [None] * len(self.raw)
        for k, place in enumerate(self.places):
            if ctx._materialize or k in self.followed:
                given[place] = above[k]
        try:
            found = gradients_of(function, ctx, given, self.count)
        except (HelixError, NotImplementedError) as error:
            self.refusal = str(error)
            return [None] * len(self.where)
        return [found[place] for place in self.where]


def _smooth(value: Any) -> bool:
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())


def _show(ctx: Any, results: Leaves, shown: Leaves) -> None:
    """From here on the context has results of the step, not of its body: their gradient is the step's."""
    of = {id(result): tensor for result, tensor in zip(results, shown, strict=True)}
    ctx._saved = tuple(
        [(of.get(id(t), t), None if t is None else of.get(id(t), t)._version, None) for t, _, _ in ctx._saved]
    )
    for name, value in list(vars(ctx).items()):
        if id(value) in of:
            setattr(ctx, name, of[id(value)])


# ---- in two ------------------------------------------------------------------------------------------------


def _parted(graph: Graph, n: int, results: int) -> tuple[Graph, Graph]:
    """Forward: (arguments, taken) -> (results, kept). Backward: (arguments, taken, results, gradients, kept) -> gradients."""
    arguments, rest = graph.inputs[:n], graph.inputs[n:]
    shown, above, taken = rest[:results], rest[results : 2 * results], rest[2 * results :]
    ahead = origins(graph.outputs[:results])
    later = origins(graph.outputs[results:]) - ahead
    behind = [node for node in graph.nodes if id(node) in later]
    crossing = dict.fromkeys(
        value
        for value in (*[v for node in behind for v in node.inputs], *graph.outputs[results:])
        if value is not None and value.node is not None and id(value.node) in ahead
    )
    kept = list(crossing)
    forward = copied(
        graph,
        [*arguments, *taken],
        [node for node in graph.nodes if id(node) in ahead],
        [*graph.outputs[:results], *kept],
    )
    backward = copied(graph, [*arguments, *taken, *shown, *above, *kept], behind, graph.outputs[results:])
    return forward, backward


# ---- running -----------------------------------------------------------------------------------------------


def runner(node: Node, sizes: Sizes) -> Callable[[Leaves, int, int], Leaves]:
    """Runs a node of a Function, with its own gradient; within a trace as a step again."""
    graphs = node.graphs
    forward = Program(graphs[0], sizes)

    def run(inputs: Leaves, seed: int, first: int) -> Leaves:
        streams = Streams.of(node.attributes, seed, first)
        attributes = (*plain(node.attributes), *recorded(streams, *graphs))
        if _core.tracing() and active() is not None:
            settled = tuple([_settled(graph, sizes) for graph in graphs]) if sizes else graphs
            return _step(Region(OP, attributes, settled), inputs)
        if sizes and _core.is_grad_enabled():
            meaning = Region(OP, attributes, (graphs[0], _settled(graphs[1], sizes)))
        else:
            meaning = Region(OP, attributes, graphs)
        return _followed(meaning, lambda given: _run_forward(forward, given, streams), inputs)

    return run


def _run_forward(program: Program, inputs: Leaves, streams: Streams | None) -> Leaves:
    with no_grad():
        return program.run(inputs, *((0, 0) if streams is None else (streams.seed, streams.number)))


def _settled(graph: Graph, sizes: Sizes) -> Graph:
    """The graph for these sizes."""
    from .symbols import at

    tracer = Tracer()
    with tracer:
        inputs = [tracer.input(at(value.shape, sizes), value.dtype) for value in graph.inputs]
        tracer.outputs(Program(graph, sizes).run(inputs, 0, 0))
    return tracer.graph(lift=True, name=graph.name)[0]
