"""Sorts parameters into lists that one fused call can update."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..tensor import Tensor


def buckets(named: Iterable[tuple[str, Tensor]], key: Callable[[str], Any]) -> dict[tuple, list[tuple[str, Tensor]]]:
    """Parameters of one dtype, device and `key(name)` together, in order."""
    found: dict[tuple, list[tuple[str, Tensor]]] = {}
    for name, parameter in named:
        found.setdefault((parameter.dtype, str(parameter.device), key(name)), []).append((name, parameter))
    return found
