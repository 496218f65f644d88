"""The example without helix's headers."""

import gc

import numpy
import pytest

import helix

from .build import WARNINGS, install_example, load

pytest.importorskip("mesonpy")


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dlpack")
    return load("mine_dlpack", install_example(folder, "embed-dlpack", "mine_dlpack", " ".join(WARNINGS)))


def test_consumes(mine):
    x = helix.arange(6, dtype="float32").reshape(2, 3)
    assert mine.sum(x) == 15
    assert mine.sum(x.mT[1:]) == 12
    assert mine.sum(helix.tensor(2.5)) == 2.5
    with pytest.raises(TypeError, match="float32"):
        mine.sum(helix.arange(3))


def test_produces_and_gets_back(mine):
    x = helix.from_dlpack(mine.squares(4))
    assert x.tolist() == [0, 1, 4, 9]
    view = x[1:]
    del x
    gc.collect()
    assert mine.lent_out() == 1
    assert numpy.asarray(view).tolist() == [1, 4, 9]
    del view
    gc.collect()
    assert mine.lent_out() == 0
    capsule = mine.squares(2)
    del capsule
    assert mine.lent_out() == 0
