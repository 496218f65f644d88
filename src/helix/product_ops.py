"""Products of tensors over axes that are named by the caller."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from helix import _core
from helix._core import Tensor
from helix.errors import ParameterError, ShapeError
from helix.written import into

_matmul = _core.op_named("matmul")


def _axes(name, tensor, dims):
    """dims as axes counted from the front, each once."""
    axes = [d + tensor.ndim if d < 0 else d for d in dims]
    if any(not 0 <= d < tensor.ndim for d in axes) or len(set(axes)) < len(axes):
        raise ParameterError(
            f"HX1302 tensordot: axes {list(dims)} of {name} with shape {tuple(tensor.shape)} are out of range or "
            "repeated.",
            op="tensordot",
            code="HX1302",
        )
    return axes


def _pairs(a, b, dims):
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ParameterError(
                f"HX1403 tensordot: dims={dims} must lie between 0 and the number of axes of both operands, "
                f"{tuple(a.shape)} and {tuple(b.shape)}.",
                op="tensordot",
                code="HX1403",
            )
        return list(range(a.ndim - dims, a.ndim)), list(range(dims))
    first, second = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(first) != len(second):
        raise ParameterError(
            f"HX1403 tensordot: dims names {len(first)} axes of a and {len(second)} axes of b; they are summed in "
            "pairs.",
            op="tensordot",
            code="HX1403",
        )
    return _axes("a", a, first), _axes("b", b, second)


def tensordot(a: Tensor, b: Tensor, dims: int | Sequence[Sequence[int]] = 2, *, out: Tensor | None = None) -> Tensor:
    """Sums of products over pairs of axes: the rest of `a`'s axes, then the rest of `b`'s.

    dims: a number n (the last n axes of `a` with the first n of `b`), or two lists of axes of equal length.
    Raises ShapeError (HX1002) when the sizes of a pair differ.

    Example:
        >>> helix.tensordot(helix.tensor([[1, 2], [3, 4]]), helix.tensor([[1, 0], [0, 1]]), dims=([0, 1], [1, 0])).item()
        5
    """
    first, second = _pairs(a, b, dims)
    for i, j in zip(first, second):  # a pair of sizes 1 and n: the one is stretched, so the other's terms are added
        if a.shape[i] == 1 and b.shape[j] != 1:
            b = _core.op_named("sum")(b, j, True)
        elif b.shape[j] == 1 and a.shape[i] != 1:
            a = _core.op_named("sum")(a, i, True)
        if a.shape[i] != b.shape[j]:
            raise ShapeError(
                f"HX1002 tensordot: a has size {a.shape[i]} (axis {i} of {tuple(a.shape)}), b has size {b.shape[j]} (axis "
                f"{j} of {tuple(b.shape)}).",
                op="tensordot",
                code="HX1002",
            )
    left = [d for d in range(a.ndim) if d not in first]
    right = [d for d in range(b.ndim) if d not in second]
    rows, columns = [a.shape[d] for d in left], [b.shape[d] for d in right]
    inner = prod(a.shape[d] for d in first)
    product = _matmul(
        a.permute(left + first).reshape(prod(rows), inner), b.permute(second + right).reshape(inner, prod(columns))
    )
    return into("tensordot", out, product.reshape(rows + columns))


FUNCTIONS = {"tensordot": tensordot}
