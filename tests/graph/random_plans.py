"""Random graphs, run by their plans: the numbers of eager runs, again and again, and an arena hardly larger than it must be.

python -m tests.graph.random_plans --graphs 10000
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from typing import Any

import helix
from helix.errors import GradientError, HelixError, TraceError, UnsupportedOpError
from helix.graph import Graph, Spec, grad
from helix.graph.executor import Program
from helix.graph.plan import Memory, Planned, blueprint

from .random_graphs import equal, inputs_of, program, total_of

MOST = 1.1  # the arena, times what lives in it at one time


def planned(graph: Graph, inputs: list[helix.Tensor]) -> Planned | None:
    """None where an op of the graph cannot be taken to its parts on shapes alone."""
    try:
        return Planned(blueprint(Program(graph, {}), inputs, [value.source for value in graph.captured]))
    except (TraceError, UnsupportedOpError, NotImplementedError):
        return None


def compare(graph: Graph, inputs: list[helix.Tensor]) -> tuple[str | None, Memory | None]:
    """What is wrong with the plan of a graph, or None; and what it needs."""
    expected = graph(*inputs)
    plan = planned(graph, inputs)
    if plan is None:
        return None, None
    captured = [value.source for value in graph.captured]
    before: list[tuple[helix.Tensor, helix.Tensor]] = []
    for run in range(3):
        found = plan.run(inputs, captured, 0, 0)
        if found is None:
            return "it does not fit what it was made for", plan.memory
        for value, mine, theirs in zip(graph.outputs, found, _list(expected), strict=True):
            if not equal(mine, theirs):
                return f"run {run}: {value!r} has other values", plan.memory
        if not all(equal(kept, copy) for kept, copy in before):
            return f"run {run} wrote results of the run before", plan.memory
        before = [(tensor, tensor.clone()) for tensor in found]
    if plan.memory.arena > MOST * plan.memory.bound:
        return f"the arena has {plan.memory.arena} bytes, {plan.memory.bound} live at one time", plan.memory
    return None, plan.memory


def _list(results: Any) -> list[helix.Tensor]:
    return [results] if isinstance(results, helix.Tensor) else list(results)


def check(number: int) -> tuple[list[str], int]:
    """What is wrong with the plans of a random program and of its gradient; and how many there are."""
    inputs, function = inputs_of(number), program(number)
    specs = [Spec(x.shape, x.dtype) for x in inputs]
    graphs = [helix.trace(function, *specs)]
    with suppress(GradientError):
        graphs.append(grad(helix.trace(lambda *given: total_of(function(*given)), *specs)))
    found = [compare(graph, inputs) for graph in graphs]
    return [what for what, _ in found if what], sum(memory is not None for _, memory in found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", type=int, default=10000)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    wrong = plans = 0
    for number in range(options.first, options.first + options.graphs):
        try:
            faults, count = check(number)
        except HelixError as error:
            faults, count = [f"{type(error).__name__}: {error}"], 0
        plans += count
        for fault in faults:
            wrong += 1
            print(f"graph {number}: {fault}", flush=True)
    print(f"{options.graphs} graphs, {plans} plans, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
