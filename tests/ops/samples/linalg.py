"""Linear algebra. Values of eigenvectors and singular vectors are those of NumPy, which calls the same routines; gradients by
matrices that are read in one triangle only, or up to the vectors' signs, are in tests/test_linalg.py."""

from typing import Any

import numpy as np

from ..sample import COMPLEX, FLOATS, HALVES, Error, Sample, T

BOTH = FLOATS + COMPLEX
SQUARE = T((2, 3, 3))
WIDE, TALL = T((2, 3, 4)), T((4, 3))
POSITIVE = T((2, 1, 1), low=1.0, high=3.0)
VECTORS = T((2, 3, 2))


def not_square(op: str, *rest: Any, **kwargs: Any) -> Error:
    return Error((T((2, 3)), *rest), "ShapeError", 1001, ("square", "(2, 3)"), kwargs)


def not_matrices(*rest: Any, **kwargs: Any) -> Error:
    return Error((T((3,)), *rest), "ShapeError", 1001, ("at least 2 axes",), kwargs)


def not_floating(*rest: Any, **kwargs: Any) -> Error:
    return Error((T((3, 3), dtype="int64"), *rest), "DTypeError", 1101, ("int64",), kwargs)


def square_errors(op: str) -> tuple[Error, ...]:
    return (not_square(op), not_matrices(), not_floating())


def zeros() -> T:
    return T((2, 2), low=0.0, high=0.0)


def lower(a: np.ndarray) -> np.ndarray:
    """The Hermitian matrix that a lower triangle stands for."""
    below = np.tril(a, -1)
    return below + np.conj(np.swapaxes(below, -1, -2)) + np.eye(a.shape[-1]) * np.diagonal(a, 0, -2, -1).real[..., None]


def svd(a: np.ndarray, full_matrices: bool = True) -> tuple[np.ndarray, ...]:
    """helix hands LAPACK the transposed matrix."""
    u, s, vh = np.linalg.svd(np.swapaxes(a, -1, -2), full_matrices)
    return np.swapaxes(vh, -1, -2), s, np.swapaxes(u, -1, -2)


