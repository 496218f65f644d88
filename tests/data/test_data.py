"""Datasets, splits, and loaders that go on where they stood."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np
import pytest

import helix as hx
from helix import data


@pytest.fixture
def numbers() -> data.TensorDataset:
    return data.TensorDataset(hx.arange(23), hx.arange(23) % 3, task="classification", classes="abc")


def rows(loader: data.Loader) -> list[list[int]]:
    return [batch[0].tolist() for batch in loader]


def test_every_sample_once_an_epoch_and_another_order_each(numbers):
    loader = data.Loader(numbers, 4, shuffle=True, seed=3)
    first, second = rows(loader), rows(loader)
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(23))
    assert first != second and len(loader) == len(first) == 6 and len(first[-1]) == 3
    assert rows(data.Loader(numbers, 4, shuffle=True, seed=3)) == first
    assert len(data.Loader(numbers, 4, drop_last=True)) == len(rows(data.Loader(numbers, 4, drop_last=True))) == 5


@pytest.mark.parametrize("taken", [0, 1, 5, 6, 7, 11])
def test_a_loader_goes_on_after_any_batch(numbers, taken):
    def stream(loader):
        while True:
            yield from ((loader.epoch, batch[0].tolist()) for batch in loader)

    straight = data.Loader(numbers, 4, shuffle=True, seed=9)
    flow = stream(straight)
    for _ in range(taken):
        next(flow)
    resumed = data.Loader(numbers, 4, shuffle=True, seed=1)
    resumed.load_state_dict(straight.state_dict())
    again = stream(resumed)
    assert [next(flow) for _ in range(9)] == [next(again) for _ in range(9)]


def test_a_loader_refuses_the_place_of_another(numbers):
    with pytest.raises(ValueError, match="batch_size=4, this one has batch_size=5"):
        data.Loader(numbers, 5).load_state_dict(data.Loader(numbers, 4).state_dict())


def test_stratified_split_is_even_disjoint_and_reproducible(numbers):
    first, second = data.stratified_split(numbers, 0.25, seed=1)
    assert sorted(first.indices + second.indices) == list(range(23))
    assert np.bincount(second.targets().tolist()).tolist() == [2, 2, 2]
    assert data.stratified_split(numbers, 0.25, seed=1)[1].indices == second.indices
    assert data.stratified_split(numbers, 0.25, seed=2)[1].indices != second.indices
    assert second.classes == ("a", "b", "c")
    with pytest.raises(ValueError, match="between 0 and 1"):
        data.stratified_split(numbers, 1.0)


def test_digits():
    digits = data.digits()
    x, y = digits.batch([0, 1796])
    assert len(digits) == 1797 and tuple(x.shape) == (2, 1, 8, 8) and y.tolist() == [0, 8]
    assert x.amin().item() == 0.0 and x.amax().item() == 1.0 and digits.classes == tuple("0123456789")
    assert data.describe(digits) == data.DataInfo("classification", (1, 8, 8), 10, tuple("0123456789"))


def test_tensors_of_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="different lengths: 3, 4"):
        data.TensorDataset(hx.zeros(3), hx.zeros(4))


def test_text_windows_shift_by_one(tmp_path: Path):
    (tmp_path / "b.txt").write_bytes(b"56789")
    (tmp_path / "a.txt").write_bytes(b"01234")
    (tmp_path / "c.bin").write_bytes(b"xx")
    text = data.TextFolder(tmp_path, 3, pattern="*.txt")
    given, wanted = text.batch([0, 2])
    assert len(text) == 3 and bytes(given[1].tolist()) == b"678" and bytes(wanted[1].tolist()) == b"789"
    assert bytes(text[0][1].tolist()) == b"123" and len(data.TextFolder(tmp_path, 3, limit=5)) == 1
    with pytest.raises(ValueError, match="holds 5 bytes"):
        data.TextFolder(tmp_path / "a.txt", 5)


def test_csv(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("x,y,kind\n1,10,a\n2,20,b\n3,30,a\n")
    table = data.load(str(path))
    assert table.classes == ("a", "b") and table.targets().tolist() == [0, 1, 0]
    assert table.tensors[0].mean().item() == pytest.approx(0, abs=1e-6)
    path.write_text("x,y\n1,0.5\n2,1.5\n3,a\n")
    with pytest.raises(ValueError, match="no column 'z'; it has: x, y"):
        data.read_csv(path, "z")
    path.write_text("x,y\n1,0.5\noops,1.5\n3,2\n")
    with pytest.raises(ValueError, match="line 3: column 'x' holds 'oops'"):
        data.read_csv(path)


def test_images(tmp_path: Path):
    from PIL import Image as image

    for name, shade in (("dark", 0), ("light", 255)):
        (tmp_path / name).mkdir()
        image.new("L", (5, 7), shade).save(tmp_path / name / "1.png")
    (tmp_path / "light" / "broken.png").write_bytes(b"\x89PNG no")
    folder = data.load(tmp_path, size=(4, 6), grayscale=True)
    x, y = folder.batch([0, 1])
    assert tuple(x.shape) == (2, 1, 4, 6) and y.tolist() == [0, 1] and folder.classes == ("dark", "light")
    assert x.amax(dim=(1, 2, 3)).tolist() == [0.0, 1.0]
    assert [name for name, _ in folder.unreadable] == ["light/broken.png"]


def test_an_absent_source_is_named():
    with pytest.raises(FileNotFoundError, match="'nowhere' is neither a file or folder nor the name"):
        data.load("nowhere")


def test_loader_from_load(numbers):
    assert isinstance(data.load(numbers, batch=5), data.Loader)
