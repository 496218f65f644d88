"""What the damaged files of tests/graph/mutations.py and tests/onnx/mutations.py share: each is made from its number alone."""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Callable


def bytes_changed(raw: bytes, rng: random.Random) -> bytes:
    made = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        made[rng.randrange(len(made))] = rng.randrange(256)
    return bytes(made[: rng.randrange(len(made))] if rng.random() < 0.2 else made)


def outcomes(attempt: Callable[[random.Random], str], first: int, count: int) -> dict[str, int]:
    """How often each outcome came; an error that `attempt` lets out names the mutation."""
    found: Counter[str] = Counter()
    for number in range(first, first + count):
        try:
            found[attempt(random.Random(number))] += 1
        except Exception as error:
            raise AssertionError(f"mutation {number}: {type(error).__name__}: {error}") from error
    return dict(found)


def options(about: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--times", type=int, default=10000)
    parser.add_argument("--first", type=int, default=0)
    return parser.parse_args()
