"""Convolutions with torch's paddings by name."""

from __future__ import annotations

from typing import Any

from ... import _core
from ...errors import ParameterError
from ...tensor import Tensor
from .refuse import refuse

__all__ = ["conv1d", "conv2d", "conv3d"]

_pad = _core.op_named("pad")


def _each(value: Any, n: int) -> list[int]:
    """One number for each spatial axis."""
    return [value] * n if isinstance(value, int) else list(value) * (n if len(value) == 1 else 1)


def _same(name: str, input: Tensor, weight: Tensor, stride: Any, dilation: Any) -> tuple[Tensor, list[int]]:
    """The input, and the padding that keeps its sizes. What stands on one side only is added to the input."""
    n = weight.ndim - 2
    if any(step != 1 for step in _each(stride, n)):
        refuse(ParameterError, name, f"padding='same' needs a stride of 1, got stride={stride}.")
    gaps = zip(_each(dilation, n), weight.shape[2:], strict=True)
    totals = [step * (size - 1) for step, size in gaps]
    if any(total % 2 for total in totals):
        input = _pad(input, [end for total in reversed(totals) for end in (0, total % 2)])
    return input, [total // 2 for total in totals]


def _named_padding(name: str) -> Any:
    plain = _core.op_named(name)

    def convolve(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        if isinstance(padding, str):
            if padding == "same":
                input, padding = _same(name, input, weight, stride, dilation)
            elif padding == "valid":
                padding = 0
            else:
                refuse(ParameterError, name, f"padding must be numbers, 'same' or 'valid', got {padding!r}.")
        return plain(input, weight, bias, stride, padding, dilation, groups)

    convolve.__name__ = convolve.__qualname__ = name
    convolve.__doc__ = (plain.__doc__ or "") + (
        "\n\nHere padding may be 'valid', which is 0, or 'same': the result has the input's sizes, with a stride of 1."
    )
    return convolve


conv1d = _named_padding("conv1d")
conv2d = _named_padding("conv2d")
conv3d = _named_padding("conv3d")
