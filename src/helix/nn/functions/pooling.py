"""Pooling under torch's further names, with sizes that are kept, and over windows of random sizes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ... import _core, arange, cat, full, rand
from ...errors import ArgumentError, ParameterError, ShapeError
from ...precision import listed_for_cpu
from ...tensor import Tensor
from .refuse import refuse

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "max_pool1d_with_indices",
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
]


def _max_pool_with_indices(name: str) -> Any:
    op = _core.op_named(name)

    def with_indices(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[Tensor, Tensor]:
        return op(input, kernel_size, stride, padding, dilation, ceil_mode, True)

    with_indices.__name__ = with_indices.__qualname__ = f"{name}_with_indices"
    with_indices.__doc__ = f"{name} with return_indices: (values, indices)."
    return with_indices


max_pool1d_with_indices = _max_pool_with_indices("max_pool1d")
max_pool2d_with_indices = _max_pool_with_indices("max_pool2d")
max_pool3d_with_indices = _max_pool_with_indices("max_pool3d")


def _sizes(input: Tensor, output_size: Any, n: int) -> Any:
    """None stands for the size that the axis has."""
    if not isinstance(output_size, (tuple, list)) or len(output_size) != n:
        return output_size
    return [have if want is None else want for want, have in zip(output_size, input.shape[-n:], strict=True)]


def _adaptive_max_pool(n: int) -> tuple[Any, Any]:
    name = f"adaptive_max_pool{n}d"
    op = _core.op_named(name)

    def pool(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        return op(input, _sizes(input, output_size, n), return_indices)

    def with_indices(input: Tensor, output_size: Any, return_indices: bool = False) -> tuple[Tensor, Tensor]:
        return op(input, _sizes(input, output_size, n), True)

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = f"{op.__doc__.rstrip()}\n\nNone in output_size keeps the size of that axis."
    with_indices.__name__ = with_indices.__qualname__ = f"{name}_with_indices"
    with_indices.__doc__ = f"{name} with return_indices: (values, indices)."
    return pool, with_indices


adaptive_max_pool1d, adaptive_max_pool1d_with_indices = _adaptive_max_pool(1)
adaptive_max_pool2d, adaptive_max_pool2d_with_indices = _adaptive_max_pool(2)
adaptive_max_pool3d, adaptive_max_pool3d_with_indices = _adaptive_max_pool(3)


def _adaptive_avg_pool(n: int) -> Any:
    name = f"adaptive_avg_pool{n}d"
    op = _core.op_named(name)

    def pool(input: Tensor, output_size: Any) -> Tensor:
        return op(input, _sizes(input, output_size, n))

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = f"{op.__doc__.rstrip()}\n\nNone in output_size keeps the size of that axis."
    return pool


adaptive_avg_pool2d = _adaptive_avg_pool(2)
adaptive_avg_pool3d = _adaptive_avg_pool(3)


# ---- windows of random sizes: Graham, "Fractional max-pooling", 2014 ----


def _several(value: Any, n: int, op: str, name: str) -> list[Any]:
    values = list(value) if isinstance(value, (tuple, list)) else [value] * n
    if len(values) != n:
        refuse(ArgumentError, op, f"{name} must be one number or {n}, got {len(values)}.")
    return values


def _starts(samples: Tensor, size: int, out: int, window: int) -> Tensor:
    """Where the windows of each plane begin: (planes, out)."""
    last = full((samples.shape[0], 1), size - window, dtype="int64", device=samples.device)
    if out == 1:
        return last
    step = (size - window) / (out - 1)
    steps = arange(out - 1, dtype=samples.dtype, device=samples.device)
    samples = samples.unsqueeze(1)
    return cat([((steps + samples) * step).long() - (samples * step).long(), last], 1)


def _fractional(
    op: str, input: Tensor, n: int, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Tensor | None
) -> tuple[Tensor, Tensor]:
    if output_size is None and output_ratio is None:
        refuse(ArgumentError, op, "one of output_size and output_ratio must be given.")
    if input.ndim not in (n + 1, n + 2):
        refuse(ShapeError, op, f"input must have {n + 1} or {n + 2} axes, got shape {tuple(input.shape)}.")
    sizes, window = input.shape[-n:], _several(kernel_size, n, op, "kernel_size")
    if output_size is None:
        ratio = _several(output_ratio, n, op, "output_ratio")
        output_size = [int(size * r) for size, r in zip(sizes, ratio, strict=True)]
    out = _several(output_size, n, op, "output_size")
    for axis, (size, k, o) in enumerate(zip(sizes, window, out, strict=True)):
        if o < 1 or k < 1 or o + k - 1 > size:
            text = f"{o} windows of {k} do not fit into the {size} elements of spatial axis {axis}."
            refuse(ParameterError, op, text)
    count = prod(input.shape[:-n])
    planes = input.reshape(count, *sizes)
    if samples is None:
        batch = (1,) if input.ndim == n + 1 else (input.shape[0],)
        samples = rand((*batch, input.shape[-n - 1], n), dtype=input.dtype, device=input.device)
    values, indices = _max_of_windows(planes, samples.reshape(count, n), window, out)
    return values.reshape(*input.shape[:-n], *out), indices.reshape(*input.shape[:-n], *out)


def _max_of_windows(
    planes: Tensor, samples: Tensor, window: Sequence[int], out: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Largest values, and where they stand in the flattened plane."""
    n, sizes = len(window), planes.shape[1:]
    position: Any = 0
    for axis, (size, k, o) in enumerate(zip(sizes, window, out, strict=True)):
        column = samples[:, n - 1 - axis if n == 2 else axis]  # of two numbers the first is for the width
        at = _starts(column, size, o, k).unsqueeze(-1) + arange(k, device=planes.device)
        shape = [at.shape[0]] + [1] * (2 * n)
        shape[1 + axis], shape[1 + n + axis] = o, k
        position = position * size + at.reshape(shape)
    position = position.reshape(planes.shape[0], prod(out), prod(window))
    seen = planes.flatten(1).gather(1, position.flatten(1)).reshape(position.shape)
    values, where = seen.max(-1)
    return values, position.gather(-1, where.unsqueeze(-1)).squeeze(-1)


