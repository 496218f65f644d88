"""Shapes alone: what a trace predicts is what a run gives, and a replay gives the run's numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import helix
from helix._core import Trace

from .cases import each_sample
from .records import RECORDS, has
from .sample import Sample, T
from .values import as_list, assert_same_bits, call_helix, dtype_name, leaves, numpy_arguments, to_helix

Call = Callable[..., Any]  # as call_helix


def depends_on_values(sample: Sample) -> bool:
    return has(sample.op, "values")


def is_traceable(sample: Sample) -> bool:
    return sample.op in RECORDS and not depends_on_values(sample) and not has(sample.op, "mutates")


def traced(sample: Sample, arrays: tuple[Any, ...], call: Call = call_helix) -> tuple[Trace, list[Any]]:
    trace = Trace()
    with trace:
        made = call(sample, arrays, lambda v: trace.input(v.shape, getattr(helix, v.dtype.name)))
        results = [r for r in as_list(made) if isinstance(r, helix.Tensor)]
        for r in results:
            trace.output(r)
    return trace, results


def check_trace(sample: Sample, call: Call = call_helix) -> None:
    for dtype in sample.dtypes[:2]:
        arrays = numpy_arguments(sample, dtype)
        run = [r for r in as_list(call(sample, arrays)) if isinstance(r, helix.Tensor)]
        try:
            trace, predicted = traced(sample, arrays, call)
        except helix.errors.TraceError as error:
            assert RECORDS[sample.op]["has_decomposition"] and error.code == "HX1702", error
            return  # a composite of an op whose shape depends on values
        for p, r in zip(predicted, run, strict=True):
            assert p.shape == r.shape, f"{sample.op}: traced {p.shape}, run {r.shape}"
            assert dtype_name(p) == dtype_name(r), f"{sample.op}: traced {p.dtype}, run {r.dtype}"
        if not has(sample.op, "random") and "empty" not in sample.op:
            given = leaves(arrays, np.ndarray)
            replayed = trace.replay([to_helix(v) for v in given], len(run))
            for again, r in zip(replayed, run, strict=True):
                assert_same_bits(again, r, f"{sample.op} {dtype} replayed")


@each_sample(is_traceable)
def test_traced_shapes_and_replayed_numbers(sample: Sample) -> None:
    check_trace(sample)


def planted(function: Callable[[helix.Tensor], helix.Tensor]) -> Call:
    return lambda sample, arrays, make=to_helix: function(make(arrays[0]))


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda x: x.sum(0 if helix._core.tracing() else None), r"traced \(4,\), run \(\)"),
        (lambda x: x.to(helix.float64 if helix._core.tracing() else helix.float32), "traced .*float64, run"),
        (lambda x: x * (2 if helix._core.tracing() else 3), "replayed"),
    ],
)
def test_planted_faults_are_seen(function: Any, what: str) -> None:
    """Another shape, another dtype and other numbers in the trace than in the run."""
    sample = Sample("sum", (T((3, 4)),), dtypes=("float32",))
    check_trace(sample)
    with pytest.raises(AssertionError, match=what):
        check_trace(sample, planted(function))


@each_sample(depends_on_values)
def test_values_are_refused(sample: Sample) -> None:
    with pytest.raises(helix.errors.TraceError) as caught:
        traced(sample, numpy_arguments(sample, sample.dtypes[0]))
    assert caught.value.code == "HX1702"
    assert not helix._core.tracing()


def test_a_whole_training_step() -> None:
    """Forward, backward and optimizer recorded on shapes; replayed, it changes the weights as a run does."""
    rng = np.random.default_rng(0)
    batch, target = rng.normal(size=(8, 5)).astype(np.float32), rng.normal(size=(8, 3)).astype(np.float32)
    start = [rng.normal(size=s).astype(np.float32) for s in [(5, 7), (7,), (7, 3), (3,)]]

    def step(weights: list[helix.Tensor], x: helix.Tensor, y: helix.Tensor) -> helix.Tensor:
        hidden = (x @ weights[0] + weights[1]).relu()
        loss = ((hidden @ weights[2] + weights[3] - y) ** 2).mean()
        gradients = helix.autograd.grad(loss, weights)
        with helix.no_grad():
            for w, g in zip(weights, gradients, strict=True):
                w.sub_(g * 0.1)
        return loss

    run = [helix.tensor(w).requires_grad_() for w in start]
    losses = [step(run, helix.tensor(batch), helix.tensor(target)).item() for _ in range(3)]

    replayed = [helix.tensor(w).requires_grad_() for w in start]
    trace = Trace()
    with trace:
        loss = step(replayed, trace.input((8, 5), helix.float32), trace.input((8, 3), helix.float32))
        trace.output(loss.detach())
    for weight, first in zip(replayed, start, strict=True):
        assert_same_bits(weight, first, "tracing must not run anything")
    again = [trace.replay([helix.tensor(batch), helix.tensor(target)], 1)[0].item() for _ in range(3)]
    assert again == losses
    for mine, theirs in zip(replayed, run, strict=True):
        assert_same_bits(mine, theirs, "weights after three replayed steps")
