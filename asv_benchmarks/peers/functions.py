"""Functions of float64 and float32 elements, sums of complex numbers and extremes of short integers, 1M elements each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .data import normal

ELEMENTWISE = {
    "float64": ("exp", "log", "asin", "tanh", "erf", "erfc", "erfinv", "lgamma"),
    "float32": ("log", "erfc", "lgamma"),
}
REDUCTIONS = {"sum": ("complex64",), "amax": ("uint8", "int8", "int16", "int32")}


def elementwise(name: str, dtype: str) -> Callable[[Any], Callable[[], Any]]:
    """The arguments are normal numbers, brought into where the function is defined."""

    def build(lib: Any) -> Callable[[], Any]:
        t, x = lib.t, lib.array(normal("special", 1024, 1024).astype(dtype))
        function = getattr(t, name)
        argument = t.exp(x) if name == "log" else t.tanh(x) if name in {"asin", "erfinv"} else x * 2
        return lib.inference(lambda: function(argument))

    return build


def reduction(name: str, dtype: str, dim: int) -> Callable[[Any], Callable[[], Any]]:
    def build(lib: Any) -> Callable[[], Any]:
        values = normal("special", 1024, 1024)
        x = lib.array((values + 1j * values.T if dtype == "complex64" else values * 20).astype(dtype))
        function = getattr(lib.t, name)
        return lib.inference(lambda: function(x, dim))

    return build


FUNCTIONS = {f"B.{name}_{dtype}_1M": elementwise(name, dtype) for dtype, names in ELEMENTWISE.items() for name in names}
FUNCTIONS |= {
    f"B.{name}{dim}_{dtype}_1M": reduction(name, dtype, dim)
    for name, dtypes in REDUCTIONS.items()
    for dtype in dtypes
    for dim in (0, 1)
}
