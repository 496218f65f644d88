"""What a model takes and gives: names, dtypes and shapes, and values that fit them."""

from __future__ import annotations

import re
from typing import Any

import numpy

import helix

from .._core import Tensor
from ..errors import ArgumentError, ShapeError
from .faults import broken, short
from .types import dtype_of


class Port:
    """An input or output. `kind` is "tensor", "sequence" or "optional"; of the last two dtype and shape are those of the tensors
    within. Sizes of a shape are ints or `helix.graph.Dim`; it is None where the file tells none."""

    __slots__ = ("dtype", "kind", "name", "shape")

    def __init__(self, name: str, kind: str, dtype: Any, shape: tuple[Any, ...] | None) -> None:
        self.name, self.kind, self.dtype, self.shape = name, kind, dtype, shape

    def __repr__(self) -> str:
        shape = "?" if self.shape is None else ", ".join(map(str, self.shape))
        text = f"{self.dtype.name if self.dtype is not None else '?'}[{shape}]"
        return f"{self.name}: {text if self.kind == 'tensor' else f'{self.kind} of {text}'}"

    def value(self, given: Any) -> Any:
        """What was given, as a tensor, a list of tensors or None.

        Raises ArgumentError (HX1103) for another dtype or kind, ShapeError (HX1002) for another shape.
        """
        if self.kind == "tensor":
            return self.fitting(tensor_of(given, self.name))
        if given is None:
            if self.kind == "optional":
                return None
            raise self.misfit(f"{self.kind}", "None")
        if isinstance(given, (list, tuple)):
            return [tensor_of(part, self.name) for part in given]
        if self.kind == "sequence":
            raise self.misfit("a list of tensors", type(given).__name__)
        return tensor_of(given, self.name)

    def fitting(self, x: Tensor) -> Tensor:
        if self.dtype is not None and x.dtype != self.dtype:
            raise self.misfit(self.dtype.name, x.dtype.name)
        fixed = self.shape
        if fixed is not None and (
            len(fixed) != x.ndim or any(isinstance(n, int) and n != m for n, m in zip(fixed, x.shape, strict=True))
        ):
            raise ShapeError(
                f"HX1002 the model's input {self.name} is {self}, got shape {list(x.shape)}",
                code="HX1002",
                argument=self.name,
                expected=str(fixed),
                got=x.shape,
            )
        return x

    def misfit(self, expected: str, got: str) -> ArgumentError:
        return ArgumentError(
            f"HX1103 the model's input {self.name} must be {expected}, got {got}",
            code="HX1103",
            argument=self.name,
            expected=expected,
            got=got,
        )


def tensor_of(given: Any, name: str) -> Tensor:
    if isinstance(given, Tensor):
        return given
    try:
        array = numpy.asarray(given)
    except ValueError as error:  # lists of unequal length
        raise ArgumentError(
            f"HX1103 the model's input {name} must be a tensor or an array: {error}", code="HX1103", argument=name
        ) from None
    if array.dtype == object or (array.dtype.kind in "USOMmV" and array.dtype.name != "bfloat16"):
        raise ArgumentError(
            f"HX1103 the model's input {name} must be a tensor or an array of numbers, got {array.dtype}",
            code="HX1103",
            argument=name,
        )
    return helix.tensor(array)


def port_of(proto: Any) -> Port:
    """The port of a ValueInfoProto."""
    kind, told = "tensor", proto.type
    if told.HasField("optional_type"):
        kind, told = "optional", told.optional_type.elem_type
    if told.HasField("sequence_type"):
        kind, told = "optional" if kind == "optional" else "sequence", told.sequence_type.elem_type
    if not told.HasField("tensor_type"):
        if told.WhichOneof("value") in ("map_type", "sparse_tensor_type"):
            raise broken(f"{short(proto.name)} is a map or a sparse tensor, which are not supported")
        return Port(proto.name, kind, None, None)
    tensor = told.tensor_type
    dtype = dtype_of(tensor.elem_type) if tensor.elem_type else None
    if not tensor.HasField("shape"):
        return Port(proto.name, kind, dtype, None)
    sizes = tuple([_size(dim, f"{proto.name}_{i}") for i, dim in enumerate(tensor.shape.dim)])
    return Port(proto.name, kind, dtype, sizes)


def _size(dim: Any, otherwise: str) -> Any:
    from ..graph.symbols import Dim

    if dim.WhichOneof("value") == "dim_value":
        if dim.dim_value < 0:
            raise broken(f"a size is {dim.dim_value}")
        return int(dim.dim_value)
    name = re.sub(r"\W", "_", dim.dim_param or otherwise)[:64]
    return Dim(name if name.isidentifier() else f"d_{name}")
