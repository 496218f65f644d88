"""Sorts the parameters of a step into lists that one fused call can update."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .optimizer import Entry


def buckets(entries: Iterable[Entry], key: Callable[[Entry], Any]) -> dict[tuple, list[Entry]]:
    """Parameters of one dtype, device and `key(entry)` together, in order."""
    found: dict[tuple, list[Entry]] = {}
    for entry in entries:
        parameter = entry.parameter
        found.setdefault((parameter.dtype, str(parameter.device), key(entry)), []).append(entry)
    return found
