"""python -m tests.fuzz --calls 50000: random op calls driven by hypothesis, which shrinks what fails.

The last call is announced in a file, so that after a crash it is known.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import helix

from .calls import LIMIT, Count, Fuzzer, Seeded, samples_by_op

LONGEST = 20
LAST_CALL = Path(os.environ.get("HELIX_FUZZ_LAST", "build/fuzz-last-call.txt"))


class Drawn:
    def __init__(self, data: Any) -> None:
        self.data = data

    def integer(self, low: int, high: int) -> int:
        return self.data.draw(st.integers(low, high))


def chooser(data: Any) -> Any:
    """Half the examples are seeded: quick, and not shrunk; the others are drawn choice by choice."""
    return Seeded(data.draw(st.integers(0, 2**32))) if data.draw(st.booleans()) else Drawn(data)


def announcer() -> Any:
    LAST_CALL.parent.mkdir(parents=True, exist_ok=True)
    file = LAST_CALL.open("w")

    def announce(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        file.seek(0)
        file.truncate()
        file.write(f"{name}{tuple(describe(a) for a in args)} {kwargs}\n")
        file.flush()

    return announce


def describe(value: Any) -> str:
    if isinstance(value, helix.Tensor):
        return f"{value.dtype} {tuple(value.shape)} strides {value.stride()} offset {value.storage_offset()} grad {value.requires_grad}"
    return repr(value)[:200]


def rules(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="random op calls")
    parser.add_argument("--calls", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=None, help="a fixed seed, for a run that can be repeated")
    options = parser.parse_args()
    helix.set_memory_limit(LIMIT)
    ops, count, announce, start = samples_by_op(), Count(), announcer(), time.monotonic()

    def sequence(data: Any) -> None:
        try:
            Fuzzer(chooser(data), count, announce).sequence(ops, LONGEST)
        except Exception as error:
            print(f"{LAST_CALL.read_text().strip()}\n    {type(error).__name__}: {error}", flush=True)
            raise

    first = random.getrandbits(32) if options.seed is None else options.seed
    while (left := options.calls - count.calls.total()) > 0:
        examples = given(st.data())(lambda data: sequence(data))
        seed(first + count.calls.total())(rules(max(left // LONGEST, 10))(examples))()
    print(count.report())
    print(f"{count.calls.total() / (time.monotonic() - start):.0f} calls a second, no finding")


if __name__ == "__main__":
    main()
