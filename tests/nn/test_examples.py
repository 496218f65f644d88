"""Every example in a docstring of helix.nn and helix.models gives what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import helix


def modules() -> list[str]:
    found = []
    for package in (helix.nn, helix.models):
        found += [info.name for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
    return [name for name in found if ".functions." not in name]


EXAMPLES = [
    test
    for name in modules()
    for test in doctest.DocTestFinder().find(importlib.import_module(name), globs={"helix": helix})
    if test.examples
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda test: test.name)
def test_example(example):
    helix.manual_seed(0)
    output: list[str] = []
    doctest.DocTestRunner().run(example, out=output.append)
    assert not output, "".join(output)


def test_there_are_examples():
    assert len(EXAMPLES) > 20
