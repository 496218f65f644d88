"""Cross-entropy of a linear layer's logits, which are made, used and forgotten a few rows at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from ... import _core, cat, float16, float64, ones_like, result_type, zeros_like
from ...autograd import Function, enable_grad, grad, is_grad_enabled
from ...errors import ArgumentError, ParameterError, ShapeError
from ...precision import get_autocast_dtype, is_autocast_enabled, restored_autocast, widened
from ...tensor import Tensor
from .refuse import refuse

__all__ = ["linear_cross_entropy"]

ROWS = 256  # of logits at a time, at least: fewer read the weight more often than the products take
WHOLE = 1 << 22  # logits that are made at once

_linear, _cross_entropy = _core.op_named("linear"), _core.op_named("cross_entropy")


class _Settings(NamedTuple):
    """What belongs to a call beside its tensors that are differentiated."""

    target: Tensor
    weight: Tensor | None
    ignored: int
    smoothing: float
    outputs: tuple[int, ...]  # classes, d1, ...
    gradients: bool

    def logits(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return _linear(input, weight, bias).reshape(*input.shape[:-1], *self.outputs)

    def loss(self, logits: Tensor, target: Tensor, reduction: str) -> Tensor:
        return _cross_entropy(logits, target, self.weight, self.ignored, reduction, self.smoothing)

    def pieces(self, input: Tensor) -> Iterator[slice]:
        """Rows that go together: their logits take no more room than the input, or are few."""
        rows = max(ROWS, input.numel() // math.prod(self.outputs))
        return (slice(at, at + rows) for at in range(0, input.shape[0], rows))

    def losses(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Of each piece, its rows, its logits as a leaf (float32 at least) and the losses of these."""
        for rows in self.pieces(input):
            logits = self.logits(input[rows], weight, bias)
            logits = widened(logits).requires_grad_(self.gradients)
            with enable_grad():
                losses = self.loss(logits, self.target[rows], "none")
            yield rows, logits, losses


class _Sums:
    """The gradients of input, weight and bias that are wanted, piece by piece: those that are sums over rows in float32 at
    least, for nothing divides them yet."""

    def __init__(self, needed: tuple[bool, ...], *tensors: Tensor | None) -> None:
        self.input, self.weight, _ = tensors
        wanted = [t if want else None for want, t in zip(needed, tensors, strict=False)]
        self.made = [None if t is None else zeros_like(t if i == 0 else widened(t)) for i, t in enumerate(wanted)]

    def add(self, rows: slice, logits: Tensor) -> None:
        """Takes up the gradient of a piece's logits, (rows, classes, ...)."""
        assert self.input is not None and self.weight is not None
        logits = logits.flatten(1)
        narrow, x = logits.to(self.weight.dtype), self.input[rows]
        inputs, weight, bias = self.made
        if inputs is not None:
            inputs[rows] = narrow @ self.weight
        if weight is not None:
            if narrow.dtype in (weight.dtype, float16):  # a piece's sum may be more than float16 holds
                weight.addmm_(logits.t(), widened(x))
            else:
                weight += narrow.t() @ x
        if bias is not None:
            bias += logits.sum(0)


class _Sum(Function):
    """The sum of all losses; gradients are made beside it, so that no logits are made twice."""

    @staticmethod
    def forward(ctx, input, weight, bias, settings):
        sums, total = _Sums(ctx.needs_input_grad[:3] if settings.gradients else (), input, weight, bias), []
        for rows, logits, losses in settings.losses(input, weight, bias):
            if settings.gradients:
                sums.add(rows, grad(losses, logits, ones_like(losses))[0])
            total.append(losses.detach().sum().reshape(1))
        ctx.settings = settings
        ctx.save_for_backward(input, weight, bias, *sums.made)
        return cat(total).sum()

    @staticmethod
    def backward(ctx, g):
        input, weight, bias, *made = ctx.saved_tensors
        if is_grad_enabled():
            return *_again(ctx.settings, (input, weight, bias), g), None
        scaled = (None if t is None else widened(t) * g.to(widened(t).dtype) for t in made)
        return *(None if t is None else t.to(input.dtype) for t in scaled), None


class _Each(Function):
    """The loss of each row; logits are made again for its gradients, which no number scales beforehand."""

    @staticmethod
    def forward(ctx, input, weight, bias, settings):
        ctx.settings, ctx.needed = settings, ctx.needs_input_grad[:3]
        ctx.save_for_backward(input, weight, bias)
        return cat([losses.detach() for _, _, losses in settings.losses(input, weight, bias)])

    @staticmethod
    def backward(ctx, g):
        given = ctx.saved_tensors
        if is_grad_enabled():
            return *_again(ctx.settings, given, g), None
        sums = _Sums(ctx.needed, *given)
        for rows, logits, losses in ctx.settings.losses(*given):
            sums.add(rows, grad(losses, logits, g[rows])[0])
        return *(None if t is None else t.to(given[0].dtype) for t in sums.made), None


