"""Products."""

from __future__ import annotations

from math import prod
from typing import Any

import helix

from ..._core import Tensor
from ..table import op
from .common import spread


def guarded_matmul(call: Any, a: Tensor, b: Tensor) -> Tensor:
    rows = a.shape[-2] if a.ndim > 1 else 1
    columns = b.shape[-1] if b.ndim > 1 else 1
    batch = [max(m, n) for m, n in zip([1] * b.ndim + list(a.shape[:-2]), [1] * a.ndim + list(b.shape[:-2]))]
    longer = max(prod(a.shape[:-2]), prod(b.shape[:-2]), prod(batch[-8:]))
    call.require(longer * rows * columns)
    return a @ b


op("MatMul")(guarded_matmul)


@op("Gemm")
def gemm(
    call: Any,
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    broadcast: int = 0,
) -> Tensor:
    a, b = a.transpose(0, 1) if transA else a, b if transB else b.transpose(0, 1)
    call.require(a.shape[0] * b.shape[0])
    floating = a.dtype.is_floating_point
    if c is not None and alpha == beta == 1 and c.ndim == 1 and floating and c.shape[0] == b.shape[0]:
        return helix.nn.functional.linear(a, b, c)
    made = a @ b.transpose(0, 1)
    made = made if alpha == 1 else (made * alpha).to(a.dtype)
    if c is None:
        return made
    spread(call, made, c)
    return made + (c if beta == 1 else (c * beta).to(a.dtype))


@op("Einsum")
def einsum(call: Any, *xs: Tensor, equation: str) -> Tensor:
    sizes: dict[str, int] = {}
    left, _, right = equation.replace(" ", "").partition("->")
    for term, x in zip(left.split(","), xs):
        if "." not in term:
            sizes.update(zip(term, x.shape))
    if "." not in equation:
        call.require(prod(sizes.get(letter, 1) for letter in right))
    return helix.einsum(equation, *xs)
