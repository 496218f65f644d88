"""What the commonest mistakes say, word for word: both operands, the op, the line, and what to do; in traces, in graphs built by
hand, and when a graph runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import helix
from helix import nn
from helix.errors import HelixError
from helix.graph import Dim, Graph, Spec

F = nn.functional
X = Spec((4, 3))
TABLE, KERNEL, WEIGHT = helix.ones(10, 4), helix.ones(8, 3, 3, 3), helix.ones(2, 5)
CONVOLUTION, LINEAR, ATTENTION = nn.Conv2d(3, 8, 3), nn.Linear(5, 2), nn.MultiheadAttention(8, 2)

MISTAKES: dict[str, tuple[Callable, tuple[Spec, ...], str]] = {
    "product": (
        lambda x, w: x @ w,
        (X, X),
        "HX1002 matmul: inner sizes differ: input has 3 columns (axis -1 of (4, 3)), other has 4 rows (axis -2 of (4, 3)). "
        "If other holds weights stored as (out, in), pass its .mT.",
    ),
    "sum of other sizes": (
        lambda x, y: x + y,
        (X, Spec((4, 2))),
        "HX1003 add: cannot stretch (4, 3) and (4, 2) to one shape: axis -1 has 3 and 2; each axis must match or be 1",
    ),
    "a number for each row": (
        lambda x, y: F.mse_loss(x, y),
        (X, Spec((4,))),
        "HX1003 mse_loss: cannot stretch (4, 3) and (4,) to one shape: axis -1 has 3 and 4; each axis must match or be 1. "
        "Use .unsqueeze(-1) on what has shape (4,)",
    ),
    "cat": (
        lambda x, y: helix.cat([x, y], 1),
        (X, Spec((5, 3))),
        "HX1002 cat: shapes must be equal in every axis but 1: tensors[1] is (5, 3), and one before it is (4, 3). cat along "
        "axis 0 takes them",
    ),
    "reshape": (
        lambda x: x.reshape(5, -1),
        (X,),
        "HX1005 reshape: shape (5, -1) does not fit the 12 elements of (4, 3)",
    ),
    "channels": (
        lambda x: F.conv2d(x, KERNEL),
        (Spec((2, 4, 8, 8)),),
        "HX1002 conv2d: input has 4 channels (axis 1 of (2, 4, 8, 8)), but weight (8, 3, 3, 3) with groups=1 takes 3",
    ),
    "channels of a layer": (
        lambda x: CONVOLUTION(x),
        (Spec((2, 4, 8, 8)),),
        "HX1004 Conv2d: input has 4 channels, the layer was made for 3. Input (2, 4, 8, 8) float32 cpu, layout NCHW.",
    ),
    "indices of floats": (
        lambda x: F.embedding(x, TABLE),
        (Spec((2, 5)),),
        "HX1101 embedding: input has dtype float32 (shape (2, 5)); accepted: int8, int16, int32, int64, uint8, uint16, uint32, "
        "uint64. Use input.to(dtype).",
    ),
    "targets of another batch": (
        lambda x, t: F.cross_entropy(x, t),
        (X, Spec((5,), helix.int64)),
        "HX1002 cross_entropy: target has shape (5,); class indices for input (4, 3) need input's shape without axis 1 (the "
        "classes)",
    ),
    "targets in a column": (
        lambda x, t: F.cross_entropy(x, t),
        (X, Spec((4, 1), helix.int64)),
        "HX1002 cross_entropy: target has shape (4, 1); class indices for input (4, 3) need input's shape without axis 1 (the "
        "classes). Call target.squeeze(1)",
    ),
    "targets of floats": (
        lambda x, t: F.cross_entropy(x, t),
        (X, Spec((4,))),
        "HX1002 cross_entropy: target (4,) holds class probabilities (its dtype is float32) and needs the shape of input (4, 3); "
        "for class indices call target.to(int64)",
    ),
    "features": (
        lambda x: F.linear(x, WEIGHT),
        (X,),
        "HX1002 linear: input has 3 features (axis -1 of (4, 3)), weight takes 5 (axis 1 of (2, 5)). Weights are stored as "
        "(out, in).",
    ),
    "features of a layer": (
        lambda x: LINEAR(x),
        (X,),
        "HX1004 Linear: input has 3 features (its last axis), the layer was made for 5. Input (4, 3) float32 cpu. Use "
        "nn.Linear(3, 2), or change what comes before.",
    ),
    "attention": (
        lambda x: ATTENTION(x, x, x),
        (Spec((2, 5, 6)),),
        "HX1004 MultiheadAttention: query has 6 features, the layer was made for 8. Input (2, 5, 6) float32 cpu.",
    ),
    "heads": (
        lambda q, k: F.scaled_dot_product_attention(q, k, k),
        (Spec((2, 2, 5, 6)), Spec((2, 2, 5, 8))),
        "HX1002 scaled_dot_product_attention: widths of query and key differ (axis -1): query has shape (2, 2, 5, 6), key "
        "(2, 2, 5, 8), value (2, 2, 5, 8). Expected (..., L, E), (..., S, E) and (..., S, Ev).",
    ),
    "a row that is not there": (
        lambda x: x[7],
        (X,),
        "HX1301 select: index 7 is outside axis 0, whose size is 4 (valid -4..3)",
    ),
    "an axis that is not there": (
        lambda x: x.sum(2),
        (X,),
        "HX1302 sum: axis 2 is out of range for a tensor of 2 dimensions (valid -2..1)",
    ),
}


def by_hand(function: Callable, *specs: Spec) -> None:
    with Graph("hand") as graph:
        graph.output(function(*[graph.input(spec.shape, spec.dtype) for spec in specs]))


@pytest.mark.parametrize("way", [helix.trace, by_hand], ids=["trace", "hand"])
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_said_with_its_line(name: str, way: Callable) -> None:
    function, specs, message = MISTAKES[name]
    with pytest.raises((HelixError, IndexError)) as caught:
        way(function, *specs)
    assert str(caught.value) == message
    assert f"while tracing {__file__}:{function.__code__.co_firstlineno}" in caught.value.__notes__


def test_sizes_of_a_trace_with_dimensions_are_told() -> None:
    with pytest.raises(HelixError) as caught:
        helix.trace(lambda x, w: x @ w, Spec((Dim("B"), 3)), Spec((Dim("T"), 3)))
    assert "(5, 3)" in str(caught.value) and "traced with B = 5, T = 7" in caught.value.__notes__


def looked_up(numbers: helix.Tensor) -> helix.Tensor:
    first = F.embedding(numbers % 10, TABLE)
    return first + F.embedding(numbers, TABLE)


def judged(numbers: helix.Tensor) -> helix.Tensor:
    scores = F.embedding(numbers % 10, TABLE)
    return F.cross_entropy(scores, numbers)


def chosen(numbers: helix.Tensor) -> helix.Tensor:
    return helix.cond(numbers.sum() > 0, lambda: F.embedding(numbers, TABLE), lambda: F.embedding(numbers * 0, TABLE))


@pytest.mark.parametrize("function", [looked_up, judged, chosen], ids=lambda f: f.__name__)
def test_a_run_says_which_line_made_the_node(function: Callable) -> None:
    """An index out of range is known to a run alone: node by node, by a plan, and compiled."""
    good, bad = helix.tensor([1, 2, 3]), helix.tensor([1, 2, 99])
    line = function.__code__.co_firstlineno + (1 if function is chosen else 2)
    graph, compiled = helix.trace(function, good), helix.compile(function, fallback="error")
    for run in (graph, graph, graph, compiled, compiled):
        with pytest.raises(IndexError) as caught:
            run(bad)
        assert "99" in str(caught.value) and any(
            f"made at {__file__}:{line}" in note for note in caught.value.__notes__
        )
        run(good)
    assert helix.allclose(compiled(good), function(good))
