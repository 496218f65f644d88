"""Module.infer: eval mode, no gradients, in slices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..autograd import no_grad
from ..tensor import Tensor


@contextmanager
def evaluating(module: Any) -> Iterator[None]:
    """Eval mode without gradients; afterwards each part is in the mode that it was in."""
    trained = [part for part in module.modules() if part.training]
    for part in trained:
        part.training = False
    try:
        with no_grad():
            yield
    finally:
        for part in trained:
            part.training = True


def infer(module, inputs: tuple, batch_size: int | None):
    with evaluating(module):
        if batch_size is None or len(inputs[0]) <= batch_size:
            return module(*inputs)
        return _sliced(module, inputs, batch_size)


def _sliced(module, inputs: tuple, batch_size: int) -> Tensor:
    from .. import cat

    if batch_size < 1:
        raise ValueError(f"infer: batch_size must be at least 1, got {batch_size}")
    return cat(
        [module(*(x[start : start + batch_size] for x in inputs)) for start in range(0, len(inputs[0]), batch_size)]
    )
