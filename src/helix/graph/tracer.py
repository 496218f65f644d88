"""A trace that knows where it is: in which module, and on which line of the user's program."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import helix

from .._core import Tensor, Trace, trace_gradients, trace_places, untraced
from ..autograd import enable_grad
from ..errors import HelixError, TraceError
from ..nn.module import Module
from .around import Around, Gradients, Watched
from .build import CAPTURED, MADE, Builder, Named, Region, memory_of
from .ir import NOWHERE, Graph, Place
from .tree import flatten

PACKAGE = os.path.dirname(helix.__file__) + os.sep


class _Local(threading.local):
    def __init__(self) -> None:
        self.tracers: list[Tracer] = []


_local = _Local()
_lock = threading.Lock()
_running = 0
_module_call = Module.__call__


def active() -> Tracer | None:
    """The innermost trace of this thread."""
    return _local.tracers[-1] if _local.tracers else None


def _watched(module: Module, *args: Any, **kwargs: Any) -> Any:
    tracer = active()
    if tracer is None:
        return _module_call(module, *args, **kwargs)
    stack = tracer.stack
    stack.append(tracer.path(module))
    try:
        return _module_call(module, *args, **kwargs)
    finally:
        stack.pop()


def _watch(step: int) -> None:
    """Modules note that they are called while any thread traces."""
    global _running, _module_call
    with _lock:
        if _running == 0 and step == 1:
            _module_call = Module.__call__
            Module.__call__ = _watched  # type: ignore[method-assign,assignment]
        _running += step
        if _running == 0:
            Module.__call__ = _module_call  # type: ignore[method-assign]


class Tracer:
    """Records what runs inside of `with Tracer() as tracer:`, and makes a graph of it."""

    def __init__(self) -> None:
        self.trace = Trace()
        outer = active()
        self.stack: list[str] = outer.stack if outer else []
        self.paths: dict[int, str] = outer.paths if outer else {}
        self.named: Named = outer.named if outer else {}
        self.held: list[Module] = outer.held if outer else []  # so that ids stay theirs
        self.noted: list[tuple[object, str]] = outer.noted if outer else []  # attributes whose numbers it has
        self.buffers: list[tuple[Module, str, str, Any]] = outer.buffers if outer else []  # and what they held at first
        self.places: list[Place] = []
        self.numbers: dict[Place, int] = {}
        self.regions: list[Region] = []
        self.fixed: Place | None = None  # the place of all calls, where a graph is traced again
        self.placeholders: list[Tensor] = []
        self.results: list[Tensor] = []
        self.around: list[Around] = []
        self.told: list[Tensor] = []
        self.watched: dict[int, Watched] = {}
        self.gradients: list[tuple[str, Tensor, Tensor]] = []
        self.differentiable: list[tuple[int, int]] = []
        self.known: list[tuple[Any, ...]] = []  # of the values, once the trace has ended
        self._grad = enable_grad()

    # ---- recording -----------------------------------------------------------------------------------------

    def __enter__(self) -> Tracer:
        _watch(1)
        _local.tracers.append(self)
        trace_places(self._place)
        trace_gradients(_local.tracers[0].watch)
        self._grad.__enter__()
        self.trace.__enter__()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, frames: Any) -> None:
        self.trace.__exit__()
        self.known = self.trace.values()
        self._grad.__exit__()
        _local.tracers.remove(self)
        inner = active()
        trace_places(None if inner is None else inner._place)
        trace_gradients(None if inner is None else _local.tracers[0].watch)
        _watch(-1)
        with untraced():
            assigned = self._buffers_put_back()
            self._take_gradients()
        if error is None and assigned:
            raise TraceError(
                f"HX1702 the buffer {assigned[0]} was given another tensor, which would be the same at each run; write into it "
                "with copy_()",
                code="HX1702",
            )
        if isinstance(error, HelixError):
            locate(error, frames)

    def input(self, shape: Sequence[int], dtype: Any, device: Any = None) -> Tensor:
        """A placeholder."""
        made: Tensor = self.trace.input(shape, dtype, device)
        self.placeholders.append(made)
        return made

    def note(self, owner: object, name: str) -> None:
        """The attribute's number goes into the graph: what is compiled holds for as long as it stays the same. Who changes it counts
        `helix.nn.module.changes` up."""
        self.noted.append((owner, name))

    def stand_around(self, one: Around) -> list[Tensor]:
        """Has somebody take part in each run; placeholders for what he will give."""
        made = [self.trace.input(shape, helix.float64, number=True) for shape in one.shapes]
        self.around.append(one)
        self.told += made
        return made

    def called(self, tensor: Tensor, name: str) -> None:
        """Gives a tensor that will be captured a name."""
        self.named.setdefault(memory_of(tensor), ("constant", name))

    def watch(self, leaf: Tensor, before: Tensor | None, sets: bool) -> None:
        """The program reads, or sets, a gradient."""
        if not leaf.is_leaf:
            return
        noted = self.watched.get(id(leaf))
        if noted is None:
            noted = self.watched[id(leaf)] = Watched(leaf, before)
        noted.set |= sets
        noted.seen |= not noted.set

    def outputs(self, tensors: Iterable[Tensor]) -> None:
        """Marks the results, while recording."""
        self.results = list(tensors)
        for tensor in self.results:
            self.trace.output(tensor)

    def region(
        self, meaning: Region, inputs: Sequence[Tensor], specs: Sequence[tuple[tuple[Any, ...], Any]]
    ) -> list[Tensor]:
        """Records a step of control flow."""
        from .._core import trace_region

        self.regions.append(meaning)
        device = inputs[0].device if inputs else None
        return trace_region(len(self.regions) - 1, inputs, specs, device)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Calls of a backward pass inside, which records nothing for gradients, can be differentiated in the graph."""
        first = len(self.trace)
        yield
        self.differentiable.append((first, len(self.trace)))

    # ---- where ---------------------------------------------------------------------------------------------

    def _place(self) -> int:
        place = self.fixed
        if place is None:
            frame: FrameType | None = sys._getframe(1)
            while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
                frame = frame.f_back
            file, line = ("", 0) if frame is None else (frame.f_code.co_filename, frame.f_lineno)
            place = (self.stack[-1] if self.stack else "", file, line)
        number = self.numbers.get(place)
        if number is None:
            number = self.numbers[place] = len(self.places)
            self.places.append(place)
        return number

    def path(self, module: Module) -> str:
        """The dotted path of a module within the outermost one that was called."""
        found = self.paths.get(id(module))
        return self.name(module) if found is None else found

    def name(self, module: Module) -> str:
        """Enters a module that is nobody's part, with its tensors; the first one is the root, and has no name."""
        prefix = ""
        if self.paths:
            kind, count = type(module).__name__.lower(), 1
            prefix = kind
            while prefix in self.paths.values():
                count += 1
                prefix = f"{kind}{count}"
        for path, part in module.named_modules(prefix):
            self.paths.setdefault(id(part), path)
            self.held.append(part)
            own = [(part, name, f"{path}.{name}".lstrip(".")) for name in part._buffers]
            self.buffers += [(*names, part.__dict__[names[1]]) for names in own]
        for kind, tensors in (("parameter", module.named_parameters(prefix)), ("buffer", module.named_buffers(prefix))):
            for name, tensor in tensors:
                self.named.setdefault(memory_of(tensor), (kind, name))
        return prefix

    # ---- the end -------------------------------------------------------------------------------------------

    def _buffers_put_back(self) -> list[str]:
        """Modules get back the buffers whose place a traced tensor took; their paths."""
        values, found = self.known, []
        for module, name, path, before in self.buffers:
            now = module.__dict__.get(name)
            number = self.trace.number(now) if isinstance(now, Tensor) and now is not before else -1
            if number >= 0 and values[number][0] not in (CAPTURED, MADE):
                module.__dict__[name] = before
                found.append(path)
        return found

    def _take_gradients(self) -> None:
        """Gradients that the program left with leaves become effects; the leaves get back what they had."""
        there: list[tuple[Tensor, bool]] = []
        cleared: list[Tensor] = []
        for noted in self.watched.values():
            left = noted.leaf.grad
            if noted.seen:
                there.append((noted.leaf, noted.before is not None))
            if noted.set and left is None:
                cleared.append(noted.leaf)
            elif left is not None and left is not noted.before and self.trace.number(left) >= 0:
                self.gradients.append(("grad" if noted.set else "add", noted.leaf, left))
            noted.leaf.grad = noted.before
        if there or cleared:
            self.around.append(Gradients(there, cleared))
        values = self.known
        for leaf in self._leaves():
            left = leaf.grad
            number = -1 if left is None else self.trace.number(left)
            if left is not None and number >= 0 and values[number][0] not in (CAPTURED, MADE):
                self.gradients.append(("add", leaf, left))
                leaf.grad = None

    def _leaves(self) -> Iterator[Tensor]:
        """The leaves that the program took, or whose gradients it looked at."""
        yield from [noted.leaf for noted in self.watched.values()]
        for number, known in enumerate(self.known):
            if known[0] == CAPTURED and not known[6]:
                leaf = self.trace.tensor(number)
                if leaf.is_leaf and leaf.requires_grad and id(leaf) not in self.watched:
                    yield leaf

    def graph(self, names: Sequence[str] = (), lift: bool = False, name: str = "graph") -> tuple[Graph, list[Tensor]]:
        """What was recorded, and with `lift` the tensors that follow the placeholders as inputs."""
        builder = Builder(self.trace, self.known, self.named, [*self.places, NOWHERE], self.regions, lift, name)
        for first, end in self.differentiable:
            builder.calls[first:end] = [(*call[:7], False, *call[8:]) for call in builder.calls[first:end]]
        called = list(names) or [f"input{i}" for i in range(len(self.placeholders))]
        told = [f"told{i}" for i in range(len(self.told))]
        builder.inputs([*self.placeholders, *self.told], [*called, *told])
        builder.leaves = {memory_of(leaf.grad): leaf for leaf in self._leaves() if leaf.grad is not None}
        builder.run()
        builder.outputs(self.results)
        builder.effects(self.gradients)
        builder.graph.around, builder.graph.told = tuple(self.around), len(self.told)
        return builder.graph, builder.lifted


def locate(error: HelixError, frames: Any) -> None:
    """Adds to an error the line of the user's on which it arose."""
    place = ""
    while frames is not None:
        code = frames.tb_frame.f_code
        if not code.co_filename.startswith(PACKAGE) and not code.co_filename.endswith((".pxi", ".pyx")):
            place = f"{code.co_filename}:{frames.tb_lineno}"
        frames = frames.tb_next
    if not place or getattr(error, "traced_at", None):
        return
    error.traced_at = place  # type: ignore[attr-defined]
    if isinstance(error, TraceError) and error.args:
        error.args = (f"{error.args[0]} (traced at {place})", *error.args[1:])
    else:
        error.add_note(f"while tracing {place}")


def tensors_of(result: Any) -> list[Tensor]:
    """The tensors in what a traced function returned."""
    return flatten(result)[0]
