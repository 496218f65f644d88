"""Sorts parameters into lists that one fused call can update."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from ..tensor import Tensor


def buckets(named: Iterable[tuple[str, Tensor]], key) -> dict[Hashable, list[tuple[str, Tensor]]]:
    """Parameters of one dtype, device and `key(name)` together, in order."""
    found: dict[Hashable, list[tuple[str, Tensor]]] = {}
    for name, parameter in named:
        found.setdefault((parameter.dtype, str(parameter.device), key(name)), []).append((name, parameter))
    return found
