"""Random programs of choices, scans and loops within one another, run by their plans: the numbers of eager runs, from tensors that lie
in any way, again and again, with no result written by a later run.

python -m tests.graph.random_flow --programs 2000
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from typing import Any

import helix
from helix.errors import HelixError
from helix.graph import Executor
from helix.graph.loops import Loop
from helix.graph.plan import Planned

from .random_graphs import equal, near

SHAPE = (3, 4)
Program = Callable[..., Any]


class Maker:
    """Makes one program of tensors of SHAPE. What it draws is drawn once, so that the program does the same each time."""

    def __init__(self, number: int) -> None:
        self.random = random.Random(number)
        self.captured = [helix.tensor(self.numbers(12)).reshape(4, 3).mT, helix.tensor(self.numbers(12)).reshape(SHAPE)]

    def numbers(self, count: int) -> list[float]:
        return [self.random.choice([-1.5, -1.0, -0.25, 0.0, 0.5, 1.0, 2.0]) for _ in range(count)]

    def expression(self, depth: int) -> Program:
        """A function of a list of tensors that gives one."""
        kinds = [self.leaf]
        if depth > -3:
            kinds += [self.one, self.two, self.view, self.part]
        if depth > 0:
            kinds += [self.choice, self.scan, self.loop, self.chain] * 2
        return self.random.choice(kinds)(depth)

    def leaf(self, depth: int) -> Program:
        k, kind = self.random.randrange(8), self.random.randrange(5)
        fixed = self.numbers(12)
        if kind == 0:
            return lambda now: self.captured[k % 2]
        if kind == 1:
            return lambda now: helix.tensor(fixed).reshape(SHAPE)
        if kind == 2:
            return lambda now: helix.full(SHAPE, fixed[0])
        return lambda now: now[k % len(now)]

    def one(self, depth: int) -> Program:
        inner = self.expression(depth - 1)
        op = self.random.choice([helix.sin, helix.tanh, helix.relu, helix.neg, lambda t: t * 1, lambda t: t.clone()])
        return lambda now: op(inner(now))

    def two(self, depth: int) -> Program:
        a, b = self.expression(depth - 1), self.expression(depth - 1)
        op = self.random.choice([helix.add, helix.sub, helix.mul, helix.maximum, lambda a, b: a @ (b.mT @ a).tanh()])
        return lambda now: op(a(now), b(now))

    def view(self, depth: int) -> Program:
        inner = self.expression(depth - 1)
        op = self.random.choice(
            [
                lambda t: t.flip(0),
                lambda t: t.reshape(4, 3).mT,
                lambda t: t.mT.reshape(SHAPE),
                lambda t: t[0].expand(SHAPE),
            ]
        )
        return lambda now: op(inner(now))

    def part(self, depth: int) -> Program:
        inner = self.expression(depth - 1)
        op = self.random.choice([lambda t: t.sum(0), lambda t: t.max(1, keepdim=True)[0], lambda t: t.mean()])
        return lambda now: op(inner(now)).expand(SHAPE)

    def chain(self, depth: int) -> Program:
        first, second = self.expression(depth - 1), self.expression(depth - 1)
        return lambda now: second([*now, first(now)])

    def choice(self, depth: int) -> Program:
        a, b, test = self.expression(depth - 1), self.expression(depth - 1), self.expression(0)
        above = self.random.random() - 0.5
        whole = self.random.random() < 0.3

        def run(now: list[helix.Tensor]) -> helix.Tensor:
            condition = test(now).sum().to(helix.int32) if whole else test(now).sum() > above
            return helix.cond(condition, lambda *given: a(list(given)), lambda *given: b(list(given)), *now)

        return run

    def scan(self, depth: int) -> Program:
        """Two carries, which may change places, and two results of each row."""
        bodies = [self.expression(depth - 1) for _ in range(4)]
        rows, start = self.expression(0), self.expression(0)
        length, reverse, last = self.random.choice([1, 2, 3, 5]), self.random.random() < 0.4, self.random.random() < 0.5
        turned, swap = self.random.random() < 0.4, self.random.random() < 0.3

        def run(now: list[helix.Tensor]) -> helix.Tensor:
            x = rows(now).expand(length, *SHAPE) * helix.arange(length).reshape(-1, 1, 1)
            x = x.permute(2, 0, 1).clone().permute(1, 2, 0) if turned else x

            def body(carry: tuple, row: helix.Tensor) -> tuple:
                given = [*carry, row, now[0]]
                after = (carry[1], carry[0]) if swap else (bodies[0](given).tanh(), bodies[1](given).tanh())
                return after, (bodies[2](given), bodies[3](given))

            carry, (one, other) = helix.scan(body, (start(now), now[0] * 0.5), x, reverse=reverse)
            return carry[0] - carry[1] if last else one.sum(0) + other[-1]

        return run

    def loop(self, depth: int) -> Program:
        body, test = self.expression(depth - 1), self.expression(0)
        most = self.random.randrange(4)

        def run(now: list[helix.Tensor]) -> helix.Tensor:
            def going(value: helix.Tensor, count: helix.Tensor) -> helix.Tensor:
                return (count < most) & (test([value, *now]).sum() < 50)

            def turn(value: helix.Tensor, count: helix.Tensor) -> tuple:
                return body([value, *now]).tanh(), count + 1

            return helix.while_loop(going, turn, now[-1], helix.tensor(0))[0]

        return run


def program(number: int) -> Program:
    maker = Maker(number)
    first, second = maker.expression(3), maker.expression(2)
    return lambda *inputs: (first(list(inputs)), second(list(inputs)))


def inputs_of(number: int, way: int) -> list[helix.Tensor]:
    """Two tensors, which lie row by row, or column by column, or as parts of others."""
    drawn = random.Random(~number)
    found = []
    for _ in range(2):
        values = helix.tensor([drawn.uniform(-2, 2) for _ in range(12)])
        ways = [values.reshape(SHAPE), values.reshape(4, 3).mT, helix.cat([values, values]).reshape(3, 8)[:, 2:6]]
        found.append(ways[way])
    return found


def loops_of(plan: Planned) -> list[Loop]:
    """Control flow that the core runs, in bodies too."""
    found = list(plan.planner.drawn.loops)
    return found + [loop for bodies in plan.bodies for body in bodies for loop in loops_of(body)]


def check(number: int, optimized: bool = False) -> tuple[list[str], int]:
    """What is wrong with the plans of a program; and how many steps of control flow the core runs."""
    function = program(number)
    with helix.no_grad():
        graph = helix.trace(function, *[helix.graph.Spec(SHAPE)] * 2)
    if optimized:
        graph = helix.graph.optimize(graph)
    run = Executor(graph, once=False)
    faults: list[str] = []
    before: list[tuple[helix.Tensor, helix.Tensor]] = []
    for way in (0, 1, 2, 0, 1):
        inputs = inputs_of(number, way)
        with helix.no_grad():
            expected, found = function(*inputs), run(*inputs)
        for k, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
            if not near(mine, theirs):  # a carried value may lie otherwise, and is summed in another order
                faults.append(f"result {k} of inputs that lie in way {way} is {mine.tolist()}, not {theirs.tolist()}")
        if not all(equal(kept, copy) for kept, copy in before):
            faults.append("a run wrote results of a run before")
        before = [(tensor, tensor.clone()) for tensor in found]
    plans = [plan for one in run.programs.values() for plan in one.plans or ()]
    return faults, sum(len(loops_of(plan)) for plan in plans)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    wrong = loops = 0
    for number in range(options.first, options.first + options.programs):
        try:
            faults, count = check(number, optimized=number % 2 == 1)
        except HelixError as error:
            faults, count = [f"{type(error).__name__}: {error}"], 0
        loops += count
        wrong += bool(faults)
        for fault in faults[:2]:
            print(f"program {number}: {fault}", flush=True)
    print(f"{options.programs} programs, {loops} steps of control flow run by the core, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
