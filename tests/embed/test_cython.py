"""The example in Cython, from the installed declarations."""

import subprocess
import sys

import pytest

import helix

from .build import ROOT, compile_extension, config, load

pytest.importorskip("Cython")


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cython")
    source, made = ROOT / "examples" / "embed-cython" / "mine_cython.pyx", folder / "mine_cython.c"
    subprocess.run(
        [sys.executable, "-m", "cython", "-3", "-I", config("cython-path"), str(source), "-o", str(made)],
        check=True,
        timeout=60,
    )
    return load("mine_cython", compile_extension(folder, "mine_cython", made, flags=("-O0",)))


def test_ops_without_the_gil(mine):
    assert mine.multiple(helix.tensor([1.0, 2.0]), 4).tolist() == [5, 10]
    x = helix.ones(2, requires_grad=True)
    mine.multiple(x, 2).sum().backward()
    assert x.grad.tolist() == [3, 3]
    assert mine.multiple(x, 0) is x


def test_errors(mine):
    with pytest.raises(TypeError, match="a helix.Tensor is needed"):
        mine.multiple(3, 1)
