"""Distances of rows, and the leading singular vectors of large matrices by random projection."""

from __future__ import annotations

from helix import _core
from helix._core import Generator, Tensor
from helix.errors import ParameterError, ShapeError
from helix.precision import listed_for_cpu
from helix.written import fail, need_floating, need_tensors, one_of, op

MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


@listed_for_cpu("float32")
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = MODES[0]) -> Tensor:
    """The p-norms of the differences of every row of x1 and every row of x2: (..., P, M) and (..., R, M) give (..., P, R).

    compute_mode is taken for torch's sake; distances come from the differences themselves, so equal rows are 0 apart.
    Raises ShapeError for rows of different lengths, ParameterError for a negative p.

    Example:
        >>> helix.cdist(helix.tensor([[0.0, 0.0]]), helix.tensor([[3.0, 4.0], [0.0, 1.0]])).tolist()
        [[5.0, 1.0]]
    """
    need_tensors("cdist", x1=x1, x2=x2)
    need_floating("cdist", x1=x1, x2=x2)
    if x1.ndim < 2 or x2.ndim < 2:
        text = f"x1 and x2 must have 2 dimensions or more, got shapes {tuple(x1.shape)} and {tuple(x2.shape)}."
        fail(ShapeError, 1001, "cdist", text)
    if x1.shape[-1] != x2.shape[-1]:
        fail(ShapeError, 1002, "cdist", f"rows have {x1.shape[-1]} and {x2.shape[-1]} numbers.")
    if not p >= 0:
        fail(ParameterError, 1403, "cdist", f"p must not be negative, got {p}.")
    if compute_mode is not None:
        one_of("cdist", "compute_mode", compute_mode, MODES)
    apart = x1.unsqueeze(-2) - x2.unsqueeze(-3)
    if apart.shape[-1] == 0:
        return apart.sum(-1)
    return op("linalg_vector_norm")(apart, p, -1)


def svd_lowrank(A: Tensor, q: int = 6, niter: int = 2, M: Tensor | None = None) -> tuple[Tensor, ...]:
    """About the q largest singular values of matrices with their vectors: (U, S, V), A near U diag(S) V^H.

    By random projection with niter subspace iterations (Halko, Martinsson and Tropp, SIAM Review 2011, algorithm 5.1).
    M is subtracted from A first. Draws from the default generator.

    Example:
        >>> helix.svd_lowrank(helix.eye(4) * 3, q=4)[1].round(decimals=3).tolist()
        [3.0, 3.0, 3.0, 3.0]
    """
    from helix import linalg

    q = 6 if q is None else q
    A = A if M is None else A - M
    wide = A.shape[-2] < A.shape[-1]
    A = A.mH if wide else A
    basis = _basis(A, q, niter)
    U, S, Vh = linalg.svd(op("matmul")(basis.mH, A), full_matrices=False)
    U, V = op("matmul")(basis, U), Vh.mH
    return (V, S, U) if wide else (U, S, V)


def _basis(A, q, niter):
    """Orthonormal columns that nearly span what A reaches."""
    from helix import linalg

    tall = A.shape[-1]
    if not 0 <= q <= min(A.shape[-2], tall):
        size = f"q must lie between 0 and {min(A.shape[-2], tall)}, the smaller size of A, got {q}."
        fail(ParameterError, 1403, "svd_lowrank", size)
    if niter < 0:
        fail(ParameterError, 1403, "svd_lowrank", f"niter must not be negative, got {niter}.")
    start = op("randn")((tall, q), dtype=A.dtype, device=A.device)
    Q = linalg.qr(op("matmul")(A, start)).Q
    for _ in range(niter):
        Q = linalg.qr(op("matmul")(A.mH, Q)).Q
        Q = linalg.qr(op("matmul")(A, Q)).Q
    return Q


def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Tensor, ...]:
    """The q leading principal components of rows: (U, S, V), with the columns' means taken off unless center is False.

    Example:
        >>> U, S, V = helix.pca_lowrank(helix.tensor([[1.0, 1.0], [3.0, 3.0]]), q=1)
        >>> S.round(decimals=3).tolist()
        [2.0]
    """
    smaller = min(A.shape[-2:])
    q = min(6, smaller) if q is None else q
    if not 0 <= q <= smaller:
        fail(
            ParameterError, 1403, "pca_lowrank", f"q must lie between 0 and {smaller}, the smaller size of A, got {q}."
        )
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Draws from the Poisson distribution, with the rate that each element gives.

    By inversion: the least k for which P(X <= k), the regularized upper incomplete gamma function of k + 1 at the rate,
    is above an even draw. Raises ParameterError for a negative rate.

    Example:
        >>> helix.poisson(helix.tensor([0.0, 0.0])).tolist()
        [0.0, 0.0]
    """
    from helix import special

    need_floating("poisson", input=input)
    if bool((input < 0).any()):
        fail(ParameterError, 1403, "poisson", "rates must not be negative.")
    rate = input.detach().to(_core.float64)
    even = op("rand")(rate.shape, dtype=_core.float64, generator=generator, device=input.device)
    reach = 12 * op("sqrt")(rate) + 40
    low, high = (rate - reach).clamp(-1).floor(), (rate + reach).ceil()  # P(X <= low) <= even < P(X <= high)
    for _ in range(int((high - low).max().item()).bit_length() + 1 if rate.numel() else 0):
        middle = op("floor")((low + high) / 2).clamp(0)
        above = special.gammaincc(middle + 1, rate) > even
        low, high = op("where")(above, low, middle), op("where")(above, middle, high)
    return op("where")(rate == 0, 0.0, high).to(input.dtype)


FUNCTIONS = {f.__name__: f for f in (cdist, svd_lowrank, pca_lowrank, poisson)}
