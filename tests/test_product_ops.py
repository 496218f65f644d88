import numpy as np
import pytest

import helix


@pytest.mark.parametrize(
    ("a", "b", "dims"),
    [
        ((3, 4, 5), (4, 5, 6), 2),
        ((3, 4), (5,), 0),
        ((3, 4, 5), (5, 3, 2), ([0, 2], [1, 0])),
        ((3, 4), (4, 3), ([-1], [0])),
        ((2, 3), (2, 3), ([0, 1], [0, 1])),
        ((3, 0), (0, 2), 1),
    ],
)
def test_tensordot(a, b, dims):
    x, y = np.random.default_rng(0).normal(size=a), np.random.default_rng(1).normal(size=b)
    result = helix.tensordot(helix.tensor(x), helix.tensor(y), dims)
    expected = np.tensordot(x, y, dims)
    assert tuple(result.shape) == expected.shape
    np.testing.assert_allclose(np.asarray(result.tolist()).reshape(expected.shape), expected, rtol=1e-12, atol=1e-12)


def test_tensordot_refuses_what_does_not_fit():
    x, y = helix.ones(2, 3), helix.ones(4, 5)
    with pytest.raises(helix.errors.ShapeError, match="HX1002.*axis 1"):
        helix.tensordot(x, y, 1)
    with pytest.raises(helix.errors.ParameterError, match="HX1403"):
        helix.tensordot(x, y, 3)
    with pytest.raises(helix.errors.ParameterError, match="HX1302"):
        helix.tensordot(x, y, ([0, 0], [0, 1]))


def test_tensordot_is_differentiable():
    x, y = helix.ones(2, 3, requires_grad=True), helix.ones(3, 4)
    helix.tensordot(x, y, 1).sum().backward()
    assert x.grad.tolist() == [[4.0] * 3] * 2
