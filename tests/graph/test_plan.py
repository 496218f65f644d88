"""Plans: where values lie, what a run writes and what it leaves alone, memory, threads, devices."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import helix
from helix import nn
from helix._core import plan_offsets
from helix.errors import ArgumentError, IndexRangeError, InternalError
from helix.graph import Graph, loops
from helix.graph import plan as plan_module
from helix.graph.executor import Program
from helix.graph.plan import Planned, Planner, blueprint, bound

from . import random_flow, random_plans
from .random_graphs import equal

SLICE = 60


def planned(graph: Graph, *inputs: helix.Tensor) -> Planned:
    return Planned(blueprint(Program(graph, {}), list(inputs), [value.source for value in graph.captured]))


def run(plan: Planned, graph: Graph, *inputs: helix.Tensor, seed: int = 0, first: int = 0) -> list[helix.Tensor]:
    found = plan.run(list(inputs), [value.source for value in graph.captured], seed, first)
    assert found is not None
    return found


@pytest.mark.parametrize("start", range(0, SLICE, 20))
def test_random_plans(start: int) -> None:
    for number in range(start, start + 20):
        faults, count = random_plans.check(number)
        assert not faults and count, (number, faults)


def too_short(planner: Planner) -> None:
    real = planner.find_lives

    def shorter() -> None:
        real()
        planner.last = {root: max(planner.first[root], last - 1) for root, last in planner.last.items()}

    planner.find_lives = shorter  # type: ignore[method-assign]


def over_anything(planner: Planner) -> None:
    planner.over = lambda step, root, taken: True  # type: ignore[method-assign]


@pytest.mark.parametrize("fault", [too_short, over_anything], ids=lambda f: f.__name__)
def test_planted_faults_are_seen(monkeypatch: pytest.MonkeyPatch, fault: Callable[[Planner], Any]) -> None:
    real = Planner.run

    def wrong(planner: Planner) -> None:
        fault(planner)
        real(planner)

    monkeypatch.setattr(Planner, "run", wrong)
    assert any(random_plans.check(number)[0] for number in range(12))


@pytest.mark.parametrize("start", range(0, 36, 12))
def test_random_control_flow(start: int) -> None:
    """Bodies run by the core, within one another, from tensors that lie in any way."""
    loops = 0
    for number in range(start, start + 12):
        faults, count = random_flow.check(number, optimized=number % 2 == 1)
        assert not faults, (number, faults)
        loops += count
    assert loops > 12


def rows_lie_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        loops,
        "_like",
        lambda inputs, source, real=loops._like: loops.Like(real(inputs, source).shape, inputs[source[1]]),
    )


def from_the_other_end(monkeypatch: pytest.MonkeyPatch) -> None:
    real = loops.loop_of
    monkeypatch.setattr(
        plan_module, "loop_of", lambda *given: (found := real(*given)) and found._replace(reverse=not found.reverse)
    )


def results_of_bodies_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Planner, "contiguous", lambda planner, v: True)


@pytest.mark.parametrize(
    "fault", [rows_lie_row_by_row, from_the_other_end, results_of_bodies_anywhere], ids=lambda f: f.__name__
)
def test_planted_faults_of_bodies_are_seen(monkeypatch: pytest.MonkeyPatch, fault: Callable[..., None]) -> None:
    fault(monkeypatch)
    assert any(random_flow.check(number)[0] for number in range(24))


# ---- memory ----


def test_offsets_lie_apart_and_in_little() -> None:
    """Blocks of a graph whose largest meet in a row: no simple order gets this right."""
    large = [(3264, 18, 19), (3200, 19, 39), (3200, 20, 21), (3200, 37, 41), (3264, 40, 42)]
    small = [(256, 1, 77), (64, 3, 67), (128, 12, 66), (256, 13, 55), (64, 24, 74)]
    blocks = [*large, *small]
    whole, offsets = plan_offsets(*[list(column) for column in zip(*blocks, strict=True)])
    for i, (size, first, last) in enumerate(blocks):
        assert offsets[i] % 64 == 0 and offsets[i] + size <= whole
        for k in range(i):
            other, begin, end = blocks[k]
            if first <= end and begin <= last:
                assert offsets[i] + size <= offsets[k] or offsets[k] + other <= offsets[i]
    assert whole <= 1.05 * bound(blocks)


def test_a_chain_works_in_one_place() -> None:
    graph = helix.trace(lambda x: (x.sin() * 2 + 1).exp().cos().sum(), helix.zeros(64))
    assert planned(graph, helix.zeros(64)).memory.arena == 256


def test_what_lies_in_another_order_is_turned_once_for_fused_steps() -> None:
    x, y = helix.randn(512, 256), helix.randn(256, 512)
    graph = helix.trace(lambda a, b: ((a.t() * b).exp() + 1, (a.t() - b).sin()), x, y)
    fused = helix.graph.optimize(graph, ["subexpressions", "fusion"])
    plan = planned(fused, x, y)
    assert plan.steps == len(fused.find("fused")) + 1
    for mine, wanted in zip(run(plan, fused, x, y), graph(x, y), strict=True):
        assert equal(mine, wanted)


def counted(plan: Planned, graph: Graph, x: helix.Tensor) -> tuple[int, int]:
    """Allocations of ten runs, and how many of them asked the system."""
    captured = [value.source for value in graph.captured]
    result = plan.run([x], captured, 0, 0)
    before = helix.memory_stats()
    for _ in range(10):
        result = plan.run([x], captured, 0, 0)
    after = helix.memory_stats()
    del result
    return after["allocations"] - before["allocations"], after["from_system"] - before["from_system"]


def test_after_the_first_run_only_results_are_allocated() -> None:
    graph = helix.trace(lambda x: helix.softmax(x.exp() * 2 - x.mT.sin().mT, -1).cumsum(0), helix.zeros(4, 8))
    assert counted(planned(graph, helix.zeros(4, 8)), graph, helix.zeros(4, 8)) == (20, 0)  # a tensor and its memory


def test_after_the_first_run_the_system_is_not_asked() -> None:
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.LayerNorm(256), nn.Linear(256, 64), nn.Softmax(-1))
    x = helix.randn(128, 64)
    graph = helix.trace(model, x)
    assert counted(planned(graph, x), graph, x)[1] == 0


def test_a_step_that_writes_allocates_nothing() -> None:
    total, x = helix.zeros(32), helix.ones(32)

    def add(x: helix.Tensor) -> None:
        total.add_(x)

    graph = helix.trace(add, x)
    plan = planned(graph, x)
    run(plan, graph, x)
    before = helix.memory_stats()["allocations"]
    for _ in range(10):
        plan.run([x], [total], 0, 0)
    assert helix.memory_stats()["allocations"] == before
    assert total.tolist() == [11.0] * 32


# ---- what a run writes ----


def test_an_update_is_written_where_it_belongs() -> None:
    """No step copies: the one that computes the new value writes over the old one."""
    weight, x = helix.ones(16), helix.ones(16)

    def step(x: helix.Tensor) -> helix.Tensor:
        with helix.no_grad():
            weight.sub_(x * 0.25)
        return (weight * 2).sum()

    graph = helix.trace(step, x)
    plan = planned(graph, x)
    version = weight._version
    assert [run(plan, graph, x)[0].item() for _ in range(3)] == [24.0, 16.0, 8.0]
    assert plan.steps == 4 and weight._version == version + 3


def test_what_is_read_afterwards_is_written_later() -> None:
    state = helix.ones(4)

    def step(x: helix.Tensor) -> helix.Tensor:
        old = state.clone()
        state.mul_(2)
        return old + state + x

    graph = helix.trace(step, helix.zeros(4))
    plan = planned(graph, helix.zeros(4))
    assert [run(plan, graph, helix.zeros(4))[0][0].item() for _ in range(3)] == [3.0, 6.0, 12.0]


def test_what_is_only_written_is_written_at_each_run() -> None:
    last, shown = helix.zeros(2), helix.zeros(2)

    def keeps_the_last(x):
        last.copy_(x)
        shown.copy_(x.exp())
        return x * 2

    graph = helix.trace(keeps_the_last, helix.graph.Spec((2,)))
    for number in (1.0, 2.0, 3.0):
        x = helix.full((2,), number)
        graph(x)
        assert helix.equal(last, x)
        assert helix.equal(shown, x.exp())


def test_two_states_change_places() -> None:
    a, b = helix.zeros(3), helix.ones(3)

    def swap(x: helix.Tensor) -> helix.Tensor:
        old = a.clone()
        a.copy_(b)
        b.copy_(old)
        return x + a

    graph = helix.trace(swap, helix.zeros(3))
    plan = planned(graph, helix.zeros(3))
    for k in range(4):
        assert run(plan, graph, helix.zeros(3))[0].tolist() == [float(k % 2 == 0)] * 3
        assert (a.tolist(), b.tolist()) == ([float(k % 2 == 0)] * 3, [float(k % 2)] * 3)


def test_results_are_kept_by_their_users() -> None:
    graph = helix.trace(lambda x: (x + 1, (x * 2)[1:], x), helix.zeros(4))
    plan = planned(graph, helix.zeros(4))
    first = run(plan, graph, helix.ones(4))
    x = helix.full((4,), 5.0)
    second = run(plan, graph, x)
    assert first[0].tolist() == [2.0] * 4 and first[1].tolist() == [2.0] * 3
    assert second[0].tolist() == [6.0] * 4 and second[2] is x


def test_what_is_written_must_be_one_argument() -> None:
    graph = helix.trace(lambda a, b: a.add_(b), helix.zeros(4), helix.zeros(4))
    plan, x = planned(graph, helix.zeros(4), helix.zeros(4)), helix.ones(4)
    with pytest.raises(ArgumentError, match="HX1103"):
        plan.run([x, x], [], 0, 0)
    assert x.tolist() == [1.0] * 4


def test_a_fault_in_a_kernel_names_its_op() -> None:
    graph = helix.trace(lambda x, i: x.index_select(0, i).relu(), helix.zeros(3), helix.tensor([1]))
    plan = planned(graph, helix.zeros(3), helix.tensor([1]))
    with pytest.raises(IndexRangeError, match="index_select"):
        plan.run([helix.zeros(3), helix.tensor([7])], [], 0, 0)
    assert run(plan, graph, helix.ones(3), helix.tensor([2]))[0].tolist() == [1.0]


# ---- how tensors lie, streams, threads, devices ----


def test_tensors_that_lie_otherwise_get_another_plan() -> None:
    graph = helix.trace(lambda x: helix.softmax(x, -1) @ x.mT, helix.zeros(3, 5))
    rows, columns = helix.randn(3, 5), helix.randn(5, 3).mT
    plan = planned(graph, rows)
    assert plan.run([columns], [], 0, 0) is None
    for x in (rows, columns, rows, columns):
        assert equal(graph(x), helix.softmax(x, -1) @ x.mT)


def test_random_numbers_are_the_programs() -> None:
    graph = helix.trace(lambda x: nn.functional.dropout(x + helix.rand(8), 0.5), helix.zeros(8))
    plan = planned(graph, helix.zeros(8))
    helix.manual_seed(3)
    expected = [nn.functional.dropout(helix.zeros(8) + helix.rand(8), 0.5) for _ in range(2)]
    for k, theirs in enumerate(expected):
        assert equal(run(plan, graph, helix.zeros(8), seed=3, first=2 * k)[0], theirs)


def test_control_flow_runs_between_kernels() -> None:
    def function(x: helix.Tensor) -> helix.Tensor:
        y = helix.cond(x.sum() > 0, lambda: x * 2, lambda: x - 1)
        carry, rows = helix.scan(lambda c, r: (c + r, c * r), helix.ones(4), y)
        return helix.while_loop(lambda v: v.sum() < 100, lambda v: v * 2, carry.exp() + 1) + rows.sum()

    graph = helix.trace(function, helix.zeros(3, 4))
    plan = planned(graph, helix.zeros(3, 4))
    for x in (helix.rand(3, 4), -helix.rand(3, 4)):
        assert equal(run(plan, graph, x)[0], function(x))


def test_threads_that_run_one_plan() -> None:
    graph = helix.trace(lambda x: (x * 2).cumsum(0).exp().sum(), helix.zeros(2000))
    plan = planned(graph, helix.zeros(2000))
    inputs = [helix.full((2000,), 1e-6 * k) for k in range(4)]
    expected = [run(plan, graph, x)[0].item() for x in inputs]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(50):
            if run(plan, graph, inputs[k])[0].item() != expected[k]:
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_another_device() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2), nn.Softmax(-1)).to("sim")
    x = helix.randn(3, 4).to("sim")
    graph = helix.trace(model, x)
    plan = planned(graph, x)
    for _ in range(2):
        found = run(plan, graph, x)[0]
        assert found.device.type == "sim" and equal(found.cpu(), model(x).cpu())


def test_the_profiler_sees_the_steps() -> None:
    graph = helix.trace(lambda x: (x @ x).relu(), helix.zeros(4, 4))
    x = helix.zeros(4, 4)
    plan = planned(graph, x)
    with helix.profiler.profile() as profile:
        run(plan, graph, x)
    assert [event.op for event in profile.kernels] == ["matmul", "relu"]
    assert {event.line.rsplit(":", 1)[0] for event in profile.kernels} == {__file__}


def test_the_profiler_knows_modules_and_lines_of_a_compiled_step() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))

    @helix.compile
    def loss(x: helix.Tensor) -> helix.Tensor:
        return (model(x) ** 2).sum()

    found = []
    for _ in range(2):
        with helix.profiler.profile() as profile:
            loss(helix.ones(3, 4)).backward()
        found.append(profile.kernels)
    modules = {event.module for event in found[1] if event.op.startswith("linear")}
    assert modules <= {"0", "1", "2"} and "2" in modules
    lines = {event.line for event in found[1] if event.op not in ("full", "zeros")}
    assert lines and all(line.startswith(__file__) for line in lines)
    assert {event.backward for event in found[1]} == {False, True}


def test_a_graph_that_is_run_again_is_planned() -> None:
    graph = helix.trace(lambda x: x.relu() + 1, helix.zeros(4))
    assert equal(graph(helix.ones(4)), graph(helix.ones(4)))
    (program,) = graph.runner.programs.values()
    assert len(program.plans) == 1


def test_a_fault_in_planning_is_an_error_of_helix(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, x = helix.trace(lambda x: x + 1, helix.graph.Spec((3,))), helix.ones(3)
    graph(x)
    with monkeypatch.context() as patched:
        patched.setattr("helix.graph.plan.Planner.share", lambda self: {}["nothing"])
        with pytest.raises(InternalError, match="HX1901 lambda could not be planned, KeyError: 'nothing'") as caught:
            graph(x)
        assert isinstance(caught.value.__cause__, KeyError)
    assert graph(x).tolist() == [2.0] * 3
