"""What a compiled function rests on: what Python held while it was traced, and must hold again."""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from .. import _core
from .._core import Tensor
from ..nn.module import Module

MOST_PARTS = 64  # of a container that is looked into; of a larger one only whether it is another
OWN = frozenset({"_parameters", "_buffers", "_modules"})  # names of attributes, which are looked at themselves
HOOKS = frozenset({"_forward_hooks", "_forward_pre_hooks"})  # of a module, which counts their changes
_PLAIN = (bool, int, float, complex, str, bytes, type(None), _core.dtype, Tensor, type)


class Named(NamedTuple):
    """Global variables and attributes that code names, that of functions within included."""

    variables: frozenset[str]
    attributes: frozenset[str]


@lru_cache(1024)
def named(code: CodeType) -> Named:
    variables: set[str] = set()
    attributes: set[str] = set()
    for one in dis.get_instructions(code):
        if one.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            variables.add(one.argval)
        elif one.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes.add(one.argval)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            variables |= named(inner).variables
            attributes |= named(inner).attributes
    return Named(frozenset(variables), frozenset(attributes))


class Guards:
    """Attributes of modules; free variables, globals, and attributes of objects there, as far as the function names them, or a
    function of the user's that it names. Lists, tuples and dicts are looked into.

    modules: those that were called. values: arguments that are no tensors. depth: how far containers are looked into; 0: nor objects.
    noted: objects that asked for it, each with an attribute.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        modules: Sequence[Module] = (),
        values: Iterable[Any] = (),
        depth: int = 3,
        noted: Sequence[tuple[object, str]] = (),
    ) -> None:
        self.depth = depth
        self.cells: list[tuple[CellType, Any]] = []
        self.names: list[tuple[dict[str, Any], str, Any]] = []
        self.roots: dict[int, Module] = {id(module): module for module in modules}
        self.seen: set[int] = set()
        self._hold(function, frozenset())
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        for value in values:
            self._hold(value, named(code).attributes if isinstance(code, CodeType) else frozenset())
        every = {id(part): part for root in self.roots.values() for part in root.modules()}
        self.counts = [(vars(module), len(vars(module))) for module in every.values()]
        attributes = [
            (names, name, value if isinstance(value, _PLAIN) else frozen(value, depth))
            for names, _ in self.counts
            for name, value in names.items()
            if name not in OWN
        ]
        self.counts += [(vars(one), len(vars(one))) for one, _ in noted]
        attributes += [(vars(one), name, vars(one)[name]) for one, name in noted]
        self.names += [one for one in attributes if type(one[2]) in (list, dict) and one[1] not in HOOKS]
        self.modules = _core.Guard([], [], attributes, [], [])
        self.core = self.of([], [], [])

    def of(self, wanted: list[bool], free: list[Tensor], fixed: list[Tensor]) -> _core.Guard:
        """For the core: with which arguments, and which tensors from outside, require a gradient."""
        return _core.Guard(wanted, self.cells, self.names, free, fixed)

    def hold(self) -> bool:
        if any(len(attributes) != count for attributes, count in self.counts):
            return False
        return bool(self.modules.free_hold() and self.core.free_hold())

    def _hold(self, value: Any, attributes: frozenset[str]) -> None:
        """Looks at what may be read of a value by code that names these attributes."""
        if isinstance(value, _PLAIN) or id(value) in self.seen:
            return
        if isinstance(value, Module):
            self._hold_module(value)
        elif isinstance(value, MethodType):
            self._hold(value.__func__, attributes)
            if isinstance(value.__func__, FunctionType):
                self._hold(value.__self__, named(value.__func__.__code__).attributes)
        elif isinstance(value, FunctionType):
            self._hold_function(value)
        elif isinstance(value, (list, tuple)) and len(value) <= MOST_PARTS:
            for part in value:
                self._hold(part, attributes)
        elif self.depth and not (isinstance(value, ModuleType) and _is_ours(value.__name__)):
            known = getattr(value, "__dict__", None)
            if type(known) is dict:
                self.names += [
                    (known, name, frozen(known[name], self.depth)) for name in sorted(attributes) if name in known
                ]

    def _hold_module(self, module: Module) -> None:
        self.roots[id(module)] = module
        self.seen.add(id(module))
        for forward in {type(part).forward for part in module.modules()}:
            if isinstance(forward, FunctionType):
                self._hold(forward, frozenset())

    def _hold_function(self, function: FunctionType) -> None:
        self.seen.add(id(function))
        if _is_ours(function.__module__):
            return
        names = named(function.__code__)
        for cell in function.__closure__ or ():
            if cell != CellType():
                self.cells.append((cell, frozen(cell.cell_contents, self.depth)))
                self._hold(cell.cell_contents, names.attributes)
        known = function.__globals__
        for name in sorted(names.variables):
            if name in known and not isinstance(known[name], ModuleType):
                self.names.append((known, name, frozen(known[name], self.depth)))
            self._hold(known.get(name), names.attributes)


def _is_ours(module: str | None) -> bool:
    return module is not None and module.split(".", 1)[0] == "helix"


def frozen(value: Any, depth: int) -> Any:
    """The value, with copies of the lists and dicts in it, which may be written."""
    kind = type(value)
    if depth == 0 or kind not in (list, tuple, dict) or len(value) > MOST_PARTS:
        return value
    if kind is dict:
        return {key: frozen(part, depth - 1) for key, part in value.items()}
    parts = [frozen(part, depth - 1) for part in value]
    if kind is list:
        return parts
    return value if all(_are(parts, value)) else tuple(parts)


def _are(parts: Sequence[Any], those: Sequence[Any]) -> Iterator[bool]:
    return (part is that for part, that in zip(parts, those, strict=True))
