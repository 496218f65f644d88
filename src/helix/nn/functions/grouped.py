"""Products of groups of rows, with the products of the gradients grouped as well."""

from __future__ import annotations

from typing import Any

from ... import cat, stack, zeros
from ...autograd import Function
from ...tensor import Tensor

Bounds = list[int]


def by_rows(a: Tensor, b: Tensor, at: Bounds) -> Tensor:
    """(m, k) with (groups, k, n): rows at[g] to at[g + 1] of a times b[g]; zeros behind the last."""
    return _ByRows.apply(a, b, at)


def by_inner(a: Tensor, b: Tensor, at: Bounds) -> Tensor:
    """(m, k) with (k, n): columns at[g] to at[g + 1] of a times the same rows of b, as (groups, m, n)."""
    return _ByInner.apply(a, b, at)


class _ByRows(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, at: Bounds) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.at = at
        parts = [a[i:j] @ matrix for i, j, matrix in zip(at, at[1:], b)]
        if at[-1] < a.shape[0]:
            parts.append(zeros(a.shape[0] - at[-1], b.shape[2], dtype=parts[0].dtype, device=a.device))
        return cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        a, b = ctx.saved_tensors
        need_a, need_b, _ = ctx.needs_input_grad
        for_a = by_rows(gradient, b.transpose(1, 2), ctx.at) if need_a else None
        return for_a, by_inner(a.t(), gradient, ctx.at) if need_b else None, None


class _ByInner(Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, at: Bounds) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.at = at
        return stack([a[:, i:j] @ b[i:j] for i, j in zip(at, at[1:])])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        a, b = ctx.saved_tensors
        need_a, need_b, _ = ctx.needs_input_grad
        for_a = by_rows(b, gradient.transpose(1, 2), ctx.at).t() if need_a else None
        return for_a, by_rows(a.t(), gradient, ctx.at) if need_b else None, None
