"""What a graph must not keep of one trace, and what a run must not be given: refused, never silently baked in."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

import helix
from helix import nn
from helix.errors import ArgumentError, ShapeError
from helix.graph import Dim, Graph, GraphError, Spec, TraceError

from ..ops.values import assert_same_bits

# ---- tensors that outlive their trace ----

OUTSIDE: dict[str, Callable[[helix.Tensor], object]] = {
    "computed with": lambda x: x + 1,
    "a view": lambda x: x[1:],
    "written in place": lambda x: x.add_(1),
    "written as out=": lambda x: helix.add(helix.ones(3), 1, out=x),
    "copied from": lambda x: helix.zeros(3).copy_(x),
    "in a list": lambda x: helix.cat([helix.ones(3), x]),
    "a product": lambda x: helix.ones(2, 3) @ x,
    "given to a graph": lambda x: helix.trace(lambda y: y * 2, Spec((3,)))(x),
}


@pytest.mark.parametrize("use", OUTSIDE.values(), ids=list(OUTSIDE))
def test_a_traced_tensor_has_no_values_afterwards(use: Callable) -> None:
    left: list[helix.Tensor] = []
    helix.trace(lambda x: left.append(x * 2) or x, Spec((3,)))
    with pytest.raises(TraceError, match="outside of its trace"):
        use(left[0])


def test_traces_may_end_in_any_order() -> None:
    first, second = Graph("first"), Graph("second")
    x = first.__enter__().input((2,))
    y = second.__enter__().input((2,))
    second.output(y + 1)
    first.hand.told = True  # its outputs are named; both recorders are running
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert not helix._core.tracing() and second(helix.ones(2)).tolist() == [2, 2]
    del x


def test_a_trace_that_nobody_ends() -> None:
    trace = helix._core.Trace()
    trace.__enter__()
    assert helix._core.tracing()
    del trace
    gc.collect()
    assert not helix._core.tracing() and (helix.ones(2) + 1).tolist() == [2, 2]


def test_a_graph_is_built_once_at_a_time() -> None:
    graph = Graph()
    with pytest.raises(GraphError, match="built already"), graph, graph:
        pass
    assert not helix._core.tracing()


# ---- values of captured tensors ----


def test_out_may_be_a_tensor_that_nothing_else_takes() -> None:
    total = helix.zeros(3)
    graph = helix.trace(lambda x: helix.add(x, 1, out=total), Spec((3,)))
    assert graph(helix.ones(3)).tolist() == [2, 2, 2] and total.tolist() == [2, 2, 2]


READS: dict[str, Callable[[helix.Tensor], object]] = {
    "item": lambda x: x[0].item(),
    "bool": lambda x: bool(x[0] > 0) or x[0].item(),
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "memoryview": memoryview,
    "dlpack": lambda x: x.__dlpack__(),
}


@pytest.mark.parametrize("read", READS.values(), ids=list(READS))
def test_what_the_traced_part_writes_cannot_be_read(read: Callable) -> None:
    counter = helix.zeros(2)

    def function(x: helix.Tensor) -> helix.Tensor:
        read(counter)  # before the write it is a constant
        counter.add_(1)
        read(counter)
        return x

    with pytest.raises(TraceError, match="not known") as caught:
        helix.trace(function, Spec((2,)))
    assert f"{__file__}:" in str(caught.value) and counter.tolist() == [0, 0]


# ---- sizes ----

B = Dim("B")


def test_three_different_sizes_are_traced_below_any_bound() -> None:
    for most in range(3, 12):
        with pytest.raises(TraceError, match="no sum of products"):
            helix.trace(lambda x: helix.arange(x.shape[0] ** 3).sum() + x.sum(), Spec((Dim("B", max=most),)))


def mean_of_four(x: helix.Tensor) -> helix.Tensor:
    some = x[:4]
    return some.sum() / some.shape[0]


def other_result_at_one(x: helix.Tensor) -> helix.Tensor:
    double, triple = x * 2, x * 3
    return double if x.shape[0] == 1 else triple


def other_structure_at_one(x: helix.Tensor) -> object:
    return [x * 2] if x.shape[0] == 1 else x * 2


def other_input_at_two(x: helix.Tensor) -> helix.Tensor:
    double, triple = x * 2, x * 3
    return (double if x.shape[0] <= 2 else triple) + 1


@pytest.mark.parametrize(
    ("function", "least"),
    [
        (mean_of_four, 5),
        (other_result_at_one, 2),
        (other_structure_at_one, 2),
        (other_input_at_two, 3),
        (lambda x: x * (1.0 / (x.shape[0] - 1)), 2),
        (lambda x: x / x.shape[0], 1),
    ],
)
def test_small_sizes_at_which_the_function_differs_are_refused(function: Callable, least: int) -> None:
    graph = helix.trace(function, Spec((B,)))
    assert graph.dims[0].min == least
    for size in range(1, 8):
        x = helix.arange(float(size))
        if size >= least:
            assert_same_bits(graph(x), function(x), str(size))
        else:
            with pytest.raises(ShapeError, match=f"at least {least}"):
                graph(x)


def test_a_size_that_is_a_square_of_a_dimension() -> None:
    graph = helix.trace(lambda x, y: x.sum() + y.sum(), Spec((B * B,)), Spec((B,)))
    assert graph(helix.ones(9), helix.ones(3)).item() == 12
    with pytest.raises(ShapeError, match="B = 3"):
        graph(helix.ones(8), helix.ones(3))


# ---- what a run is given ----


def test_tensors_in_the_places_of_captured_ones_are_checked() -> None:
    graph = helix.trace(nn.Linear(3, 2), Spec((1, 3)))
    x = helix.ones(1, 3)
    with pytest.raises(ArgumentError, match="'wieght'; it has weight, bias"):
        graph(x, captured={"wieght": helix.zeros(2, 3)})
    with pytest.raises(ShapeError, match="bias was traced as"):
        graph(x, captured={"bias": helix.zeros(1)})
    with pytest.raises(ArgumentError, match="float64"):
        graph(x, captured={"bias": helix.zeros(2, dtype=helix.float64)})


def test_a_written_argument_is_given_once() -> None:
    def function(a: helix.Tensor, b: helix.Tensor) -> helix.Tensor:
        a.add_(1)
        return a + b

    graph = helix.trace(function, Spec((2,)), Spec((2,)))
    x = helix.ones(2)
    with pytest.raises(ArgumentError, match="two arguments"):
        graph(x, x)
    with pytest.raises(ArgumentError, match="two arguments"):
        graph(x, x.detach())
    rows = helix.ones(4)
    with pytest.raises(ArgumentError, match="two arguments"):
        graph(rows[1:3], rows[2:])
    graph(rows[:2], rows[2:])
    assert (
        rows.tolist() == [2, 2, 1, 1]
        and x.tolist() == [1, 1]
        and graph(x, helix.ones(2)).tolist() == [3, 3]
        and x.tolist() == [2, 2]
    )


def test_numbers_of_another_type_are_another_graph() -> None:
    graph = helix.trace(lambda x, k: x * k, Spec((2,), helix.int64), 2)
    with pytest.raises(ArgumentError, match="takes"):
        graph(helix.ones(2, dtype=helix.int64), 2.0)


def test_a_run_is_not_cast_again() -> None:
    layer = nn.Linear(3, 3)
    graph = helix.trace(lambda x: layer(x).float() + layer(x), Spec((2, 3)))
    x = helix.randn(2, 3)
    with helix.autocast("cpu", helix.bfloat16):
        found = graph(x)
    assert found.dtype is helix.float32
    assert_same_bits(found, graph(x), "with and without autocast around it")
