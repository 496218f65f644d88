"""Spec: shape and dtype of a tensor that is not there yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import helix

from .symbols import Expr


class Spec:
    """Shape and dtype of an input; sizes are ints or dimensions.

    Example:
        >>> helix.graph.Spec((2, helix.graph.Dim("T")), helix.int64)
        Spec((2, T), int64)
    """

    __slots__ = ("device", "dtype", "shape")

    def __init__(self, shape: Sequence[int | Expr], dtype: Any = None, device: Any = None) -> None:
        self.shape: tuple[Any, ...] = tuple(shape)
        self.dtype = helix.get_default_dtype() if dtype is None else dtype
        self.device = device

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and (self.shape, self.dtype) == (other.shape, other.dtype)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        inside = ", ".join(map(str, self.shape)) + ("," if len(self.shape) == 1 else "")
        return f"Spec(({inside}), {self.dtype.name})"
