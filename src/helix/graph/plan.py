"""Where every value of a graph lies: how long it is needed, what may be written over what, and one arena for all that a run
needs in between."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import _core
from .._core import Tensor
from ..autograd import no_grad
from ..errors import UnsupportedOpError
from .loops import Loop, in_lines, loop_of
from .lower import Lowered, lower

if TYPE_CHECKING:
    from .executor import Program

VIEW, INTO, OVER, DENSE, COPY, REGION = (
    _core.PLAN_VIEW,
    _core.PLAN_INTO,
    _core.PLAN_OVER,
    _core.PLAN_DENSE,
    _core.PLAN_COPY,
    _core.PLAN_REGION,
)
ROWS = 1 << 16  # a step that passes over its operands row by row
NONE, ARENA, BOUND, RESULT, CONSTANT = range(5)
_SETTLING = RLock()
SETTLED = 4  # how often a plan is made again


class Memory(NamedTuple):
    """What a plan needs: bytes of the arena, the most that lives in it at one time, and bytes of results of their own."""

    arena: int
    bound: int
    results: int


class Step:
    """A kernel call (`call` of the trace, or -1: a copy), the values that it takes and makes."""

    __slots__ = ("bits", "call", "ins", "outs", "outside", "written")

    def __init__(
        self, call: int, bits: int, ins: tuple[int, ...], outs: tuple[int, ...], written: tuple[int, ...] = ()
    ):
        self.call, self.bits, self.ins, self.outs, self.written = call, bits, ins, outs, written
        self.outside = False


class Planner:
    """Works out one plan. Values are numbers: the trace's, and from `len(known)` on row-major copies of some of them."""

    def __init__(self, lowered: Lowered, body: bool = False) -> None:
        self.lowered, self.body = lowered, body
        found = [loop_of(i, one) for i, one in enumerate(lowered.bodies)]
        self.loops = {i: loop for i, loop in enumerate(found) if loop is not None}
        self.known = _core.plan_values(lowered.trace)
        self.copied: list[int] = []  # what the further values are copies of
        count = len(self.known)
        self.root = list(range(count))
        self.bound = [*lowered.inputs, *lowered.captured]
        self.slot = {number: i for i, number in enumerate(self.bound) if number >= 0}
        self.home: dict[int, tuple[int, int]] = {}  # of roots: kind, and slot
        self.results: list[tuple[int, int]] = []  # value or -1, slot
        self.fresh: list[int] = []
        self.steps: list[Step] = []
        self.written: set[int] = set()  # bound tensors
        self.buffer: dict[int, int] = {}  # root -> the root in whose memory it lies
        self.works: Sequence[int] = ()  # of each step, what its kernel works in
        self.settled = 0  # how often they were asked for

    # ---- steps ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        names = [call[0] for call in self.lowered.trace.calls()]
        calls = _core.plan_calls(self.lowered.trace)
        self.loop_at = {i: self.loops[name] for i, name in enumerate(names) if name in self.loops}
        self.take_calls([self.seen(name, call) for name, call in zip(names, calls, strict=True)])
        if self.body:
            self.place_body()
        else:
            self.place_results()
        self.add_effects()
        self.find_lives()
        self.share()

    def seen(self, name: str | int, call: tuple[Any, ...]) -> tuple[Any, ...]:
        """The call; a clone, or a cast to the same dtype, as a copy; fused ops as what goes by rows."""
        bits, ins, outs, *rest = call
        if name in ("cast", "clone") and not bits & INTO and self.known[ins[0]][4][0] == self.known[outs[0]][4][0]:
            bits |= COPY
        if name == "fused":
            bits |= ROWS
        return (bits, ins, outs, *rest)

    def take_calls(self, calls: list[tuple[Any, ...]]) -> None:
        """Steps of the calls that something depends on; views are none."""
        root = self.root
        if len({device for *_, device in calls}) > 1:
            raise UnsupportedOpError("HX1701 a plan runs on one device", code="HX1701")
        for bits, ins, outs, _, _ in calls:
            if bits & VIEW:
                for out in outs:
                    root[out] = root[ins[0]]
        needed = {root[v] for v in self.lowered.outputs} | {root[v] for _, _, v in self.lowered.effects}
        kept = []
        for i in range(len(calls) - 1, -1, -1):
            bits, ins, outs, written, _ = calls[i]
            if bits & VIEW or not any(root[v] in needed for v in (*outs, *[ins[k] for k in written])):
                continue
            needed.update(root[v] for v in ins if v >= 0)
            kept.append(i)
        dense: dict[int, int] = {}
        for i in reversed(kept):
            bits, ins, outs, written, _ = calls[i]
            if i in self.loop_at:  # its bodies are planned for inputs as they lie, and for row-major carries
                many = self.loop_at[i].carry
                ins = tuple(
                    [v if k >= many or self.contiguous(v) else self.dense_copy(v, dense) for k, v in enumerate(ins)]
                )
            elif not (bits & INTO or written):
                ins = tuple([dense.get(v, v) for v in ins])
            if bits & (DENSE | ROWS):
                ins = tuple([self.dense_copy(v, dense) if v >= 0 and self.is_copied(v, bits) else v for v in ins])
            self.steps.append(Step(i, bits, ins, outs, tuple([ins[k] for k in written])))
            if bits & INTO or written:
                changed = {root[v] for v in (*outs, *[ins[k] for k in written])}
                dense = {v: copy for v, copy in dense.items() if root[v] not in changed}

    def is_copied(self, v: int, bits: int) -> bool:
        """Does a step take a row-major copy of this? What lies in another order of axes is turned once, tile by tile."""
        if self.contiguous(v) or bits & DENSE:
            return not self.contiguous(v)
        _, shape, strides = self.known[v][4]
        steps = [step for size, step in zip(shape, strides, strict=True) if size > 1]
        return bool(steps) and any(0 < step < steps[-1] for step in steps)

    def dense_copy(self, v: int, known: dict[int, int]) -> int:
        if v not in known:
            known[v] = self.copy_of(v)
            self.steps.append(Step(-1, COPY, (v,), (known[v],)))
        return known[v]

    def copy_of(self, v: int) -> int:
        """A new value: a row-major copy."""
        self.copied.append(v)
        self.root.append(len(self.root))
        return len(self.root) - 1

    def origin(self, v: int) -> int:
        return v if v < len(self.known) else self.copied[v - len(self.known)]

    def size(self, v: int) -> int:
        return int(self.known[self.origin(v)][1])

    def contiguous(self, v: int) -> bool:
        return v >= len(self.known) or bool(self.known[v][2])

    def is_outside(self, root: int) -> bool:
        """Was it there before the run?"""
        return root < len(self.known) and bool(self.known[root][0])

    # ---- what a run returns, and what it writes ------------------------------------------------------------

    def place_results(self) -> None:
        """Results get fresh memory at each run; a bound tensor that is returned is that tensor."""
        rewritten = {self.bound[slot] for kind, slot, _ in self.lowered.effects if kind == "write"}
        wanted = [*self.lowered.outputs, *[v for kind, _, v in self.lowered.effects if kind != "write"]]
        for v in wanted:
            root = self.root[v]
            if not self.is_outside(root):
                if root not in self.home:
                    self.home[root] = (RESULT, len(self.fresh))
                    self.fresh.append(root)
                self.results.append((v, 0))
            elif v in self.slot:
                self.results.append((-1, self.slot[v]))
            elif root in rewritten:
                copy = self.copy_of(v)
                self.home[copy] = (RESULT, len(self.fresh))
                self.fresh.append(copy)
                self.steps.append(Step(-1, COPY, (v,), (copy,)))
                self.results.append((copy, 0))
            else:
                self.results.append((v, 0))

    def place_body(self) -> None:
        """Results of a body go where whoever runs it says, each as a whole and row by row."""
        for v in self.lowered.outputs:
            root = self.root[v]
            own = not (self.is_outside(root) or root in self.home) and self.contiguous(v) and self.contiguous(root)
            if not own or self.size(root) != self.size(v):
                root = self.copy_of(v)
                self.steps.append(Step(-1, COPY, (v,), (root,)))
            self.home[root] = (RESULT, len(self.fresh))
            self.fresh.append(root)

    def add_effects(self) -> None:
        """The step that makes a value writes it where it belongs, if nobody reads what is there afterwards; else it is copied
        there at the end."""
        writes = [(slot, v) for kind, slot, v in self.lowered.effects if kind == "write"]
        self.written = {slot for slot, _ in writes}
        made, read = self.uses()
        copies = []
        for slot, v in writes:
            if self.bound[slot] == v:
                continue
            if self.may_write(slot, v, made, read):
                self.home[self.root[v]] = (BOUND, slot)
            else:
                copies.append((slot, v))
        rewritten = {self.bound[slot] for slot in self.written}
        last: list[Step] = []
        for slot, v in copies:
            if self.root[v] in rewritten:
                copy = self.copy_of(v)
                self.steps.append(Step(-1, COPY, (v,), (copy,)))
                v = copy
            last.append(Step(-1, INTO, (v,), (self.bound[slot],)))
        self.steps += last

    def uses(self) -> tuple[dict[int, int], dict[int, int]]:
        """At which step a root is made, and last taken; what effects and results take of the outside counts as the end."""
        made: dict[int, int] = {}
        read: dict[int, int] = {}
        for i, step in enumerate(self.steps):
            for v in step.ins:
                if v >= 0:
                    read[self.root[v]] = i
            for v in step.outs:
                made.setdefault(self.root[v], i)
        for v in [v for _, _, v in self.lowered.effects] + [v for v, _ in self.results if v >= 0]:
            if self.is_outside(self.root[v]):
                read[self.root[v]] = len(self.steps)
        return made, read

    def may_write(self, slot: int, v: int, made: dict[int, int], read: dict[int, int]) -> bool:
        root, target = self.root[v], self.bound[slot]
        if self.is_outside(root) or root in self.home or not self.same_elements(root, v) or not self.fits(root, target):
            return False
        at = made[root]
        step = self.steps[at]
        if step.call in self.loop_at:
            return False
        last = read.get(target, -1)
        if last != at or step.bits & REGION:
            return last < at
        return self.over(step, root, target)

    def fits(self, v: int, target: int) -> bool:
        mine, wanted = self.known[self.origin(v)][4], self.known[target][4]
        return mine[:2] == wanted[:2] and self.contiguous(v) and self.contiguous(target)

    def same_elements(self, a: int, b: int) -> bool:
        """Do two values of one root show the same memory in the same way?"""
        if a == b:
            return True
        if max(a, b) >= len(self.known):
            return False
        return self.known[a][1:] == self.known[b][1:]

    def over(self, step: Step, root: int, taken: int) -> bool:
        """May a step that makes `root` write it where the root `taken`, which it reads, lies?"""
        if not step.bits & (OVER | COPY) or root not in step.outs or step.bits & INTO:
            return False
        code, shape, _ = self.known[self.origin(root)][4]
        for v in step.ins:
            if v < 0 or self.root[v] != taken:
                continue
            other = self.known[self.origin(v)]
            at = 0 if v >= len(self.known) else other[3] - self.known[taken][3]
            if not self.contiguous(v) or at or other[4][0] != code or other[4][1] != shape:
                return False
        return True

    # ---- lives, and memory ---------------------------------------------------------------------------------

    def find_lives(self) -> None:
        """The first and the last step of every root that has memory in the arena."""
        self.first: dict[int, int] = {}
        self.last: dict[int, int] = {}
        for i, step in enumerate(self.steps):
            for v in (*step.outs, *step.ins):
                if v < 0 or self.is_outside(self.root[v]) or self.root[v] in self.home:
                    continue
                self.first.setdefault(self.root[v], i)
                self.last[self.root[v]] = i

    def share(self) -> None:
        """Results take the place of operands that are not needed any more; a copy that does so is no step."""
        kept = []
        self.moments = []
        for i, step in enumerate(self.steps):
            over = step.outs and not step.bits & (INTO | REGION) and self.taken_over(step, i)
            if not (over and step.bits & COPY):
                kept.append(step)
                self.moments.append(i)
        self.steps = kept

    def taken_over(self, step: Step, i: int) -> bool:
        """Finds an operand in whose place the result goes. For a copy also true where it would copy a tensor to itself."""
        out = step.outs[0]
        root = self.root[out]
        home = self.home.get(root)
        if home is not None:
            target = self.bound[home[1]] if home[0] == BOUND else -1
            return bool(step.bits & COPY) and step.ins[0] == target
        for v in step.ins:
            taken = self.root[v] if v >= 0 else -1
            if taken < 0 or taken not in self.last or self.last[taken] != i or self.first.get(root) != i:
                continue
            if self.size(taken) == self.size(root) and self.over(step, root, taken):
                self.buffer[root] = self.owner(taken)
                return True
        return False

    def owner(self, root: int) -> int:
        while root in self.buffer:
            root = self.buffer[root]
        return root

    def arena(self, works: Sequence[int]) -> tuple[int, dict[int, int], list[int]]:
        """Bytes, and the offset of every root, and of what each step works in. A root lives on as long as what is written over
        it."""
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for root, begin in self.first.items():
            owner = self.owner(root)
            first[owner] = min(first.get(owner, begin), begin)
            last[owner] = max(last.get(owner, 0), self.last[root])
        owners = list(first)
        working = [i for i, size in enumerate(works) if size]
        self.blocks = [(in_lines(self.size(r)), first[r], last[r]) for r in owners]
        self.blocks += [(works[i], self.moments[i], self.moments[i]) for i in working]
        whole, offsets = _core.plan_offsets(*[[block[k] for block in self.blocks] for k in range(3)])
        at = dict(zip(owners, offsets[: len(owners)], strict=True))
        work_at = [0] * len(works)
        for i, offset in zip(working, offsets[len(owners) :], strict=True):
            work_at[i] = offset
        return whole, {root: at[self.owner(root)] for root in self.first}, work_at

    # ---- the plan ------------------------------------------------------------------------------------------

    def finish(self, works: Sequence[int] = ()) -> Blueprint:
        """`works`: for each step, the bytes that its kernel works in; without, what is known before a run."""
        self.works = works or [self.loop_at[s.call].work if s.call in self.loop_at else 0 for s in self.steps]
        whole, offsets, work_at = self.arena(self.works)
        made = [root for root, (kind, _) in self.home.items() if kind == BOUND]
        outside = set(made) | {self.bound[slot] for slot in self.written}
        steps = []
        for step, at, size in zip(self.steps, work_at, self.works, strict=True):
            writes = any(self.root[v] in outside for v in (*step.outs, *step.written))
            steps.append((step.call, step.ins, step.outs, writes, at, size))
        values: list[int] = []
        for v in range(len(self.root)):
            values += self.told(v, offsets)
        arguments = (
            self.lowered.trace,
            array("q", values),
            steps,
            self.bound,
            len(self.lowered.inputs),
            self.fresh,
            self.results,
            sorted(self.written),
            whole,
            self.lowered.regions,
        )
        self.drawn = Blueprint(
            self,
            arguments,
            Memory(whole, bound(self.blocks), sum(self.size(root) for root in self.fresh)),
            len(self.root),
            len(steps),
            len(self.lowered.outputs),
            list(self.loops.values()),
            len(self.loops) == len(self.lowered.regions),
            [(kind, slot) for kind, slot, _ in self.lowered.effects if kind != "write"],
        )
        return self.drawn

    def told(self, v: int, offsets: dict[int, int]) -> tuple[int, int, int, int, int]:
        """What the core is told of a value: number, slot, home, is a copy, offset."""
        root, copy = self.root[v], v >= len(self.known)
        number = self.origin(v)
        at = 0 if copy or root >= len(self.known) else self.known[v][3] - self.known[root][3]
        if root in self.home:
            kind, slot = self.home[root]
            return number, slot, kind, copy, at
        if root in self.slot:
            return number, self.slot[root], BOUND, copy, at
        if self.is_outside(root):
            return number, 0, CONSTANT, copy, 0
        return number, 0, ARENA if root in offsets else NONE, copy, offsets.get(root, 0) + at


