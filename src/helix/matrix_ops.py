"""Linear algebra under the names of helix itself and of Tensor, where these differ from helix.linalg's. They call ops."""

from __future__ import annotations

from typing import Any, NamedTuple

from helix import _core
from helix._core import Tensor
from helix.errors import DTypeError, IndexRangeError, ParameterError, ShapeError
from helix.precision import listed_for_cpu
from helix.shape_ops import broadcast_tensors
from helix.written import fail, into

_op = _core.op_named


def square(name, A):
    """Refuses what is no batch of square matrices."""
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        fail(ShapeError, 1001, name, f"takes square matrices in the last two axes, got shape {tuple(A.shape)}.")


def _eye(like, n, m=None):
    return _op("eye")(n, m, dtype=like.dtype, device=like.device)


def _empty(like):
    return _op("empty")((0,), dtype=like.dtype, device=like.device)


def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant of square matrices; NaN where a real one is negative, -inf where it is 0.

    Example:
        >>> helix.logdet(helix.eye(3)).item()
        0.0
    """
    sign, size = _op("slogdet")(input)
    if sign.is_complex():
        return sign.log() + size
    return _op("where")(sign == -1.0, float("nan"), size)


def cholesky(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The Cholesky factor of Hermitian positive definite matrices, as `helix.linalg.cholesky`.

    Example:
        >>> helix.cholesky(helix.tensor([[4., 2.], [2., 2.]])).tolist()
        [[2.0, 0.0], [1.0, 1.0]]
    """
    return into("cholesky", out, _op("linalg_cholesky")(input, upper=upper))


