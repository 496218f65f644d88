"""Tensors made from nothing, in the ways of torch that a record does not say: with strides, over files, inclusive ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from helix import _core
from helix._core import Generator, Tensor
from helix.errors import DTypeError, ParameterError, ShapeError
from helix.layouts import check
from helix.written import fail, into, op

if TYPE_CHECKING:
    from helix._core import Device, DType, Number


def _sizes(size):
    return tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else tuple(size)


def empty_strided(
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Device | None = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor with the given strides, whose values are whatever the memory held.

    Example:
        >>> helix.empty_strided((2, 3), (1, 2)).stride()
        (1, 2)
    """
    check("empty_strided", "layout", layout)
    size, stride = tuple(size), tuple(stride)
    if len(size) != len(stride):
        fail(ShapeError, 1001, "empty_strided", f"size {size} and stride {stride} must have one length.")
    if any(s < 0 for s in (*size, *stride)):
        fail(ParameterError, 1403, "empty_strided", f"size {size} and stride {stride} must not be negative.")
    room = 0 if 0 in size else 1 + sum((n - 1) * s for n, s in zip(size, stride))
    made = op("empty")((room,), dtype=dtype, device=device).as_strided(size, stride)
    return made.requires_grad_() if requires_grad else made


def new_empty_strided(
    self: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    dtype: DType | None = None,
    device: Device | None = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """`empty_strided` with this tensor's dtype and device where none is given."""
    device = self.device if device is None else device
    return empty_strided(
        size, stride, dtype=dtype or self.dtype, layout=layout, device=device, requires_grad=requires_grad
    )


def empty_permuted(
    size: Sequence[int],
    physical_layout: Sequence[int],
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Device | None = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A dense tensor whose axes lie in memory in the order `physical_layout`, the outermost first.

    Example:
        >>> helix.empty_permuted((2, 3, 5), (0, 2, 1)).stride()
        (15, 1, 3)
    """
    check("empty_permuted", "layout", layout)
    size, order = tuple(size), tuple(physical_layout)
    if sorted(order) != list(range(len(size))):
        text = f"physical_layout must hold each axis of size {size} once, got {order}."
        fail(ParameterError, 1302, "empty_permuted", text)
    made = op("empty")([size[axis] for axis in order], dtype=dtype, device=device)
    made = made.permute([order.index(axis) for axis in range(len(order))])
    return made.requires_grad_() if requires_grad else made


def range_(
    start: int = 0,
    end: Any = None,
    step: int = 1,
    *,
    out: Tensor | None = None,
    dtype: DType | None = None,
    layout: Any = None,
    device: Device | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... up to end, which is included: as many as fit, plus one.

    Example:
        >>> helix.range(1, 4).tolist()
        [1.0, 2.0, 3.0, 4.0]
    """
    check("range", "layout", layout)
    start, end = (0, start) if end is None else (start, end)
    if step == 0 or (end - start) / step < 0:
        fail(ParameterError, 1403, "range", f"step {step} does not lead from {start} to {end}.")
    dtype = (out.dtype if out is not None else _core.get_default_dtype()) if dtype is None else dtype
    count = int((end - start) / step) + 1
    made = (op("arange")(count, dtype=_core.float64, device=device) * step + start).to(dtype)
    made = into("range", out, made)
    return made.requires_grad_() if requires_grad else made


range_.__name__ = range_.__qualname__ = "range"


def from_file(
    filename: Any,
    shared: bool | None = None,
    size: int = 0,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Device | None = None,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor over the first `size` elements of a file; shared: writes go into the file, else they stay in memory.

    Example:
        >>> path = __import__("tempfile").mktemp()
        >>> _ = open(path, "wb").write(bytes([1, 2, 3]))
        >>> helix.from_file(path, size=3, dtype=helix.uint8).tolist()
        [1, 2, 3]
    """
    import os

    import numpy

    check("from_file", "layout", layout)
    dtype = _core.get_default_dtype() if dtype is None else _core.as_dtype(dtype)
    nbytes = size * dtype.itemsize
    if shared and (not os.path.exists(filename) or os.path.getsize(filename) < nbytes):
        with open(filename, "ab") as file:
            file.truncate(nbytes)
    if os.path.getsize(filename) < nbytes:
        fail(ParameterError, 1403, "from_file", f"the file has fewer than the {nbytes} bytes of {size} {dtype.name}.")
    if size == 0:
        return op("empty")((0,), dtype=dtype)
    mapped = numpy.memmap(filename, dtype.numpy, "r+" if shared else "c", shape=(size,))
    made = _core.from_numpy(numpy.asarray(mapped))
    return made if device is None else made.to(device)


def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Device | None = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Whole numbers drawn evenly from low, ..., high - 1 (or 0, ..., low - 1), in the input's size and dtype.

    Example:
        >>> helix.randint_like(helix.zeros(2), 5, 6).tolist()
        [5.0, 5.0]
    """
    check("randint_like", "memory_format", memory_format)
    low, high = (int(n) if isinstance(n, Tensor) else n for n in ((0, low) if high is None else (low, high)))
    where = input.device if device is None else device
    made = op("randint")(low, high, input.shape, dtype=dtype or input.dtype, device=where)
    return made.requires_grad_() if requires_grad else made


def scalar_tensor(
    s: Number,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Device | None = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor without dimensions that holds one number; dtype is the default float when it is not given.

    Example:
        >>> helix.scalar_tensor(2).item()
        2.0
    """
    check("scalar_tensor", "layout", layout)
    dtype = dtype or (_core.get_default_dtype() if not isinstance(s, complex) else None)
    return _core.tensor(s, dtype=dtype, device=device, requires_grad=requires_grad)


def normal(
    mean: Tensor | float = 0.0,
    std: Tensor | float = 1.0,
    size: int | Sequence[int] | None = None,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: DType | None = None,
    layout: Any = None,
    device: Device | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal values with the given means and standard deviations: tensors, stretched to one shape, or numbers.

    With two numbers, `size` is the shape. Raises ParameterError for a negative std.

    Example:
        >>> helix.normal(helix.tensor([1.0, 2.0]), 0.0).tolist()
        [1.0, 2.0]
    """
    check("normal", "layout", layout)
    parts = [p for p in (mean, std) if isinstance(p, Tensor)]
    if any(p.is_complex() for p in parts[1:]) or (isinstance(std, Tensor) and std.is_complex()):
        fail(DTypeError, 1101, "normal", "std must be real.")
    if isinstance(std, Tensor) and bool((std < 0).any()) if isinstance(std, Tensor) else std < 0:
        fail(ParameterError, 1403, "normal", "std must not be negative.")
    if parts:
        if size is not None:
            fail(ShapeError, 1403, "normal", "size goes with numbers alone; tensors have a shape.")
        like = parts[0].detach() if len(parts) == 1 else (parts[0] + parts[1]).detach()
        noise = op("empty_like")(like).normal_(0, 1, generator=generator)
        return into("normal", out, noise * std + mean)
    if size is None:
        fail(ParameterError, 1403, "normal", "two numbers need a size.")
    made = op("empty")(_sizes((size,)), dtype=dtype, device=device).normal_(mean, std, generator=generator)
    made = into("normal", out, made)
    return made.requires_grad_() if requires_grad else made


METHODS = {"new_empty_strided": new_empty_strided}
FUNCTIONS = {
    f.__name__: f for f in (empty_strided, empty_permuted, range_, from_file, randint_like, scalar_tensor, normal)
}
_core.add_methods(METHODS)
