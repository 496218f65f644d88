"""A backend in C that is wrong in one place fails the case that is there for it."""

import shutil

import pytest

from . import mutants


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """For each mutant the cases that fail."""
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("mutants")
    mutants.compile_all(folder)
    numbers = list(range(len(mutants.MUTANTS)))
    half = len(numbers) // 2
    return [*mutants.results(folder, numbers[:half]), *mutants.results(folder, numbers[half:])]


@pytest.mark.parametrize("number", range(len(mutants.MUTANTS)), ids=[m.name for m in mutants.MUTANTS])
def test_a_mutant_is_caught(number, failed):
    assert mutants.MUTANTS[number].caught_by in failed[number], failed[number]
