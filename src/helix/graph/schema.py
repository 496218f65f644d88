"""Graphs as plain data: the schema of format 1, and how values stand in it."""

from __future__ import annotations

import math
from collections import OrderedDict, namedtuple
from dataclasses import is_dataclass, make_dataclass
from fractions import Fraction
from keyword import iskeyword
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from .. import _core
from .._core import Draw, Tensor, dtype
from ..errors import FormatError
from .symbols import Expr, Unknown
from .tree import Tree

FORMAT = 1
DEEP = 24  # levels of bodies, of containers, and of tuples in attributes
TEXT = 4096  # characters of a name
TERMS = 4096
POWERS = 64  # factors of a product of dimensions


class Record(Struct, array_like=True, forbid_unknown_fields=True):
    """What a file says of an op: names of its tensors, and of its attributes."""

    tensors: list[str]
    attributes: list[str]


class DimData(Struct, forbid_unknown_fields=True):
    """A dimension."""

    name: str
    min: int = 1
    max: int | None = None
    multiple_of: int = 1


class InputData(Struct, forbid_unknown_fields=True):
    """An input."""

    name: str
    dtype: str
    shape: list[Any]


class CapturedData(Struct, forbid_unknown_fields=True):
    """A captured tensor, which lies in the file of tensors under its name."""

    name: str
    kind: str
    dtype: str
    shape: list[int]
    requires_grad: bool = False


