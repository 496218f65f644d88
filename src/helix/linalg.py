"""helix.linalg: linear algebra on batches of matrices, under torch.linalg's names.

Factorizations, systems and determinants are ops of the core (records marked HX_LINALG) that call LAPACK. The functions
here are made of ops, and so are their gradients. `out` is a tensor, or one for each result.
"""

from __future__ import annotations

from collections import namedtuple
from math import inf, prod

from helix import _core
from helix._core import Tensor
from helix.dtypes import finfo
from helix.errors import IndexRangeError, LinAlgError, ParameterError, ShapeError
from helix.matrix_ops import cross_along, lu_unpack, orgqr, square
from helix.matrix_ops import matrix_power as matrix_power
from helix.precision import listed_for_cpu as _listed_for_cpu
from helix.shape_ops import broadcast_shapes
from helix.written import fail, into

globals().update(_core.linalg_functions())

_op = _core.op_named


def _need_matrices(name, A):
    if A.ndim < 2:
        fail(ShapeError, 1001, name, f"takes matrices in the last two axes, got shape {tuple(A.shape)}.")


def _axis(name, dim, ndim):
    if not -ndim <= dim < ndim:
        fail(IndexRangeError, 1302, name, f"axis {dim} is out of range for {ndim} axes.")
    return dim % ndim


# ---- norms ----


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None, out=None):
    """The norm (sum of |x|^ord)^(1/ord) of vectors: of all elements, or over the axes dim.

    ord: any number; inf takes the largest |x|, -inf the smallest, 0 counts what is not zero. dtype: x is cast to it first.
    Takes floating and complex tensors.

    Example:
        >>> helix.linalg.vector_norm(helix.tensor([3., 4.])).item()
        5.0
    """
    x = x if dtype is None else x.to(dtype)
    size = x.abs() if x.is_complex() else x
    return into("linalg.vector_norm", out, _op("linalg_vector_norm")(size, ord, dim, keepdim))


_SUMS = {1: -2, inf: -1}  # the norms that are largest or smallest sums: the axis that is summed


def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None, out=None):
    """A norm of matrices, in the two axes dim.

    ord: "fro" (Frobenius), "nuc" (sum of singular values), 2 and -2 (largest and smallest singular value), 1 and -1 (largest
    and smallest sum of a column), inf and -inf (of a row). dtype: A is cast to it first.

    Example:
        >>> A = helix.tensor([[1., -2.], [3., 4.]])
        >>> [helix.linalg.matrix_norm(A, ord).item() for ord in (1, float("inf"))]
        [6.0, 7.0]
    """
    _need_matrices("linalg.matrix_norm", A)
    if isinstance(dim, int) or len(dim) != 2:
        fail(ParameterError, 1403, "linalg.matrix_norm", f"dim must be two axes, got {dim!r}.")
    rows, columns = (_axis("linalg.matrix_norm", d, A.ndim) for d in dim)
    if rows == columns:
        fail(ParameterError, 1403, "linalg.matrix_norm", f"dim must be two different axes, got {dim!r}.")
    A = A if dtype is None else A.to(dtype)
    if ord == "fro":
        return vector_norm(A, 2, (rows, columns), keepdim, out=out)
    if ord in ("nuc", 2, -2):
        S = _op("linalg_svdvals")(_op("movedim")(A, (rows, columns), (-2, -1)))
        result = S.sum(-1) if ord == "nuc" else _largest(S, ord > 0)
        return into("linalg.matrix_norm", out, _with_axes(result, sorted((rows, columns))) if keepdim else result)
    if not isinstance(ord, (int, float)) or abs(ord) not in _SUMS:
        fail(
            ParameterError,
            1403,
            "linalg.matrix_norm",
            f"ord must be 'fro', 'nuc', 1, 2, inf or -1, -2, -inf, got {ord!r}.",
        )
    if not A.is_floating_point() and not A.is_complex():
        fail(ParameterError, 1101, "linalg.matrix_norm", f"takes floating and complex tensors, got {A.dtype.name}.")
    summed, left = (rows, columns) if _SUMS[abs(ord)] == -2 else (columns, rows)
    sums = A.abs().sum(summed, True)
    result = _op("amax" if ord > 0 else "amin")(sums, left, True)
    return into("linalg.matrix_norm", out, result if keepdim else _op("squeeze")(result, (rows, columns)))


