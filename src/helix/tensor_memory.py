"""Methods that change what memory a tensor shows, in place, and those that tell about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from helix import _core
from helix._core import Tensor
from helix.errors import ArgumentError, ParameterError, ShapeError
from helix.layouts import check
from helix.written import fail, op

if TYPE_CHECKING:
    from helix._core import Device, DType

VIEWS = "squeeze unsqueeze t transpose swapaxes swapdims as_strided"


def _view_in_place(name):
    def method(self, *args, **kwargs):
        return _core.become(self, getattr(self, name)(*args, **kwargs))

    method.__name__ = method.__qualname__ = name + "_"
    method.__doc__ = f"`{name}` in place: the tensor shows its memory so from now on. Returns it."
    return method


def _sizes(size):
    return tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else tuple(size)


def resize_(self: Tensor, *size: int | Sequence[int], memory_format: Any = None) -> Tensor:
    """Gives the tensor another size, row-major: the memory is kept as far as it goes, and what is new is undefined."""
    check("resize_", "memory_format", memory_format)
    wanted = _sizes(size)
    if self.requires_grad:
        fail(ParameterError, 1504, "resize_", "a tensor that requires grad cannot be resized.")
    if any(n < 0 for n in wanted):
        fail(ShapeError, 1403, "resize_", f"size must not be negative, got {wanted}.")
    if wanted == tuple(self.shape):
        return self
    count = 1
    for n in wanted:
        count *= n
    room = _core.storage_elements(self)
    if self.storage_offset() + count <= room:
        strides = [1] * len(wanted)
        for i in range(len(wanted) - 2, -1, -1):
            strides[i] = strides[i + 1] * max(wanted[i + 1], 1)
        return _core.become(self, self.detach().as_strided(wanted, strides, self.storage_offset()))
    grown = op("empty")((count,), dtype=self.dtype, device=self.device)
    kept = room - self.storage_offset()
    if kept > 0:
        grown[:kept].copy_(self.detach().as_strided((kept,), (1,), self.storage_offset()))
    return _core.become(self, grown.reshape(wanted))


def resize_as_(self: Tensor, the_template: Tensor, *, memory_format: Any = None) -> Tensor:
    """`resize_` to the shape of another tensor."""
    return resize_(self, tuple(the_template.shape), memory_format=memory_format)


def set_(
    self: Tensor,
    source: Any = None,
    storage_offset: int = 0,
    size: Sequence[int] | None = None,
    stride: Sequence[int] | None = None,
) -> Tensor:
    """Shows the memory of another tensor of the same dtype from now on; without one, nothing."""
    if source is None:
        return _core.become(self, op("empty")((0,), dtype=self.dtype, device=self.device))
    if isinstance(source, Storage):
        source = source.tensor
    if source.dtype is not self.dtype or source.device != self.device:
        text = f"source is {source.dtype.name} on {source.device}, the tensor {self.dtype.name} on {self.device}."
        fail(ArgumentError, 1103, "set_", text)
    found = source.detach()
    if size is not None:
        size = tuple(size)
        if stride is None:
            stride = op("empty")(size, dtype=self.dtype).stride()
        found = found.as_strided(size, tuple(stride), storage_offset)
    return _core.become(self, found)


def apply_(self: Tensor, callable: Callable[..., Any]) -> Tensor:
    """Replaces each element by callable(element), one after another in Python: slow, and on the CPU alone."""
    values = [callable(value) for value in self.reshape(-1).tolist()]
    return self.copy_(_core.tensor(values, dtype=self.dtype).reshape(self.shape))


def map_(self: Tensor, tensor: Tensor, callable: Callable[..., Any]) -> Tensor:
    """Replaces each element by callable(element, element of tensor), one after another in Python."""
    pairs = zip(self.reshape(-1).tolist(), tensor.expand(self.shape).reshape(-1).tolist())
    values = [callable(a, b) for a, b in pairs]
    return self.copy_(_core.tensor(values, dtype=self.dtype).reshape(self.shape))


def fill_diagonal_(self: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """Writes a number on the main diagonal; wrap: it begins again below the square part of a tall matrix."""
    if self.ndim < 2:
        fail(ShapeError, 1001, "fill_diagonal_", f"needs 2 dimensions or more, got shape {tuple(self.shape)}.")
    if self.ndim > 2 and len(set(self.shape)) > 1:
        fail(ShapeError, 1002, "fill_diagonal_", f"more than 2 dimensions must have one size, got {tuple(self.shape)}.")
    rows, columns = self.shape[0], self.shape[1]
    step = sum(self.stride())
    count = min(self.shape)
    self.as_strided((count,), (step,), self.storage_offset()).fill_(fill_value)
    if wrap and self.ndim == 2 and rows > columns + 1:
        for first in range(columns + 1, rows, columns + 1):
            count = min(columns, rows - first)
            self[first : first + count].as_strided(
                (count,), (step,), self.storage_offset() + first * self.stride(0)
            ).fill_(fill_value)
    return self


class Storage:
    """The memory behind a tensor, in bytes."""

    def __init__(self, tensor):
        self.tensor = tensor

    def nbytes(self):
        return _core.storage_elements(self.tensor) * self.tensor.element_size()

    size = __len__ = nbytes

    @property
    def device(self):
        return self.tensor.device

    def data_ptr(self):
        """Address of the first byte in host memory; 0 where the host cannot reach it."""
        start = self.tensor.data_ptr()
        return start - self.tensor.storage_offset() * self.tensor.element_size() if start else 0

    def __repr__(self):
        return f"helix.Storage({self.nbytes()} bytes on {self.device})"


def untyped_storage(self: Tensor) -> Storage:
    """The memory that the tensor shows a part of."""
    return Storage(self)


def pin_memory(self: Tensor, device: Device | None = None) -> Tensor:
    """The tensor itself: helix copies from ordinary memory, which the CPU device's drivers pin where they need to."""
    return self


def to_dense(self: Tensor, dtype: DType | None = None, *, masked_grad: bool = True) -> Tensor:
    """The tensor itself, which is dense, as `dtype` where one is given."""
    return self if dtype is None else self.to(dtype)


def where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """The tensor's elements where condition holds, and those of other elsewhere."""
    return op("where")(condition, self, other)


def _never(what):
    return property(lambda self: False, doc=f"Whether the tensor is {what}: helix has none.")


METHODS = {name + "_": _view_in_place(name) for name in VIEWS.split()} | {
    f.__name__: f
    for f in (
        resize_,
        resize_as_,
        set_,
        apply_,
        map_,
        fill_diagonal_,
        untyped_storage,
        pin_memory,
        to_dense,
        where,
    )
}
METHODS |= {
    "hardshrink": op("hardshrink"),
    "const_data_ptr": _core.Tensor.data_ptr,
    "is_cpu": property(lambda self: self.device.type == "cpu", doc="Whether the CPU's memory holds it."),
    "is_meta": _never("on a device without memory"),
    "is_sparse": _never("sparse"),
    "is_sparse_csr": _never("sparse"),
    "is_quantized": _never("quantized"),
    "is_mkldnn": _never("in a layout of oneDNN"),
    "layout": property(lambda self: check.__globals__["strided"], doc="How the elements are kept: helix.strided."),
    "mH": property(
        lambda self: op("conj")(self.mT) if self.is_complex() else self.mT,
        doc="The matrices, transposed and conjugated.",
    ),
}
FUNCTIONS = {"resize_as_": resize_as_}
_core.add_methods(METHODS)
