"""A run of tests in shards goes on where it stopped, and sees a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import shards

TESTS = """
def test_one():
    open({ran!r}, "a").write("1")


def test_two():
    assert {good}
"""


def test_all_tests_are_in_one_shard_of_one_machine() -> None:
    tests = [f"a::{i}" for i in range(47)]
    parts = [shards.shards(tests, 5, f"{i}/3") for i in (1, 2, 3)]
    assert sorted(t for part in parts for shard in part for t in shard) == sorted(tests)


@pytest.mark.parametrize("good", [True, False])
def test_what_passed_is_not_run_again_and_what_failed_is_told(tmp_path: Path, good: bool) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "test_planted.py").write_text(TESTS.format(ran=str(ran), good=good))
    tests = [f"{tmp_path}/test_planted.py::test_{n}" for n in ("one", "two")]
    assert shards.run(tmp_path / "kept", -1, tests) is None
    said = shards.run(tmp_path / "kept", float("inf"), tests)
    if good:
        assert said == shards.run(tmp_path / "kept", -1, tests) == "" and ran.read_text() == "1"
    else:
        assert "test_two" in str(said) and shards.run(tmp_path / "kept", -1, tests) is None
