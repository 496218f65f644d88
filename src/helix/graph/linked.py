"""Forward and backward of a compiled function as plans, and one node of autograd between them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from .. import _core, zeros
from .._core import Tensor
from ..autograd import _Packed, grad, no_grad
from ..precision import restored_autocast
from .executor import Program, draw
from .ir import NOWHERE, Graph, Value
from .joint import Parts, copied, part
from .memo import Structure
from .passes import PASSES, optimize
from .spec import Spec
from .tracer import Tracer

if TYPE_CHECKING:
    from .compiling import Traced

Leaves = list[Tensor]
Gradients = list[Tensor | None]
EARLY = [name for name, known in PASSES.items() if not known.last]
ALL = list(PASSES)


class Gradient:
    """A function that was traced with its gradient, as autograd calls it.

    Backward has a program for each choice of gradients that come in and are asked for. A key has a byte for each: first those
    of the results that have any, then those that backward gives.
    """

    def __init__(self, traced: Traced, passes: bool) -> None:
        self.graph, self.results, self.passes = traced.graph, traced.results, passes
        self.draws, self.count = traced.graph.draws, traced.count
        self.smooth, self.asked, self.free, self.given = traced.smooth, traced.asked, traced.free, traced.given
        self.structure = structure = Structure(
            traced.graph, traced.tracer.placeholders, passes, traced.count, traced.results
        )
        self.forward = structure.program("forward", lambda: self._ready(self.parts.forward))
        backward = structure.program("backward", lambda: self._ready(self.parts.backward))
        self.behind = _sources(backward)
        inputs = [*self.asked, *range(self.count, self.count + len(self.free))]
        self.places = [inputs[i] for i in self.given]  # of the gradients, among arguments and free tensors
        self.link = _core.Link(
            self,
            self.count,
            traced.results,
            _sources(self.forward),
            self.behind,
            self.free,
            self.smooth,
            self.places,
            [i for i in _read(backward, len(self.smooth)) if i < self.count],
        )
        self.backwards: dict[bytes, tuple[Program, list[int]]] = {}
        self._keep(b"\1" * (len(self.smooth) + len(self.given)), backward, self.places)

    @cached_property
    def parts(self) -> Parts:
        """Made where no program of the same structure was there, or where somebody looks."""
        whole = optimize(self.graph, EARLY) if self.passes else self.graph
        return part(whole, self.count, self.results)

    @property
    def programs(self) -> list[Program]:
        return [self.forward, *[program for program, _ in self.backwards.values()]]

    def __call__(self, leaves: Leaves) -> Leaves:
        arguments, streams = tuple(leaves), draw(self.draws)
        found: Leaves | None = self.link.run(arguments, *streams)
        if found is None:
            found = self.link.join(arguments, run(self.forward, leaves, *streams), *streams)
            if self.forward.plans:
                self.link.set_forward(self.forward.plans[-1].plan)
        return found

    def again(self, arguments: tuple[Any, ...]) -> Leaves | None:
        """The results by the plan made last; None, with nothing done, where it does not take the arguments."""
        if not self.draws:
            found: Leaves | None = self.link.run(arguments)
        else:
            found = self.link.run(arguments, *draw(self.draws)) if self.link.takes(arguments) else None
        return found

    # ---- what the node asks for --------------------------------------------------------------------------------

    def prepare(self, key: bytes, above: Gradients, arguments: Leaves, kept: Leaves) -> None:
        """Backward for other gradients that come in, or are wanted."""

        given = [None if t is None else Spec(t.shape, t.dtype, t.device) for t in (*above, *arguments, *kept)]

        def chosen() -> tuple[Graph, list[int]]:
            graph, gives = self._chosen(key, given)
            return self._ready(graph), gives

        program, gives = self.structure.noted(("backward", key), chosen)
        self._keep(key, program, [self.places[i] for i in gives])

    def gradients(
        self, key: bytes, above: Gradients, arguments: Leaves, kept: Leaves, streams: tuple[int, int]
    ) -> Leaves:
        """The gradients that backward gives; and a plan for the next time."""
        program, places = self.backwards[key]
        found = run(program, [*[g for g in above if g is not None], *arguments, *kept], *streams)
        self._keep(key, program, places)
        return found

    def _keep(self, key: bytes, program: Program, places: list[int]) -> None:
        self.backwards[key] = program, places
        captured = _sources(program)
        taken = set(map(id, captured))
        watched = [i for i, tensor in enumerate(self.behind) if id(tensor) in taken]
        plan = program.plans[-1].plan if program.plans else None
        read = _read(program, sum(key[: len(self.smooth)]))
        self.link.set_backward(key, places, read, watched, captured, plan)

    def differentiable(self, above: Gradients, arguments: Leaves, streams: tuple[int, int]) -> Gradients:
        """Gradients that can be differentiated: forward again, with its history."""
        results = Program(self.parts.again, {}).run(arguments, *streams)
        smooth = [
            (results[i], gradient) for i, gradient in zip(self.smooth, above, strict=True) if gradient is not None
        ]
        inputs = [*[arguments[i] for i in self.asked], *self.free]
        outputs, gradients = zip(*smooth, strict=True)
        return list(grad(outputs, [inputs[i] for i in self.given], gradients, create_graph=True, allow_unused=True))

    def packed(self, tensors: Gradients, arguments: Leaves) -> list[_Packed | None]:
        """What the hooks on saved tensors make of these; a leaf that has a gradient stays."""
        hooks, inputs = _core.saver_mode(None), [*arguments, *self.free]
        try:
            return [
                None if t is None or (t.is_leaf and t.requires_grad) else _Packed(hooks, t, inputs) for t in tensors
            ]
        finally:
            _core.saver_mode(hooks)

    # ---- backward for some gradients ---------------------------------------------------------------------------

    def _ready(self, graph: Graph) -> Graph:
        return optimize(graph, ALL) if self.passes else graph

    def _chosen(self, key: bytes, given: list[Spec | None]) -> tuple[Graph, list[int]]:
        """Backward of the gradients that are given to those that are wanted, and the numbers of what it gives. As gradients
        are linear, what depends on absent ones alone is zero, and a gradient that does is none."""
        whole, tracer, count = self.parts.backward, Tracer(), len(self.smooth)
        nothing = _silent(whole, key[:count])
        silent = {id(value) for value in nothing}
        gives = [i for i, value in enumerate(whole.outputs) if key[count + i] and id(value) not in silent]
        there = [spec for spec in given if spec is not None]
        inputs = [value for value, spec in zip(whole.inputs, given, strict=True) if spec is not None]
        nodes = [node for node in whole.nodes if id(node.outputs[0]) not in silent]
        graph = copied(whole, [*inputs, *nothing], nodes, [whole.outputs[i] for i in gives])
        device, tracer.fixed = there[0].device, NOWHERE
        with tracer, no_grad():
            leaves = [tracer.input(t.shape, t.dtype, t.device) for t in there]
            zero = [zeros(value.shape, dtype=value.dtype, device=device) for value in nothing]
            tracer.outputs(Program(graph, {}).run([*leaves, *zero], 0, _core.trace_draws(whole.draws)))
        return tracer.graph(name=whole.name)[0], gives


def _silent(graph: Graph, there: bytes) -> list[Value]:
    """Gradients among the first inputs that are not there, and what depends on such alone."""
    absent, present = 1, 2
    reach = {id(value): present if here else absent for value, here in zip(graph.inputs, there)}
    found = [value for value, here in zip(graph.inputs, there) if not here]
    for node in graph.nodes:
        taken = 0
        for value in node.inputs:
            taken |= reach.get(id(value), 0)
        for value in node.outputs:
            reach[id(value)] = taken
            if taken == absent:
                found.append(value)
    return found


def run(program: Program, leaves: Leaves, seed: int, first: int) -> Leaves:
    """By its plan, or node by node where it has none."""
    found = program.planned(leaves, seed, first)
    if found is None:
        with no_grad(), restored_autocast((None, None)):
            found = program.run(leaves, seed, first)
    return found


def _sources(program: Program) -> Leaves:
    return [value.source for _, value in program.captured]


def _read(program: Program, first: int) -> list[int]:
    """The inputs from number `first` on, counted from there, that anything takes."""
    return [i - first for i in program.read if i >= first]
