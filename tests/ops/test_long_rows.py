"""Rows so long that several threads share one: right values, and the same bits for any number of threads."""

import numpy as np
import pytest

import helix
import helix.nn.functional as F

LENGTH = 3 * 65536 + 77


@pytest.fixture
def threads():
    before = helix.get_num_threads()
    yield helix.set_num_threads
    helix.set_num_threads(before)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


FORWARD = {"softmax": softmax, "log_softmax": lambda x: np.log(softmax(x))}
BACKWARD = {
    "softmax": lambda x, g: softmax(x) * (g - (g * softmax(x)).sum(-1, keepdims=True)),
    "log_softmax": lambda x, g: g - softmax(x) * g.sum(-1, keepdims=True),
}


def results(name: str, x: np.ndarray, g: np.ndarray, dtype) -> tuple[np.ndarray, np.ndarray]:
    leaf = helix.tensor(x).to(dtype).requires_grad_()
    y = getattr(F, name)(leaf, -1)
    y.backward(helix.tensor(g).to(dtype))
    return y.detach().to(helix.float64).numpy(), leaf.grad.to(helix.float64).numpy()


@pytest.mark.parametrize("dtype", [helix.float32, helix.bfloat16])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_of_long_rows(name, dtype, threads):
    random = np.random.default_rng(0)
    x = helix.tensor(random.standard_normal((2, LENGTH)) * 2).to(dtype).to(helix.float64).numpy()
    g = helix.tensor(random.standard_normal((2, LENGTH))).to(dtype).to(helix.float64).numpy()
    threads(1)
    y, grad = results(name, x, g, dtype)
    relative = 2e-6 if dtype == helix.float32 else 1e-2
    np.testing.assert_allclose(y, FORWARD[name](x), rtol=relative, atol=1e-9)
    scale = np.abs(BACKWARD[name](x, g)).max()
    np.testing.assert_allclose(grad, BACKWARD[name](x, g), rtol=relative, atol=relative * scale)
    threads(2)
    again = results(name, x, g, dtype)
    assert np.array_equal(y, again[0]) and np.array_equal(grad, again[1])


def test_a_nan_in_a_long_row_stays_in_its_row():
    x = helix.zeros(2, LENGTH)
    x[0, LENGTH - 5] = float("nan")
    y = F.softmax(x, -1)
    assert helix.isnan(y[0]).all() and not helix.isnan(y[1]).any()
    x[0, LENGTH - 5] = float("-inf")
    y = F.softmax(x, -1)
    assert y[0, LENGTH - 5] == 0 and abs(y[0].sum().item() - 1) < 1e-5


@pytest.mark.parametrize("dtype", [helix.float32, helix.float64])
def test_running_sums_of_long_rows(dtype, threads):
    x = helix.tensor(np.random.default_rng(0).standard_normal((2, LENGTH))).to(dtype)
    threads(1)
    y = helix.cumsum(x, -1)
    true = np.cumsum(x.to(helix.float64).numpy(), -1)
    np.testing.assert_allclose(
        y.to(helix.float64).numpy(), true, rtol=1e-7 if dtype == helix.float32 else 1e-12, atol=1e-10
    )
    threads(2)
    assert (helix.cumsum(x, -1) == y).all()