def _again(settings: _Settings, given: tuple[Any, ...], g: Tensor) -> tuple[Any, ...]:
    """Gradients that are differentiated in their turn: of all logits at once, in plain ops."""
    input, weight, bias = given
    logits = settings.logits(*given)
    wanted = _distribution(settings, logits)
    if g.ndim:
        g = g.unsqueeze(1)
    slope = ((logits.softmax(1) * wanted.sum(1, keepdim=True) - wanted) * g.to(logits.dtype)).flatten(1)
    return slope @ weight, slope.t() @ input, None if bias is None else slope.sum(0)


def _distribution(settings: _Settings, logits: Tensor) -> Tensor:
    """What the log-probabilities are weighed with: the target's class or probabilities, smoothed and weighted."""
    target, classes = settings.target, settings.outputs[0]
    if target.dtype.is_floating_point:
        kept, given = None, target.to(logits.dtype)
    else:
        kept = (target != settings.ignored).unsqueeze(1)
        places = target.unsqueeze(1).masked_fill(~kept, 0)
        given = zeros_like(logits).scatter(1, places, ones_like(logits))
    given = given * (1 - settings.smoothing) + settings.smoothing / classes
    if settings.weight is not None:
        given = given * settings.weight.reshape(-1, *[1] * (logits.ndim - 2))
    return given if kept is None else given * kept


def _count(settings: _Settings, total: Tensor) -> Tensor:
    """What the mean divides by: the weights of the classes that are met, or the number of distributions."""
    target, weight = settings.target, settings.weight
    if target.dtype.is_floating_point:
        return total.new_full((), target.numel() / settings.outputs[0])
    kept = target != settings.ignored
    counted = kept if weight is None else widened(weight)[target.masked_fill(~kept, 0)] * kept
    return counted.sum().to(total.dtype)


def _mean(total: Tensor, settings: _Settings) -> Tensor:
    count = _count(settings, total.detach())
    nothing = count == 0  # a mean of nothing is NaN, its gradient 0
    return (total / count.masked_fill(nothing, 1)).masked_fill(nothing, float("nan"))


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """cross_entropy of linear(input, linear_weight, linear_bias).

    input: (batch, features); linear_weight: (classes, features), or (classes, d1, ..., features) for logits of shape
    (batch, classes, d1, ...). The other keywords are those of cross_entropy. Of more than four million logits only a few
    rows are held at a time, in forward and backward; losses of half types are summed in float32. The rows are chosen here:
    `options`, torch's settings of its own kernels, are not taken (HX1103). Gradients of gradients, and of a target that is
    trained, hold all logits.

    Example:
        >>> x, w = helix.zeros(2, 3), helix.zeros(4, 3)
        >>> round(helix.nn.functional.linear_cross_entropy(x, w, helix.tensor([0, 1])).item(), 4)
        1.3863
    """
    _check(input, linear_weight, target, reduction, ignore_index, options)
    ignored = -100 if ignore_index is None else ignore_index
    outputs, classes = tuple(linear_weight.shape[:-1]), linear_weight.reshape(-1, linear_weight.shape[-1])
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    gradients = is_grad_enabled() and any(t is not None and t.requires_grad for t in (input, classes, bias))
    settings = _Settings(target, weight, ignored, label_smoothing, outputs, gradients)
    if input.ndim != 2 or target.requires_grad or input.shape[0] * classes.shape[0] <= WHOLE:
        return settings.loss(settings.logits(input, classes, bias), target, reduction)
    _check_target(input, settings)
    dtype = result_type(*(t for t in (input, classes, bias) if t is not None))
    kind = input.device.type
    short = get_autocast_dtype(kind) if is_autocast_enabled(kind) and dtype != float64 else None
    given = [None if t is None else t.to(short or dtype) for t in (input, classes, bias)]
    with restored_autocast((None, None)):
        result = _in_pieces(given, settings, reduction)
    return result if short else result.to(dtype)  # autocast leaves losses in float32


def _in_pieces(tensors: list[Tensor | None], settings: _Settings, reduction: str) -> Tensor:
    if reduction == "none":
        return _Each.apply(*tensors, settings)
    total = _Sum.apply(*tensors, settings)
    return total if reduction == "sum" else _mean(total, settings)


def _check(input: Tensor, weight: Tensor, target: Tensor, reduction: str, ignored: int | None, options: Any) -> None:
    op = "linear_cross_entropy"
    if options is not None:
        refuse(ArgumentError, op, "options must be None: the rows of a piece are chosen by helix.")
    if reduction not in ("mean", "sum", "none"):
        refuse(ParameterError, op, f"reduction must be 'none', 'mean' or 'sum', got {reduction!r}.")
    if ignored is not None and target.dtype.is_floating_point:
        refuse(ParameterError, op, "ignore_index is for targets that are class indices, not probabilities.")
    if weight.ndim > 2 and input.ndim < 2:
        text = f"a linear_weight of shape {tuple(weight.shape)} goes with input (batch, features), got {tuple(input.shape)}."
        refuse(ShapeError, op, text)


def _check_target(input: Tensor, settings: _Settings) -> None:
    """A piece of a target that is too long would fit."""
    classes, *more = settings.outputs
    wanted = [input.shape[0], *([classes] if settings.target.dtype.is_floating_point else []), *more]
    if list(settings.target.shape) != wanted:
        text = f"target must have shape {tuple(wanted)} here, got {tuple(settings.target.shape)}."
        refuse(ShapeError, "linear_cross_entropy", text)
