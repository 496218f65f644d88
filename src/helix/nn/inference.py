"""Module.infer: eval mode, no gradients, in slices."""

from __future__ import annotations

from ..autograd import no_grad
from ..tensor import Tensor


def infer(module, inputs: tuple, batch_size: int | None):
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with no_grad():
            if batch_size is None or len(inputs[0]) <= batch_size:
                return module(*inputs)
            return _sliced(module, inputs, batch_size)
    finally:
        for part, mode in modes:
            part.training = mode


def _sliced(module, inputs: tuple, batch_size: int) -> Tensor:
    from .. import cat

    if batch_size < 1:
        raise ValueError(f"infer: batch_size must be at least 1, got {batch_size}")
    return cat(
        [module(*(x[start : start + batch_size] for x in inputs)) for start in range(0, len(inputs[0]), batch_size)]
    )
