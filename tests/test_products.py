"""Gradients of products at exact zeros, to the third order, where quotients of the result say nothing."""

import numpy as np
import pytest

import helix
from helix.autograd import grad, gradcheck

ROWS = {
    "none": [1.0, 2, 3, 4],
    "one": [1.0, 0, 3, 4],
    "first": [0.0, 2, 3, 4],
    "two": [1.0, 0, 0, 4],
    "three": [0.0, 0, 3, 0],
}
PRODUCTS = {
    "prod": lambda x: x.prod(),
    "prod of rows": lambda x: x.prod(1),
    "prod of columns": lambda x: x.prod(0, keepdim=True),
    "prod of axes": lambda x: x.reshape(2, 2, 2).prod((0, 2)),
    "cumprod": lambda x: x.cumprod(1),
    "cumprod of columns": lambda x: x.cumprod(0),
}


def values(row, dtype):
    parts = np.array([ROWS[row], [0.5, 1.5, -2, 0.7]], dtype)
    return parts * (1 + 0.3j) if dtype == "complex128" else parts


def slope(function):
    def first(x):
        y = function(x)
        weight = helix.linspace(0.5, 1.5, y.numel(), dtype=helix.float64).reshape(y.shape).to(y.dtype)
        return grad(y, (x,), (weight,), create_graph=True)[0]

    return first


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", PRODUCTS)
def test_two_orders(name, row, dtype):
    x = helix.tensor(values(row, dtype)).requires_grad_()
    assert gradcheck(PRODUCTS[name], (x,))
    assert gradcheck(slope(PRODUCTS[name]), (x,))


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", ["prod of rows", "cumprod"])
def test_three_orders(name, row):
    x = helix.tensor(values(row, "float64")).requires_grad_()
    assert gradcheck(
        slope(slope(PRODUCTS[name])), (x,), eps=1e-2
    )  # products are linear in each factor: any step will do
