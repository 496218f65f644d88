"""helix.compile: functions and modules that run as plans of their graphs, one for each kind of arguments."""

from __future__ import annotations

import time
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dis import get_instructions
from functools import update_wrapper
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, NamedTuple, ParamSpec, Protocol, TypeVar, overload

from .. import _core
from .._core import Tensor, untraced
from ..autograd import enable_grad, no_grad
from ..errors import ArgumentError, CompileWarning, HelixError, TraceError, UnsupportedOpError
from ..nn.module import Module, changes
from .around import Changed
from .control_gradients import backward
from .dynamic import Dynamic, fits, specs_of
from .executor import Executor, Program
from .garbage import uncollected
from .guards import Guards
from .ir import Graph
from .linked import ALL, Gradient
from .memo import Recalled, Structure
from .passes import optimize
from .spec import Spec
from .tracer import Tracer, tensors_of
from .tracing import _name, input_names
from .tree import Tree, flatten

Leaves = list[Tensor]
LONG = 1.0  # seconds; a compile that takes longer says so

Fallback = Literal["warn", "error"]
P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
M = TypeVar("M", bound=Module)


class Decorator(Protocol):
    """`helix.compile` with options."""

    @overload
    def __call__(self, function: M, /) -> M: ...  # type: ignore[overload-overlap]  # as below
    @overload
    def __call__(self, function: Callable[P, R], /) -> Compiled[P, R]: ...


# A module is a callable too: the first that fits decides.
@overload
def compile(  # type: ignore[overload-overlap]
    function: M, *, cache_size: int = 64, fallback: Fallback = "warn", passes: bool = True, dynamic: Any = None
) -> M: ...
@overload
def compile(
    function: Callable[P, R],
    *,
    cache_size: int = 64,
    fallback: Fallback = "warn",
    passes: bool = True,
    dynamic: Any = None,
) -> Compiled[P, R]: ...
@overload
def compile(
    function: None = None,
    *,
    cache_size: int = 64,
    fallback: Fallback = "warn",
    passes: bool = True,
    dynamic: Any = None,
) -> Decorator: ...
def compile(
    function: Callable[..., Any] | None = None,
    *,
    cache_size: int = 64,
    fallback: Fallback = "warn",
    passes: bool = True,
    dynamic: Any = None,
) -> Any:
    """A function, or a module, that runs as one list of kernels: traced at its first call, made smaller and fused, with all
    memory planned. It gives the numbers of the function to the last places of their dtype.

    function: any callable that computes with tensors: a module, a loss, a whole training step with `backward()` and
        `optimizer.step()`. None: a decorator with these options. Attributes of what comes back are those of the function, so
        that a compiled module has `parameters()`, `train()` and `state_dict()`.
    cache_size: how many kinds of calls are kept, the least recently used goes. A call is of another kind where shapes, dtypes,
        devices, the structure of arguments, values that are no tensors, gradient mode, autocast, a module's attributes (such as
        `training`) or its parameters (other tensors, not other values) differ.
    fallback: what is done where something cannot be captured: "warn" runs the function as it is, and says once which line
        it was and what to do; "error" raises TraceError.
    passes: False leaves the graph as it was traced: every op of it, and every bit.
    dynamic: a `Spec` for each tensor among the arguments, with `Dim("B")` for sizes that change: the function is traced for all
        of these, once, and a new size is planned from that graph. Calls that do not fit it are compiled for themselves.

    Gradients flow through: forward keeps what backward needs, and both are planned. What Python does besides calling ops (such
    as printing) is done at a first call alone.

    Example:
        >>> double = helix.compile(lambda x: x.exp() * 2)
        >>> double(helix.zeros(2)).tolist()
        [2.0, 2.0]
    """
    if fallback not in ("warn", "error"):
        raise ArgumentError(
            f"HX1103 compile: fallback must be 'warn' or 'error', got {fallback!r}", code="HX1103", argument="fallback"
        )
    if cache_size < 1:
        raise ArgumentError(
            f"HX1103 compile: cache_size must be 1 or more, got {cache_size}", code="HX1103", argument="cache_size"
        )

    specs = None if dynamic is None else specs_of(dynamic)

    def decorate(wrapped: Callable[..., Any]) -> Any:
        return Compiled(wrapped, cache_size, fallback, passes, specs)

    return decorate if function is None else decorate(function)


