"""Linear algebra: the standard's extension. On stacks of matrices: the last two axes are those of the matrices."""

from __future__ import annotations

from typing import NamedTuple

from helix import _core, dtypes
from helix import linalg as _helix
from helix._core import Tensor
from helix.array_api.creation import eye
from helix.array_api.linear_algebra import matmul, matrix_transpose, tensordot, vecdot
from helix.array_api.rules import array, axes_of, cast, checked, fail, operands
from helix.array_api.statistical import sum as _sum
from helix.errors import ParameterError, ShapeError

__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]

_op = _core.op_named


class EigResult(NamedTuple):
    """What eig gives: matrix @ eigenvectors[:, i] is eigenvalues[i] * eigenvectors[:, i]."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class EighResult(NamedTuple):
    """What eigh gives: matrix @ eigenvectors[:, i] is eigenvalues[i] * eigenvectors[:, i]."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class QRResult(NamedTuple):
    """What qr gives: the matrix is Q @ R."""

    Q: Tensor
    R: Tensor


class SlogdetResult(NamedTuple):
    """What slogdet gives: the determinant is sign * exp(logabsdet)."""

    sign: Tensor
    logabsdet: Tensor


class SVDResult(NamedTuple):
    """What svd gives: the matrix is U * S @ Vh."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def _matrices(function, category, x):
    """x, which must be a matrix or a stack of them."""
    if checked(function, category, x).ndim < 2:
        fail(ShapeError, 1001, function, f"takes matrices, got an array of {x.ndim} dimensions.")
    return x


def cholesky(x, /, *, upper=False):
    """The lower triangle L with x = L @ conj(L).mT of Hermitian positive-definite matrices, or its adjoint with `upper`.

    Takes floating-point dtypes. Raises ValueError for a matrix that is not positive definite.

    Example:
        >>> xp.linalg.cholesky(xp.asarray([[4.0, 2.0], [2.0, 5.0]])).tolist()
        [[2.0, 0.0], [1.0, 2.0]]
    """
    return array(_helix.cholesky(_matrices("cholesky", "floating-point", x), upper=upper))


def cross(x1, x2, /, *, axis=-1):
    """The cross products of vectors of 3 elements along an axis, counted from the back; the other axes broadcast.

    Takes numeric dtypes.

    Example:
        >>> xp.linalg.cross(xp.asarray([1, 0, 0]), xp.asarray([0, 1, 0]))
        Array([0, 0, 1])
    """
    x1, x2 = operands("cross", "numeric", *(checked("cross", "numeric", x) for x in (x1, x2)))
    if not -min(x1.ndim, x2.ndim) <= axis < 0:
        fail(ParameterError, 1302, "cross", f"axis {axis} must count from the back, within the smaller array.")
    if x1.shape[axis] != 3 or x2.shape[axis] != 3:
        text = f"the vectors must have 3 elements, got {x1.shape[axis]} and {x2.shape[axis]}."
        fail(ShapeError, 1002, "cross", text)
    (a1, a2), (b1, b2) = ([_op("roll")(x, -by, axis + x.ndim) for by in (1, 2)] for x in (x1, x2))
    return array(a1 * b2 - a2 * b1)


def det(x, /):
    """The determinants of square matrices. Takes floating-point dtypes.

    Example:
        >>> xp.linalg.det(xp.asarray([[2.0, 0.0], [1.0, 3.0]]))
        Array(6.)
    """
    return array(_helix.det(_matrices("det", "floating-point", x)))


def diagonal(x, /, *, offset=0):
    """The diagonals of matrices, `offset` places above the main one, as a view.

    Example:
        >>> xp.linalg.diagonal(xp.asarray([[1, 2], [3, 4]]))
        Array([1, 4])
    """
    return array(_op("diagonal")(_matrices("diagonal", "any", x), offset, -2, -1))


def eig(x, /):
    """Eigenvalues and eigenvectors of square matrices, as (eigenvalues, eigenvectors), both complex.

    Takes floating-point dtypes.

    Example:
        >>> xp.linalg.eig(xp.asarray([[2.0, 0.0], [0.0, 3.0]])).eigenvalues
        Array([2.+0.j, 3.+0.j])
    """
    found = _helix.eig(_matrices("eig", "floating-point", x))
    return EigResult(array(found[0]), array(found[1]))


def eigh(x, /):
    """Eigenvalues, ascending, and orthonormal eigenvectors of Hermitian matrices, as (eigenvalues, eigenvectors).

    The lower triangle is read. Takes floating-point dtypes.

    Example:
        >>> xp.linalg.eigh(xp.asarray([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
        Array([1., 2.])
    """
    found = _helix.eigh(_matrices("eigh", "floating-point", x))
    return EighResult(array(found[0]), array(found[1]))


def eigvals(x, /):
    """The eigenvalues of square matrices, complex. Takes floating-point dtypes.

    Example:
        >>> xp.linalg.eigvals(xp.asarray([[2.0, 0.0], [0.0, 3.0]]))
        Array([2.+0.j, 3.+0.j])
    """
    return array(_helix.eigvals(_matrices("eigvals", "floating-point", x)))


def eigvalsh(x, /):
    """The eigenvalues of Hermitian matrices, ascending. The lower triangle is read. Takes floating-point dtypes.

    Example:
        >>> xp.linalg.eigvalsh(xp.asarray([[2.0, 0.0], [0.0, 1.0]]))
        Array([1., 2.])
    """
    return array(_helix.eigvalsh(_matrices("eigvalsh", "floating-point", x)))


def inv(x, /):
    """The inverses of square matrices. Takes floating-point dtypes. Raises ValueError for a singular matrix.

    Example:
        >>> xp.linalg.inv(xp.asarray([[2.0, 0.0], [0.0, 4.0]])).tolist()
        [[0.5, 0.0], [0.0, 0.25]]
    """
    return array(_helix.inv(_matrices("inv", "floating-point", x)))


def matrix_norm(x, /, *, keepdims=False, ord="fro"):
    """The norms of matrices: "fro", "nuc", or of order 1, 2, inf, -1, -2 or -inf. Takes floating-point dtypes.

    Example:
        >>> xp.linalg.matrix_norm(xp.asarray([[3.0, 0.0], [0.0, 4.0]])), xp.linalg.matrix_norm(xp.eye(3), ord="nuc")
        (Array(5.), Array(3.))
    """
    x = _matrices("matrix_norm", "floating-point", x)
    return array(_helix.matrix_norm(x, "fro" if ord is None else ord, (-2, -1), keepdims))


def matrix_power(x, n, /):
    """Square matrices to an integer power; a negative one of the inverses. Takes floating-point dtypes.

    Example:
        >>> xp.linalg.matrix_power(xp.asarray([[1.0, 1.0], [0.0, 1.0]]), 3).tolist()
        [[1.0, 3.0], [0.0, 1.0]]
    """
    square = _matrices("matrix_power", "floating-point", x) if n >= 0 else _helix.inv(x)
    if x.shape[-1] != x.shape[-2]:
        fail(ShapeError, 1002, "matrix_power", f"takes square matrices, got an array of shape {x.shape}.")
    result, n = _op("expand")(eye(x.shape[-1], dtype=x.dtype, device=x.device), x.shape), abs(n)
    while n:
        if n & 1:
            result = _op("matmul")(result, square)
        n >>= 1
        square = _op("matmul")(square, square) if n else square
    return array(result)


def _tolerance(x, rtol):
    """What a singular value must exceed, as a part of the largest: a number, or one for each matrix."""
    if rtol is None:
        return max(x.shape[-2:]) * dtypes.finfo(x.dtype).eps
    return checked("rtol", "real floating-point", rtol)[..., None] if isinstance(rtol, Tensor) else rtol


def matrix_rank(x, /, *, rtol=None):
    """How many singular values of matrices exceed `rtol` (by default max(M, N) * eps) times the largest.

    Takes floating-point dtypes.

    Example:
        >>> xp.linalg.matrix_rank(xp.asarray([[1.0, 2.0], [2.0, 4.0]]))
        Array(1)
    """
    values = _helix.svdvals(_matrices("matrix_rank", "floating-point", x))
    if values.shape[-1] == 0:
        return array(_op("zeros")(x.shape[:-2], dtype=_core.int64, device=x.device))
    counted = values > _op("amax")(values, (-1,), True) * _tolerance(x, rtol)
    return array(_op("sum")(cast(counted, _core.int64), (-1,)))


def outer(x1, x2, /):
    """The outer product of two vectors. Takes numeric dtypes.

    Example:
        >>> xp.linalg.outer(xp.asarray([1, 2]), xp.asarray([3, 4])).tolist()
        [[3, 4], [6, 8]]
    """
    x1, x2 = operands("outer", "numeric", *(checked("outer", "numeric", x) for x in (x1, x2)))
    if x1.ndim != 1 or x2.ndim != 1:
        fail(ShapeError, 1001, "outer", f"takes vectors, got arrays of {x1.ndim} and {x2.ndim} dimensions.")
    return array(x1[:, None] * x2)


def pinv(x, /, *, rtol=None):
    """The pseudo-inverses of matrices: singular values up to `rtol` times the largest count as 0.

    rtol: a number, or an array with one for each matrix; by default max(M, N) * eps. Takes floating-point dtypes.

    Example:
        >>> xp.linalg.pinv(xp.asarray([[2.0, 0.0], [0.0, 0.0]])).tolist()
        [[0.5, 0.0], [0.0, 0.0]]
    """
    x = _matrices("pinv", "floating-point", x)
    return array(_helix.pinv(x) if rtol is None else _helix.pinv(x, rtol=rtol))


def qr(x, /, *, mode="reduced"):
    """Matrices as Q @ R, of Q with orthonormal columns and R, an upper triangle.

    mode: "reduced" (Q is M x K and R is K x N, for K = min(M, N)) or "complete" (M x M and M x N). Takes floating-point dtypes.

    Example:
        >>> found = xp.linalg.qr(xp.ones((3, 2)))
        >>> found.Q.shape, found.R.shape
        ((3, 2), (2, 2))
    """
    if mode not in ("reduced", "complete"):
        fail(ParameterError, 1403, "qr", f'mode must be "reduced" or "complete", got {mode!r}.')
    found = _helix.qr(_matrices("qr", "floating-point", x), mode)
    return QRResult(array(found[0]), array(found[1]))


def slogdet(x, /):
    """Signs of the determinants of square matrices, and logarithms of their sizes, as (sign, logabsdet).

    Takes floating-point dtypes.

    Example:
        >>> xp.linalg.slogdet(xp.asarray([[-1.0, 0.0], [0.0, 1.0]]))
        SlogdetResult(sign=Array(-1.), logabsdet=Array(0.))
    """
    found = _helix.slogdet(_matrices("slogdet", "floating-point", x))
    return SlogdetResult(array(found[0]), array(found[1]))


def solve(x1, x2, /):
    """The solutions of x1 @ result = x2, for square matrices x1. x2 is a vector, or a stack of matrices that broadcasts.

    Takes floating-point dtypes. Raises ValueError for a singular matrix.

    Example:
        >>> xp.linalg.solve(xp.asarray([[2.0, 0.0], [0.0, 4.0]]), xp.asarray([2.0, 2.0]))
        Array([1.0, 0.5])
    """
    _matrices("solve", "floating-point", x1)
    x1, x2 = operands("solve", "floating-point", x1, checked("solve", "floating-point", x2))
    if x2.ndim == x1.ndim - 1 and x2.ndim > 1:  # which torch's rules may take for a stack of vectors
        x2 = x2[None]
    return array(_helix.solve(x1, x2))


def svd(x, /, *, full_matrices=True):
    """Matrices as U * S @ Vh, of U and Vh with orthonormal columns and rows, and singular values S, descending.

    full_matrices: U is M x M and Vh is N x N; else M x K and K x N, for K = min(M, N). Takes floating-point dtypes.

    Example:
        >>> xp.linalg.svd(xp.asarray([[3.0, 0.0], [0.0, 4.0]])).S
        Array([4., 3.])
    """
    found = _helix.svd(_matrices("svd", "floating-point", x), full_matrices)
    return SVDResult(*(array(part) for part in found))


def svdvals(x, /):
    """The singular values of matrices, descending. Takes floating-point dtypes.

    Example:
        >>> xp.linalg.svdvals(xp.asarray([[3.0, 0.0], [0.0, 4.0]]))
        Array([4., 3.])
    """
    return array(_helix.svdvals(_matrices("svdvals", "floating-point", x)))


def trace(x, /, *, offset=0, dtype=None):
    """The sums of the diagonals of matrices, `offset` places above the main ones. Integers are summed in 64 bits.

    Takes numeric dtypes.

    Example:
        >>> xp.linalg.trace(xp.asarray([[1, 2], [3, 4]]))
        Array(5)
    """
    return _sum(diagonal(_matrices("trace", "numeric", x), offset=offset), axis=-1, dtype=dtype)


def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    """The norms of vectors along the axes (all by default), of any order: the ord-th root of the sum of abs(x)**ord.

    ord: inf gives the largest size, -inf the smallest, 0 the number of elements that are not 0. Takes floating-point dtypes.

    Example:
        >>> xp.linalg.vector_norm(xp.asarray([[3.0, 4.0], [0.0, 2.0]]), axis=1)
        Array([5., 2.])
    """
    x = checked("vector_norm", "floating-point", x)
    axes = axes_of("vector_norm", axis, x.ndim)
    if not axes:
        x, axes, keepdims = x[..., None], (-1,), False
    return array(_op("linalg_vector_norm")(_op("abs")(x) if x.dtype.is_complex else x, ord, axes, keepdims))
