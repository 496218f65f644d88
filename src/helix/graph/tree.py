"""Nested containers of tensors as a list of tensors and a description of the containers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from .._core import Tensor, same_value
from ..errors import ArgumentError
from .spec import Spec


class Tree:
    """How leaves lie in dicts, lists, tuples, named tuples and dataclasses. Values that are no tensors are part of it."""

    __slots__ = ("cls", "keys", "parts", "value")

    def __init__(self, cls: Any, keys: tuple[Any, ...] = (), parts: tuple[Tree, ...] = (), value: Any = None) -> None:
        self.cls = cls  # Tensor: a leaf; None: a value of its own; else the container
        self.keys = keys
        self.parts = parts
        self.value = value  # of a defaultdict: what makes its defaults

    @property
    def leaves(self) -> int:
        return 1 if self.cls is Tensor else sum(part.leaves for part in self.parts)

    def values(self) -> list[Any]:
        """What stands among the leaves and is no tensor."""
        return [self.value] if self.cls is None else [value for part in self.parts for value in part.values()]

    def fill(self, leaves: Iterator[Any]) -> Any:
        """The containers again, around these leaves."""
        if self.cls is Tensor:
            return next(leaves)
        if self.cls is None:
            return self.value
        made = [part.fill(leaves) for part in self.parts]
        if is_dataclass(self.cls):
            return _dataclass(self.cls, dict(zip(self.keys, made, strict=True)))
        if issubclass(self.cls, dict):
            pairs = zip(self.keys, made, strict=True)
            return self.cls(self.value, pairs) if issubclass(self.cls, defaultdict) else self.cls(pairs)
        if hasattr(self.cls, "_fields"):
            return self.cls(*made)
        if issubclass(self.cls, (list, tuple)):
            return self.cls(made)
        raise AssertionError(self.cls)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tree) and self._key() == other._key() and same_value(self.value, other.value)

    def __hash__(self) -> int:
        return hash((self.keys, self.parts))

    def _key(self) -> tuple[Any, ...]:
        cls = self.cls
        named = isinstance(cls, type) and (hasattr(cls, "_fields") or is_dataclass(cls))
        return cls.__name__ if named else cls, self.keys, self.parts

    def __repr__(self) -> str:
        if self.cls is Tensor:
            return "*"
        if self.cls is None:
            return repr(self.value)
        named = zip(self.keys or [""] * len(self.parts), self.parts, strict=True)
        return f"{self.cls.__name__}({', '.join(f'{key}: {part}' if key != '' else str(part) for key, part in named)})"


def _dataclass(cls: Any, values: dict[str, Any]) -> Any:
    """Fields that the class fills in itself get their values afterwards. Of a dict of fields, those that are None are not told."""
    later = [field.name for field in fields(cls) if not field.init and field.name in values]
    made = cls(**{name: value for name, value in values.items() if name not in later})
    for name in later:
        object.__setattr__(made, name, values[name])
    return made


def flatten(value: Any) -> tuple[list[Any], Tree]:
    """The tensors (or specs) in `value`, and the tree that puts them back."""
    leaves: list[Any] = []
    return leaves, _walk(value, leaves)


def _walk(value: Any, leaves: list[Any]) -> Tree:
    if isinstance(value, (Tensor, Spec)):
        leaves.append(value)
        return Tree(Tensor)
    cls = type(value)
    if isinstance(value, dict):
        factory = value.default_factory if isinstance(value, defaultdict) else None
        return Tree(cls, tuple(value), tuple([_walk(part, leaves) for part in value.values()]), factory)
    if isinstance(value, (list, tuple)):
        return Tree(cls, getattr(cls, "_fields", ()), tuple([_walk(part, leaves) for part in value]))
    if is_dataclass(value) and not isinstance(value, type):
        names = tuple([field.name for field in fields(value) if hasattr(value, field.name)])
        return Tree(cls, names, tuple([_walk(getattr(value, name), leaves) for name in names]))
    return Tree(None, value=value)


def match(value: Any, tree: Tree, what: str) -> list[Any]:
    """The leaves of a value that must have this tree.

    Raises ArgumentError (HX1103) where it has another.
    """
    leaves, found = flatten(value)
    if found != tree:
        raise ArgumentError(
            f"HX1103 {what} must be {tree}, got {found}", code="HX1103", expected=str(tree), got=str(found)
        )
    return leaves
