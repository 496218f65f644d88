"""Factors of matrices in helix.array_api.linalg, which are not unique: what they must multiply to."""

from __future__ import annotations

import numpy as np
import pytest

import helix
from helix import array_api as xp

from .samples import COMPLEX, FLOATS, numbers

TOLERANCE = {"float32": 1e-4, "complex64": 1e-4, "float64": 1e-10, "complex128": 1e-10}


def drawn(dtype, *shape):
    return numbers(np.random.default_rng(11), dtype, shape)


def close(got, wanted, dtype):
    np.testing.assert_allclose(np.asarray(got), np.asarray(wanted), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def unitary(x, dtype):
    close(
        xp.matmul(xp.conj(xp.matrix_transpose(x)), x),
        np.broadcast_to(np.eye(x.shape[-1]), (*x.shape[:-2], *x.shape[-1:] * 2)),
        dtype,
    )


@pytest.mark.parametrize("dtype", FLOATS + COMPLEX)
@pytest.mark.parametrize("shape", [(2, 4, 3), (3, 5), (3, 3)])
def test_svd_and_qr(dtype, shape):
    x = drawn(dtype, *shape)
    for full in (False, True):
        found = xp.linalg.svd(xp.asarray(x), full_matrices=full)
        k = min(shape[-2:])
        assert found.S.dtype is found.S.dtype.to_real() and found.U.shape[-1] == (shape[-2] if full else k)
        close(found.U[..., :k] * found.S[..., None, :] @ found.Vh[..., :k, :], x, dtype)
        unitary(found.U, dtype)
        parts = xp.linalg.qr(xp.asarray(x), mode="complete" if full else "reduced")
        close(parts.Q @ parts.R, x, dtype)
        unitary(parts.Q, dtype)
        assert parts.Q.shape[-1] == (shape[-2] if full else k) and not np.tril(np.asarray(parts.R), -1).any()


@pytest.mark.parametrize("dtype", FLOATS + COMPLEX)
def test_eigenvalues(dtype):
    x = drawn(dtype, 2, 4, 4)
    found = xp.linalg.eig(xp.asarray(x))
    assert found.eigenvalues.dtype.is_complex and found.eigenvectors.dtype is found.eigenvalues.dtype
    close(xp.astype(xp.asarray(x), found.eigenvectors.dtype) @ found.eigenvectors,
          found.eigenvectors * found.eigenvalues[..., None, :], dtype)  # fmt: skip
    close(np.sort_complex(np.asarray(xp.linalg.eigvals(xp.asarray(x)))), np.sort_complex(np.linalg.eigvals(x)), dtype)
    hermitian = x + x.conj().swapaxes(-1, -2)
    found = xp.linalg.eigh(xp.asarray(hermitian))
    close(xp.asarray(hermitian) @ found.eigenvectors, found.eigenvectors * found.eigenvalues[..., None, :], dtype)
    close(found.eigenvalues, np.linalg.eigvalsh(hermitian), dtype)
    unitary(found.eigenvectors, dtype)


def test_gradients():
    x = helix.tensor(drawn("float64", 3, 3), requires_grad=True)
    xp.sum(xp.linalg.inv(x)).backward()
    inverse = np.linalg.inv(x.detach().numpy())
    close(x.grad, -np.outer(inverse.T.sum(1), inverse.T.sum(0)), "float64")


REFUSED = {
    "a vector": lambda: xp.linalg.inv(xp.ones(3)),
    "sizes": lambda: xp.linalg.det(xp.ones((2, 3))),
    "powers of what is not square": lambda: xp.linalg.matrix_power(xp.ones((2, 3)), 2),
    "cross of 2": lambda: xp.linalg.cross(xp.ones(2), xp.ones(2)),
    "cross from the front": lambda: xp.linalg.cross(xp.ones(3), xp.ones(3), axis=0),
    "outer of matrices": lambda: xp.linalg.outer(xp.ones((2, 2)), xp.ones(2)),
    "mode": lambda: xp.linalg.qr(xp.ones((2, 2)), mode="r"),
    "singular": lambda: xp.linalg.solve(xp.zeros((2, 2)), xp.ones(2)),
    "not definite": lambda: xp.linalg.cholesky(-xp.eye(2)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case):
    with pytest.raises((ValueError, RuntimeError)) as caught:
        REFUSED[case]()
    assert isinstance(caught.value, helix.errors.HelixError)
    with pytest.raises(TypeError):
        xp.linalg.det(xp.asarray([[1]]))
