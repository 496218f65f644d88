"""Random programs made of the ops' samples: what a trace infers is what runs, and the gradient graph is the gradient.

    python -m tests.graph.random_graphs --graphs 10000

A program is a number: the samples, the values that go from one to the next, and the writes in place follow from it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import helix
from helix.errors import GradientError, GraphError, HelixError
from helix.graph import Graph, Spec, grad, infer, optimize
from helix.graph.passes import PASSES

from ..ops.records import RECORDS, has
from ..ops.sample import Sample
from ..ops.samples import SAMPLES
from ..ops.values import as_list, call_helix, numpy_arguments, to_helix

Program = Callable[..., list[helix.Tensor]]

# Ops that refuse some values: what comes from other ops would not do.
_CHOOSY = (
    "linalg",
    "cholesky",
    "solve",
    "inverse",
    "ctc",
    "multinomial",
    "eig",
    "svd",
    "qr",
    "lu_",
    "triangular",
    "empty",
)


def usable(sample: Sample) -> bool:
    flags = ("values", "mutates", "random", "creates")
    return (
        sample.op in RECORDS
        and "float32" in sample.dtypes
        and not any(has(sample.op, flag) for flag in flags)
        and not any(word in sample.op for word in _CHOOSY)
        and sample.op not in ("binary_cross_entropy", "trace")
    )


LOOSE = ("gradients",)  # to 1e-6
EARLY = [name for name, known in PASSES.items() if not known.last]
USABLE = [sample for sample in SAMPLES if usable(sample)]
SHAPES = ((4, 6), (2, 3, 4), (12,), (3, 1, 5), ())


def inputs_of(number: int) -> list[helix.Tensor]:
    rng = np.random.default_rng(number)
    count = int(rng.integers(1, 4))
    shapes = [SHAPES[int(rng.integers(len(SHAPES)))] for _ in range(count)]
    return [helix.tensor(rng.uniform(-2, 2, shape).astype(np.float32)) for shape in shapes]


def program(number: int) -> Program:
    """A function of the tensors of `inputs_of(number)`."""

    def run(*inputs: helix.Tensor) -> list[helix.Tensor]:
        rng = np.random.default_rng([number, 1])
        pool = list(inputs)
        for _ in range(int(rng.integers(3, 10))):
            pool += list(_step(pool, rng))
        made = [tensor for tensor in pool[len(inputs) :] if tensor.numel()]
        return made[-4:]

    return run


def _step(pool: list[helix.Tensor], rng: np.random.Generator) -> Iterator[helix.Tensor]:
    if rng.random() < 0.15:
        yield _written(_any(pool, rng), rng)
        return
    sample = USABLE[int(rng.integers(len(USABLE)))]
    made = call_helix(sample, numpy_arguments(sample, "float32"), lambda values: _argument(values, pool, rng))
    yield from [r for r in as_list(made) if isinstance(r, helix.Tensor) and r.dtype is helix.float32]


def _any(pool: list[helix.Tensor], rng: np.random.Generator) -> helix.Tensor:
    return pool[int(rng.integers(max(0, len(pool) - 6), len(pool)))]


def _argument(values: np.ndarray, pool: list[helix.Tensor], rng: np.random.Generator) -> helix.Tensor:
    """A value of the pool in the shape that the sample has, or the sample's own."""
    if values.dtype != np.float32 or rng.random() < 0.25 or not values.size:
        return to_helix(values)
    source = _any(pool, rng)
    if not source.numel():
        return to_helix(values)
    flat = source.reshape(-1)
    if flat.numel() < values.size:
        flat = flat.repeat(-(-values.size // flat.numel()))
    return helix.sigmoid(flat[: values.size].reshape(values.shape)) + 0.25


def _written(tensor: helix.Tensor, rng: np.random.Generator) -> helix.Tensor:
    """A copy that is written in place, through a view or two."""
    whole = tensor.clone()
    part = whole
    for _ in range(int(rng.integers(0, 3))):
        kind = int(rng.integers(3))
        if part.ndim and kind == 0:
            part = part.transpose(0, -1)
        elif part.ndim and kind == 1 and part.shape[0] > 1:
            part = part[1:]
        elif part.ndim and part.shape[0]:
            part = part[0]
    before = whole.reshape(-1)
    if rng.random() < 0.5:
        part.mul_(0.5)
    else:
        part += part * 0.25
    return whole + before.reshape(whole.shape)


# ---- what must hold ----


def total_of(results: list[helix.Tensor]) -> helix.Tensor:
    return sum((r.sin().sum() for r in results), helix.zeros(()))


def equal(a: helix.Tensor, b: helix.Tensor) -> bool:
    """The same bits; NaN is NaN."""
    return (
        a.shape == b.shape
        and a.dtype is b.dtype
        and np.array_equal(a.detach().numpy(), b.detach().numpy(), equal_nan=True)
    )


def near(a: helix.Tensor, b: helix.Tensor) -> bool:
    """Gradients that meet are added in another order: the last bits may differ."""
    x, y = a.detach().numpy(), b.detach().numpy()
    scale = float(np.nanmax(np.abs(y[np.isfinite(y)]), initial=0.0))
    return a.shape == b.shape and np.allclose(x, y, rtol=1e-4, atol=1e-5 * max(scale, 1e-3), equal_nan=True)


def check(number: int, alter: Callable[[Graph], Any] = lambda graph: None) -> str | None:
    """What is wrong with the graph of a program, or None. `alter` plants a fault."""
    inputs, function = inputs_of(number), program(number)
    specs = [Spec(x.shape, x.dtype) for x in inputs]
    graph = helix.trace(function, *specs)
    graph.check()
    alter(graph)
    expected = function(*inputs)
    found = graph(*inputs)
    for value, mine, theirs in zip(graph.outputs, found, expected, strict=True):
        if (value.shape, value.dtype) != (theirs.shape, theirs.dtype):
            return f"inferred {value!r}, run {theirs.dtype.name}{list(theirs.shape)}"
        if not equal(mine, theirs):
            return f"{value!r} has other values than the function's"
    what = _check_passes(graph, inputs, found)
    if what:
        return what
    again = infer(graph)
    if [(v.shape, v.dtype) for v in again.outputs] != [(v.shape, v.dtype) for v in graph.outputs]:
        return "inferred again, the outputs have other shapes"
    return _check_gradient(function, inputs, specs)


def same_bits(a: helix.Tensor, b: helix.Tensor) -> bool:
    """Equal, and zeros of the same sign."""
    if not equal(a, b):
        return False
    if not (a.is_floating_point() or a.is_complex()):
        return True
    pairs = ((a.real, b.real), (a.imag, b.imag)) if a.is_complex() else ((a, b),)
    return all(_same_signs(x.detach().double().numpy(), y.detach().double().numpy()) for x, y in pairs)


def _same_signs(x: np.ndarray, y: np.ndarray) -> bool:
    return bool((np.signbit(x) == np.signbit(y))[~np.isnan(x)].all())


def _check_passes(graph: Graph, inputs: list[helix.Tensor], expected: list[helix.Tensor]) -> str | None:
    """Each pass alone, and all of them: the same bits, sound, and nothing to do the second time."""
    for name in PASSES:
        twin = graph.copy()
        PASSES[name].run(twin)
        what = _settled(twin, [name], inputs, expected)
        if what:
            return f"{name}: {what}"
    return _settled(optimize(graph), EARLY, inputs, expected) or _check_memory(graph, inputs, expected)


def _check_memory(graph: Graph, inputs: list[helix.Tensor], expected: list[helix.Tensor]) -> str | None:
    """In three quarters of the memory, or in what the error says."""
    budget = graph.peak_bytes() * 3 // 4
    try:
        made = optimize(graph, (), memory=budget)
    except GraphError as error:
        budget = int(str(error.expected).split()[-1])
        made = optimize(graph, (), memory=budget)
    if made.peak_bytes() > budget:
        return f"the graph holds {made.peak_bytes()} bytes, the budget is {budget}"
    return _settled(made, [], inputs, expected)


def _settled(graph: Graph, names: list[str], inputs: list[helix.Tensor], expected: list[helix.Tensor]) -> str | None:
    graph.check()
    for value, mine, theirs in zip(graph.outputs, graph(*inputs), expected, strict=True):
        alike = near if set(names) & set(LOOSE) else same_bits
        if (value.shape, value.dtype) != (theirs.shape, theirs.dtype) or not alike(mine, theirs):
            return f"optimized, {value!r} has other values"
    again = [name for name in names if PASSES[name].run(graph)]
    if again:
        return f"{', '.join(again)} changes an optimized graph"
    return None


def _check_gradient(function: Program, inputs: list[helix.Tensor], specs: list[Spec]) -> str | None:
    leaves = [x.clone().requires_grad_() for x in inputs]
    try:
        found = helix.autograd.grad(total_of(function(*leaves)), leaves, allow_unused=True)
    except GradientError as error:
        return _refused_too(function, inputs, specs, error)
    gradient = grad(helix.trace(lambda *given: total_of(function(*given)), *specs))
    gradient.check()
    expected = list(gradient(*inputs))
    what = _settled(optimize(gradient), EARLY, inputs, expected)
    what = what or _settled(optimize(gradient, [*EARLY, *LOOSE]), [*EARLY, *LOOSE], inputs, expected)
    if what:
        return f"of the gradient, {what}"
    for i, (mine, theirs) in enumerate(zip(gradient(*inputs), found, strict=True)):
        if not near(mine, helix.zeros_like(inputs[i]) if theirs is None else theirs):
            return f"the gradient of input {i} is another one"
    return None


def _refused_too(function: Program, inputs: list[helix.Tensor], specs: list[Spec], error: GradientError) -> str | None:
    """Where a program does not depend on its inputs at all, the gradient graph gives zeros."""
    try:
        gradient = grad(helix.trace(lambda *given: total_of(function(*given)), *specs))
    except GradientError as other:
        return None if other.code == error.code else f"{error.code} eagerly, {other.code} in the graph"
    if any(found.abs().sum().item() != 0 for found in gradient(*inputs)):
        return f"a gradient where there is none: {error}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", type=int, default=10000)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    from . import random_algebra

    wrong = 0
    for number in range(options.first, options.first + options.graphs):
        try:
            what = check(number) or random_algebra.check(number)
        except HelixError as error:
            what = f"{type(error).__name__}: {error}"
        if what:
            wrong += 1
            print(f"graph {number}: {what}", flush=True)
    print(f"{options.graphs} graphs, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
