"""The gradients of all parameters: their common norm, and limits on it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ... import _core, linalg, stack
from ... import tensor as make_tensor
from ...autograd import no_grad
from ...tensor import Tensor

Tensors = Tensor | Iterable[Tensor]
_norm_of, _scale = _core.op_named("norm_list"), _core.op_named("scale_list")


def _listed(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Tensors) -> list[Tensor]:
    return [tensor.grad for tensor in _listed(parameters) if tensor.grad is not None]


def _of_devices(tensors: list[Tensor]) -> list[list[Tensor]]:
    """Tensors of one device and kind together: lists that one call takes. Complex and empty lists are alone."""
    lists: dict[tuple, list[Tensor]] = {}
    for tensor in tensors:
        lists.setdefault((str(tensor.device), tensor.is_floating_point()), []).append(tensor)
    return list(lists.values())


def _norm(tensors: list[Tensor], order: float) -> Tensor:
    if order > 0 and tensors[0].is_floating_point():
        return _norm_of(tensors, order)
    return linalg.vector_norm(stack([linalg.vector_norm(t, order) for t in tensors]), order)


def get_total_norm(
    tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of all tensors taken as one vector; `norm_type` may be "inf". Raises RuntimeError for a norm that is not
    finite, if asked to. `foreach` is torch's and changes nothing: lists go into fused calls."""
    tensors, order = _listed(tensors), float(norm_type)
    if not tensors:
        return make_tensor(0.0)
    with no_grad():
        norms = [_norm(together, order) for together in _of_devices(tensors)]
        total = norms[0]
        if len(norms) > 1:
            total = linalg.vector_norm(stack([norm.to(total.device, total.dtype) for norm in norms]), order)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"the norm of order {order:g} of the gradients is {total.item()}; nothing was scaled. "
            "error_if_nonfinite=False scales them by it all the same"
        )
    return total


def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scales all gradients by max_norm / (total_norm + 1e-6), where that is below 1."""
    with no_grad():
        scale = (max_norm / (total_norm + 1e-6)).clamp(max=1.0)
        for gradients in _of_devices(_gradients(parameters)):
            here = scale.to(gradients[0].device)
            if gradients[0].is_floating_point():
                _scale(here, gradients)
            else:
                for gradient in gradients:
                    gradient.mul_(here)


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scales all gradients so that their common norm is at most `max_norm`; returns the norm before.

    A norm that is infinite or NaN makes all gradients 0 or NaN, unless `error_if_nonfinite` raises RuntimeError before
    anything is scaled.
    """
    parameters = _listed(parameters)
    total = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Limits every element of every gradient to ±clip_value."""
    with no_grad():
        for gradient in _gradients(parameters):
            gradient.clamp_(-clip_value, clip_value)
