"""A short slice of the fuzzing with fixed seeds; `make fuzz` runs the campaign under the sanitizers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import helix

from .arguments import Block
from .calls import LIMIT, SAMPLES_OF, Count, Fuzzer
from .campaign import BLOCK, Campaign, Examples, Notes, smaller

SEEDS = range(8)
CALLS_OF_AN_OP = 2
OPS_OF_A_SEQUENCE = 12


@pytest.fixture(autouse=True)
def limited():
    helix.set_memory_limit(LIMIT)
    yield
    helix.set_memory_limit(0)


def call_ops(ops: list[str], rng: np.random.Generator, count: Count) -> None:
    for i in range(0, len(ops), OPS_OF_A_SEQUENCE):
        fuzzer = Fuzzer(count)
        for op in ops[i : i + OPS_OF_A_SEQUENCE]:
            fuzzer.call(Block(rng.bytes(BLOCK)), op)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_calls(seed: int) -> None:
    rng, count = np.random.default_rng(seed), Count()
    call_ops([str(op) for op in rng.permutation(list(SAMPLES_OF) * CALLS_OF_AN_OP)], rng, count)
    assert set(count.calls) == set(SAMPLES_OF)
    assert count.valid.total() > count.calls.total() * 3 // 4, (
        "too few valid calls: this tests the argument checks only"
    )


def test_a_block_says_the_same_call_again() -> None:
    said: list[str] = []

    def announce(name, args, kwargs) -> None:
        said.append(f"{name} {[(a.shape, a.stride(), a.dtype) for a in args if isinstance(a, helix.Tensor)]} {kwargs}")

    block = np.random.default_rng(0).bytes(BLOCK)
    for _ in range(2):
        Fuzzer(Count(), announce).call(Block(block), "conv2d")
    assert said[: len(said) // 2] == said[len(said) // 2 :] != []


def test_a_foreign_exception_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*args, **kwargs):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("tests.fuzz.calls.function_of", lambda op: faulty)
    with pytest.raises(ZeroDivisionError):
        call_ops(["exp"] * 5, np.random.default_rng(0), Count())


def test_examples_are_those_of_their_seed() -> None:
    ops = list(SAMPLES_OF)
    assert Examples(3).draw(ops) == Examples(3).draw(ops) != Examples(4).draw(ops)
    drawn = {op for examples in [Examples(0)] for _ in range(400) for op, _ in examples.draw(ops)}
    assert len(drawn) > 0.99 * len(ops)


def test_a_failing_example_is_made_small() -> None:
    calls = [(op, b"") for op in ("add", "exp", "sin", "mul", "cos")]
    assert smaller(calls, lambda some: {"exp", "mul"} <= {op for op, _ in some}) == [calls[1], calls[3]]


def test_what_failed_is_noted_and_can_be_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*args, **kwargs):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("tests.fuzz.calls.function_of", lambda op: faulty if op == "exp" else helix.neg)
    with pytest.raises(ZeroDivisionError):
        Campaign(0, 5000).run(0, Notes(tmp_path))
    said = json.loads((tmp_path / "example.json").read_text())
    assert [op for op, _ in said["calls"]] == ["exp"]
    assert (tmp_path / "call.txt").read_text().startswith("exp(")
