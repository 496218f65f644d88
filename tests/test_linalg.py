"""helix.linalg beyond what follows from the records and from parity with torch: gradients where a matrix is read in one triangle
or results are fixed up to a factor, shapes, memory, threads, errors, and the library itself."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import helix
from helix import linalg
from helix.autograd import gradcheck, gradgradcheck
from helix.errors import DTypeError, GradientError, LinAlgError, ParameterError, ShapeError, UnsupportedOpError

REAL, COMPLEX = "float64", "complex128"


def random(*shape, dtype=REAL, seed=0):
    rng = np.random.default_rng([seed, *shape])
    values = rng.standard_normal(shape)
    return (values + 1j * rng.standard_normal(shape) if dtype == COMPLEX else values).astype(dtype)


def leaf(*shape, dtype=REAL, seed=0):
    return helix.tensor(random(*shape, dtype=dtype, seed=seed), requires_grad=True)


def adjoint(x):
    return x.mT.conj() if x.is_complex() else x.mT


def positive(x):
    return x @ adjoint(x) + helix.eye(x.shape[-1], dtype=x.dtype)


def invariant(values, *vectors):
    """Values, and what of the vectors does not depend on their factors."""
    return values, *((v.abs() if v.is_complex() else v * v) for v in vectors)


SQUARE = {
    "cholesky": lambda x: linalg.cholesky(positive(x)),
    "cholesky upper": lambda x: linalg.cholesky(positive(x), upper=True),
    "cholesky_inverse": helix.cholesky_inverse,
    "eigh": lambda x: invariant(*linalg.eigh(positive(x))),
    "eigh U": lambda x: invariant(*linalg.eigh(positive(x), "U")),
    "eigvalsh": lambda x: linalg.eigvalsh(positive(x)),
    "eig": lambda x: tuple(part.abs() for part in linalg.eig(x)),
    "logdet": lambda x: helix.logdet(positive(x)),
    "matrix_power": lambda x: helix.matrix_power(x, -3),
    "nuclear norm": lambda x: linalg.matrix_norm(x, "nuc"),
    "pinv hermitian": lambda x: linalg.pinv(positive(x), hermitian=True),
    "cond": lambda x: linalg.cond(x, 1),
    "lu_solve": lambda x: linalg.lu_solve(*linalg.lu_factor(x), x @ x),
    "lu without pivots": lambda x: linalg.lu_factor(positive(x), pivot=False).LU,
    "multi_dot": lambda x: linalg.multi_dot([x, x, x]),
    "solve from the right": lambda x: linalg.solve(x, positive(x), left=False),
}
ANY = {
    "svd": lambda x: invariant(*(linalg.svd(x, full_matrices=False)[i] for i in (1, 0, 2))),
    "pinv": linalg.pinv,
    "lu": lambda x: linalg.lu(x)[1:],
    "qr": lambda x: tuple(linalg.qr(x)),
    "lstsq": lambda x: linalg.lstsq(x, x[:, :1] * x[:, 1:2] + 1).solution,
    "matrix_norm 2": lambda x: linalg.matrix_norm(x, 2),
}
CASES = [(name, f, (3, 3)) for name, f in SQUARE.items()]
CASES += [(name, f, shape) for name, f in ANY.items() for shape in ((3, 3), (4, 2), (2, 4))]


@pytest.mark.parametrize("dtype", [REAL, COMPLEX])
@pytest.mark.parametrize(("name", "function", "shape"), CASES, ids=lambda x: x if isinstance(x, str) else "")
def test_gradients(name, function, shape, dtype):
    x = leaf(*shape, dtype=dtype, seed=len(name))
    assert gradcheck(function, (x,))
    assert gradgradcheck(function, (x,), atol=1e-4)


@pytest.mark.parametrize("dtype", [REAL, COMPLEX])
def test_gradients_of_reflections(dtype):
    x, tau, other = leaf(4, 3, dtype=dtype), leaf(3, dtype=dtype), leaf(4, 2, dtype=dtype)
    assert gradcheck(linalg.householder_product, (x, tau)) and gradgradcheck(linalg.householder_product, (x, tau))
    for transpose in (False, True):
        assert gradcheck(lambda x, tau, c, t=transpose: helix.ormqr(x, tau, c, transpose=t), (x, tau, other))


def test_a_planted_fault_in_a_gradient_is_seen():
    x = leaf(3, 3)
    with pytest.raises(GradientError):
        gradcheck(lambda x: linalg.eigvalsh(x @ x.mT) + (x.detach() * x).sum(-1), (x,))


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_gradient_of_the_determinant_of_a_singular_matrix(rank):
    x = helix.tensor(random(3, rank) @ random(rank, 3, seed=1), requires_grad=True)
    assert abs(helix.det(x).item()) < 1e-12 and gradcheck(helix.det, (x,))


def test_a_loss_that_depends_on_the_factor_of_complex_vectors_is_refused():
    x = helix.tensor(random(3, 3, dtype=COMPLEX), requires_grad=True)
    with pytest.raises(GradientError, match="phi"):
        linalg.eigh(positive(x)).eigenvectors[0].imag.sum().backward()


def test_what_has_no_gradient_says_so():
    with pytest.raises(GradientError):
        linalg.qr(leaf(4, 3), "complete").Q.sum().backward()
    with pytest.raises(GradientError):
        linalg.qr(leaf(3, 3), "r").R.sum().backward()
    with pytest.raises(GradientError):
        helix.geqrf(leaf(3, 3))


def test_every_name_of_torch_linalg_is_there():
    names = {name for name in dir(torch.linalg) if not name.startswith("_")} - {"common_notes"}
    assert names == set(linalg.__all__) and all(hasattr(linalg, name) for name in names)


# ---- shapes and memory ----


@pytest.mark.parametrize("batch", [(), (0,), (3,), (2, 0, 1)])
@pytest.mark.parametrize("n", [0, 1, 4])
def test_batches_and_empty_matrices(batch, n):
    a = random(*batch, n, n)
    x = helix.tensor(a)
    np.testing.assert_allclose(helix.det(x).numpy(), np.linalg.det(a), rtol=1e-10)
    np.testing.assert_allclose(helix.inverse(x).numpy(), np.linalg.inv(a), rtol=1e-9)
    for result, wanted in zip(linalg.svd(x), np.linalg.svd(a), strict=True):
        assert tuple(result.shape) == wanted.shape
    assert tuple(linalg.eigvals(x).shape) == tuple(linalg.eigvalsh(x).shape) == (*batch, n)
    assert tuple(helix.matrix_exp(x).shape) == tuple(linalg.pinv(x).shape) == (*batch, n, n)
    assert linalg.matrix_rank(x).tolist() == np.full(batch, n).tolist()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("scale", [0.5, 9.0, np.nan])
def test_the_exponential_of_half_types_is_that_of_float32(dtype, scale):
    x = (helix.randn(3, 5, 5, generator=helix.Generator().manual_seed(0)) * scale).to(dtype).requires_grad_()
    wide = x.detach().float().requires_grad_()
    y, exact = helix.matrix_exp(x), helix.matrix_exp(wide)
    assert y.dtype == x.dtype and np.array_equal(y.detach().float(), exact.detach().to(dtype).float(), equal_nan=True)
    y.sum().backward()
    exact.sum().backward()
    assert x.grad.dtype == x.dtype and np.array_equal(x.grad.float(), wide.grad.to(dtype).float(), equal_nan=True)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_full_bases_of_matrices_without_elements(shape):
    U, S, Vh = linalg.svd(helix.empty(shape))
    assert S.shape == (0,)
    for basis in (U, Vh):
        assert helix.equal(basis, helix.eye(basis.shape[0]))


def test_strided_and_conjugated_inputs():
    a = random(6, 4, 4, dtype=COMPLEX)
    x, plain = helix.tensor(a)[::2].mT, np.swapaxes(a[::2], -1, -2)
    np.testing.assert_allclose(helix.inverse(x).numpy(), np.linalg.inv(plain), rtol=1e-9)
    np.testing.assert_allclose(linalg.svdvals(x.conj()).numpy(), np.linalg.svd(plain)[1], rtol=1e-9)
    b = helix.tensor(random(4, dtype=COMPLEX)).expand(3, 4)
    np.testing.assert_allclose(
        linalg.solve(x, b).numpy(), np.linalg.solve(plain, b.numpy()[..., None])[..., 0], rtol=1e-9
    )


def test_out():
    x, out = helix.tensor(random(3, 3)), helix.empty(3, 3, dtype=helix.float64).mT
    assert linalg.inv(x, out=out) is out
    np.testing.assert_allclose(out.numpy(), np.linalg.inv(x.numpy()), rtol=1e-9)
    parts = (helix.empty(3, 3, dtype=helix.float64), helix.empty(3, 3, dtype=helix.float64))
    linalg.qr(x, out=parts)
    np.testing.assert_allclose((parts[0] @ parts[1]).numpy(), x.numpy(), atol=1e-12)
    with pytest.raises(ShapeError):
        linalg.cond(x, out=helix.empty(2, dtype=helix.float64))
    with pytest.raises(DTypeError):
        linalg.pinv(x, out=helix.empty(3, 3, dtype=helix.int64))


def test_results_have_torchs_names():
    x = helix.tensor(random(3, 3))
    assert linalg.eigh(positive(x)).eigenvalues.shape == (3,) and linalg.svd(x).Vh.shape == (3, 3)
    assert linalg.lstsq(x, x)._fields == ("solution", "residuals", "rank", "singular_values")
    assert helix.slogdet(x).logabsdet.shape == () and linalg.lu(x)._fields == ("P", "L", "U")


@pytest.mark.parametrize("driver", ["gels", "gelsy", "gelsd", "gelss"])
def test_least_squares(driver):
    a, b = random(2, 5, 3), random(2, 5)
    result = linalg.lstsq(helix.tensor(a), helix.tensor(b), driver=driver)
    for i in range(2):
        wanted = np.linalg.lstsq(a[i], b[i])
        np.testing.assert_allclose(result.solution[i].numpy(), wanted[0], rtol=1e-9)
        if driver in ("gelsd", "gelss"):
            np.testing.assert_allclose(result.singular_values[i].numpy(), wanted[3], rtol=1e-9)
            np.testing.assert_allclose(result.residuals[i].numpy(), wanted[1], rtol=1e-9)
    assert result.rank.tolist() == ([] if driver == "gels" else [3, 3])


# ---- errors ----


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (LinAlgError, lambda: helix.inverse(helix.tensor([[[1.0, 0], [0, 1]], [[1, 2], [2, 4]]]))),
        (LinAlgError, lambda: linalg.solve(helix.zeros(2, 2), helix.ones(2))),
        (LinAlgError, lambda: linalg.cholesky(-helix.eye(2))),
        (LinAlgError, lambda: linalg.svd(helix.full((2, 2), float("nan")))),
        (LinAlgError, lambda: linalg.eigh(helix.full((2, 2), float("inf")))),
        (LinAlgError, lambda: linalg.eigvals(helix.full((2, 2), float("inf")))),
        (LinAlgError, lambda: linalg.lstsq(helix.tensor([[1.0, 0]] * 3), helix.ones(3, 1), driver="gels")),
        (ShapeError, lambda: helix.matrix_power(helix.ones(2, 3), 2)),
        (ShapeError, lambda: linalg.multi_dot([helix.ones(2, 3), helix.ones(2, 3)])),
        (ParameterError, lambda: linalg.norm(helix.ones(2), "nuc")),
        (ParameterError, lambda: linalg.matrix_norm(helix.ones(2, 2), 3)),
        (DTypeError, lambda: helix.inverse(helix.ones(2, 2, dtype=helix.float16))),
    ],
)
def test_errors(error, call):
    with pytest.raises(error):
        call()


def test_an_error_names_the_matrix_and_is_torchs_and_numpys_kind():
    with pytest.raises(LinAlgError, match="HX1405 inverse: matrix 1 of the batch: .*singular") as caught:
        helix.inverse(helix.tensor([[[1.0, 0], [0, 1]], [[1, 2], [2, 4]]]))
    assert isinstance(caught.value, RuntimeError) and isinstance(caught.value, ValueError)
    assert linalg.LinAlgError is LinAlgError


# ---- threads and the library ----


def test_same_bits_for_any_number_of_threads():
    a = helix.tensor(random(40, 24, 24, dtype=COMPLEX))
    big = helix.tensor(random(300, 300, dtype=COMPLEX))
    before = helix.get_num_threads()

    def results():
        return [*linalg.svd(a), helix.inverse(a), *linalg.eig(a), helix.matrix_exp(a), big @ big]

    try:
        helix.set_num_threads(1)
        alone = results()
        helix.set_num_threads(4)
        for x, y in zip(alone, results(), strict=True):
            assert helix.equal(x, y)
    finally:
        helix.set_num_threads(before)


@pytest.mark.parametrize("shape", [(64, 64, 64), (300, 70, 90), (65, 500, 64)])
def test_products_that_the_library_takes(shape):
    m, k, n = shape
    a, b = random(2, m, k, dtype=COMPLEX), random(k, n, dtype=COMPLEX, seed=1)
    x, y = helix.tensor(a), helix.tensor(b)
    for got, wanted in (
        (x @ y, a @ b),
        (helix.tensor(b).mT @ x.mT, b.T @ np.swapaxes(a, -1, -2)),
        (x[0] @ y.conj(), a[0] @ b.conj()),
    ):
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-10, atol=1e-10)


def run_child(program, **variables):
    """In a process that finds the helix of this one."""
    found = str(Path(helix.__file__).parents[1])
    program = f"import sys; sys.path.insert(0, {found!r})\n{program}"
    return subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **variables}, capture_output=True, text=True, check=True
    ).stdout.split()


def test_the_library_is_loaded_at_its_first_use():
    program = """
import os, helix
loaded = lambda: "openblas" in open("/proc/self/maps").read()
before = loaded(), (helix.ones(9, 9) @ helix.ones(9, 9)).shape and loaded()
helix.inverse(helix.eye(2))
print(*before, loaded(), os.environ.get("OPENBLAS_CORETYPE"), os.environ["OPENBLAS_NUM_THREADS"])
"""
    assert run_child(program, OPENBLAS_NUM_THREADS="3") == ["False", "False", "True", "None", "3"]


def test_a_library_that_is_not_there_is_an_error_that_names_the_way_out():
    program = """
import helix
try: helix.inverse(helix.eye(2))
except helix.errors.UnsupportedOpError as error: print(error.code, "HELIX_BLAS" in str(error), "scipy-openblas32" in str(error))
x = helix.ones(80, 80, dtype=helix.complex128)
print((x @ x)[0, 0].item().real)
"""
    assert run_child(program, HELIX_BLAS="/nowhere/libblas.so") == ["HX1703", "True", "True", "80.0"]
    assert issubclass(UnsupportedOpError, NotImplementedError)
