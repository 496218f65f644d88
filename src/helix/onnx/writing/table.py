"""Which function writes which op. The functions stand one family a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

from ...graph.ir import Node, Value

FAMILIES = (
    "elementwise",
    "reductions",
    "shapes",
    "indexing",
    "products",
    "windows",
    "norms",
    "spectra",
    "recurrent",
    "control",
)
Handler = Callable[..., Any]
H = TypeVar("H", bound=Handler)
_ends: ContextVar[frozenset[int]] = ContextVar("ends", default=frozenset())
_real: dict[str, tuple[Handler, Callable[[Node], bool] | None]] = {}
_complex: dict[str, tuple[Handler, Callable[[Node], bool] | None]] = {}


def writes(*ops: str, when: Callable[[Node], bool] | None = None, complex: bool = False) -> Callable[[H], H]:
    """Enters a function `handler(writer, *tensors, *attributes)`, in the order of the record.

    when: for which nodes; others are taken apart. complex: for nodes that take or give complex tensors.
    """

    def enter(function: H) -> H:
        for op in ops:
            (_complex if complex else _real)[op] = (function, when)
        return function

    return enter


@cache
def _fill() -> None:
    for family in FAMILIES:
        import_module(f"{__package__}.{family}")


@contextmanager
def ending(values: Iterable[Value]) -> Iterator[None]:
    """Inside, these are results of the graph that is written."""
    token = _ends.set(_ends.get() | {id(value) for value in values})
    try:
        yield
    finally:
        _ends.reset(token)


def taken(value: Value) -> bool:
    """Does a node take the value, or the caller?"""
    return bool(value.users) or id(value) in _ends.get()


def ended(value: Value) -> bool:
    """Is it a result of the graph that is written?"""
    return id(value) in _ends.get()


def handler_of(node: Node) -> Handler | None:
    """What writes the node as it stands, if anything."""
    _fill()
    is_complex = (
        any(value is not None and value.dtype.is_complex for value in (*node.inputs, *node.outputs)) and not node.graphs
    )
    handler, when = (_complex if is_complex else _real).get(node.op, (None, None))
    return handler if when is None or when(node) else None


def written() -> list[str]:
    """The ops that have an entry."""
    _fill()
    return sorted({*_real, *_complex})