@listed_for_cpu("float32")
def fractional_max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """fractional_max_pool2d with return_indices: (values, indices).

    Example:
        >>> x = helix.arange(16.0).reshape(1, 4, 4)
        >>> helix.nn.functional.fractional_max_pool2d_with_indices(x, 2, output_size=2)[1].shape
        (1, 2, 2)
    """
    return _fractional("fractional_max_pool2d", input, 2, kernel_size, output_size, output_ratio, _random_samples)


@listed_for_cpu("float32")
def fractional_max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """fractional_max_pool3d with return_indices: (values, indices).

    Example:
        >>> x = helix.arange(64.0).reshape(1, 4, 4, 4)
        >>> helix.nn.functional.fractional_max_pool3d_with_indices(x, 2, output_size=2)[1].shape
        (1, 2, 2, 2)
    """
    return _fractional("fractional_max_pool3d", input, 3, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The largest values in windows that stand at random, for an output of a fraction of the size.

    input: (batch, channels, height, width) or (channels, height, width). One of output_size and output_ratio says how
    large the result is. `_random_samples` (batch, channels, 2) in [0, 1) fixes where windows stand.
    Graham, "Fractional max-pooling", 2014.

    Example:
        >>> x = helix.arange(16.0).reshape(1, 4, 4)
        >>> helix.nn.functional.fractional_max_pool2d(x, 2, output_ratio=0.5)[0, 1, 1].item()
        15.0
    """
    found = fractional_max_pool2d_with_indices(input, kernel_size, output_size, output_ratio, True, _random_samples)
    return found if return_indices else found[0]


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """fractional_max_pool2d with one axis more.

    Example:
        >>> x = helix.arange(64.0).reshape(1, 4, 4, 4)
        >>> helix.nn.functional.fractional_max_pool3d(x, 2, output_size=2)[0, 1, 1, 1].item()
        63.0
    """
    found = fractional_max_pool3d_with_indices(input, kernel_size, output_size, output_ratio, True, _random_samples)
    return found if return_indices else found[0]