def _largest(S, largest):
    return _op("amax" if largest else "amin")(S, -1)


def _with_axes(t, axes):
    for axis in axes:
        t = _op("unsqueeze")(t, axis)
    return t


def norm(A, ord=None, dim=None, keepdim=False, *, out=None, dtype=None):
    """A norm of vectors or matrices: `vector_norm` for one axis, `matrix_norm` for two.

    Without ord it is the Euclidean norm over dim, or of all elements. With ord and without dim, A has one or two axes.

    Example:
        >>> helix.linalg.norm(helix.tensor([[3., 0.], [0., 4.]])).item()
        5.0
    """
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype, out=out)
    axes = dim if dim is None or isinstance(dim, int) else tuple(dim)
    if dim is None:
        if A.ndim not in (1, 2):
            fail(
                ShapeError,
                1001,
                "linalg.norm",
                f"takes vectors and matrices where dim is not given, got {tuple(A.shape)}.",
            )
        axes = tuple(range(-A.ndim, 0))
    if not isinstance(axes, int) and len(axes) == 2:
        return matrix_norm(A, ord, axes, keepdim, dtype=dtype, out=out)
    if isinstance(ord, str):
        fail(ParameterError, 1403, "linalg.norm", f"ord={ord!r} is a norm of matrices, and dim names {axes!r}.")
    return vector_norm(A, ord, axes, keepdim, dtype=dtype, out=out)


def cond(A, p=None, *, out=None):
    """The condition number of matrices: how far A x can change relative to x; infinite where A is singular.

    p: 2 (the default) and -2 divide singular values; "fro", "nuc", 1, -1, inf and -inf multiply that norm of A (which is
    square then) and of its inverse.

    Example:
        >>> helix.linalg.cond(helix.tensor([[4., 0.], [0., 2.]])).item()
        2.0
    """
    _need_matrices("linalg.cond", A)
    if p is None or p in (2, -2):
        S = _op("linalg_svdvals")(A)
        if not S.shape[-1]:
            return into("linalg.cond", out, S.sum(-1))
        least, most = _op("amin")(S, -1), _op("amax")(S, -1)
        return into("linalg.cond", out, least / most if p == -2 else most / least)
    square("linalg.cond", A)
    if not A.numel():
        return into("linalg.cond", out, A.abs().sum((-2, -1)))
    inverse, info = _op("linalg_inv_ex")(A)
    result = matrix_norm(A, p) * matrix_norm(inverse if p != "nuc" else _finite(inverse, info), p)
    return into("linalg.cond", out, _op("where")(info == 0, result, inf))


def _finite(inverse, info):
    """With zeros in place of inverses that do not exist, so that they have singular values."""
    return _op("where")((info == 0)[..., None, None], inverse, 0.0)


# ---- rank and pseudoinverse ----


def _tolerances(name, A, atol, rtol):
    """atol and rtol as real tensors; rtol is eps times the larger side unless one of them is given."""
    real = A.abs() if A.is_complex() else A
    usual = finfo(A.dtype).eps * max(A.shape[-2:]) if A.numel() else 0.0
    as_tensor = lambda t: _op("new_full")(real.detach(), (), t) if not isinstance(t, Tensor) else t.to(real.dtype)  # noqa: E731
    if any(isinstance(t, Tensor) and t.is_complex() for t in (atol, rtol)):
        fail(ParameterError, 1101, name, "tolerances must be real.")
    if rtol is None and isinstance(atol, Tensor):
        rtol = _op("where")(atol > 0, 0.0, usual)
    elif rtol is None:
        rtol = usual if atol is None or atol <= 0 else 0.0
    return as_tensor(0.0 if atol is None else atol), as_tensor(rtol)


def _values(A, hermitian):
    return _op("linalg_eigvalsh")(A).abs() if hermitian else _op("linalg_svdvals")(A)


