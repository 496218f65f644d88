"""embedding and embedding_bag with torch's further keywords."""

from __future__ import annotations

from typing import Any
from weakref import ref

from ... import _core, bincount
from ...autograd import Function, no_grad
from ...errors import ParameterError
from ...tensor import Tensor
from ..parameter import Parameter
from .refuse import refuse

__all__ = [
    "embedding",
    "embedding_bag",
    "one_hot",
]

_one_hot = _core.op_named("one_hot")
_embedding, _embedding_bag = _core.op_named("embedding"), _core.op_named("embedding_bag")


class _RowGradient(Function):
    """The table itself, whose gradient is multiplied row by row."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return weight.view(weight.shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (factor,) = ctx.saved_tensors
        return gradient * factor, None


def _by_frequency(input: Tensor, weight: Tensor) -> Tensor:
    counts = bincount(input.reshape(-1), minlength=weight.shape[0])
    return _RowGradient.apply(weight, 1 / counts.clamp(min=1).to(weight.dtype).unsqueeze(-1))


class Lookups:
    """Which rows of a table gradients came to: what a sparse gradient says, and a dense one does not where it is 0.

    Results of lookups say it when their gradients arrive; once that of the table is whole, its rows are those of the gradient
    that is added to, if there is one, and these.
    """

    def __init__(self) -> None:
        self.rows: list[Tensor] = []
        self._coming: list[Tensor] = []

    def watch(self, result: Tensor, input: Tensor, padding_idx: int | None) -> None:
        rows = input.detach().reshape(-1)
        if padding_idx is not None:
            rows = rows[rows != padding_idx]
        result.register_hook(lambda gradient: self._coming.append(rows))

    def arrived(self, weight: Tensor) -> None:
        self.rows = self._coming if weight.grad is None else self.rows + self._coming
        self._coming = []


def lookups_of(weight: Tensor) -> Lookups | None:
    """Of a parameter that was looked up with sparse=True."""
    return getattr(weight, "_lookups", None)


def _watch(result: Tensor, weight: Tensor, input: Tensor, padding_idx: int | None) -> None:
    if not (result.requires_grad and isinstance(weight, Parameter)) or _core.tracing():
        return
    found = lookups_of(weight)
    if found is None:
        found = weight._lookups = Lookups()  # type: ignore[attr-defined]
        table = ref(weight)
        weight.register_hook(lambda gradient: found.arrived(table()))  # type: ignore[arg-type]
    found.watch(result, input, padding_idx)


def _renormalize(input: Tensor, weight: Tensor, max_norm: float, norm_type: float) -> None:
    """Rows that are looked up and longer than max_norm are shortened to it, in place."""
    with no_grad():
        rows = input.reshape(-1).unique()
        found = weight[rows]
        length = found.norm(norm_type, -1, keepdim=True)
        weight[rows] = found * (max_norm / (length + 1e-7)).clamp(max=1)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Row `i` of `weight` for each index i in `input`.

    padding_idx: a row without gradient. max_norm: rows longer than this under the p-norm `norm_type` are shortened in
    place first. scale_grad_by_freq: each row's gradient is divided by how often it is looked up. Gradients are dense; with
    `sparse`, a Parameter remembers for SparseAdam which rows they came to. Fails with HX1301 for an index outside of the table.

    Example:
        >>> weight = helix.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> helix.nn.functional.embedding(helix.tensor([1, 0]), weight).tolist()
        [[3.0, 4.0], [1.0, 2.0]]
    """
    if max_norm is not None:
        _renormalize(input, weight, max_norm, norm_type)
    table = _by_frequency(input, weight) if scale_grad_by_freq else weight
    result = _embedding(input, table, padding_idx)
    if sparse:
        _watch(result, weight, input, padding_idx)
    return result


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows that each bag of indices names.

    input: (bags, length), or one axis with the bags' first positions in `offsets`. The keywords are those of embedding;
    scale_grad_by_freq is not for mode 'max' (HX1403).

    Example:
        >>> weight = helix.tensor([[1.0], [2.0], [4.0]])
        >>> helix.nn.functional.embedding_bag(helix.tensor([[0, 2], [1, 1]]), weight, mode='sum').tolist()
        [[5.0], [4.0]]
    """
    if mode == "max" and (scale_grad_by_freq or sparse):
        refuse(ParameterError, "embedding_bag", "mode 'max' goes with neither scale_grad_by_freq nor sparse.")
    if max_norm is not None:
        _renormalize(input, weight, max_norm, norm_type)
    result = _embedding_bag(
        input,
        _by_frequency(input, weight) if scale_grad_by_freq else weight,
        offsets,
        per_sample_weights,
        mode=mode,
        include_last_offset=include_last_offset,
        padding_idx=padding_idx,
    )
    if sparse:
        _watch(result, weight, input, padding_idx)
    return result


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Each class index as a vector of zeros with a one in its place; int64.

    num_classes: the length; without it the largest index and one more. Fails with HX1301 for an index outside.

    Example:
        >>> helix.nn.functional.one_hot(helix.tensor([2, 0]), 3).tolist()
        [[0, 0, 1], [1, 0, 0]]
    """
    return _one_hot(tensor, num_classes)
