"""tools/promises.py: shapes foretold for any length are those of a run; lengths from which on a ratio holds; memory."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import helix as hx
from helix import nn

P = runpy.run_path(str(Path(__file__).parents[1] / "tools" / "promises.py"))


@pytest.mark.parametrize("name", P["MODELS"])
def test_a_run_is_as_two_shorter_ones_foretell(name):
    make = P["MODELS"][name]
    assert abs(P["parameters"](make(64)) / P["parameters"](P["MODELS"]["transformer"](64)) - 1) < 0.02
    growth, run = P["Growth"](make, 64, 96), P["recorded"](make(320), 320)
    assert growth.at(320) == P["work_of"](run)
    assert [growth._kernel(a, b, 320) for a, b in zip(*growth.runs, strict=True)] == run


def test_the_transformers_work_is_the_formulas():
    """Products with weights, a multiply-add as two, and attention's two products of scores."""
    work = P["Growth"](P["MODELS"]["transformer"], 32, 48).at(1000)
    assert work.attention == 4 * 2 * 2 * 1000**2 * 128
    products = 2 * 1000 * (4 * 12 * 128**2 + 256 * 128)
    assert products < work.flops - work.attention < 1.1 * products


def test_kernels_that_change_with_the_length_are_refused():
    class Uneven(nn.Module):
        def forward(self, x):
            return x + 1 if x.shape[1] > 40 else x * 2 + 1

    with pytest.raises(ValueError, match="not the same"):
        P["Growth"](lambda length: Uneven(), 32, 48)


def test_the_smallest_length():
    for edge in (1, 2, 1000, 12_345):
        assert P["smallest"](lambda n, edge=edge: n >= edge * 1024) == edge * 1024
    assert P["smallest"](lambda n: False) is None


def test_straightness():
    slope, straight = P["straightness"]([1.0, 2.0, 4.0], [5.0, 7.0, 11.0])
    assert slope == pytest.approx(2) and straight == pytest.approx(1)
    assert P["straightness"]([1.0, 2.0, 3.0, 4.0], [1.0, 4.0, 9.0, 16.0])[1] == pytest.approx(0.9690, abs=1e-4)


def test_peaks_are_those_of_the_run():
    held = []
    assert 4000 <= P["peak"](lambda: held.append(hx.ones(1000))) < 6000
    assert P["peak"](lambda: None) < 2000


@pytest.mark.parametrize("kind", ["mamba", "hyena"])
def test_memory_grows_with_the_text_and_does_not_when_streamed(kind):
    short, long = (P["forward_peak"](kind, n) for n in (2048, 8192))
    assert 3 < long / short < 4.5
    if kind == "mamba":
        short, long = (P["streaming_peak"](kind, n, 256) for n in (1024, 4096))
        assert long < 1.1 * short


def test_training_with_less_memory_has_the_same_gradients():
    for saving in P["savings"](depth=16, dim=8, length=256):
        assert saving.share > 0.3 and saving.difference < 1e-4
        assert saving.difference == 0 or saving.name == "reversible"
