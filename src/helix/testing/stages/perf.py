"""perf: figures, which never fail a device. Each is the best of a few runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy

import helix

from ..arguments import tensor_of
from ..case import Case, Target
from ..slots import Slots
from . import listed


def _best(work: Callable[[], object], slots: Slots, runs: int = 5) -> float:
    work()
    slots.sync()
    found = []
    for _ in range(runs):
        begun = time.perf_counter()
        work()
        slots.sync()
        found.append(time.perf_counter() - begun)
    return min(found)


def copy_in(target: Target) -> str:
    slots, data = Slots(target.name), bytes(16 << 20)
    with slots.block(len(data)) as block:
        seconds = _best(lambda: slots.put(block, data), slots)
    return f"{len(data) / seconds / 1e9:.2f} GB/s"


def launch(target: Target) -> str:
    x = tensor_of(numpy.ones(16, numpy.float32)).to(target.name)

    def work() -> None:
        for _ in range(100):
            x + x

    with helix.no_grad():
        return f"{_best(work, Slots(target.name)) * 1e4:.1f} us an addition"


def product(target: Target) -> str:
    x = tensor_of(numpy.ones((256, 256), numpy.float32)).to(target.name)
    with helix.no_grad():
        return f"{2 * 256**3 / _best(lambda: x @ x, Slots(target.name)) / 1e9:.1f} GFLOP/s"


CASES = (copy_in, launch, product)


def cases(target: Target) -> Iterator[Case]:
    return listed("perf", {case.__name__: case for case in CASES})