def matrix_rank(A, tol=None, hermitian=False, *, atol=None, rtol=None, out=None):
    """How many singular values of a matrix are above max(atol, rtol * the largest): int64.

    atol, rtol: numbers or tensors, one for each matrix; by default 0 and eps * max(m, n). tol is an old name of atol.
    hermitian: A is Hermitian, and its eigenvalues are taken, from the lower triangle.

    Example:
        >>> helix.linalg.matrix_rank(helix.tensor([[1., 2.], [2., 4.]])).item()
        1
    """
    _need_matrices("linalg.matrix_rank", A)
    atol, rtol = _tolerances("linalg.matrix_rank", A, tol if atol is None else atol, 0.0 if tol is not None else rtol)
    S = _values(A.detach(), hermitian)
    if not S.shape[-1]:
        return into("linalg.matrix_rank", out, _op("zeros")(tuple(S.shape[:-1]), dtype=_core.int64, device=A.device))
    limit = _op("maximum")(atol[..., None], rtol[..., None] * _op("amax")(S, -1, True))
    return into("linalg.matrix_rank", out, (limit < S).sum(-1))


def pinv(A, rcond=None, hermitian=False, *, atol=None, rtol=None, out=None):
    """The pseudoinverse of matrices, in which singular values up to max(atol, rtol * the largest) count as 0.

    atol, rtol: numbers or tensors, one for each matrix; by default 0 and eps * max(m, n). rcond is an old name of rtol.
    hermitian: A is Hermitian, and is read in its lower triangle.

    Example:
        >>> helix.linalg.pinv(helix.tensor([[2., 0.], [0., 0.]])).tolist()
        [[0.5, 0.0], [0.0, 0.0]]
    """
    _need_matrices("linalg.pinv", A)
    atol, rtol = _tolerances("linalg.pinv", A, atol, rcond if rtol is None else rtol)
    return into("linalg.pinv", out, _op("pinv_base")(A, atol, rtol, hermitian))


# ---- least squares ----

LeastSquares = namedtuple("LeastSquares", ("solution", "residuals", "rank", "singular_values"))


def lstsq(A, B, rcond=None, *, driver=None, out=None):
    """X with the least |A X - B|, and the shortest such X where there are several.

    A: (..., m, n); B: (..., m, k), or (..., m) for vectors. driver: LAPACK's gelsy (by default), gelsd, gelss, or gels, which
    takes A to be of full rank. rcond: singular values below it times the largest count as 0 (by default eps * max(m, n)).
    residuals are the squared lengths |A X - B|^2 where m > n and the rank is n (not with gelsy), else empty; rank is empty
    with gels; singular_values are those that gelsd and gelss find.

    Example:
        >>> A, B = helix.tensor([[1., 0.], [1., 1.], [1., 2.]]), helix.tensor([[1.], [3.], [5.]])
        >>> [round(x, 3) for x in helix.linalg.lstsq(A, B).solution.flatten().tolist()]
        [1.0, 2.0]
    """
    _need_matrices("linalg.lstsq", A)
    driver = "gelsy" if driver is None else driver
    if driver not in ("gels", "gelsy", "gelsd", "gelss"):
        fail(ParameterError, 1403, "linalg.lstsq", f"driver must be gels, gelsy, gelsd or gelss, got {driver!r}.")
    vectors = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    B = B[..., None] if vectors else B
    m, n = A.shape[-2:]
    if B.ndim < 2 or B.shape[-2] != m:
        fail(ShapeError, 1002, "linalg.lstsq", f"A has {m} rows, and B has shape {tuple(B.shape)}.")
    shape = broadcast_shapes(A.shape[:-2], B.shape[:-2])
    A, B = (_op("expand")(t, (*shape, *t.shape[-2:])) for t in (A, B))
    usual = finfo(A.dtype).eps * max(m, n) if A.is_floating_point() or A.is_complex() else 0.0
    X, rank, S, info = _op("lstsq_base")(A, B, usual if rcond is None else float(rcond), driver)
    if info.numel() and (info != 0).any().item():
        fail(LinAlgError, 1405, "linalg.lstsq", "A is not of full rank, or it or B holds NaN or infinite elements.")
    full = m > n and driver != "gelsy" and (driver == "gels" or (rank == n).all().item())
    difference = A @ X - B if full else None
    residuals = (difference * difference.conj()).real.sum(-2) if full else X.flatten()[:0].abs()
    result = LeastSquares(
        X[..., 0] if vectors else X,
        residuals,
        _empty(rank) if driver == "gels" else rank,
        S if driver in ("gelsd", "gelss") else _empty(S),
    )
    return into("linalg.lstsq", out, result)