class NodeData(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A node. Values are counted: inputs, captured tensors, results; -1, -2, … are the graph's numbers, null is no tensor."""

    op: str
    inputs: list[int | None]
    outputs: list[tuple[str, list[Any]]]
    attributes: list[Any] = []
    list_length: int = 0
    no_grad: bool = False
    device: str = "cpu"
    writes: list[int] = []
    place: int = 0
    graphs: list[GraphData] = []


class EffectData(Struct, array_like=True, forbid_unknown_fields=True):
    """An effect."""

    kind: str
    target: int
    value: int


class TreeData(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Containers around tensors: kind is tensor, value, dict, list, tuple, ordered, named or dataclass."""

    kind: str
    name: str = ""
    keys: list[Any] = []
    parts: list[TreeData] = []
    value: Any = None


class GraphData(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A graph."""

    name: str
    inputs: list[InputData]
    nodes: list[NodeData]
    outputs: list[int]
    captured: list[CapturedData] = []
    numbers: list[tuple[Any, str]] = []
    effects: list[EffectData] = []
    dims: list[DimData] = []
    draws: int = 0
    in_tree: TreeData | UnsetType = UNSET
    out_tree: TreeData | UnsetType = UNSET


class FileData(Struct, forbid_unknown_fields=True):
    """A whole file: `format` is 1."""

    format: int
    ops: dict[str, Record]
    places: list[tuple[str, str, int]]
    graph: GraphData


def broken(text: str) -> FormatError:
    return FormatError(f"HX4010 graph: {text}; nothing was loaded.", op="graph.load", code="HX4010")


def unsaveable(text: str) -> FormatError:
    return FormatError(f"HX4011 graph: {text}.", op="graph.save", code="HX4011")


# ---- values ------------------------------------------------------------------------------------------------


def encode(value: Any) -> Any:
    """A value as JSON has it: tuples are lists, and what JSON has no form of is an object of one key."""
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if type(value) is tuple:
        return [encode(part) for part in value]
    if type(value) is complex:
        return {"complex": [encode(value.real), encode(value.imag)]}
    if type(value) is dtype:
        return {"dtype": value.name}
    if type(value) is Draw:
        number: Any = value
        return {"draw": int(number)}
    if isinstance(value, Unknown):
        return {"unknown": value.text}
    if isinstance(value, Expr):
        return {"expression": _terms(value), **({"over": _terms(value.divisor)} if value.divisor is not None else {})}
    raise unsaveable(f"{value!r} of type {type(value).__name__} is no data that a file can hold")


def _terms(value: Expr) -> list[Any]:
    return [[factor.numerator, factor.denominator, list(key)] for key, factor in value.terms]


def decode(value: Any, names: frozenset[str], depth: int = 0) -> Any:
    """The value again; `names` are the dimensions that expressions may have."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        if depth > DEEP:
            raise broken("a value is nested too deeply")
        return tuple([decode(part, names, depth + 1) for part in value])
    if type(value) is dict:
        match value:
            case {"float": "nan" | "inf" | "-inf" as text, **rest} if not rest:
                return float(text)
            case {"complex": [a, b], **rest} if not rest:
                real, imaginary = decode(a, names, DEEP), decode(b, names, DEEP)
                if type(real) is float and type(imaginary) is float:
                    return complex(real, imaginary)
            case {"dtype": str(name), **rest} if not rest:
                return dtype_named(name)
            case {"draw": int(number), **rest} if not rest and 0 <= number < 1 << 31:
                return Draw(number)
            case {"unknown": str(text), **rest} if not rest and len(text) <= TEXT:
                return Unknown(text)
            case {"expression": list(terms), **rest} if set(rest) <= {"over"}:
                divisor = Expr(_factors(rest["over"], names)) if "over" in rest else None
                if divisor is None or divisor.terms:
                    return Expr(_factors(terms, names), divisor)
    raise broken(f"{str(value)[:80]!r} is no value")


def _factors(terms: Any, names: frozenset[str]) -> dict[tuple[str, ...], Fraction]:
    found: dict[tuple[str, ...], Fraction] = {}
    for term in terms if type(terms) is list and len(terms) <= TERMS else [None]:
        match term:
            case [int(top), int(bottom), list(key)] if (
                bottom > 0 and len(key) <= POWERS and all(type(name) is str and name in names for name in key)
            ):
                found[tuple(key)] = Fraction(top, bottom)
            case _:
                raise broken(f"{str(term)[:80]!r} is no product of the graph's dimensions")
    return found


_DTYPES: dict[str, dtype] = {}


def dtype_named(name: str) -> dtype:
    if not _DTYPES:
        _DTYPES.update({found.name: found for found in vars(_core).values() if isinstance(found, dtype)})
    found = _DTYPES.get(name)
    if found is None:
        raise broken(f"dtype {name[:40]!r} is unknown")
    return found


def shape_of(sizes: list[Any], names: frozenset[str]) -> tuple[Any, ...]:
    if len(sizes) > 16:
        raise broken(f"a shape has {len(sizes)} axes")
    shape = tuple([decode(size, names, DEEP) for size in sizes])
    for size in shape:
        if not (isinstance(size, Expr) or (type(size) is int and 0 <= size < 1 << 62)):
            raise broken(f"{str(size)[:80]!r} is no size")
    return shape


# ---- containers --------------------------------------------------------------------------------------------

_PLAIN = {"dict": dict, "list": list, "tuple": tuple, "ordered": OrderedDict}
_KIND = {cls: kind for kind, cls in _PLAIN.items()}


def tree_data(tree: Tree) -> TreeData:
    if tree.cls is Tensor:
        return TreeData("tensor")
    if tree.cls is None:
        return TreeData("value", value=encode(tree.value))
    parts = [tree_data(part) for part in tree.parts]
    kind = _KIND.get(tree.cls)
    if kind is not None:
        return TreeData(kind, keys=[encode(key) for key in tree.keys], parts=parts)
    if issubclass(tree.cls, tuple) and hasattr(tree.cls, "_fields"):
        kind = "named"
    elif is_dataclass(tree.cls):
        kind = "dataclass"
    else:
        raise unsaveable(f"a container of type {tree.cls!r} cannot be in a file; use dicts, lists and tuples")
    return TreeData(kind, getattr(tree.cls, "__name__", ""), list(tree.keys), parts)


def tree_of(data: TreeData, depth: int = 0) -> Tree:
    """Named tuples and dataclasses come back as classes of their own, with the same name and fields."""
    if depth > DEEP:
        raise broken("containers are nested too deeply")
    if data.kind == "tensor":
        return Tree(Tensor)
    if data.kind == "value":
        return Tree(None, value=decode(data.value, frozenset()))
    parts = tuple([tree_of(part, depth + 1) for part in data.parts])
    keys = tuple([decode(key, frozenset(), DEEP) for key in data.keys])
    if data.kind in ("list", "tuple"):
        if keys:
            raise broken(f"a {data.kind} has keys")
        return Tree(_PLAIN[data.kind], (), parts)
    if len(keys) != len(parts) or len({repr(key) for key in keys}) != len(keys):
        raise broken(f"a container has {len(keys)} keys for {len(parts)} parts, or one of them twice")
    if data.kind in _PLAIN:
        return Tree(_PLAIN[data.kind], keys, parts)
    if data.kind in ("named", "dataclass"):
        return Tree(_class_of(data.kind, data.name, keys), keys, parts)
    raise broken(f"{data.kind[:40]!r} is no kind of container")


def _class_of(kind: str, name: str, keys: tuple[Any, ...]) -> type:
    for word in (name, *keys):
        if (
            type(word) is not str
            or not word.isidentifier()
            or iskeyword(word)
            or word.startswith("_")
            or len(word) > TEXT
        ):
            raise broken(f"{str(word)[:40]!r} is no name of a field")
    made: type = namedtuple(name, keys) if kind == "named" else make_dataclass(name, keys)
    return made
