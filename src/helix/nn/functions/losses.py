"""Losses with torch's older spelling of the reduction (size_average, reduce) and its weights of elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import _core
from ..._core import tensor
from ...errors import ArgumentError, ParameterError, ShapeError
from ...tensor import Tensor
from .refuse import refuse

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cross_entropy",
    "ctc_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def _reduction(op: str, reduction: str, size_average: Any, reduce: Any) -> str:
    if size_average is None and reduce is None:
        return reduction
    if isinstance(size_average, str) or isinstance(reduce, str):
        refuse(ArgumentError, op, "reduction is given by keyword: the place of a text is that of size_average.")
    if reduce is not None and not reduce:
        return "none"
    return "mean" if size_average is None or size_average else "sum"


def _documented(function: Any) -> Any:
    """The record's documentation, with the parameters of the function."""
    plain = _core.op_named(function.__name__).__doc__ or ""
    function.__doc__ = plain.split("\n", 1)[1].lstrip("\n") if "\n" in plain else plain
    return function


def _weighted(op: str, errors: Tensor, input: Tensor, weight: Tensor, reduction: str, by_weight: bool) -> Tensor:
    if weight.shape != input.shape:
        text = f"weight must have the shape of input, {tuple(input.shape)}, got {tuple(weight.shape)}."
        refuse(ShapeError, op, text)
    errors = errors * weight
    if reduction == "none":
        return errors
    if reduction == "sum":
        return errors.sum()
    if reduction != "mean":
        refuse(ParameterError, op, f"reduction must be 'none', 'mean' or 'sum', got {reduction!r}.")
    return errors.sum() / weight.sum() if by_weight else errors.mean()


def _elementwise(name: str) -> Callable[..., Tensor]:
    plain = _core.op_named(name)

    def loss(
        input: Tensor,
        target: Tensor,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
    ) -> Tensor:
        reduction = _reduction(name, reduction, size_average, reduce)
        if weight is None:
            return plain(input, target, reduction)
        return _weighted(name, plain(input, target, "none"), input, weight, reduction, True)

    loss.__name__ = loss.__qualname__ = name
    return _documented(loss)


l1_loss = _elementwise("l1_loss")
mse_loss = _elementwise("mse_loss")

_huber_loss = _core.op_named("huber_loss")


@_documented
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    if weight is None:
        return _huber_loss(input, target, reduction, delta)
    return _weighted("huber_loss", _huber_loss(input, target, "none", delta), input, weight, reduction, False)


def _of_two(name: str) -> Callable[..., Tensor]:
    plain = _core.op_named(name)

    def loss(
        input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> Tensor:
        return plain(input, target, _reduction(name, reduction, size_average, reduce))

    loss.__name__ = loss.__qualname__ = name
    return _documented(loss)


soft_margin_loss = _of_two("soft_margin_loss")
multilabel_margin_loss = _of_two("multilabel_margin_loss")


def _of_two_and_weight(name: str) -> Callable[..., Tensor]:
    plain = _core.op_named(name)

    def loss(
        input: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> Tensor:
        return plain(input, target, weight, _reduction(name, reduction, size_average, reduce))

    loss.__name__ = loss.__qualname__ = name
    return _documented(loss)


binary_cross_entropy = _of_two_and_weight("binary_cross_entropy")
multilabel_soft_margin_loss = _of_two_and_weight("multilabel_soft_margin_loss")

_binary_cross_entropy_with_logits = _core.op_named("binary_cross_entropy_with_logits")
_cosine_embedding_loss = _core.op_named("cosine_embedding_loss")
_cross_entropy = _core.op_named("cross_entropy")
_hinge_embedding_loss = _core.op_named("hinge_embedding_loss")
_kl_div = _core.op_named("kl_div")
_margin_ranking_loss = _core.op_named("margin_ranking_loss")
_multi_margin_loss = _core.op_named("multi_margin_loss")
_nll_loss = _core.op_named("nll_loss")
_poisson_nll_loss = _core.op_named("poisson_nll_loss")
_smooth_l1_loss = _core.op_named("smooth_l1_loss")
_triplet_margin_loss = _core.op_named("triplet_margin_loss")


@_documented
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    reduction = _reduction("binary_cross_entropy_with_logits", reduction, size_average, reduce)
    return _binary_cross_entropy_with_logits(input, target, weight, reduction, pos_weight)


@_documented
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    reduction = _reduction("cosine_embedding_loss", reduction, size_average, reduce)
    return _cosine_embedding_loss(input1, input2, target, margin, reduction)


@_documented
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    reduction = _reduction("cross_entropy", reduction, size_average, reduce)
    return _cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


@_documented
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    reduction = _reduction("hinge_embedding_loss", reduction, size_average, reduce)
    return _hinge_embedding_loss(input, target, margin, reduction)


@_documented
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    return _kl_div(input, target, _reduction("kl_div", reduction, size_average, reduce), log_target)


@_documented
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    reduction = _reduction("margin_ranking_loss", reduction, size_average, reduce)
    return _margin_ranking_loss(input1, input2, target, margin, reduction)


@_documented
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    reduction = _reduction("multi_margin_loss", reduction, size_average, reduce)
    return _multi_margin_loss(input, target, p, margin, weight, reduction)


@_documented
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    return _nll_loss(input, target, weight, ignore_index, _reduction("nll_loss", reduction, size_average, reduce))


@_documented
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: Any = None,
    eps: float = 1e-8,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    reduction = _reduction("poisson_nll_loss", reduction, size_average, reduce)
    return _poisson_nll_loss(input, target, log_input, full, eps, reduction)


@_documented
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    return _smooth_l1_loss(input, target, _reduction("smooth_l1_loss", reduction, size_average, reduce), beta)


@_documented
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    reduction = _reduction("triplet_margin_loss", reduction, size_average, reduce)
    if margin <= 0:
        refuse(ParameterError, "triplet_margin_loss", f"margin must be above 0, got {margin}.")
    return _triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """triplet_margin_loss under any distance, by default the Euclidean one.

    Fails with HX1403 unless margin is above 0, and for another reduction than 'none', 'mean' and 'sum'.

    Example:
        >>> a, b = helix.tensor([[0.0]]), helix.tensor([[3.0]])
        >>> far = lambda x, y: (x - y).abs().sum(-1)
        >>> helix.nn.functional.triplet_margin_with_distance_loss(a, b, a, distance_function=far).item()
        4.0
    """
    op = "triplet_margin_with_distance_loss"
    if reduction not in ("mean", "sum", "none"):
        refuse(ParameterError, op, f"reduction must be 'none', 'mean' or 'sum', got {reduction!r}.")
    if margin <= 0:
        refuse(ParameterError, op, f"margin must be above 0, got {margin}.")
    if not anchor.ndim == positive.ndim == negative.ndim:
        axes = f"{anchor.ndim}, {positive.ndim} and {negative.ndim}"
        refuse(ShapeError, op, f"anchor, positive and negative must have as many axes, got {axes}.")
    distance = distance_function or _core.op_named("pairwise_distance")
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = _core.op_named("minimum")(far, distance(positive, negative))
    loss = (near - far + margin).clamp(min=0)
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


_ctc_loss = _core.op_named("ctc_loss")


@_documented
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    lengths = [tensor(v) if isinstance(v, (list, tuple)) else v for v in (input_lengths, target_lengths)]
    return _ctc_loss(log_probs, targets, *lengths, blank, reduction, zero_infinity)
