"""Every routine of LAPACK that helix can reach, in helix's own copy of OpenBLAS, with each kind of processor it is kept for.

The copy holds only what the routines can name (tools/openblas.py). A function that is missing ends the process, so each
kind runs in a child: all routines and types, sizes on both sides of their blocks, tall and wide, and values so large, so
small and so poor in rank that the routines take their rarer ways.
"""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

import helix

KINDS = {"PRESCOTT": set(), "HASWELL": {"avx2", "fma"}, "SKYLAKEX": {"avx512f", "avx512dq", "avx512bw", "avx512vl"}}

PROGRAM = """
import ctypes, itertools, os, warnings
import numpy as np
import helix
from helix import linalg

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)

def close(got, wanted, size):
    bound = (2e-3 if got.dtype in (helix.float32, helix.complex64) else 1e-9) * max(size, 1e-300)
    difference = np.abs(got.numpy() - wanted).max(initial=0)
    assert difference <= bound, (difference, bound)

def matrix(m, n, dtype, scale, rank=None):
    parts = [rng.standard_normal((m, r)) @ rng.standard_normal((r, n)) / r**0.5 for r in [rank or min(m, n)] * 2]
    return ((parts[0] + 1j * parts[1] if "complex" in dtype else parts[0]) * scale).astype(dtype)

def square(n, dtype, scale):
    a = matrix(n, n, dtype, scale) + 3 * n**0.5 * scale * np.eye(n, dtype=dtype)
    x, b = helix.tensor(a), helix.tensor(matrix(n, 3, dtype, 1))
    packed, pivots = linalg.lu_factor(x)
    for adjoint, left in itertools.product((False, True), repeat=2):
        right = b if left else b.mT
        got = linalg.lu_solve(packed, pivots, right, left=left, adjoint=adjoint)
        op = a.conj().T if adjoint else a
        close(helix.tensor(op) @ got if left else got @ helix.tensor(op), right.numpy(), 1)
        for upper, unit in itertools.product((False, True), repeat=2):
            triangle = (np.triu if upper else np.tril)(a)
            if unit: triangle = triangle / (9 * n * scale); np.fill_diagonal(triangle, 1)
            for t in (triangle, np.ascontiguousarray(triangle.T).T):
                got = linalg.solve_triangular(helix.tensor(t), right, upper=upper, left=left, unitriangular=unit)
                close(helix.tensor(t) @ got if left else got @ helix.tensor(t), right.numpy(), 1)
    whole = a @ a.conj().T / scale
    for upper in (False, True):
        l = linalg.cholesky(helix.tensor(whole), upper=upper)
        close(l.mH @ l if upper else l @ l.mH, whole, abs(whole).max())
    for hermitian in (False, True):
        mirrored = a + (a.conj().T if hermitian else a.T)
        factor = linalg.ldl_factor(helix.tensor(mirrored), hermitian=hermitian)
        close(helix.tensor(mirrored) @ linalg.ldl_solve(*factor, b, hermitian=hermitian), b.numpy(), 1)
    mirrored = matrix(n, n, dtype, scale); mirrored = mirrored + mirrored.conj().T
    size = n**0.5 * scale * 6
    for half in "LU":
        values, vectors = linalg.eigh(helix.tensor(mirrored), UPLO=half)
        close(vectors * values.unsqueeze(0) @ vectors.mH, mirrored, size)
        close(linalg.eigvalsh(helix.tensor(mirrored), UPLO=half), values.numpy(), size)
    a = matrix(n, n, dtype, scale)
    values, vectors = linalg.eig(helix.tensor(a))
    close(helix.tensor(a).to(vectors.dtype) @ vectors, (vectors * values.unsqueeze(0)).numpy(), size)
    linalg.eigvals(helix.tensor(a))

def any_shape(m, n, dtype, scale, rank):
    a, least = matrix(m, n, dtype, scale, rank), min(m, n)
    x, size = helix.tensor(a), (m * n) ** 0.5 * scale
    for mode in ("reduced", "complete"):
        q, r = linalg.qr(x, mode=mode)
        close(q @ r, a, size)
    linalg.qr(x, mode="r")
    for whole in (False, True):
        u, s, v = linalg.svd(x, full_matrices=whole)
        close(u[:, :least] * s @ v[:least], a, size)
    close(linalg.svdvals(x), s.numpy(), size)
    b = matrix(m, 2, dtype, 1)
    best = np.linalg.lstsq(a.astype("complex128"), b, rcond=1e-4)[0]
    for driver in ("gelsy", "gelsd", "gelss") + (("gels",) if rank is None else ()):
        got = linalg.lstsq(x, helix.tensor(b), rcond=1e-4, driver=driver).solution
        close(x @ got, a @ best, m**0.5)

def gesvd(m, n, dtype):
    # what svd falls back on where divide and conquer does not converge
    kind = dict(float32="s", float64="d", complex64="c", complex128="z")[dtype]
    a, least, word = np.asfortranarray(matrix(m, n, dtype, 1)), min(m, n), lambda x: ctypes.byref(ctypes.c_int(x))
    left, right = np.empty((m, m), dtype, order="F"), np.empty((n, n), dtype, order="F")
    values, info = np.empty(least, a.real.dtype), ctypes.c_int(1)
    work, reals = np.empty(20 * (m + n), dtype), np.empty(5 * least, a.real.dtype)
    at = lambda x: x.ctypes.data_as(ctypes.c_void_p)
    call = getattr(ctypes.CDLL(os.environ["HELIX_BLAS"]), f"scipy_{kind}gesvd_")
    call(b"A", b"A", word(m), word(n), at(a.copy(order="F")), word(m), at(values), at(left), word(m), at(right), word(n), at(work),
         word(work.size), *([at(reals)] if kind in "cz" else []), ctypes.byref(info), ctypes.c_size_t(1), ctypes.c_size_t(1))
    assert info.value == 0, info
    close(helix.tensor(left[:, :least] * values @ right[:least]), a, (m * n) ** 0.5)

for dtype in ("float32", "float64", "complex64", "complex128"):
    small, large = (1e-15, 1e15) if dtype in ("float32", "complex64") else (1e-150, 1e150)
    for n, scale in ((1, 1), (5, 1), (33, 1), (130, 1), (9, small), (9, large)): square(n, dtype, scale)
    for m, n in ((7, 7), (40, 3), (3, 40), (110, 100), (30, 130)):
        any_shape(m, n, dtype, 1, None)
        any_shape(m, n, dtype, 1, 2)
        gesvd(m, n, dtype)
    any_shape(9, 5, dtype, small, None)
    any_shape(5, 9, dtype, large, None)
    for function in (linalg.svd, linalg.eigh, linalg.eig, linalg.lu_factor, linalg.qr, linalg.pinv):
        for n in (4, 60):
            try: function(helix.full((n, n), float("nan")).to(getattr(helix, dtype)))
            except (helix.errors.LinAlgError, ValueError): pass
    a, b = matrix(300, 270, dtype, 1), matrix(270, 290, dtype, 1)
    for left, right in itertools.product((a, np.asfortranarray(a)), (b, np.asfortranarray(b))):
        close(helix.tensor(left) @ helix.tensor(right), a @ b, 300**0.5)
print("all routines")
"""


def own_library() -> Path | None:
    folders = [Path(helix.__file__).parent, Path(helix._core.__file__).resolve().parent]
    return next((path for folder in folders for path in sorted(folder.rglob("libscipy_openblas*"))), None)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the copy is whole on other processors")
@pytest.mark.parametrize("kind", KINDS)
def test_every_routine(kind):
    flags = set(re.search(r"^flags.*", Path("/proc/cpuinfo").read_text(), re.M)[0].split())
    if not flags >= KINDS[kind]:
        pytest.skip(f"this processor cannot run the kernels for {kind}")
    path = own_library()
    assert path, "helix was built without OpenBLAS: pip install scipy-openblas32 before building it"
    program = f"import sys; sys.path.insert(0, {str(Path(helix.__file__).parents[1])!r})\n{PROGRAM}"
    variables = {**os.environ, "HELIX_BLAS": str(path), "OPENBLAS_CORETYPE": kind}
    ran = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "all routines\n"), ran.stderr[-2000:]