def eig(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eig(a)
    return values.astype(np.complex128), vectors.astype(np.complex128)


def sample(op: str, *args: Any, **more: Any) -> Sample:
    """Stretched layouts are left out: their matrices are singular."""
    return Sample(op, args, dtypes=more.pop("dtypes", BOTH), layouts=False, rtol=2e-4, atol=2e-4, **more)


SAMPLES = [
    sample("linalg_lu_factor", SQUARE, errors=(not_matrices(), not_floating())),
    sample("linalg_lu_factor", WIDE, name="wide"),
    sample("linalg_lu_factor", TALL, name="tall"),
    sample("linalg_lu_factor_ex", SQUARE, errors=(not_floating(), not_matrices(), Error((zeros(),), "LinAlgError", 1405, ("singular",), {"check_errors": True}))),
    sample(
        "linalg_lu_solve",
        T((2, 3, 3)),
        T((2, 3), dtype="int32", low=3, high=3),
        VECTORS,
        errors=(
            Error((T((3, 3)), T((3,), dtype="int32", low=3, high=3), T((2, 2))), "ShapeError", 1002, ("LU", "(2, 2)")),
            Error((T((3, 3)), T((2,), dtype="int32", low=3, high=3), T((3, 2))), "ShapeError", 1002, ("pivots",)),
            Error((T((3, 3)), T((3,), dtype="int32", low=9, high=9), T((3, 2))), "ParameterError", 1403, ("pivots", "9")),
            Error((T((3, 3)), T((3,), dtype="int64", low=1, high=1), T((3, 2))), "DTypeError", 1101, ("int64",)),
        ),
    ),
    sample("linalg_lu_solve", T((3, 3)), T((3,), dtype="int32", low=3, high=3), T((2, 3)), kwargs={"left": False, "adjoint": True}, name="right"),
    *(
        sample(
            "linalg_solve_triangular",
            T((2, 3, 3), low=1.0, high=2.0),
            T((3, 2) if left else (2, 3)),
            kwargs={"upper": upper, "left": left, "unitriangular": unit},
            name=f"{upper} {left} {unit}",
            errors=(
                not_square("linalg_solve_triangular", T((2, 2)), upper=upper),
                Error((T((3, 3)), T((2, 2))), "ShapeError", 1002, ("A", "B", "(2, 2)"), {"upper": upper}),
                Error((T((2, 3, 3)), T((3, 3, 1))), "ShapeError", 1003, ("(2,)", "(3,)"), {"upper": upper}),
                not_floating(T((3, 3), dtype="int64"), upper=upper),
            ),
        )
        for upper in (False, True)
        for left in (False, True)
        for unit in (False, True)
    ),
    sample("linalg_cholesky", POSITIVE, dtypes=FLOATS, errors=(*square_errors("linalg_cholesky"), Error((zeros(),), "LinAlgError", 1405, ("positive definite",)))),
    sample("linalg_cholesky_ex", POSITIVE, dtypes=FLOATS, kwargs={"upper": True}, errors=(not_floating(), not_square("linalg_cholesky_ex"), Error((zeros(),), "LinAlgError", 1405, ("positive definite",), {"check_errors": True}))),
    sample(
        "linalg_solve",
        SQUARE,
        T((2, 3)),
        errors=(
            not_square("linalg_solve", T((2,))),
            Error((zeros(), T((2,))), "LinAlgError", 1405, ("singular",)),
            Error((T((3, 3)), T((2, 2))), "ShapeError", 1002, ("B", "(2, 2)")),
            Error((T((3, 3)), T((3,))), "ParameterError", 1403, ("left",), {"left": False}),
            not_floating(T((3,), dtype="int64")),
        ),
    ),
    sample("linalg_solve", T((3, 3)), T((2, 3, 2)), name="stretched"),
    sample("linalg_solve", SQUARE, T((2, 2, 3)), kwargs={"left": False}, name="right"),
    sample("linalg_solve_ex", SQUARE, VECTORS, errors=(not_floating(T((3,), dtype="int64")), not_square("linalg_solve_ex", T((2,))), Error((zeros(), T((2,))), "LinAlgError", 1405, ("singular",), {"check_errors": True}))),
    sample("inverse", SQUARE, errors=(*square_errors("inverse"), Error((zeros(),), "LinAlgError", 1405, ("singular",)))),
    sample("linalg_inv_ex", SQUARE, errors=(not_floating(), not_square("linalg_inv_ex"), Error((zeros(),), "LinAlgError", 1405, ("singular",), {"check_errors": True}))),
    sample("det", SQUARE, errors=square_errors("det")),
    sample("slogdet", SQUARE, dtypes=BOTH, errors=square_errors("slogdet")),
    sample("linalg_ldl_factor", T((2, 3, 3)), grad=False, errors=(*square_errors("linalg_ldl_factor"), Error((zeros(),), "LinAlgError", 1405, ("singular",)))),
    sample("linalg_ldl_factor_ex", T((2, 3, 3)), kwargs={"hermitian": True}, dtypes=FLOATS, grad=False, errors=(not_floating(), not_square("linalg_ldl_factor_ex"),)),
    sample(
        "linalg_ldl_solve",
        T((2, 3, 3), low=1.0, high=2.0),
        T((2, 3), dtype="int32", low=3, high=3),
        VECTORS,
        grad=False,
        errors=(
            Error((T((3, 3)), T((3,), dtype="int32", low=3, high=3), T((2, 2))), "ShapeError", 1002, ("LD", "(2, 2)")),
            Error((T((3, 3)), T((2,), dtype="int32", low=3, high=3), T((3, 2))), "ShapeError", 1002, ("pivots",)),
            Error((T((3, 3)), T((3,), dtype="int32", low=9, high=9), T((3, 2))), "ParameterError", 1403, ("pivots", "9")),
        ),
    ),
    sample("matrix_exp", SQUARE, errors=square_errors("matrix_exp")),
    sample("matrix_exp", T((3, 3), low=-9.0, high=9.0), second=False, grad=False, dtypes=("float64", "complex128"), name="squared"),
    Sample("matrix_exp", (T((2, 3, 3), low=-1.0, high=1.0),), grad=False, dtypes=HALVES, layouts=False, name="halves"),
    sample("geqrf", TALL, grad=False, errors=(not_matrices(), not_floating())),
    *(sample("linalg_qr", T(shape), mode, name=f"{shape} {mode}", dtypes=FLOATS if mode != "r" else BOTH, grad=mode == "reduced", errors=(not_matrices(), not_floating(), Error((T((3, 3)), "full"), "ParameterError", 1403, ("full",))))
      for shape in ((2, 3, 3), (4, 3), (3, 4)) for mode in ("reduced", "complete", "r")),
    sample("linalg_eigh", SQUARE, ref=lambda a: np.linalg.eigh(lower(a)), grad=False, errors=square_errors("linalg_eigh")),
    sample("linalg_eigvalsh", SQUARE, ref=lambda a: np.linalg.eigvalsh(lower(a)), grad=False, errors=square_errors("linalg_eigvalsh")),
    sample("linalg_eig", SQUARE, ref=eig, grad=False, dtypes=("float64", "complex128"), errors=square_errors("linalg_eig")),
    sample("linalg_eigvals", SQUARE, ref=lambda a: eig(a)[0], dtypes=("float64", "complex128"), errors=square_errors("linalg_eigvals")),
    sample("linalg_svd", WIDE, ref=svd, grad=False, errors=(not_matrices(), not_floating())),
    sample("linalg_svd", TALL, False, ref=svd, grad=False, name="reduced"),
    sample("linalg_svdvals", WIDE, errors=(not_matrices(), not_floating())),
]