def _empty(like):
    return _op("empty")((0,), dtype=like.dtype, device=like.device)


# ---- factors ----

Factors = namedtuple("Factors", ("P", "L", "U"))


def lu(A, *, pivot=True, out=None):
    """A = P L U with a permutation P, unit lower L and upper U; pivot=False exchanges no rows, and P is empty.

    Example:
        >>> P, L, U = helix.linalg.lu(helix.tensor([[1., 2.], [2., 2.]]))
        >>> U.tolist()
        [[2.0, 2.0], [0.0, 1.0]]
    """
    factors, pivots, _ = _op("linalg_lu_factor_ex")(A, pivot=pivot)
    return into("linalg.lu", out, Factors(*lu_unpack(factors, pivots, True, pivot)))


def householder_product(A, tau, *, out=None):
    """The first columns of the product of Householder reflections, as `helix.geqrf` gives them; also `helix.orgqr`.

    A: (..., m, n) with m >= n, whose columns hold the reflections' vectors below the diagonal; tau: (..., k) with k <= n.

    Example:
        >>> helix.linalg.householder_product(*helix.geqrf(helix.tensor([[3.], [4.]]))).abs().tolist()
        [[0.6000000238418579], [0.800000011920929]]
    """
    return orgqr(A, tau, out=out)


# ---- products ----


def matmul(input, other, *, out=None):
    """The matrix product; as `helix.matmul`.

    Example:
        >>> helix.linalg.matmul(helix.tensor([[1., 2.]]), helix.tensor([1., 1.])).tolist()
        [3.0]
    """
    return _op("matmul")(input, other, **({} if out is None else {"out": out}))


@_listed_for_cpu(None)
def vecdot(x, y, *, dim=-1, out=None):
    """The inner products of vectors along an axis, x conjugated; the other axes are stretched to each other.

    Example:
        >>> helix.linalg.vecdot(helix.tensor([1j, 1]), helix.tensor([1j, 2])).item()
        (3+0j)
    """
    x = x.conj() if x.is_complex() else x
    if dim in (-1, x.ndim - 1) and x.ndim == y.ndim == 1:
        return into("linalg.vecdot", out, _op("dot")(x, y))
    dtype = x.dtype
    if dtype is y.dtype and dtype.name in ("float16", "bfloat16"):  # whose products would be rounded one by one
        return into("linalg.vecdot", out, (x.to("float32") * y.to("float32")).sum(dim).to(dtype))
    return into("linalg.vecdot", out, (x * y).sum(dim))


def cross(input, other, *, dim=-1, out=None):
    """The vector product of vectors of 3 elements, along an axis.

    Example:
        >>> helix.linalg.cross(helix.tensor([1., 0., 0.]), helix.tensor([0., 1., 0.])).tolist()
        [0.0, 0.0, 1.0]
    """
    return into("linalg.cross", out, cross_along("linalg.cross", input, other, dim))


def _chain(sizes):
    """Where to cut a product of matrices sizes[i] x sizes[i + 1] for the fewest operations: {(first, last): cut}."""
    count = len(sizes) - 1
    cost, cut = {(i, i): 0 for i in range(count)}, {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            ways = [cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1] for k in range(i, j)]
            cost[i, j] = min(ways)
            cut[i, j] = i + ways.index(cost[i, j])
    return cut