def cholesky_solve(input: Tensor, input2: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """Solves A X = input, where input2 is the Cholesky factor of A.

    Example:
        >>> L = helix.tensor([[2., 0.], [1., 1.]])
        >>> helix.cholesky_solve(helix.tensor([[4.], [2.]]), L).tolist()
        [[1.0], [0.0]]
    """
    square("cholesky_solve", input2)
    triangular = _op("triangular_base")
    first = triangular(input2, input, upper, True, False, upper)
    return into("cholesky_solve", out, triangular(input2, first, upper, True, False, not upper))


def cholesky_inverse(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The inverse of A, of which `input` is the Cholesky factor.

    Example:
        >>> helix.cholesky_inverse(helix.tensor([[2., 0.], [0., 1.]])).tolist()
        [[0.25, 0.0], [0.0, 1.0]]
    """
    square("cholesky_inverse", input)
    return cholesky_solve(_eye(input, input.shape[-1]), input, upper, out=out)


def qr(input: Tensor, some: bool = True, *, out: Any = None) -> Any:
    """The QR factorization; some=False gives a square Q. Prefer `helix.linalg.qr`.

    Example:
        >>> Q, R = helix.qr(helix.tensor([[3.], [4.]]))
        >>> Q.shape, R.shape
        ((2, 1), (1, 1))
    """
    return into("qr", out, _op("linalg_qr")(input, "reduced" if some else "complete"))


class SVD(NamedTuple):
    U: Tensor
    S: Tensor
    V: Tensor


def svd(input: Tensor, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> SVD:
    """The singular value decomposition input = U diag(S) V^H. Prefer `helix.linalg.svd`, which gives V^H.

    some=False gives square U and V; compute_uv=False gives zeros for them.

    Example:
        >>> helix.svd(helix.tensor([[0., 2.], [1., 0.]])).S.tolist()
        [2.0, 1.0]
    """
    if compute_uv:
        U, S, Vh = _op("linalg_svd")(input, full_matrices=not some)
        return into("svd", out, SVD(U, S, _op("conj")(Vh.mT) if Vh.is_complex() else Vh.mT))
    S, batch = _op("linalg_svdvals")(input), tuple(input.shape[:-2])
    zeros = [_op("new_zeros")(input, (*batch, n, n)) for n in input.shape[-2:]]
    return into("svd", out, SVD(zeros[0], S, zeros[1]))


def lu(A: Tensor, pivot: bool = True, get_infos: bool = False, *, out: Any = None) -> Any:
    """The packed LU factorization: (LU, pivots), and with get_infos LAPACK's info. See also `helix.linalg.lu`.

    Example:
        >>> LU, pivots = helix.lu(helix.tensor([[1., 2.], [2., 2.]]))
        >>> pivots.tolist()
        [2, 2]
    """
    return into("lu", out, _op("linalg_lu_factor_ex" if get_infos else "linalg_lu_factor")(A, pivot=pivot))


def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Solves A X = b from the factors of A, as `helix.linalg.lu_solve`.

    Example:
        >>> A = helix.tensor([[2., 0.], [0., 4.]])
        >>> helix.lu_solve(helix.tensor([[2.], [4.]]), *helix.lu(A)).tolist()
        [[1.0], [1.0]]
    """
    return into("lu_solve", out, _op("linalg_lu_solve")(LU_data, LU_pivots, b))


class Factors(NamedTuple):
    P: Tensor
    L: Tensor
    U: Tensor


def permutation(pivots, rows, like):
    """P of A = P L U."""
    order = _op("lu_order")(pivots, rows)
    return _eye(like, rows)[order].mT


def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True, *, out: Any = None
) -> Factors:
    """P, L and U of packed factors; empty tensors for what is not asked for.

    Example:
        >>> P, L, U = helix.lu_unpack(*helix.lu(helix.tensor([[1., 2.], [2., 2.]])))
        >>> (P @ L @ U).tolist()
        [[1.0, 2.0], [2.0, 2.0]]
    """
    if LU_data.ndim < 2:
        fail(ShapeError, 1001, "lu_unpack", f"takes matrices in the last two axes, got shape {tuple(LU_data.shape)}.")
    if unpack_pivots and LU_pivots.dtype is not _core.int32:
        fail(DTypeError, 1101, "lu_unpack", f"LU_pivots must be int32, got {LU_pivots.dtype.name}.")
    m, n = LU_data.shape[-2:]
    P = permutation(LU_pivots, m, LU_data) if unpack_pivots else _empty(LU_data)
    L = U = _empty(LU_data)
    if unpack_data:
        k = m if m < n else n
        L = LU_data[..., :k].tril(-1) + _eye(LU_data, m, k)
        U = LU_data[..., :k, :].triu()
    return into("lu_unpack", out, Factors(P, L, U))


class Solution(NamedTuple):
    solution: Tensor
    cloned_coefficient: Tensor


def triangular_solve(
    b: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False, *, out: Any = None
) -> Solution:
    """Solves A X = b (A^T X = b with transpose) with triangular A. Prefer `helix.linalg.solve_triangular`.

    Example:
        >>> helix.triangular_solve(helix.tensor([[4.]]), helix.tensor([[2.]])).solution.tolist()
        [[2.0]]
    """
    left = A.mT if transpose else A
    solution = _op("linalg_solve_triangular")(left, b, upper=upper != transpose, unitriangular=unitriangular)
    return into("triangular_solve", out, Solution(solution, A.clone()))


def reflections(V, tau, rows, columns):
    """V, T and the first rows of V^H of H_1 H_2 ... = I - V T V^H, where H_i = I - tau_i v_i v_i^H.

    R. Schreiber and C. Van Loan, "A storage-efficient WY representation for products of Householder transformations", 1989;
    T is (I + D S)^-1 D with D = diag(tau) and S the part of V^H V above the diagonal.
    """
    k = tau.shape[-1]
    V = V[..., :k].tril(-1) + _eye(V, rows, k)
    Vh = _op("conj")(V.mT) if V.is_complex() else V.mT
    system = tau[..., None] * (Vh @ V).triu(1)
    T = _op("triangular_base")(system, _op("diag_embed")(tau), True, True, True, False)
    return V, T, Vh[..., :columns]


@listed_for_cpu("float32")
def orgqr(input: Tensor, tau: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The first columns of the product of Householder reflections H_1 H_2 ..., as `helix.geqrf` gives them.

    input: (..., m, n) with m >= n; its columns hold the reflections' vectors below the diagonal. tau: (..., k), k <= n.

    Example:
        >>> helix.orgqr(*helix.geqrf(helix.tensor([[3.], [4.]]))).abs().tolist()
        [[0.6000000238418579], [0.800000011920929]]
    """
    if input.ndim < 2 or input.shape[-2] < input.shape[-1]:
        fail(
            ShapeError,
            1001,
            "orgqr",
            f"takes matrices with at least as many rows as columns, got {tuple(input.shape)}.",
        )
    if tau.shape[-1] > input.shape[-1] or tau.ndim != input.ndim - 1 or tau.shape[:-1] != input.shape[:-2]:
        fail(ShapeError, 1002, "orgqr", f"tau of shape {tuple(tau.shape)} does not fit input of {tuple(input.shape)}.")
    if tau.dtype is not input.dtype:
        fail(DTypeError, 1101, "orgqr", f"tau must have input's dtype {input.dtype.name}, got {tau.dtype.name}.")
    m, n = input.shape[-2:]
    V, T, first = reflections(input, tau, m, n)
    return into("orgqr", out, _eye(input, m, n) - V @ (T @ first))


@listed_for_cpu("float32")
def ormqr(
    input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """Q other (other Q with left=False; Q^H with transpose), Q the square product of Householder reflections.

    Example:
        >>> helix.ormqr(*helix.geqrf(helix.tensor([[1.], [0.]])), helix.tensor([[5.], [6.]])).tolist()
        [[5.0], [6.0]]
    """
    m = other.shape[-2 if left else -1] if other.ndim > 1 else -1
    if input.ndim < 2 or m != input.shape[-2] or tau.shape[-1] > min(input.shape[-2:]):
        shapes = ", ".join(str(tuple(t.shape)) for t in (input, tau, other))
        fail(ShapeError, 1002, "ormqr", f"input, tau and other do not fit each other: {shapes}.")
    V, T, Vh = reflections(input, tau, m, m)
    if transpose:
        T = _op("conj")(T.mT) if T.is_complex() else T.mT
    return into("ormqr", out, other - V @ (T @ (Vh @ other)) if left else other - ((other @ V) @ T) @ Vh)


def matrix_power(input: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """Square matrices to the power n; negative powers are those of the inverse, and 0 gives the identity.

    Example:
        >>> helix.matrix_power(helix.tensor([[1., 1.], [0., 1.]]), 5).tolist()
        [[1.0, 5.0], [0.0, 1.0]]
    """
    square("matrix_power", input)
    if n == 0:
        everywhere = _op("ones")((), dtype=_core.bool, device=input.device)
        return into("matrix_power", out, _op("where")(everywhere, _eye(input, input.shape[-1]), input))
    base, n = (_op("inverse")(input), -n) if n < 0 else (input, n)
    result = None
    while n:
        if n & 1:
            result = base if result is None else result @ base
        n >>= 1
        base = base @ base if n else base
    return into("matrix_power", out, result.clone() if result is input else result)


def cross(input: Tensor, other: Tensor, dim: int | None = None, *, out: Tensor | None = None) -> Tensor:
    """The vector product along an axis of size 3: dim, or the first such axis.

    Example:
        >>> helix.cross(helix.tensor([1., 0., 0.]), helix.tensor([0., 1., 0.])).tolist()
        [0.0, 0.0, 1.0]
    """
    if dim is None:
        if 3 not in input.shape:
            fail(ShapeError, 1002, "cross", f"no axis of input has size 3, got shape {tuple(input.shape)}.")
        dim = input.shape.index(3) - input.ndim
    return into("cross", out, cross_along("cross", input, other, dim))


def cross_along(name, input, other, dim):
    if input.ndim != other.ndim:
        fail(
            ShapeError, 1001, name, f"takes tensors of as many axes, got {tuple(input.shape)} and {tuple(other.shape)}."
        )
    a, b = broadcast_tensors(input, other)
    if not -a.ndim <= dim < a.ndim:
        fail(IndexRangeError, 1302, name, f"axis {dim} is out of range for {a.ndim} axes.")
    if input.shape[dim] != 3 or other.shape[dim] != 3:
        fail(ShapeError, 1002, name, f"axis {dim} must have size 3, got {tuple(input.shape)} and {tuple(other.shape)}.")
    roll = _op("roll")
    return roll(a, -1, dim) * roll(b, -2, dim) - roll(a, -2, dim) * roll(b, -1, dim)


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudoinverse, as `helix.linalg.pinv` with rtol=rcond.

    Example:
        >>> helix.pinverse(helix.tensor([[2., 0.]])).tolist()
        [[0.5], [0.0]]
    """
    from helix.linalg import pinv

    return pinv(input, rtol=rcond)


def chain_matmul(*matrices: Tensor, out: Tensor | None = None) -> Tensor:
    """The product of matrices in the order that takes the fewest operations, as `helix.linalg.multi_dot`.

    Example:
        >>> helix.chain_matmul(helix.eye(2), helix.ones(2, 1)).tolist()
        [[1.0], [1.0]]
    """
    from helix.linalg import multi_dot

    if len(matrices) == 1 and isinstance(matrices[0], Tensor):
        return matrices[0]
    if not matrices:
        fail(ParameterError, 1403, "chain_matmul", "at least one matrix is needed.")
    return multi_dot(matrices, out=out)


METHODS = {
    f.__name__: f
    for f in (
        logdet,
        cholesky,
        cholesky_solve,
        cholesky_inverse,
        qr,
        svd,
        lu,
        lu_solve,
        triangular_solve,
        orgqr,
        ormqr,
        matrix_power,
        cross,
        pinverse,
    )
}
FUNCTIONS = METHODS | {"lu_unpack": lu_unpack, "chain_matmul": chain_matmul}
_core.add_methods(METHODS)
