"""Running a graph: node by node through dispatch, each value let go after its last use. Nothing is recorded for gradients."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import _core
from .._core import Generator, OpCall, Tensor, default_generator, storage_number, wrapped_number
from ..autograd import enable_grad, no_grad
from ..errors import (
    ArgumentError,
    DeviceError,
    HelixError,
    InternalError,
    OutOfMemoryError,
    ShapeError,
    TraceError,
    UnsupportedOpError,
)
from ..precision import restored_autocast
from . import around
from .garbage import uncollected
from .ir import Gradient, Graph, Node, Value
from .spec import Spec
from .symbols import Expr, Sizes, at
from .tree import Tree, flatten

if TYPE_CHECKING:
    from .plan import Blueprint, Planned

PROGRAMS = 64  # kept for a graph, the least recently used goes
PLANS = 8  # of a program, for tensors that lie in different ways


class Step:
    """A node made ready: what it calls, which slots it reads and fills, and which are empty afterwards."""

    __slots__ = ("call", "free", "ins", "no_grad", "node", "outs", "writes")

    def __init__(self, node: Node, call: Any, ins: tuple[int, ...], outs: tuple[int, ...]) -> None:
        self.node, self.call, self.ins, self.outs = node, call, ins, outs
        self.free: tuple[int, ...] = ()
        self.no_grad, self.writes = node.no_grad, node.writes


class Program:
    """A graph for certain sizes of its dimensions. Slot 0 is the tensor that is not there. `read` are the inputs that anything
    takes, `planning` the seconds that its plans took."""

    MADE_OF_GRAPH = ("graph", "slots", "start", "inputs", "steps", "outputs", "effects", "written")

    def __init__(self, graph: Graph, sizes: Sizes) -> None:
        self.graph = graph
        self.slots: dict[int, int] = {}
        self.start: list[Any] = [None]
        for value in (*graph.inputs, *graph.captured):
            self._slot(value, None)
        self.inputs = [self.slots[id(value)] for value in graph.inputs]
        self.captured = [(self.slots[id(value)], value) for value in graph.captured]
        self.steps = [self._step(node, sizes) for node in graph.nodes]
        self.outputs = [self._taken(value, sizes) for value in graph.outputs]
        self.effects = [(e, self.slots[id(e.target)], self._taken(e.value, sizes)) for e in graph.effects]
        self.written = [target for effect, target, _ in self.effects if effect.kind == "write"]
        self.sizes, self.runs, self.planning = sizes, 0, 0.0
        taken = {*self.outputs, *[slot for step in self.steps for slot in step.ins], *[e[2] for e in self.effects]}
        self.read = [i for i, slot in enumerate(self.inputs) if slot in taken]
        self.plans: list[Planned] | None = []  # None: it cannot be planned
        self.blueprints: list[Blueprint] = []  # theirs
        self._plan()

    def _slot(self, value: Value, content: Any) -> int:
        self.slots[id(value)] = len(self.start)
        self.start.append(content)
        return len(self.start) - 1

    def _taken(self, value: Value | None, sizes: Sizes) -> int:
        if value is None:
            return 0
        found = self.slots.get(id(value))
        if found is None:
            found = self._slot(value, wrapped_number(at(value.source, sizes), value.dtype))
        return found

    def _step(self, node: Node, sizes: Sizes) -> Step:
        ins = tuple([self._taken(value, sizes) for value in node.inputs])
        if node.graphs:
            from .control import runner

            call: Any = runner(node, sizes, type(self))
        elif node.op == "transfer":
            from .placement import Transfer

            call = Transfer(node.device)
        else:
            call = OpCall(node.op, tuple([at(a, sizes) for a in node.attributes]), node.list_length, node.device)
        return Step(node, call, ins, tuple([self._slot(value, None) for value in node.outputs]))

    def _plan(self) -> None:
        """Finds the last use of every result."""
        kept = {*self.outputs, *(source for _, _, source in self.effects)}
        results = {slot for step in self.steps for slot in step.outs}
        for step in reversed(self.steps):
            last = tuple(slot for slot in {*step.ins, *step.outs} if slot in results and slot not in kept)
            kept.update(last)
            step.free = last

    def run(
        self, leaves: list[Tensor], seed: int, first: int, captured: dict[str, Tensor] | None = None
    ) -> list[Tensor]:
        """Runs it in the mode the thread is in: recording for gradients, or tracing, too. Returns the outputs."""
        slots = self.start.copy()
        for slot, leaf in zip(self.inputs, leaves, strict=True):
            slots[slot] = leaf
        for slot, value in self.captured:
            slots[slot] = value.source if captured is None else captured.get(value.name, value.source)
        if self.written:
            self._require_apart(slots)
        grad = _core.is_grad_enabled()
        if _core.tracing():
            self._trace(slots, seed, first, grad)
        else:
            step: Step | None = None
            try:
                for step in self.steps:
                    self.step(step, slots, seed, first, grad)
            except HelixError as error:
                _blame(error, step)
                raise
        self._write(slots)
        return [slots[slot] for slot in self.outputs]

    def planned(
        self, leaves: list[Tensor], seed: int, first: int, captured: dict[str, Tensor] | None = None
    ) -> list[Tensor] | None:
        """The outputs, by a plan for tensors that lie like these; None where there can be none."""
        if self.plans is None:
            return None
        if captured:
            taken = [captured.get(value.name, value.source) for _, value in self.captured]
        else:
            taken = [value.source for _, value in self.captured]
        try:
            for plan in self.plans:
                found = plan.run(leaves, taken, seed, first)
                if found is not None:
                    return found
            made = self._plan_for(leaves, taken)
            return None if made is None else made.run(leaves, taken, seed, first)
        except HelixError as error:
            self._locate(error, leaves, taken, seed, first)
            raise

    def takes(self, args: Sequence[Any]) -> bool:
        """Do these tensors, and those captured, lie like those of the plan made last?"""
        plans = self.plans
        return bool(plans and plans[-1].plan.takes(args, [value.source for _, value in self.captured]))

    def again(self, args: Sequence[Any], seed: int = 0, first: int = 0) -> list[Tensor] | None:
        """The outputs by the plan made last, for tensors that it takes."""
        assert self.plans, "takes() said that there is one"
        try:
            return self.plans[-1].run(args, [value.source for _, value in self.captured], seed, first)
        except HelixError as error:
            self.locate(error, args, seed, first)
            raise

    def locate(self, error: HelixError, leaves: Sequence[Tensor], seed: int = 0, first: int = 0) -> None:
        """Says with an error of the plan made last which node it is of."""
        self._locate(error, leaves, [value.source for _, value in self.captured], seed, first)

    def _locate(
        self, error: HelixError, leaves: Sequence[Tensor], taken: Sequence[Tensor], seed: int, first: int
    ) -> None:
        """Says with an error of a plan which node it is of: the one at which the graph fails that way, step by step."""
        if isinstance(error, (OutOfMemoryError, DeviceError)):
            return
        slots = self.start.copy()
        for slot, tensor in zip([*self.inputs, *[slot for slot, _ in self.captured]], [*leaves, *taken], strict=True):
            slots[slot] = tensor
        with no_grad(), restored_autocast((None, None)):
            for step in self.steps:
                try:
                    self.step(step, slots, seed, first, False)
                except HelixError as found:
                    if type(found) is type(error):
                        _blame(error, step)
                    return

    def _plan_for(self, leaves: list[Tensor], taken: list[Tensor]) -> Planned | None:
        from .plan import Planned, blueprint

        if self.plans is None or len(self.plans) == PLANS:
            return None
        start = time.perf_counter()
        try:
            with uncollected():
                drawn = blueprint(self, leaves, taken)
                made = Planned(drawn)
        except (TraceError, UnsupportedOpError, NotImplementedError):
            self.plans = None
            return None
        except (HelixError, MemoryError):
            raise
        except Exception as error:
            raise InternalError(
                f"HX1901 {self.graph.name} could not be planned, {type(error).__name__}: {error}. This is a fault of helix: please "
                "report it, with the text of the graph",
                code="HX1901",
            ) from error
        finally:
            self.planning += time.perf_counter() - start
        self.plans.append(made)
        if len(self.blueprints) < PLANS:
            self.blueprints.append(drawn)
        return made

    def _require_apart(self, slots: list[Any]) -> None:
        """An input must not be what the run writes under another name: the traced function had tensors of their own."""
        for slot in self.written:
            for other in self.inputs:
                if other != slot and _overlap(slots[slot], slots[other]):
                    raise ArgumentError(
                        f"HX1103 {self.graph.name} writes a tensor in place that is given as two arguments, or is an argument "
                        "and captured; give a clone, or trace a function of one argument",
                        code="HX1103",
                    )

    def _trace(self, slots: list[Any], seed: int, first: int, grad: bool) -> None:
        """Runs the steps inside of a trace, with names and places as the graph has them."""
        from .build import memory_of
        from .tracer import active

        tracer = active()
        for slot, value in self.captured:
            if tracer is not None and value.kind != "constant":
                tracer.named.setdefault(memory_of(slots[slot]), (value.kind, value.name))
        before = tracer.fixed if tracer is not None else None
        try:
            for step in self.steps:
                if tracer is not None:
                    tracer.fixed = step.node.place
                try:
                    self.step(step, slots, seed, first, grad)
                except HelixError as error:
                    _blame(error, step)
                    raise
        finally:
            if tracer is not None:
                tracer.fixed = before

    def step(self, step: Step, slots: list[Any], seed: int, first: int, grad: bool) -> None:
        inputs = [slots[slot] for slot in step.ins]
        for position in step.writes:
            inputs[position] = inputs[position].clone()
        if grad and step.no_grad:
            with no_grad():
                made = step.call(inputs, seed, first)
        else:
            made = step.call(inputs, seed, first)
        for slot, value in zip(step.outs, [inputs[i] for i in step.writes] if step.writes else made):
            slots[slot] = value
        for slot in step.free:
            slots[slot] = None

    def _write(self, slots: list[Any]) -> None:
        if not self.effects:
            return
        written = {storage_number(slots[target]) for _, target, _ in self.effects}
        with no_grad():
            values = [slots[source] for _, _, source in self.effects]
            values = [value.clone() if storage_number(value) in written else value for value in values]
            for slot in self.outputs:
                if storage_number(slots[slot]) in written and not any(
                    slots[slot] is slots[t] for _, t, _ in self.effects
                ):
                    slots[slot] = slots[slot].clone()
            for (effect, target, _), value in zip(self.effects, values, strict=True):
                if effect.kind == "write":
                    slots[target].copy_(value)
                elif effect.kind == "grad" or slots[target].grad is None:
                    slots[target].grad = value
                else:
                    slots[target].grad.add_(value)


class Executor:
    """Runs a graph: `executor(*inputs)` takes what the traced function took and returns what it returned.

    `generator` is where random streams are drawn from, the default generator if None. Tensors that the graph captured are
    used as they are now; `captured={"name": tensor}` puts others in their places. A graph with dimensions keeps a program
    for each of the last 64 combinations of sizes. From the second run on it runs by a plan; at once where `once` is False.

    Raises ArgumentError (HX1103) for inputs of another structure or dtype, ShapeError (HX1002) for other shapes.
    """

    def __init__(self, graph: Graph, once: bool = True) -> None:
        self.graph, self.once = graph, once
        self.programs: OrderedDict[tuple[int, ...], Program] = OrderedDict()
        self.last: Program | None = None  # where it can be asked at once
        plain = graph.in_tree.cls is tuple and all(part.cls is Tensor for part in graph.in_tree.parts)
        self.plain = len(graph.in_tree.parts) if plain else -1

    def __call__(
        self, *args: Any, generator: Generator | None = None, captured: dict[str, Tensor] | None = None
    ) -> Any:
        graph = self.graph
        if (
            self.last is not None
            and len(args) == self.plain
            and generator is None
            and captured is None
            and not _core.tracing()
        ):
            results = self.again(args)
            if results is not None:
                return results[0] if graph.out_tree.cls is Tensor else graph.out_tree.fill(iter(results))
        leaves, tree = flatten(args)
        if tree != graph.in_tree:
            raise ArgumentError(
                f"HX1103 the graph {graph.name} takes {_told_as(graph.in_tree)}, got {_told_as(tree)}",
                code="HX1103",
                got=str(tree),
            )
        program = self.program(self.sizes(leaves))
        self._check(captured or {})
        if _core.tracing():  # the graph becomes a part of the one that is traced
            leaves += told(graph)
            return graph.out_tree.fill(iter(program.run(leaves, 0, _core.trace_draws(graph.draws), captured)))
        self.last = program
        leaves += around.begin(graph.around)
        try:
            seed, first = draw(graph.draws, generator)
            results = self._run(program, leaves, seed, first, captured)
        except BaseException:
            around.undo(graph.around)
            raise
        around.end(graph.around)
        return graph.out_tree.fill(iter(results))

    def again(self, args: Sequence[Any]) -> list[Tensor] | None:
        """The results for tensors like those of the last run; None, with nothing done, where they are others."""
        graph, program = self.graph, self.last
        if program is None or self.plain < 0 or not program.takes(args):
            return None
        if not (graph.around or graph.draws):
            return program.again(args)
        given = around.begin(graph.around)
        try:
            results = program.again([*args, *given], *draw(graph.draws))
        except BaseException:
            around.undo(graph.around)
            raise
        around.end(graph.around)
        return results

    def direct(self) -> tuple[_core.Plan, list[Tensor]] | None:
        """The plan of the last run, with the tensors that it captured, where a run is nothing else."""
        graph, program = self.graph, self.last
        if program is None or not program.plans or graph.around or graph.draws:
            return None
        made, captured = program.plans[-1], [value for _, value in program.captured]
        if made.gradients or any(isinstance(value, Gradient) for value in captured):
            return None
        return made.plan, [value.source for value in captured]

    def _run(
        self, program: Program, leaves: list[Tensor], seed: int, first: int, captured: dict[str, Tensor] | None
    ) -> list[Tensor]:
        program.runs += 1
        results = None
        if program.runs > self.once:  # what is run once is not worth a plan
            results = program.planned(leaves, seed, first, captured)
        if results is None:
            with no_grad(), restored_autocast((None, None)):
                results = program.run(leaves, seed, first, captured)
        return results

    def _check(self, captured: dict[str, Tensor]) -> None:
        """Raises for tensors in the places of captured ones that are not there, or not like them."""
        known = {value.name: value for value in self.graph.captured} if captured else {}
        for name, tensor in captured.items():
            if name not in known:
                raise ArgumentError(
                    f"HX1103 {self.graph.name} has captured no tensor named {name!r}; it has {', '.join(known) or 'none'}",
                    code="HX1103",
                    argument="captured",
                )
            if (tensor.shape, tensor.dtype) != (known[name].shape, known[name].dtype):
                raise _misfit(known[name], tensor, {})

    def sizes(self, leaves: list[Tensor]) -> dict[str, int]:
        """What the inputs' shapes say of the dimensions."""
        sizes: dict[str, int] = {}
        for value, leaf in zip(self.graph.given, leaves, strict=True):
            _bind(value, leaf, sizes)
        for dim in self.graph.dims:
            if dim.name in sizes:
                dim.check(sizes[dim.name])
        for value, leaf in zip(self.graph.given, leaves, strict=True):
            if at(value.shape, sizes) != leaf.shape:
                raise _misfit(value, leaf, sizes)
        return sizes

    def program(self, sizes: Sizes) -> Program:
        key = tuple(sizes.values())
        found = self.programs.get(key)
        if found is None:
            found = self.programs[key] = Program(self.graph, sizes)
            if len(self.programs) > PROGRAMS:
                self.programs.popitem(last=False)
        elif len(self.programs) > 1:
            self.programs.move_to_end(key)
        return found


