"""The example in Cython, from the installed declarations."""

import pytest

import helix

from .build import install_example, load

pytest.importorskip("Cython")
pytest.importorskip("mesonpy")


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cython")
    flags = "-O0 -Wno-error=unused-function"
    return load("mine_cython", install_example(folder, "embed-cython", "mine_cython", flags))


def test_ops_without_the_gil(mine):
    assert mine.multiple(helix.tensor([1.0, 2.0]), 4).tolist() == [5, 10]
    x = helix.ones(2, requires_grad=True)
    mine.multiple(x, 2).sum().backward()
    assert x.grad.tolist() == [3, 3]
    assert mine.multiple(x, 0) is x


def test_errors(mine):
    with pytest.raises(TypeError, match="a helix.Tensor is needed"):
        mine.multiple(3, 1)


def test_registered_op_and_its_gradients(mine):
    x = helix.tensor([0.5, -3.0, 2.0], dtype="float64", requires_grad=True)
    expected = helix.nn.functional.silu(x)
    assert (helix.ops.mine_swish(x) - expected).abs().max().item() < 1e-15
    assert helix.autograd.gradcheck(lambda x: helix.ops.mine_swish(x, 0.7), (x,))
    assert helix.autograd.gradgradcheck(lambda x: helix.ops.mine_swish(x, 0.7), (x,))
    assert str(helix.ops.mine_swish.__signature__) == "(input, beta=1.0, *, out=None)"
