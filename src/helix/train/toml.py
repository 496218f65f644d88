"""Writes the small TOML that configurations need; the standard library only reads it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def dump(values: Mapping[str, Any]) -> str:
    """Plain values first, then a table for each nested mapping; None is left out."""
    return "\n".join(_table(values, ())).strip() + "\n"


def _table(values: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    plain = {k: v for k, v in values.items() if v is not None and not isinstance(v, Mapping)}
    nested = {k: v for k, v in values.items() if isinstance(v, Mapping)}
    lines = ["", f"[{'.'.join(map(_key, path))}]"] if path and (plain or not nested) else []
    lines += [f"{_key(k)} = {_value(v)}" for k, v in plain.items()]
    for name, inner in nested.items():
        if inner:
            lines += _table(inner, (*path, name))
    return lines


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value) or math.isinf(value):
            return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
        return repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    raise TypeError(f"a {type(value).__name__} cannot be written as TOML")
