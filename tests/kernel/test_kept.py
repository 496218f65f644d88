"""Kernels kept on disk: rendered once for all processes, and never trusted when they are damaged."""

import json

import pytest

from helix.kernel import Builder, renderers, source_of
from helix.kernel.kept import Kept, kernel
from helix.kernel.passes import merge_buffers


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A function that makes a kernel, and the list of its calls; as another process sees it after made.cache_clear()."""
    monkeypatch.setenv("HELIX_CACHE_DIR", str(tmp_path))
    calls = []

    @kernel
    def double(dtype, factor):
        calls.append(dtype)
        k = Builder("double", (32, 1, 1), exact=True)
        x, y, n = k.buffer("x", dtype), k.buffer("y", dtype, written=True), k.scalar("n")
        with k.items(n) as i:
            y[i] = x[i] * factor
        return k.finish()

    return double, calls, tmp_path / "kernel-texts"


def test_another_process_neither_builds_nor_renders(made):
    double, calls, folder = made
    first = source_of(double("f32", 2.0), renderers["c"])
    double.cache_clear()
    again = double("f32", 2.0)
    assert (again.name, again.group, again.exact) == ("helix_double", (32, 1, 1), True)
    assert [b.written for b in again.buffers] == [False, True] and [s.dtype for s in again.scalars] == ["i32"]
    assert source_of(again, renderers["c"]) == first and calls == ["f32"]
    assert "2.0f" in first and "2.0f" not in source_of(double("f32", 3.0), renderers["c"])
    assert len(list(folder.iterdir())) == 2


def test_a_text_for_another_target_is_added(made):
    double, calls, folder = made
    source_of(double("f32", 2.0), renderers["c"])
    double.cache_clear()
    text = source_of(double("f32", 2.0), renderers["opencl-c"])
    assert "__kernel" in text and len(calls) == 2
    double.cache_clear()
    assert source_of(double("f32", 2.0), renderers["opencl-c"]) == text and len(calls) == 2
    (file,) = folder.iterdir()
    assert len(json.loads(file.read_text())["texts"]) == 2


def test_one_block_for_two_buffers_has_a_text_of_its_own(made):
    double, calls, _ = made
    apart = source_of(double("f32", 2.0), renderers["wgsl"])
    together = merge_buffers(double("f32", 2.0), (0, 0))
    assert isinstance(together, Kept) and [b.name for b in together.buffers] == ["x"] and together.buffers[0].written
    text = source_of(together, renderers["wgsl"])
    assert "array<u32>" in text and "> y:" in apart and "> y:" not in text
    double.cache_clear()
    assert source_of(merge_buffers(double("f32", 2.0), (0, 0)), renderers["wgsl"]) == text and len(calls) == 1


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"name": 1}', '{"texts": {}}'])
def test_a_damaged_file_is_made_anew(made, damage):
    double, calls, folder = made
    text = source_of(double("f32", 2.0), renderers["c"])
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_text(damage)
    double.cache_clear()
    assert source_of(double("f32", 2.0), renderers["c"]) == text and calls == ["f32"] * 2
    assert file.read_bytes() == whole


def test_a_disk_that_takes_nothing_costs_the_cache_alone(made, monkeypatch):
    double, _, folder = made
    folder.parent.joinpath("file").write_text("")
    monkeypatch.setenv("HELIX_CACHE_DIR", str(folder.parent / "file"))
    assert "helix_double" in source_of(double("f32", 5.0), renderers["c"])