class Compiled(Generic[P, R]):
    """What `helix.compile` returns: called like the function, with its attributes."""

    def __init__(
        self, function: Callable[P, R], cache_size: int, fallback: str, passes: bool, specs: list[Spec] | None
    ) -> None:
        self.function, self.cache_size, self.fallback, self.passes = function, cache_size, fallback, passes
        self.specs, self.traces = specs, OrderedDict[Any, tuple[Dynamic, Guards]]()
        self.kinds: OrderedDict[Any, list[Kind]] = OrderedDict()
        self.last: Kind | None = None
        self.compiled = 0  # how often
        self.warned: set[str] = set()
        if not isinstance(function, Module):
            update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        last = self.last
        if last is not None and not kwargs:
            found = last.once_more(args)
            if found is not None:
                result: Any = found[0] if last.single else last.out_tree.fill(iter(found))
                return result
        if _core.tracing():
            return self.function(*args, **kwargs)
        leaves, tree = flatten((args, kwargs))
        kind = self.find(leaves, tree, args, kwargs)
        if kind is None:
            return self.function(*args, **kwargs)
        try:
            return kind.out_tree.fill(iter(kind.run(leaves)))
        except Changed:  # nothing was changed yet
            self.drop(kind)
        again = self.find(leaves, tree, args, kwargs)
        return self.function(*args, **kwargs) if again is None else again.out_tree.fill(iter(again.run(leaves)))

    if not TYPE_CHECKING:  # a checker sees what a compiled function has of its own

        def __getattr__(self, name):
            if name == "function":
                raise AttributeError(name)
            return getattr(self.function, name)

    def __repr__(self) -> str:
        return f"<compiled {_name(self.function)}: {len(self.all())} kinds of calls>"

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Compiled[P, R]: ...
    @overload
    def __get__(self: Compiled[Concatenate[S, Q], R], instance: S, owner: Any = None) -> Callable[Q, R]: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    # ---- kinds of calls ------------------------------------------------------------------------------------

    def all(self) -> list[Kind]:
        """Those that are kept, the latest last."""
        return [kind for kinds in self.kinds.values() for kind in kinds]

    def find(self, leaves: Leaves, tree: Tree, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Kind | None:
        mode = _core.modes()
        key = (mode, tuple([_spec(leaf, mode & 1) for leaf in leaves]), tree)
        kinds = self.kinds.setdefault(key, [])
        self.kinds.move_to_end(key)
        kind = next((kind for kind in kinds if kind.still_holds()), None)
        if kind is None:
            kind = self.make(leaves, tree, mode)
            self.compiled += 1
            kinds.append(kind)
            self.forget()
        self.last = kind if kind.plain >= 0 else None
        return None if kind.eager else kind

    def drop(self, kind: Kind) -> None:
        for kinds in self.kinds.values():
            if kind in kinds:
                kinds.remove(kind)

    def forget(self) -> None:
        while len(self.all()) > self.cache_size:
            key, kinds = next(iter(self.kinds.items()))
            del kinds[0]
            if not kinds:
                del self.kinds[key]

    def make(self, leaves: Leaves, tree: Tree, mode: int) -> Kind:
        start = time.perf_counter()
        try:
            with uncollected():
                function, guards = self.at_sizes(leaves, tree, mode)
                kind = Kind(function, leaves, tree, mode, self.passes, guards)
        except (TraceError, UnsupportedOpError) as error:
            if self.fallback == "error":
                raise
            text = str(error)
            if text not in self.warned:
                self.warned.add(text)
                warnings.warn(
                    f"{_name(self.function)} cannot be compiled and runs as it is: {text}", CompileWarning, stacklevel=4
                )
            kind = Kind.of_eager(self.function)
        else:
            self.tell_assigned()
        kind.seconds = time.perf_counter() - start
        if kind.seconds > LONG:
            from ..train.progress import Lines

            Lines().line(f"helix.compile: {_name(self.function)}, {kind.traced} nodes, took {kind.seconds:.1f} s")
        return kind

    def tell_assigned(self) -> None:
        """Warns, once, of variables outside of the function that it sets: it does so at a first call alone."""
        names = _assigned(self.function)
        if names and not names <= self.warned:
            self.warned |= names
            warnings.warn(
                f"{_name(self.function)} sets {', '.join(sorted(names))} outside of itself, which later calls do not repeat: they run the "
                "graph of the first. Set it around the call, or keep it in a tensor that the function writes in place",
                CompileWarning,
                stacklevel=5,
            )

    def at_sizes(self, leaves: Leaves, tree: Tree, mode: int) -> tuple[Callable[..., Any], Guards | None]:
        """What is traced for these arguments: the function, or the graph of it for all sizes."""
        if self.specs is None or not fits(self.specs, leaves):
            return self.function, None
        key = (mode, tuple([_spec(leaf, mode & 1)[1:] for leaf in leaves]), tree)
        found = self.traces.get(key)
        if found is None or not found[1].hold():
            made = Dynamic(self.function, self.specs, leaves, tree, bool(mode & 1))
            found = self.traces[key] = made, Guards(self.function, made.modules, tree.values(), noted=made.noted)
            if len(self.traces) > self.cache_size:
                self.traces.popitem(last=False)
        sizes = found[0].sizes(leaves)
        return (self.function, None) if sizes is None else (found[0].at(sizes), found[1])

    # ---- looking -------------------------------------------------------------------------------------------

    @property
    def graph(self) -> Graph:
        """The graph of the latest kind of call, as it runs.

        Raises ArgumentError (HX1103) before the first call.
        """
        kinds = [kind for kind in self.all() if not kind.eager]
        if not kinds:
            raise ArgumentError(f"HX1103 {_name(self.function)} has not been called yet", code="HX1103")
        return kinds[-1].graphs[0]

    def statistics(self) -> list[Statistics]:
        """What became of each kind of call."""
        return [kind.statistics() for kind in self.all()]

    def explain(self) -> str:
        """The same as text."""
        lines = [f"{_name(self.function)}: compiled {self.compiled} times, {len(self.all())} kept"]
        for one in self.statistics():
            if one.eager:
                lines.append(f"  {one.kind}: runs as it is ({one.eager})")
                continue
            lines.append(
                f"  {one.kind}: {one.traced} nodes traced, {one.nodes} run, {one.fused} of them fused; {one.steps} kernels, "
                f"arena {one.arena / 1e6:.3f} MB, results {one.results / 1e6:.3f} MB; {one.seconds * 1e3:.1f} ms"
            )
        return "\n".join(lines)


class Statistics(NamedTuple):
    """Of one kind of call. `steps`, `arena` and `results` are of plans made so far."""

    kind: str
    traced: int
    nodes: int
    fused: int
    steps: int
    arena: int
    results: int
    seconds: float
    eager: str


def _spec(leaf: Tensor, grad: int) -> tuple[Any, ...]:
    return leaf.shape, leaf.dtype, leaf.device, bool(grad and leaf.requires_grad)


# ---- one kind of call --------------------------------------------------------------------------------------


class Kind:
    """A function for one kind of arguments: what it is on condition of, and what runs."""

    def __init__(
        self,
        function: Callable[..., Any],
        leaves: Leaves,
        tree: Tree,
        mode: int,
        passes: bool,
        guards: Guards | None = None,
    ) -> None:
        grad = bool(mode & 1)
        self.eager, self.seconds = "", 0.0
        self.recent: _core.Recent | None = None
        traced = Traced(function, leaves, tree, grad)
        self.out_tree, self.single = traced.out_tree, traced.out_tree.cls is Tensor
        if guards is None:
            guards = Guards(function, traced.tracer.held, tree.values(), noted=traced.tracer.noted)
        self.guards = guards
        free = [t for t in traced.taken if grad and t.requires_grad]
        fixed = [t for t in traced.taken if grad and not t.requires_grad]
        self.core = self.guards.of([grad and leaf.requires_grad for leaf in leaves], free, fixed)
        self.version = changes[0]
        args, kwargs = tree.parts
        flat = all(part.cls is Tensor for part in args.parts)
        self.plain = len(args.parts) if flat and not kwargs.parts else -1
        self.traced = len(traced.graph)
        self.gradient = Gradient(traced, passes) if traced.differentiable else None
        if self.gradient is None:
            graph = traced.graph
            structure = Structure(graph, traced.tracer.placeholders, passes)
            made = structure.program("whole", lambda: optimize(graph, ALL) if passes else graph)
            graph = graph if isinstance(made, Recalled) else made.graph
            graph.in_tree = Tree(tuple, (), tuple([Tree(Tensor)] * len(leaves)))
            graph.out_tree = Tree(tuple, (), tuple([Tree(Tensor)] * len(graph.outputs)))
            self.executor = Executor(graph, once=False)
            self.executor.programs[()] = made

    @classmethod
    def of_eager(cls, function: Callable[..., Any]) -> Kind:
        """One that cannot be captured."""
        made = cls.__new__(cls)
        made.eager, made.plain = "it could not be captured", -1
        made.guards, made.version, made.traced = Guards(function, depth=0), changes[0], 0
        made.core = made.guards.core
        made.gradient = None
        return made

    def takes(self, args: tuple[Any, ...]) -> bool:
        """Is a call with these arguments of this kind, as far as can be seen at once?"""
        return self.core.takes(args) and (self.version == changes[0] or self.still_holds())

    def still_holds(self) -> bool:
        if not (self.guards.hold() and self.core.as_before()):
            return False
        self.version = changes[0]
        return True

    def once_more(self, args: tuple[Any, ...]) -> Leaves | None:
        """The results for arguments like the last ones; None, with nothing changed, where they may be others."""
        try:
            found: Leaves | None = None if self.recent is None else self.recent.run(args)
        except HelixError as error:
            self.locate(error, args)
            raise
        if found is not None or not self.takes(args):
            return found
        try:
            found = self.executor.again(args) if self.gradient is None else self.gradient.again(args)
        except Changed:
            return None
        self.recent = self.direct()
        return found

    def locate(self, error: HelixError, args: tuple[Any, ...]) -> None:
        """Says with an error of a run which line made the node that failed."""
        program = self.executor.last if self.gradient is None else self.gradient.forward
        if program is not None:
            program.locate(error, args)

    def direct(self) -> _core.Recent | None:
        """For calls like the last one, where they draw no numbers and tell nobody of their run."""
        if self.gradient is not None:
            return None if self.gradient.draws else _core.Recent(self.core, changes, None, None, self.gradient.link)
        direct = self.executor.direct()
        return None if direct is None else _core.Recent(self.core, changes, *direct, None)

    def run(self, leaves: Leaves) -> Leaves:
        found = list(self.executor(*leaves)) if self.gradient is None else self.gradient(leaves)
        self.recent = self.direct()
        return found

    @property
    def graphs(self) -> list[Graph]:
        return [program.graph for program in self._programs()]

    def statistics(self) -> Statistics:
        programs = self._programs()
        plans = [plan for program in programs for plan in program.plans or ()]
        return Statistics(
            "forward and backward" if self.gradient is not None else "function",
            self.traced,
            sum(len(graph) for graph in self.graphs),
            sum(len(graph.find("fused")) for graph in self.graphs),
            sum(plan.steps for plan in plans),
            sum(plan.memory.arena for plan in plans),
            sum(plan.memory.results for plan in plans),
            self.seconds + sum(program.planning for program in programs),
            self.eager,
        )

    def _programs(self) -> list[Program]:
        if self.eager:
            return []
        if self.gradient is not None:
            return self.gradient.programs
        return list(self.executor.programs.values())


def _assigned(function: Any) -> set[str]:
    """The globals and the variables of enclosing functions that a function sets."""
    code = getattr(function, "__code__", None)
    if code is None:
        return set()
    outside = {"STORE_GLOBAL": code.co_names, "STORE_DEREF": code.co_freevars}
    return {str(i.argval) for i in get_instructions(code) if i.argval in outside.get(i.opname, ())}


# ---- tracing, and gradients --------------------------------------------------------------------------------


class Traced:
    """A function on shapes like those of `leaves`; with its gradient, where somebody may ask for it."""

    def __init__(self, function: Callable[..., Any], leaves: Leaves, tree: Tree, mode_grad: bool) -> None:
        self.tracer = tracer = Tracer()
        if isinstance(function, Module):
            tracer.name(function)
        self.count = len(leaves)
        with tracer:
            inputs = [tracer.input(leaf.shape, leaf.dtype, leaf.device) for leaf in leaves]
            for made, leaf in zip(inputs, leaves, strict=True):
                if mode_grad and leaf.requires_grad:
                    made.requires_grad_()
            args, kwargs = tree.fill(iter(inputs))
            with enable_grad() if mode_grad else no_grad():
                result = function(*args, **kwargs)
            results = tensors_of(result)
            self.out_tree = flatten(result)[1]
            tracer.outputs(results)
            self.taken = self._captured()
            given = set(map(id, [*inputs, *self.taken]))  # what is returned as it came has its own history
            self.smooth = [i for i, r in enumerate(results) if r.requires_grad and not (r.is_leaf and id(r) in given)]
            self.differentiable = mode_grad and bool(self.smooth) and not self._is_step()
            if self.differentiable:
                self._differentiate(inputs, results)
        names = [*input_names(function, tree.parts[0])[: self.count]]
        names += [f"given{i}" for i in range(len(names), len(tracer.placeholders))]
        self.results = len(results)
        self.graph, _ = tracer.graph(names, name=_name(function))

    def _captured(self) -> Leaves:
        trace = self.tracer.trace
        return [trace.tensor(i) for i, known in enumerate(trace.values()) if known[0] == 2 and not known[6]]

    def _is_step(self) -> bool:
        """Did it leave gradients, or write what requires a gradient? Then its results are numbers to look at."""
        if self.tracer.around:
            return True
        trace = self.tracer.trace
        for _, ins, outs, _, _, into, _, _, _, _, written, _ in trace.calls():
            targets = [ins[i] for i in written] + (list(outs) if into else [])
            if any(trace.tensor(v).requires_grad and trace.tensor(v).is_leaf for v in targets):
                return True
        with untraced():
            left = [tensor.grad for tensor in self.taken if tensor.requires_grad and tensor.is_leaf]
        known = trace.values()
        numbers = [trace.number(gradient) for gradient in left if gradient is not None]
        return any(v >= 0 and known[v][0] not in (2, 5) for v in numbers)

    def _differentiate(self, inputs: Leaves, results: Leaves) -> None:
        smooth = [results[i] for i in self.smooth]
        self.free = [t for t in self.taken if t.requires_grad]
        self.asked = [i for i, tensor in enumerate(inputs) if tensor.requires_grad]
        above = [self.tracer.input(r.shape, r.dtype, r.device) for r in smooth]
        found = backward(smooth, [*[inputs[i] for i in self.asked], *self.free], above)
        self.given = [i for i, gradient in enumerate(found) if gradient is not None]
        self.tracer.outputs([*results, *[gradient for gradient in found if gradient is not None]])
