"""t7_stress: many launches, many shapes, and what comes after memory has run out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy

import helix

from ..arguments import array_of, tensor_of
from ..case import Case, NotOffered, Target
from . import listed

LAUNCHES = {"core": 1000, "train": 3000, "full": 10_000}


def _small(target: Target) -> helix.Tensor:
    return tensor_of(numpy.arange(8, dtype=numpy.float32)).to(target.name)


def many_launches(target: Target) -> str:
    x, one = _small(target), tensor_of(numpy.ones(8, numpy.float32)).to(target.name)
    count = LAUNCHES[target.profile]
    with helix.no_grad():
        for _ in range(count):
            x = x + one
    assert (array_of(x) == numpy.arange(8) + count).all(), f"after {count} additions of 1"
    return f"{count} launches"


def many_shapes(target: Target) -> None:
    for n in range(1, 60):
        values = numpy.arange(3 * n, dtype=numpy.float32).reshape(3, n)
        there = tensor_of(values).to(target.name)
        assert (array_of(there + there) == 2 * values).all(), f"shape {values.shape}"


def many_tensors(target: Target) -> None:
    random, kept = numpy.random.default_rng(0), {}
    for step in range(400):
        values = random.integers(0, 99, int(random.integers(1, 5000))).astype(numpy.float32)
        kept[int(random.integers(0, 40))] = (values, tensor_of(values).to(target.name))
        if step % 40 == 0:
            for wanted, there in kept.values():
                assert (array_of(there) == wanted).all(), f"a tensor changed by step {step}"


def goes_on_without_memory(target: Target) -> str:
    """Tensors until there is no room, or one that never has room; then work as before."""
    total, kept = target.facts["total_memory"], []
    block = min(max(total // 8, 1), 1 << 28) if 0 < total <= 1 << 31 else 1 << 58
    try:
        for _ in range(32):
            kept.append(helix.empty(block, dtype=helix.uint8, device=target.name))
    except MemoryError:
        pass
    else:
        raise NotOffered("32 blocks of an eighth of its memory fit in")
    held = len(kept)
    kept.clear()
    many_shapes(target)
    return f"refused after {held} blocks of {block} bytes"


CASES = (many_launches, many_shapes, many_tensors, goes_on_without_memory)


def cases(target: Target) -> Iterator[Case]:
    return listed("t7_stress", {case.__name__: case for case in CASES})
