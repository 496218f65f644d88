"""TensorProto to tensor: what it says of its size is checked before anything is made."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy

import helix

from .._core import Tensor
from . import external
from .faults import broken, short, unsupported
from .limits import Limits
from .types import dtype_of

# Fields that hold elements where raw_data does not, and whether several dtypes share them as bits.
_FIELDS = {
    "float32": "float_data", "complex64": "float_data", "float64": "double_data", "complex128": "double_data", "int64": "int64_data",
    "uint32": "uint64_data", "uint64": "uint64_data",
}  # fmt: skip
_BITS = {"float16": numpy.uint16, "bfloat16": numpy.uint16}


class Source:
    """Where tensors come from: the file's limits, its folder, and how much was taken already."""

    def __init__(self, limits: Limits, folder: str | None, external_data: bool = True, device: Any = None) -> None:
        self.limits, self.folder, self.external_data, self.device = limits, folder, external_data, device
        self.elements = 0
        self.external_bytes = 0

    def tensor(self, proto: Any) -> Tensor:
        """The tensor of a message.

        Raises FormatError (HX4020), or UnsupportedOpError (HX4021) for element types that helix has not.
        """
        array = self.array(proto)
        made = helix.tensor(array)
        return made if self.device is None else made.to(self.device)

    def array(self, proto: Any) -> numpy.ndarray:
        dtype = dtype_of(proto.data_type)
        shape = self.shape(proto.dims, proto.name)
        count = prod(shape)
        if proto.HasField("segment"):
            raise unsupported(f"tensor {short(proto.name)} is one of several segments")
        if proto.data_location == 1:
            raw = self.external(proto, count * dtype.itemsize)
        elif proto.HasField("raw_data"):
            raw = proto.raw_data
        else:
            return self.listed(proto, dtype, count).reshape(shape)
        if len(raw) != count * dtype.itemsize:
            raise broken(
                f"tensor {short(proto.name)} has {len(raw)} bytes, {dtype.name}{list(shape)} needs {count * dtype.itemsize}"
            )
        if dtype is helix.bool:
            return numpy.frombuffer(raw, numpy.uint8).reshape(shape) != 0
        return numpy.frombuffer(raw, dtype.numpy.newbyteorder("<") if dtype.itemsize > 1 and dtype.name != "bfloat16" else dtype.numpy).reshape(shape)  # fmt: skip

    def shape(self, dims: Any, name: str) -> tuple[int, ...]:
        shape = tuple(dims)
        if len(shape) > self.limits.rank or any(size < 0 for size in shape):
            raise broken(f"tensor {short(name)} has shape {short(str(list(shape[:20])))}")
        self.elements += prod([size or 1 for size in shape])
        if self.elements > self.limits.initializer_elements:
            raise broken(f"the tensors have more than {self.limits.initializer_elements} elements; see Limits")
        return shape

    def external(self, proto: Any, needed: int) -> bytearray:
        facts = {entry.key: entry.value for entry in proto.external_data}
        if not self.external_data:
            raise broken(f"tensor {short(proto.name)} lies in another file, and external_data=False")
        if self.folder is None:
            raise broken(
                f"tensor {short(proto.name)} lies in another file; say in which folder: load(..., folder=path)"
            )
        numbers = {}
        for key in ("offset", "length"):
            text = facts.get(key, "0" if key == "offset" else str(needed))
            if not text.isascii() or not text.isdigit() or len(text) > 18:
                raise broken(f"tensor {short(proto.name)} has {key} {short(text)}")
            numbers[key] = int(text)
        self.external_bytes += needed
        if numbers["length"] != needed or self.external_bytes > self.limits.external_bytes:
            raise broken(
                f"tensor {short(proto.name)} needs {needed} bytes, its length is given as {numbers['length']}; all external data "
                f"may have {self.limits.external_bytes}"
            )
        return external.read(self.folder, facts.get("location", ""), numbers["offset"], needed)

    def listed(self, proto: Any, dtype: Any, count: int) -> numpy.ndarray:
        """Elements in a typed field."""
        values = getattr(proto, _FIELDS.get(dtype.name, "int32_data"))
        needed = 2 * count if dtype.is_complex else count
        if len(values) != needed:
            raise broken(f"tensor {short(proto.name)} has {len(values)} numbers of {needed}")
        if dtype.name in _BITS:
            bits = numpy.array(values, numpy.int64).astype(_BITS[dtype.name])
            return bits.view(dtype.numpy)
        if dtype.is_complex:
            half = numpy.float32 if dtype.name == "complex64" else numpy.float64
            return numpy.array(values, half).view(dtype.numpy)
        wide = numpy.uint64 if dtype.name in ("uint32", "uint64") else None
        return numpy.array(values, wide).astype(dtype.numpy) if count else numpy.zeros(0, dtype.numpy)

    def sparse(self, proto: Any) -> Tensor:
        """A SparseTensorProto, as the dense tensor."""
        name = proto.values.name
        shape = self.shape(proto.dims, name)
        values, indices = self.array(proto.values), self.array(proto.indices)
        if prod(shape) > self.limits.value_elements or values.ndim != 1 or indices.dtype != numpy.int64:
            raise broken(
                f"sparse tensor {short(name)} has shape {list(shape)}, or values and indices that fit no such tensor"
            )
        if indices.ndim == 2 and indices.shape == (len(values), len(shape)):
            sizes = numpy.array(shape, numpy.int64)
            if indices.size and ((indices < 0) | (indices >= sizes)).any():
                raise broken(f"sparse tensor {short(name)} has indices outside of shape {list(shape)}")
            indices = numpy.ravel_multi_index(tuple(indices.T), shape) if shape else indices[:, 0]
        if indices.shape != values.shape or (indices.size and not 0 <= indices.min() <= indices.max() < prod(shape)):
            raise broken(f"sparse tensor {short(name)} has indices that do not fit its values and shape {list(shape)}")
        dense = numpy.zeros(prod(shape), values.dtype)
        dense[indices] = values
        return helix.tensor(dense.reshape(shape))
