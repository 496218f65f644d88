"""The figures of a device: the work runs, and each rate is a part of the best copy or product."""

import argparse

import pytest

import helix

figures = pytest.importorskip("asv_benchmarks.devices.figures", reason="needs the repository's root on the path")


def test_every_work_runs_and_has_a_bound():
    options = argparse.Namespace(scale=1e-4, seconds=0.0)
    found = figures.measured(helix, "cpu", lambda: None, options)
    assert len(found) > 10 and all(one["seconds"] > 0 for one in found.values())
    assert {one["bound"] for one in found.values() if "bound" in one} <= found.keys()
    figures.compare_with_roof(found, {})
    assert found["copy"]["part"] == 1 and "part" not in found["16 numbers, x + x"]
    assert "| copy | " in figures.table(found, {})


def test_a_rate_is_held_against_the_best_of_both_libraries():
    ours = {
        "copy": {"seconds": 2.0, "bound": "copy", "rate": 10.0},
        "sum": {"seconds": 1.0, "bound": "copy", "rate": 5.0},
    }
    theirs = {"copy": {"seconds": 1.0, "bound": "copy", "rate": 20.0}}
    figures.compare_with_roof(ours, theirs)
    assert [ours["copy"]["part"], ours["sum"]["part"], theirs["copy"]["part"]] == [0.5, 0.25, 1.0]
    assert "2.00 |" in figures.table(ours, theirs)
