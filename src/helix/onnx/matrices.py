"""Factorisations of matrices as scans over their columns, for what ONNX has no operator for."""

from __future__ import annotations

from typing import Any

import helix

from .._core import Tensor
from ..graph.control import scan

Pair = tuple[Tensor, Tensor]


def _one(x: Tensor, dim: int, k: Tensor) -> Tensor:
    """Row or column k, with its axis kept."""
    return x.index_select(dim, k.reshape(1))


def _first(info: Tensor, k: Tensor, failed: Tensor) -> Tensor:
    """The first step that failed, counted from 1."""
    return helix.where((info == 0) & failed, (k + 1).to(helix.int32), info)


def lu(A: Tensor, pivot: bool) -> tuple[Tensor, Tensor, Tensor]:
    """L below the diagonal and U above, in one matrix; with which row each was exchanged; the first pivot that is 0.

    Gaussian elimination, the largest element of what is left of a column first.
    """
    rows, columns = (helix.arange(size) for size in A.shape[-2:])
    tall, wide = rows.unsqueeze(-1), columns.unsqueeze(0)
    steps = helix.arange(min(A.shape[-2:]))

    def step(carry: Pair, k: Tensor) -> tuple[Pair, Tensor]:
        M, info = carry
        column = _one(M, -1, k).squeeze(-1)
        size = column.real.abs() + column.imag.abs() if column.is_complex() else column.abs()
        left = helix.where(rows >= k, size, -1.0)
        chosen = left.argmax(-1, True) if pivot else (left * 0).to(helix.int64).sum(-1, True) + k
        source = helix.where(rows == k, chosen, helix.where(rows == chosen, k, rows))
        M = M.gather(-2, source.unsqueeze(-1).expand(M.shape))
        row = _one(M, -2, k)
        divisor = _one(row, -1, k)
        failed = divisor == 0
        factor = helix.where(tall > k, _one(M, -1, k) / helix.where(failed, 1.0, divisor), 0.0)
        M = helix.where((tall > k) & (wide == k), factor, M - factor * helix.where(wide > k, row, 0.0))
        return (M, _first(info, k, failed.squeeze((-1, -2)))), chosen.squeeze(-1).to(helix.int32) + 1

    info = helix.zeros(A.shape[:-2], dtype=helix.int32)
    (made, info), pivots = scan(step, (A, info), steps)
    return made, pivots.movedim(0, -1), info


def order(pivots: Tensor, rows: int) -> tuple[Tensor]:
    """Where each row was before all exchanges."""
    places = helix.arange(rows)

    def step(now: Tensor, exchange: Pair) -> Pair:
        k, other = exchange
        other = other.unsqueeze(-1).to(helix.int64) - 1
        source = helix.where(places == k, other, helix.where(places == other, k, places))
        return now.gather(-1, source), k

    exchanges = (helix.arange(pivots.shape[-1]), pivots.movedim(-1, 0))
    return (scan(step, places.expand((*pivots.shape[:-1], rows)), exchanges)[0],)


def triangular(A: Tensor, B: Tensor, upper: bool, left: bool, unit: bool, adjoint: bool) -> tuple[Tensor]:
    """X of A X = B, or of X A = B, row after row."""
    if adjoint:
        A, upper = A.mH, not upper
    if not left:
        (made,) = triangular(A.mT, B.mT, not upper, True, unit, False)
        return (made.mT,)
    batch = helix.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    A, B = (x.expand((*batch, *x.shape[-2:])) for x in (A, B))
    places = helix.arange(A.shape[-1])

    def step(X: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        row = _one(A, -2, k)
        known = helix.where(places > k if upper else places < k, row, 0.0)
        x = _one(B, -2, k) - known @ X
        x = x if unit else x / _one(row, -1, k)
        return helix.where(places.unsqueeze(-1) == k, x, X), k

    return (scan(step, B * 0, places, upper)[0],)


def cholesky(A: Tensor, upper: bool) -> tuple[Tensor, Tensor]:
    """L of A = L L^H, column after column; the first of them that is not positive."""
    A = A.mH if upper else A
    places = helix.arange(A.shape[-1])
    tall, wide = places.unsqueeze(-1), places.unsqueeze(0)

    def step(carry: Pair, k: Tensor) -> tuple[Pair, Tensor]:
        L, info = carry
        column = _one(A, -1, k) - L @ _one(L, -2, k).mH
        square = _one(column, -2, k).real if column.is_complex() else _one(column, -2, k)
        L = helix.where((wide == k) & (tall >= k), column / square.sqrt(), L)
        return (L, _first(info, k, ~(square > 0).squeeze((-1, -2)))), k

    (L, info), _ = scan(step, (A * 0, helix.zeros(A.shape[:-2], dtype=helix.int32)), places)
    return L.mH if upper else L, info


OWN: dict[str, Any] = {"lu_base": lu, "lu_order": order, "triangular_base": triangular, "cholesky_base": cholesky}
