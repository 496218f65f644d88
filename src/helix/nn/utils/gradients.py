"""The gradients of all parameters: their common norm, and limits on it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ... import _core, stack
from ...autograd import no_grad
from ...tensor import Tensor

_norm_of, _scale = _core.op_named("norm_list"), _core.op_named("scale_list")


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    tensors = [parameters] if isinstance(parameters, Tensor) else parameters
    return [tensor.grad for tensor in tensors if tensor.grad is not None]


def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0) -> Tensor:
    """The norm of all tensors taken as one vector."""
    from ... import tensor as make

    tensors = list(tensors)
    if not tensors:
        return make(0.0)
    if math.isinf(norm_type):
        return stack([t.abs().max() for t in tensors]).max()
    if norm_type == 2.0:
        return stack([(t * t).sum() for t in tensors]).sum().sqrt()
    return stack([(t.abs() ** norm_type).sum() for t in tensors]).sum() ** (1.0 / norm_type)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scales all gradients so that their common norm is at most `max_norm`; returns the norm before."""
    with no_grad():
        gradients = _gradients(parameters)
        in_lists = bool(gradients) and norm_type > 0 and all(g.is_floating_point() for g in gradients)
        total = _norm_of(gradients, norm_type) if in_lists else get_total_norm(gradients, norm_type)
        if error_if_nonfinite and not math.isfinite(total.item()):
            raise RuntimeError(f"clip_grad_norm_: the gradients' norm is {total.item()}; nothing was scaled")
        scale = (max_norm / (total + 1e-6)).clamp(max=1.0)
        if in_lists:
            _scale(scale, gradients)
        else:
            for gradient in gradients:
                gradient.mul_(scale)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limits every element of every gradient to ±clip_value."""
    with no_grad():
        for gradient in _gradients(parameters):
            gradient.clamp_(-clip_value, clip_value)
