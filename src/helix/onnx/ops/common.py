"""What handlers of several families need."""

from __future__ import annotations

from math import prod
from typing import Any

import helix

from ..._core import Tensor


def flat(value: Any) -> list[Any]:
    return [number for part in value for number in flat(part)] if isinstance(value, list) else [value]


def ints(x: Tensor) -> list[int]:
    """The elements of a tensor of integers, which must be known."""
    return [int(number) for number in flat(x.tolist())]


def floats(x: Tensor) -> list[float]:
    return [float(number) for number in flat(x.tolist())]


def axis_of(axis: int, ndim: int) -> int:
    """An axis counted from the front.

    Raises ValueError outside of -ndim to ndim - 1.
    """
    if not -ndim <= axis < ndim:
        raise ValueError(f"axis {axis} is none of a tensor of {ndim} axes")
    return axis % ndim


def axes_of(axes: list[int], ndim: int) -> list[int]:
    """Axes counted from the front, each once."""
    made = [axis_of(axis, ndim) for axis in axes]
    if len(set(made)) != len(made):
        raise ValueError(f"axes {axes} name one twice")
    return made


def along(x: Tensor, axis: int, ndim: int) -> Tensor:
    """A vector as a tensor that broadcasts along one axis of `ndim`."""
    return x.reshape([-1 if i == axis else 1 for i in range(ndim)])


def arange(start: int, end: int, like: Tensor, step: int = 1) -> Tensor:
    return helix.arange(start, end, step, dtype=helix.int64, device=like.device)


def spread(call: Any, *tensors: Tensor) -> None:
    """Raises where the tensors would be stretched to a common shape above the limits."""
    ndim = max(t.ndim for t in tensors)
    call.require(prod(max((t.shape[i] for t in tensors if t.ndim >= -i), default=1) for i in range(-ndim, 0)))
