"""docs/torch-ops.md says what is there."""

from __future__ import annotations

import pytest

from .names import MODULES, counterpart, names_of, reason
from .table import COLUMNS, HEAD, PAGE, counts, row, summary, whole_walk

EVERY = 20  # of the rows, every so many is probed again


def test_the_head_and_the_counts() -> None:
    assert PAGE.read_text().startswith(HEAD + "".join(summary()) + whole_walk()), "run make torch-table"


@pytest.mark.parametrize("module", MODULES)
def test_names_are_those_of_torch_and_present_as_said(module: str) -> None:
    body = PAGE.read_text().split(f"\n## {module}\n\n{COLUMNS}")[1].split("\n## ")[0].splitlines(keepends=True)
    names = names_of(module)
    said = {line.split("`")[1]: line for line in body if line.startswith("| `")}
    assert list(said) == names, "run make torch-table"
    for name in names:
        assert ("| yes |" in said[name]) == (counterpart(module, name) is not None), f"{name}: run make torch-table"
    for name in names[::EVERY]:
        assert row(module, name) == said[name], "run make torch-table"


@pytest.mark.parametrize("module", MODULES)
def test_nearly_all_is_there(module: str) -> None:
    n = counts(module)
    missing = [name for name in names_of(module) if counterpart(module, name) is None and not reason(name)]
    assert n["present"] >= 0.95 * (n["present"] + n["missing"]), missing