def multi_dot(tensors, *, out=None):
    """The product of two or more matrices in the order that takes the fewest operations.

    The first may be a vector, which is a row, and the last one, which is a column.

    Example:
        >>> helix.linalg.multi_dot([helix.ones(2), helix.eye(2), helix.ones(2)]).item()
        2.0
    """
    tensors = list(tensors)
    if len(tensors) < 2:
        fail(ParameterError, 1403, "linalg.multi_dot", f"takes at least 2 tensors, got {len(tensors)}.")
    first, last = tensors[0].ndim == 1, tensors[-1].ndim == 1
    if first:
        tensors[0] = tensors[0][None]
    if last:
        tensors[-1] = tensors[-1][:, None]
    for t in tensors:
        if t.ndim != 2:
            fail(
                ShapeError,
                1001,
                "linalg.multi_dot",
                f"takes matrices (vectors at the ends), got shape {tuple(t.shape)}.",
            )
    for a, b in zip(tensors, tensors[1:]):
        if a.shape[1] != b.shape[0]:
            fail(ShapeError, 1002, "linalg.multi_dot", f"{tuple(a.shape)} and {tuple(b.shape)} do not fit each other.")
    cut = _chain([t.shape[0] for t in tensors] + [tensors[-1].shape[1]])

    def product(i, j):
        return tensors[i] if i == j else product(i, cut[i, j]) @ product(cut[i, j] + 1, j)

    result = product(0, len(tensors) - 1)
    result = result[0] if first else result
    return into("linalg.multi_dot", out, result[..., 0] if last else result)


def vander(x, *, N=None):
    """The powers 0 to N - 1 of every element (N: by default as many as the last axis has), along a new last axis.

    Example:
        >>> helix.linalg.vander(helix.tensor([2, 3])).tolist()
        [[1, 2], [1, 3]]
    """
    x = x if x.ndim else x[None]
    N = x.shape[-1] if N is None else N
    if (0 if x.shape[-1] == N else 2) > N:
        fail(ParameterError, 1403, "linalg.vander", f"N must be at least 2, got {N}.")
    if not N:
        return _op("new_empty")(x, (*x.shape, 0))
    ones = _op("ones_like")(x[..., None])
    ones = ones.to(_core.int64) if not (x.is_floating_point() or x.is_complex()) else ones
    columns = [ones, _op("expand")(x[..., None], (*x.shape, N - 1))]
    return _op("cumprod")(_op("cat")(columns, -1), -1)


def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """The diagonals of matrices, as a view.

    Example:
        >>> helix.linalg.diagonal(helix.tensor([[1, 2], [3, 4]])).tolist()
        [1, 4]
    """
    return _op("diagonal")(A, offset, dim1, dim2)


# ---- tensors as matrices ----


def tensorinv(A, ind=2, *, out=None):
    """The inverse of A as a map of its last axes to its first `ind` axes, whose sizes have the same product.

    Example:
        >>> helix.linalg.tensorinv(helix.eye(4).reshape(2, 2, 4)).shape
        (4, 2, 2)
    """
    if ind <= 0:
        fail(ParameterError, 1403, "linalg.tensorinv", f"ind must be positive, got {ind}.")
    rows, columns = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if prod(rows) != prod(columns):
        fail(ShapeError, 1002, "linalg.tensorinv", f"the sizes {rows} and {columns} must have the same product.")
    flat = _op("inverse")(A.reshape(prod(rows), prod(columns)))
    return into("linalg.tensorinv", out, flat.reshape(*columns, *rows))


def tensorsolve(A, B, dims=None, *, out=None):
    """X of tensordot(A, X, X.ndim) = B. dims: axes of A that are moved to its end first.

    Example:
        >>> helix.linalg.tensorsolve(helix.eye(4).reshape(2, 2, 4), helix.ones(2, 2)).tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    if dims is not None:
        axes = [_axis("linalg.tensorsolve", d, A.ndim) for d in dims]
        A = _op("permute")(A, [d for d in range(A.ndim) if d not in axes] + axes)
    shape = tuple(A.shape[B.ndim :])
    if prod(A.shape[: B.ndim]) != prod(shape) or B.numel() != prod(shape):
        fail(
            ShapeError,
            1002,
            "linalg.tensorsolve",
            f"A of {tuple(A.shape)} and B of {tuple(B.shape)} do not fit each other.",
        )
    flat = _op("linalg_solve")(A.reshape(B.numel(), prod(shape)), B.reshape(B.numel()))
    return into("linalg.tensorsolve", out, flat.reshape(shape))


__all__ = sorted(
    {*_core.linalg_functions()} - {"inverse"}
    | {"LinAlgError", "cond", "cross", "diagonal", "householder_product", "lstsq", "lu", "matmul", "matrix_norm"}
    | {"matrix_power", "matrix_rank", "multi_dot", "norm", "pinv", "tensorinv", "tensorsolve", "vander", "vecdot"}
    | {"vector_norm"}
)
