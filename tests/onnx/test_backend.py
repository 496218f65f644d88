"""The standard's own node tests, and that what passes also passes as a graph."""

from contextlib import contextmanager

import numpy
import onnx
import pytest
from onnx.backend.test.case.test_case import TestCase

import helix
import helix.onnx

from . import backend, table
from .models import model, node, tensor, value

LEAST = 1662  # of those of onnx 1.23; never lower


@contextmanager
def device_fallback():
    before = helix.get_fallback()
    helix.set_fallback("host")
    try:
        yield
    finally:
        helix.set_fallback(before)


def test_at_least_95_in_100_pass_and_each_of_the_rest_has_a_reason():
    """One test, as making the cases takes most of the time. Of the graphs a slice; inputs that tell shapes become constants."""
    plain = [case for case in backend.cases() if backend.is_plain(case)]
    found = backend.outcomes(plain)
    passed = [case for case, outcome in zip(plain, found, strict=True) if outcome.passed]
    assert len(passed) >= 0.95 * len(found)
    assert len(passed) >= LEAST or len(found) < 1690
    known = tuple(backend.REASONS)
    assert [f"{o.name}: {o.error}" for o in found if not o.passed and not o.name.startswith(known)] == []
    traced = [(case.name, backend.traced(case)) for case in passed[::13]]
    assert [pair for pair in traced if pair[1] and "HX1702" not in pair[1]] == []
    assert sum(not error for _, error in traced) >= 0.9 * len(traced)
    with device_fallback():
        assert [(case.name, error) for case in passed[::67] if (error := backend.elsewhere(case, "sim"))] == []
    if onnx.__version__ in table.PAGE.read_text():
        assert table.head(found, backend.cases()) in table.PAGE.read_text(), "make onnx-table"


def test_a_fault_is_seen():
    proto = model([node("Add", "x w", "y")], [value("x", [2])], [value("y", [2])], [tensor("w", [1, 2])])
    x = numpy.ones(2, numpy.float32)
    for wanted, right in (([2, 3], True), ([2, 3.01], False), ([2, 3, 4], False)):
        data = [([x], [numpy.array(wanted, numpy.float32)])]
        case = TestCase("add", "add", None, None, proto, data, "node", 1e-3, 1e-7)
        assert backend.attempt(case).passed is right
        assert (backend.traced(case) == "") is right


def test_versions_of_operators_are_told_apart():
    from helix.onnx.table import find

    assert find("", "Squeeze", 12) is not find("", "Squeeze", 13)
    assert find("", "Softmax", 11).function(helix.ones(2, 2, 2)).sum().item() == pytest.approx(2)
    assert find("", "Softmax", 13).function(helix.ones(2, 2, 2)).sum().item() == pytest.approx(4)
    assert find("", "NoSuchOperator", 21) is None