def _bind(value: Value, leaf: Any, sizes: dict[str, int]) -> None:
    """Takes sizes of dimensions from an input, where they stand alone; each does somewhere."""
    if isinstance(leaf, Spec) or leaf.dtype is not value.dtype or len(leaf.shape) != len(value.shape):
        raise _misfit(value, leaf, sizes)
    for expected, size in zip(value.shape, leaf.shape, strict=True):
        if isinstance(expected, Expr) and expected.alone is not None:
            sizes.setdefault(expected.alone, size)


def _told_as(tree: Tree) -> str:
    """Arguments that are tensors by their number, others by their structure, `*` for a tensor."""
    if any(part.cls is not Tensor for part in tree.parts):
        return f"arguments of the structure {tree}"
    return f"{len(tree.parts)} tensor{'s' * (len(tree.parts) != 1)}"


def _misfit(value: Value, leaf: Any, sizes: Sizes) -> ArgumentError | ShapeError:
    known = f" with {', '.join(f'{name} = {size}' for name, size in sizes.items())}" if sizes else ""
    expected = f"{value.dtype.name} of shape ({', '.join(map(str, value.shape))}){known}"
    got = f"{leaf.dtype.name} of shape ({', '.join(map(str, leaf.shape))})"
    kind = ShapeError if leaf.dtype is value.dtype else ArgumentError
    code = "HX1002" if leaf.dtype is value.dtype else "HX1103"
    return kind(f"{code} {value.name} was traced as {expected}, got {got}", code=code, argument=value.name)