def bound(blocks: Sequence[tuple[int, int, int]]) -> int:
    """The most bytes that live at one step: no arena is smaller."""
    change: dict[int, int] = {}
    for size, first, last in blocks:
        change[first] = change.get(first, 0) + size
        change[last + 1] = change.get(last + 1, 0) - size
    most = now = 0
    for step in sorted(change):
        now += change[step]
        most = max(most, now)
    return most


class Blueprint(NamedTuple):
    """All that a plan is made of, without a tensor of the caller's: who drew it; what the core is told; the memory it needs; how many values,
    steps and outputs it has; control flow whose bodies have plans, and whether that is all there is; and the gradients among its results, each with its leaf's place among the bound tensors."""

    planner: Planner
    arguments: tuple[Any, ...]
    memory: Memory
    values: int
    steps: int
    outputs: int
    loops: list[Loop]
    whole: bool
    gradients: list[tuple[str, int]]


def blueprint(program: Program, leaves: Sequence[Tensor], captured: Sequence[Tensor], body: bool = False) -> Blueprint:
    """How a program runs with tensors that lie like these; as a `body`, whose results whoever runs it has a place for."""
    planner = Planner(lower(program, leaves, captured), body)
    planner.run()
    return planner.finish()


class Planned:
    """A plan for tensors that lie in one way, ready to run.

    What kernels work in is known when they have run: the plan is made again then, with room for it."""

    __slots__ = ("bodies", "gradients", "memory", "outputs", "plan", "planner", "steps")

    def __init__(self, made: Blueprint) -> None:
        self.planner = made.planner
        self._take(self.planner.drawn)

    def _take(self, made: Blueprint) -> None:
        self.bodies = [[Planned(body) for body in loop.bodies] for loop in made.loops]
        self.plan = _core.Plan(*made.arguments, [_joined(*pair) for pair in zip(made.loops, self.bodies, strict=True)])
        self.memory, self.steps, self.outputs, self.gradients = made.memory, made.steps, made.outputs, made.gradients

    def run(self, leaves: Sequence[Tensor], captured: list[Tensor], seed: int, first: int) -> list[Tensor] | None:
        """The outputs; None, with nothing done, where the tensors lie in another way."""
        plan = self.plan
        found: list[Tensor] | None = plan.run(leaves, captured, seed, first)
        if plan.wants and self.planner.settled < SETTLED:
            self._settle(plan)
        if found is None or not self.gradients:
            return found
        bound = [*leaves, *captured]
        with no_grad():
            for (kind, slot), gradient in zip(self.gradients, found[self.outputs :], strict=True):
                leaf = bound[slot]
                if kind == "grad" or leaf.grad is None:
                    leaf.grad = gradient
                else:
                    leaf.grad.add_(gradient)
        return found[: self.outputs]

    def _settle(self, plan: _core.Plan) -> None:
        """Sets aside what kernels have asked for; with another number of threads they may ask for more."""
        planner = self.planner
        with _SETTLING:  # plans of one structure share who drew them
            planner.settled += 1
            for body in [body for bodies in self.bodies for body in bodies]:
                if body.plan.wants:
                    body._settle(body.plan)
            self._take(planner.finish([max(pair) for pair in zip(planner.works, plan.needed(), strict=True)]))


def _joined(loop: Loop, bodies: Sequence[Planned]) -> _core.PlanLoop:
    """Control flow as the core takes it."""
    told = [
        (body.plan, [number for source in sources for number in source], own)
        for body, sources, own in zip(bodies, loop.sources, loop.own, strict=True)
    ]
    return _core.PlanLoop(loop.region, loop.flow, loop.carry, loop.length, loop.reverse, told)
