"""Products and distances: groups of products, convolution of time series, all pairs."""

from __future__ import annotations

from typing import Any

from ... import _core, bmm, triu_indices
from ...errors import ArgumentError, ParameterError, ShapeError
from ...tensor import Tensor
from .refuse import refuse

__all__ = [
    "conv_tbc",
    "grouped_mm",
    "normalize",
    "pdist",
]

_conv1d, _grouped_matmul, _normalize = map(_core.op_named, ("conv1d", "grouped_matmul", "normalize"))


def grouped_mm(
    mat_a: Tensor, mat_b: Tensor, *, offs: Tensor | None = None, bias: Tensor | None = None, out_dtype: Any = None
) -> Tensor:
    """Products of groups of matrices, where `offs` says at which row or column each group ends.

    (m, k) with (groups, k, n): rows of mat_a belong to groups; the result is (m, n). (groups, m, k) with (k, n): columns
    of mat_b do. (m, k) with (k, n): k does, and the result is (groups, m, n). (groups, m, k) with (groups, k, n):
    no offs. What lies beyond the last end is 0. All are floats, offs int32 or int64. Shapes of results do not depend on offs,
    so that a graph holds the product. Fails with HX1103 when offs is missing or too much, with HX1403 when offs falls or ends
    beyond the rows there are.

    Example:
        >>> a, b = helix.ones(3, 2), helix.tensor([[[1.0], [1.0]], [[2.0], [2.0]]])
        >>> helix.nn.functional.grouped_mm(a, b, offs=helix.tensor([1, 3])).flatten().tolist()
        [2.0, 4.0, 4.0]
    """
    ranks = mat_a.ndim, mat_b.ndim
    if not set(ranks) <= {2, 3}:
        refuse(ShapeError, "grouped_mm", f"operands must have 2 or 3 axes, got {ranks[0]} and {ranks[1]}.")
    if (offs is None) != (ranks == (3, 3)):
        refuse(ArgumentError, "grouped_mm", "offs is for operands with 2 axes: it is missing, or none of both has 2.")
    if offs is None:
        result = bmm(mat_a, mat_b)
    elif ranks == (3, 2):
        result = _grouped_matmul(mat_b.t(), mat_a.transpose(1, 2), offs).t()
    else:
        result = _grouped_matmul(mat_a, mat_b, offs)
    if bias is not None:
        result = result + bias
    return result if out_dtype is None else result.to(out_dtype)


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """Convolution of series of shape (time, batch, channels) with weights (width, in_channels, out_channels).

    Example:
        >>> x, w = helix.ones(4, 1, 2), helix.ones(3, 2, 1)
        >>> helix.nn.functional.conv_tbc(x, w, helix.zeros(1)).flatten().tolist()
        [6.0, 6.0]
    """
    if input.ndim != 3 or weight.ndim != 3:
        text = f"input and weight must have 3 axes, got shapes {tuple(input.shape)} and {tuple(weight.shape)}."
        refuse(ShapeError, "conv_tbc", text)
    return _conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad).permute(2, 0, 1)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norms of the differences of all pairs of rows: (0, 1), (0, 2), ..., (n - 2, n - 1).

    Fails with HX1403 for a negative p.

    Example:
        >>> helix.nn.functional.pdist(helix.tensor([[0.0], [3.0], [4.0]])).tolist()
        [3.0, 4.0, 1.0]
    """
    if input.ndim != 2:
        refuse(ShapeError, "pdist", f"input must have 2 axes, got shape {tuple(input.shape)}.")
    if p < 0:
        refuse(ParameterError, "pdist", f"p must not be negative, got {p}.")
    first, second = triu_indices(input.shape[0], input.shape[0], 1, device=input.device)
    return (input[first] - input[second]).norm(p, -1)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None) -> Tensor:
    """input divided by its p-norm along `dim`, or by eps where that is larger.

    Example:
        >>> [round(x, 6) for x in helix.nn.functional.normalize(helix.tensor([[3.0, 4.0]])).tolist()[0]]
        [0.6, 0.8]
    """
    made = _normalize(input, p, dim, eps)
    return made if out is None else out.copy_(made)
