"""How much memory a program would hold, moment by moment, from a trace that was watched: who holds what is Python's and autograd's own
doing, on shapes alone, so that what an eager run frees late is counted as it frees it."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from .._core import Tensor
from ..nn.activation import ReLU
from ..nn.containers import MAKERS, WORTH_KEEPING, Sequential
from .analysis import BLOCK, workspace
from .build import ALIAS, CAPTURED, COMPUTED, INPUT, MADE
from .ir import Graph, Node, Value
from .tracer import Tracer

_ADDING = frozenset({"add", "clone"})  # with which backward makes gradients, in the memory of what nobody else needs


class Moment(NamedTuple):
    """The memory of a run when it was largest: of results, gradients of parameters among them, and of the workspace of the call that
    ran, before which there were `call` others."""

    call: int
    results: int
    workspace: int
    gradients: int = 0

    @property
    def bytes(self) -> int:
        return self.results + self.workspace


class Lives:
    """What a watched tracer saw. Values that show the same memory are one, by the number of the first of them."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.known = tracer.trace.values()
        self.calls = tracer.trace.calls()
        self.gone = tracer.trace.gone()
        self.packs = tracer.trace.packs()
        self.modules = {tracer.paths[id(module)]: module for module in tracer.held}
        self.made_by = {v: tracer.places[call[8]][0] for call in self.calls for v in call[2]}
        self.owner = list(range(len(self.known)))
        for v, known in enumerate(self.known):
            if known[0] == ALIAS:
                self.owner[v] = self.owner[known[1]]
        for call in self.calls:
            if call[6]:
                for v in call[2]:
                    self.owner[v] = self.owner[call[1][0]]
            elif call[0] == "relu" and self._is_owned(call):
                self.owner[call[2][0]] = self.owner[call[1][0]]
        self.first = {v: i for i, call in reversed(list(enumerate(self.calls))) for v in (*call[2], *call[1]) if v >= 0}
        self.last: dict[int, int] = {}
        for v, gone in enumerate(self.gone):
            end = len(self.calls) if gone < 0 else gone
            self.last[self.owner[v]] = max(self.last.get(self.owner[v], 0), end)

    def bytes_of(self, v: int) -> int:
        shape, dtype = self.known[v][2:4]
        return -(-prod(shape) * dtype.itemsize // BLOCK) * BLOCK

    def outside(self) -> list[Tensor]:
        """The tensors that were there before, inputs left out."""
        return [
            self.tracer.trace.tensor(v)
            for v, known in enumerate(self.known)
            if known[0] == CAPTURED and not known[6] and self.owner[v] == v
        ]

    def inputs(self) -> int:
        return sum(self.bytes_of(v) for v, known in enumerate(self.known) if known[0] == INPUT)

    def peak(self) -> Moment:
        """When results and workspace took most."""
        ends: dict[int, int] = {}
        now = 0
        highest = Moment(0, 0, 0)
        met: set[int] = set()
        for i, call in enumerate(self.calls):
            now -= ends.pop(i, 0)
            fresh = [v for v in call[2] if self._is_fresh(v, met)]
            fresh += [v for v in call[1] if v >= 0 and self.known[v][0] == MADE and self._is_fresh(v, met)]
            met.update(fresh)
            for v in fresh:
                now += self.bytes_of(v)
                end = self.last[v]
                ends[end] = ends.get(end, 0) + self.bytes_of(v)
            taken = self._taken_over(i, call)
            if taken:
                now -= taken
                ends[i + 1] = ends.get(i + 1, 0) - taken
            moment = Moment(i, now, self._workspace(call) + self._copied(i))
            if moment.bytes > highest.bytes:
                highest = moment
        return highest._replace(gradients=self._gradients(highest.call))

    def _gradients(self, call: int) -> int:
        """Of those that are there during a call, what belongs to leaves in the end."""
        leaves = [self.tracer.trace.tensor(v) for v, known in enumerate(self.known) if known[0] == CAPTURED]
        wanted = {self.tracer.trace.number(leaf.grad) for leaf in leaves if leaf.grad is not None}
        found = 0
        for later in self.calls[call:]:
            if (
                later[0] == "clone"
                and later[7]
                and later[2][0] in wanted
                and self.first.get(self.owner[later[1][0]], call + 1) <= call
            ):
                wanted.add(self.owner[later[1][0]])
        for v in wanted:
            if v >= 0 and self.first.get(self.owner[v], call + 1) <= call < self.last[self.owner[v]]:
                found += self.bytes_of(v)
        return found

    def held(self) -> int:
        """What is held when all is done."""
        end = len(self.calls)
        made = [v for v in self.first if self.owner[v] == v and self.last[v] >= end]
        return sum(self.bytes_of(v) for v in made if self.known[v][0] in (COMPUTED, MADE) and not self.known[v][6])

    def _is_fresh(self, v: int, met: set[int]) -> bool:
        return self.owner[v] == v and v not in met and self.known[v][0] in (COMPUTED, MADE) and not self.known[v][6]

    def _taken_over(self, i: int, call: tuple[Any, ...]) -> int:
        """Bytes of an input whose memory the result takes: a sum of gradients that nobody else holds."""
        if call[0] not in _ADDING or not call[7] or call[5]:
            return 0
        v = self.owner[call[1][0]]
        alone = (
            self.known[v][0] == COMPUTED and self.last[v] == i + 1 and v not in map(self.owner.__getitem__, call[1][1:])
        )
        return self.bytes_of(v) if alone and self.known[v][2:4] == self.known[call[2][0]][2:4] else 0

    def _is_owned(self, call: tuple[Any, ...]) -> bool:
        """Does a Sequential compute this ReLU in the memory of the result of the layer before? (A trace is kept free of writes.)"""
        path = self.tracer.places[call[8]][0]
        parent, _, _ = path.rpartition(".")
        maker = self.made_by.get(call[1][0], "")
        return (
            type(self.modules.get(path)) is ReLU
            and type(self.modules.get(parent)) is Sequential
            and type(self.modules.get(maker)) in MAKERS
            and maker.rpartition(".")[0] == parent
            and prod(self.known[call[1][0]][2]) >= WORTH_KEEPING
        )

    def _workspace(self, call: tuple[Any, ...]) -> int:
        """Of the call's kernel, or of the body of its loop or choice."""
        op: Any = call[0]
        graphs: tuple[Graph, ...] = ()
        if type(op) is int:
            region = self.tracer.regions[op]
            op, graphs = region.op, region.graphs
        node = Node(op, tuple([None if v < 0 else self._value(v) for v in call[1]]), call[3], graphs=graphs)
        node.outputs = tuple([self._value(v) for v in call[2]])
        return workspace(node)

    def _copied(self, i: int) -> int:
        """Bytes of the inputs with gaps that are copied for a kernel."""
        if not self.packs[i]:
            return 0
        return sum(self.bytes_of(v) for v in self.calls[i][1] if v >= 0 and not _is_dense(*self.known[v][2:5:2]))

    def _value(self, v: int) -> Value:
        return Value("result", *self.known[v][2:4])


def watched() -> Tracer:
    """A tracer whose trace is watched."""
    tracer = Tracer()
    tracer.trace.watch()
    return tracer


def held_at_end(lives: Lives, tensors: list[Any]) -> int:
    """Bytes of traced tensors."""
    numbers = {lives.owner[lives.tracer.trace.number(tensor)] for tensor in tensors}
    return sum(map(lives.bytes_of, numbers))


def _is_dense(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    step = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1 and stride != step:
            return False
        step *= size
    return True
