"""Samples made large enough that kernels share their work among threads.

`python -m tests.ops.grown` compares the bits of every sample in every dtype for 1, 2, 4 and 8 threads, forward and backward.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

import helix
from helix import _core

from .cases import named
from .records import has
from .sample import Sample, T
from .values import (
    as_list,
    call_helix,
    is_floating,
    leaves,
    map_tensors,
    numpy_arguments,
    tensors_of,
    to_helix,
)

MOST = 1 << 20  # elements of a tensor
FACTORS = (8, 32, 128, 512, 2048, 8192, 32768)
LONG = 0.2  # seconds: what takes longer is not made larger


def along(axes: Callable[[T, int], bool]) -> Callable[[Sample, int], Any]:
    """Arguments with those axes of every tensor that many times as long, unless they have one element."""

    def grow(sample: Sample, factor: int) -> Any:
        def change(t: T) -> T:
            shape = tuple(n * factor if n > 1 and axes(t, i) else n for i, n in enumerate(t.shape))
            return T(**{**t.__dict__, "shape": shape})

        return map_tensors(sample.args, change)

    return grow


def batch(sample: Sample, factor: int) -> Any:
    """Arguments with the first axis of those tensors longer that have the most axes."""
    most = max((len(t.shape) for t in tensors_of(sample.args)), default=0)
    return along(lambda t, i: i == 0 and len(t.shape) == most)(sample, factor)


GROWTHS = (
    batch,
    along(lambda t, i: i == 0),
    along(lambda t, i: i == len(t.shape) - 1),
    along(lambda t, i: i >= len(t.shape) - 2),
    along(lambda t, i: True),
)


def fits(args: Any) -> bool:
    sizes = [math.prod(t.shape) for t in tensors_of(args)]
    return max(sizes, default=0) <= MOST and sum(sizes) <= 4 * MOST


def shares_work(sample: Sample, arrays: Any) -> bool | None:
    """Does the call, on four threads, give a job to several of them? None where helix refuses it."""
    made: dict[int, helix.Tensor] = {}
    for values in leaves(arrays, np.ndarray):
        made[id(values)] = to_helix(values)
    before = _core.parallel_jobs()
    try:
        call_helix(sample, arrays, lambda values: made[id(values)] if id(values) in made else to_helix(values))
    except (helix.errors.HelixError, TypeError, ValueError, IndexError, ZeroDivisionError):
        return None
    return _core.parallel_jobs() != before


@cache
def grown(sample_id: int, dtype: str) -> Any:
    """Arrays for a sample that make it share its work; None where no growth does."""
    sample = named()[sample_id][1]
    before = helix.get_num_threads()
    helix.set_num_threads(4)
    try:
        for grow in GROWTHS:
            for factor in FACTORS:
                args = grow(sample, factor)
                if not fits(args):
                    break
                arrays, start = numpy_arguments(sample, dtype, args), time.monotonic()
                answer = shares_work(sample, arrays)
                if answer:
                    return arrays
                if answer is None or time.monotonic() - start > LONG:
                    break
        return None
    finally:
        helix.set_num_threads(before)


def bits(results: Sequence[Any]) -> list[bytes]:
    made = [r for r in results if isinstance(r, helix.Tensor)]
    return [
        bytes(r.detach().contiguous().view(helix.uint8).numpy()) if r.ndim else repr(r.item()).encode() for r in made
    ]


def with_gradient(args: Any, arrays: Any) -> Iterator[int]:
    """Of the arrays whose gradient the sample speaks of, the ids."""
    if isinstance(args, T):
        if args.grad and is_floating(arrays.dtype.name):
            yield id(arrays)
    elif isinstance(args, list | tuple):
        for a, v in zip(args, arrays, strict=True):
            yield from with_gradient(a, v)


def forward_and_backward(sample: Sample, arrays: Any, dtype: str) -> list[bytes]:
    """The bits of the results, and of the gradients where the sample has some."""
    inputs: list[helix.Tensor] = []
    differentiable = set(with_gradient(sample.args, arrays)) if sample.grad else set()

    def make(values: np.ndarray) -> helix.Tensor:
        inputs.append(to_helix(values, id(values) in differentiable))
        return inputs[-1]

    results = as_list(call_helix(sample, arrays, make))
    found = bits(results)
    if not sample.grad or has(sample.op, "inplace_only"):
        return found
    outputs = [r for r in results if isinstance(r, helix.Tensor) and r.requires_grad]
    wanted = [x for x in inputs if x.requires_grad]
    if not outputs or not wanted:
        return found
    weights = [helix.randn(r.shape, dtype=r.dtype, generator=helix.Generator(5)) for r in outputs]
    grads = helix.autograd.grad(outputs, wanted, weights, allow_unused=True)
    return found + bits(grads)


def differing(sample: Sample, arrays: Any, dtype: str, counts: Sequence[int]) -> list[int]:
    """Numbers of threads that change a bit."""
    before, seen = helix.get_num_threads(), {}
    try:
        for n in (1, *counts):
            helix.set_num_threads(n)
            seen[n] = forward_and_backward(sample, arrays, dtype)
    finally:
        helix.set_num_threads(before)
    return [n for n in counts if seen[n] != seen[1]]


def one_of_each_op() -> list[tuple[int, str, Sample]]:
    first: dict[str, tuple[int, str, Sample]] = {}
    for i, (label, sample) in enumerate(named()):
        first.setdefault(sample.op, (i, label, sample))
    return list(first.values())


def every() -> Iterator[tuple[int, str, Sample, str]]:
    for i, (label, sample) in enumerate(named()):
        for dtype in sample.dtypes:
            yield i, label, sample, dtype


def main() -> int:
    start, shared, faults, alone = time.monotonic(), 0, [], set()
    for i, label, sample, dtype in every():
        arrays = grown(i, dtype)
        grown.cache_clear()
        if arrays is None:
            alone.add(sample.op)
            continue
        shared += 1
        if bad := differing(sample, arrays, dtype, (2, 4, 8)):
            faults.append(f"{label} {dtype}: other bits on {bad} threads")
            print(faults[-1], flush=True)
    print(f"{shared} calls that share their work, {len(faults)} with other bits; {time.monotonic() - start:.0f} s")
    print(f"ops that never share it: {', '.join(sorted(alone))}")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
