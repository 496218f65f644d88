"""Records of ops as a file sees them: by names of parameters, so that a file outlives changes of their order."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import _core
from .._core import Draw, dtype
from ..errors import FormatError
from .ir import Value
from .schema import NodeData, Record, broken, unsaveable
from .symbols import Expr

CONTROL = frozenset({"cond", "scan", "while_loop", "function", "transfer"})


class Known(NamedTuple):
    """Parameters of a record: names of tensors and attributes, in order, and what is known of each."""

    tensors: dict[str, dict[str, Any]]
    attributes: dict[str, dict[str, Any]]


_RECORDS: dict[str, Known] = {}


def record_of(op: str) -> Known:
    if not _RECORDS:
        for record in _core.ops():
            params = {p["name"]: p for p in record["params"]}
            tensors = {name: p for name, p in params.items() if "Tensor" in p["kind"]}
            _RECORDS[record["name"]] = Known(tensors, {n: p for n, p in params.items() if n not in tensors})
    found = _RECORDS.get(op)
    if found is None:
        raise unsaveable(f"{op[:40]!r} is no op of this helix")
    return found


def attributes_from(
    data: NodeData, told: Record, attributes: tuple[Any, ...], inputs: tuple[Value | None, ...]
) -> tuple[tuple[Any, ...], tuple[Value | None, ...]]:
    """Attributes and inputs in the order that the record has now.

    Raises FormatError (HX4010) where it has others, or they are of another kind.
    """
    op = data.op
    try:
        record = record_of(op)
    except FormatError:
        raise broken(f"{op[:40]!r} is no op of this helix") from None
    by_name = dict(zip(told.attributes, attributes))
    if len(by_name) != len(told.attributes) or len(attributes) != len(told.attributes):
        raise broken(f"{op} has {len(attributes)} attributes, for {', '.join(told.attributes)[:200]}")
    for name in by_name:
        if name not in record.attributes:
            raise broken(f"{op} has no parameter {name[:40]!r}")
    made = []
    for name, parameter in record.attributes.items():
        if name not in by_name and parameter["required"]:
            raise broken(f"{op} needs {name!r}, which the file does not have")
        made.append(by_name[name] if name in by_name else parameter["default"])
        if not _fits(made[-1], parameter):
            raise broken(f"{op}: {name} cannot be {str(made[-1])[:80]!r}")
    return tuple(made), _tensors(data, told, record, inputs)


def _tensors(data: NodeData, told: Record, record: Known, inputs: tuple[Value | None, ...]) -> tuple[Value | None, ...]:
    op, names = data.op, list(record.tensors)
    if told.tensors != names[: len(told.tensors)] or any(
        record.tensors[name]["kind"] != "Tensor | None" for name in names[len(told.tensors) :]
    ):
        raise broken(f"{op} takes the tensors {', '.join(names)}, the file has {', '.join(told.tensors)[:200]}")
    listed = [i for i, p in enumerate(record.tensors.values()) if p["kind"] == "Sequence[Tensor]"]
    length = data.list_length
    if not 0 <= length <= len(inputs) or (length and not listed):
        raise broken(f"{op} takes no list of {length} tensors")
    if len(inputs) != len(told.tensors) + (length - 1 if listed else 0):
        raise broken(f"{op} does not take {len(inputs)} tensors")
    at = listed[0] if listed else len(inputs)
    for i, value in enumerate(inputs):
        within = at <= i < at + length
        name = names[at] if within else names[i if i < at else i - length + 1]
        kind = record.tensors[name]["kind"]
        if value is None and kind != "Tensor | None" and not (within and op in ("index", "index_put")):
            raise broken(f"{op}: {name} is absent")
    if any(not 0 <= i < len(inputs) or inputs[i] is None for i in data.writes):
        raise broken(f"{op} cannot write {data.writes[:8]}")
    return (*inputs, *[None] * (len(names) - len(told.tensors)))


def _is_int(value: Any) -> bool:
    return (type(value) is int and -(1 << 63) <= value < 1 << 63) or isinstance(value, Expr)


def _fits(value: Any, parameter: dict[str, Any]) -> bool:
    """Is the value of the kind that the record says?"""
    kind: str = parameter["kind"]
    if value is None:
        return "None" in kind or parameter["default"] is None
    kind = kind.removesuffix(" | None")
    if kind == "bool":
        return type(value) is bool
    if kind == "int":
        return _is_int(value)
    if kind == "int | Sequence[int]":
        return type(value) is tuple and len(value) <= 1 << 16 and all(map(_is_int, value))
    if kind == "float":
        return type(value) is float or isinstance(value, Expr)
    if kind == "Sequence[float]":
        return type(value) is tuple and len(value) <= 1 << 16 and all(type(part) is float for part in value)
    if kind == "Number":
        return type(value) in (bool, float, complex) or _is_int(value)
    if kind == "str":
        return type(value) is str and (parameter["choices"] is None or value in parameter["choices"])
    if kind == "dtype":
        return type(value) is dtype
    if kind == "Generator":
        pair = type(value) is tuple and len(value) == 2
        return type(value) is Draw or (pair and all(type(part) is int and 0 <= part < 1 << 64 for part in value))
    return False
