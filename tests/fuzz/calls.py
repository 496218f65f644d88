"""Random sequences of op calls: results become inputs, views are taken and written, gradients are asked for, once and
twice. Every call ends in a result or in an error of helix."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import helix
from tests.ops.corners import force
from tests.ops.records import has
from tests.ops.sample import Sample
from tests.ops.samples import SAMPLES
from tests.ops.values import function_of, leaves

from .arguments import MOST_ELEMENTS, Arguments, Block

LIMIT = 64 << 20
KEPT = 6

Announce = Callable[[str, tuple[Any, ...], dict[str, Any]], None]


SAMPLES_OF: dict[str, list[Sample]] = defaultdict(list)
for _sample in SAMPLES:
    SAMPLES_OF[_sample.op].append(_sample)


class Count:
    """Calls, valid calls, and what the others were refused for."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.valid: Counter[str] = Counter()
        self.refused: dict[str, Counter[str]] = defaultdict(Counter)

    def merge(self, other: dict[str, Any]) -> None:
        self.calls.update(other["calls"])
        self.valid.update(other["valid"])
        for op, reasons in other["refused"].items():
            self.refused[op].update(reasons)

    def refuse(self, op: str, error: Exception) -> None:
        self.refused[op][re.sub(r"-?\d+(\.\d+)?", "#", str(error).split("\n")[0])[:100]] += 1


class Fuzzer:
    """A sequence of calls; each has its own choices."""

    def __init__(self, count: Count, announce: Announce | None = None) -> None:
        self.count, self.announce = count, announce
        self.made: list[helix.Tensor] = []
        helix.manual_seed(0)

    def call(self, choose: Block, op: str) -> None:
        self.choose = choose
        sample = choose.one_of(SAMPLES_OF[op])
        try:
            given = Arguments(choose, sample, self.made)
        except helix.errors.HelixError:
            return
        name = f"{op}_" if has(op, "inplace") and choose.chance(10) else op
        result = self.run(name, given.args, given.kwargs, given.grad)
        if isinstance(result, helix.Tensor) and has(name, "out") and choose.chance(15):
            try:
                place = self.place_for(result)
            except helix.errors.OutOfMemoryError:
                return
            self.run(name, given.args, {**given.kwargs, "out": place}, False)

    def place_for(self, result: helix.Tensor) -> helix.Tensor:
        """Where a result like this one can be written to; now and then a place that does not fit."""
        place = helix.empty_like(result.detach())
        if self.choose.chance(50) and result.numel() < MOST_ELEMENTS:
            wide = helix.zeros([2 * n for n in result.shape], dtype=result.dtype)
            place = wide[tuple(slice(None, n) for n in result.shape)]
        return place[:-1] if place.ndim and self.choose.chance(10) else place

    def run(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], grad: bool) -> Any:
        op = name.rstrip("_")
        if self.announce:
            self.announce(name, args, kwargs)
        self.count.calls[op] += 1
        try:
            result = function_of(name)(*args, **kwargs)
            force(result)
            self.count.valid[op] += 1
            if grad:
                self.backward(result, args)
        except helix.errors.HelixError as error:
            if isinstance(error, helix.errors.InternalError):
                raise
            self.count.refuse(op, error)
            return None
        self.keep(name, result)
        return result

    def backward(self, result: Any, args: tuple[Any, ...]) -> None:
        for r in leaves(result, helix.Tensor):
            if r.requires_grad and r.numel() < MOST_ELEMENTS:
                twice = self.choose.chance(20)
                r.backward(helix.ones_like(r), retain_graph=True, create_graph=twice)
                if twice:
                    self.backward_again(leaves(args, helix.Tensor))

    def backward_again(self, inputs: list[helix.Tensor]) -> None:
        for gradient in [t.grad for t in inputs if t.is_leaf]:
            if gradient is not None and gradient.requires_grad:
                gradient.backward(helix.ones_like(gradient), retain_graph=True)

    def keep(self, name: str, result: Any) -> None:
        for r in leaves(result, helix.Tensor):
            if r.numel() <= MOST_ELEMENTS and "empty" not in name:
                self.made.append(r)
        del self.made[:-KEPT]
