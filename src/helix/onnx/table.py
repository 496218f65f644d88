"""Which function computes which ONNX operator. The functions stand in ops/, one file a family."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from inspect import Parameter, signature
from typing import Any, TypeVar

FAMILIES = (
    "elementwise",
    "activation",
    "reduction",
    "shape",
    "indexing",
    "conv",
    "pooling",
    "norm",
    "product",
    "quant",
    "recurrent",
    "resize",
    "image",
    "spectrum",
    "random",
    "sequence",
    "control",
    "loss",
    "training",
    "attention",
    "counting",
)


F = TypeVar("F", bound=Callable[..., Any])


class Handler:
    """A function of tensors that computes an operator from version `since` on.

    Its positional parameters are the operator's inputs, its keyword parameters the attributes. `static` are the inputs whose
    values must be known to tell the shape of a result. With `sizes` only the shapes of inputs matter; with `grows` the result
    has a shape that comes of input values; with `random` no two runs give the same. A function that returns NotImplemented leaves
    it to the operator's definition in other operators.
    """

    __slots__ = ("attributes", "function", "grows", "random", "since", "sizes", "static", "takes_call", "takes_rest")

    def __init__(
        self, function: Callable[..., Any], since: int, static: tuple[int, ...], sizes: bool, grows: bool, random: bool
    ) -> None:
        parameters = list(signature(function).parameters.values())
        self.function, self.since, self.static = function, since, frozenset(static)
        self.sizes, self.grows, self.random = sizes, grows, random
        self.attributes = frozenset(p.name for p in parameters if p.kind is Parameter.KEYWORD_ONLY)
        self.takes_rest = any(p.kind is Parameter.VAR_KEYWORD for p in parameters)
        self.takes_call = bool(parameters) and parameters[0].name == "call"


_table: dict[tuple[str, str], list[Handler]] = {}


def op(
    *names: str,
    since: int = 1,
    static: tuple[int, ...] = (),
    sizes: bool = False,
    grows: bool = False,
    random: bool = False,
    domain: str = "",
) -> Callable[[F], F]:
    """Enters a function for operators, from a version of the operator set on."""

    def enter(function: F) -> F:
        for name in names:
            versions = _table.setdefault((domain, name), [])
            versions.append(Handler(function, since, static, sizes, grows, random))
            versions.sort(key=lambda handler: handler.since)
        return function

    return enter


@cache
def _filled() -> dict[tuple[str, str], list[Handler]]:
    for family in FAMILIES:
        import_module(f"{__package__}.ops.{family}")
    return _table


def find(domain: str, name: str, version: int) -> Handler | None:
    """The handler of an operator in a version of its set; None where there is none."""
    found = None
    for handler in _filled().get((domain, name), ()):
        if handler.since <= version:
            found = handler
    return found


def names() -> list[tuple[str, str]]:
    """All operators with a handler, as (domain, name)."""
    return sorted(_filled())
