"""A short slice of the fuzzing with fixed seeds; `make fuzz` runs the long one under the sanitizers."""

from __future__ import annotations

import pytest

import helix
from tests.ops import values

from .calls import LIMIT, Count, Fuzzer, Seeded, samples_by_op

SEEDS = range(8)
SEQUENCES = 60


@pytest.fixture(autouse=True)
def limited():
    helix.set_memory_limit(LIMIT)
    yield
    helix.set_memory_limit(0)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_calls(seed: int) -> None:
    ops, count = samples_by_op(), Count()
    choose = Seeded(seed)
    for _ in range(SEQUENCES):
        Fuzzer(choose, count).sequence(ops, 20)
    print(count.report().splitlines()[-1])
    assert count.valid.total() > count.calls.total() // 3, "too few valid calls: this tests the argument checks only"


def test_a_foreign_exception_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*args, **kwargs):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("tests.fuzz.calls.function_of", lambda op: faulty)
    with pytest.raises(ZeroDivisionError):
        Fuzzer(Seeded(0), Count()).sequence(samples_by_op(), 20)
    assert values.function_of is not None