def _blame(error: HelixError, step: Step | None) -> None:
    if step is not None:
        error.add_note(f"in {step.node!r}{f', made at {step.node.where}' if step.node.where else ''}")


def _overlap(a: Tensor, b: Tensor) -> bool:
    """Do the ranges of memory that two tensors lie in touch each other?"""
    if storage_number(a) != storage_number(b) or not a.numel() or not b.numel():
        return False
    (low, high), (first, last) = _range(a), _range(b)
    return low <= last and first <= high


def _range(x: Tensor) -> tuple[int, int]:
    """The offsets in bytes of the first and the last element."""
    steps = [(size - 1) * stride for size, stride in zip(x.shape, x.strides, strict=True)]
    low, high = sum(s for s in steps if s < 0), sum(s for s in steps if s > 0)
    return (x.storage_offset() + low) * x.itemsize, (x.storage_offset() + high) * x.itemsize


def told(graph: Graph) -> list[Tensor]:
    """What those around a graph give it, as inputs of the running trace."""
    if not graph.around:
        return []
    from .tracer import active

    tracer = active()
    if tracer is None:
        raise TraceError(f"HX1702 {graph.name} is told numbers at each run; trace it with helix.trace", code="HX1702")
    return [tensor for one in graph.around for tensor in tracer.stand_around(one)]


def draw(count: int, generator: Generator | None = None) -> tuple[int, int]:
    """Takes `count` streams of a generator: its seed and the first of them."""
    if not count:
        return 0, 0
    return (default_generator() if generator is None else generator).draw(count)


def interpret(
    graph: Graph, leaves: list[Tensor], sizes: Sizes, captured: dict[str, Tensor] | None = None
) -> list[Tensor]:
    """Runs a graph with gradients recorded, as the program it was traced from would run."""
    seed, first = (0, _core.trace_draws(graph.draws)) if _core.tracing() else draw(graph.draws)
    given = told(graph) if _core.tracing() else around.begin(graph.around)
    with enable_grad():
        return Program(graph, sizes).run([*leaves, *given], seed, first, captured)
