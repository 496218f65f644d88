"""Writes what is made from the built module: `python tools/stubs.py`, or `--check` to fail when some of it is stale.

src/helix/_core.pyi           the compiled module
src/helix/__init__.pyi        the names of helix
src/helix/nn/functional.pyi   the names of helix.nn.functional
src/helix/fft.pyi             the names of helix.fft
src/helix/special.pyi         the names of helix.special
src/helix/linalg.pyi          the names of helix.linalg
docs/errors.md                the paragraphs of the error numbers
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
import textwrap
from pathlib import Path
from types import FunctionType, ModuleType

import helix
from helix import _core

ROOT = Path(__file__).resolve().parent.parent / "src" / "helix"
ERRORS = ROOT.parent.parent / "docs" / "errors.md"
HEADER = "# Made by tools/stubs.py from the built module. Do not edit.\n"
RECORDS = {record["name"]: record for record in _core.ops()}

# Results and property types that no signature tells.
RETURNS = {
    "__array__": "numpy.ndarray",
    "__bool__": "bool",
    "__complex__": "complex",
    "__contains__": "bool",
    "__dlpack_device__": "tuple[int, int]",
    "__float__": "float",
    "__getitem__": "Tensor",
    "__hash__": "int",
    "__index__": "int",
    "__int__": "int",
    "__iter__": "Iterator[Tensor]",
    "__len__": "int",
    "__repr__": "str",
    "__setitem__": "None",
    "__str__": "str",
    "_make_subclass": "Any",
    "as_bytes": "Tensor",
    "as_dtype": "dtype",
    "as_tensor": "Tensor",
    "asarray": "Tensor",
    "backward": "None",
    "can_cast": "bool",
    "copy_to_device": "Tensor",
    "data_ptr": "int",
    "detach": "Tensor",
    "detach_": "Tensor",
    "dim": "int",
    "element_size": "int",
    "empty_cache": "None",
    "from_dlpack": "Tensor",
    "from_numpy": "Tensor",
    "frombuffer": "Tensor",
    "get_default_dtype": "dtype",
    "get_num_threads": "int",
    "grad": "tuple[Any, ...]",
    "is_complex": "bool",
    "is_contiguous": "bool",
    "is_floating_point": "bool",
    "is_grad_enabled": "bool",
    "is_inference": "bool",
    "current_stream": "Stream",
    "device_memory_stats": "dict[str, int]",
    "done": "bool",
    "memory_stats": "dict[str, int]",
    "record": "Event",
    "synchronize": "None",
    "wait": "None",
    "name": "str",
    "nelement": "int",
    "numel": "int",
    "numpy": "numpy.ndarray",
    "promote_types": "dtype",
    "requires_grad_": "Tensor",
    "reset_peak_memory": "None",
    "result_type": "dtype",
    "retain_grad": "None",
    "set_default_dtype": "None",
    "set_memory_limit": "None",
    "set_num_threads": "None",
    "storage_offset": "int",
    "tensor": "Tensor",
}
PROPERTIES = {
    "shape": "tuple[int, ...]",
    "strides": "tuple[int, ...]",
    "ndim": "int",
    "itemsize": "int",
    "nbytes": "int",
    "dtype": "dtype",
    "device": "device",
    "requires_grad": "bool",
    "is_leaf": "bool",
    "retains_grad": "bool",
    "grad": "Any",
    "grad_fn": "Node | None",
    "output_nr": "int",
    "_version": "int",
    "name": "str",
    "code": "int",
    "type": "str",
    "index": "int | None",
    "is_floating_point": "bool",
    "is_complex": "bool",
    "is_signed": "bool",
}
SETTABLE = ("grad", "requires_grad")
TENSOR_LIKE = "Tensor | Number"
KINDS = {
    "Tensor": TENSOR_LIKE,
    "Tensor | None": f"{TENSOR_LIKE} | None",
    "Sequence[Tensor]": "Sequence[Any] | Tensor",
    "bool": "bool",
    "int": "int",
    "int | None": "int | None",
    "float": "float",
    "float | None": "float | None",
    "Number": "Number",
    "Number | None": "Number | None",
    "int | Sequence[int]": "int | Sequence[int]",
    "int | Sequence[int] | None": "int | Sequence[int] | None",
    "Sequence[float]": "float | Sequence[float] | None",
    "dtype": "DType",
    "dtype | None": "DType | None",
    "str": "str",
    "Generator | None": "Generator | None",
}
OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift")
PREAMBLE = """from builtins import bool as _bool, complex as _complex, float as _float, int as _int, str as _str, type as _type
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy
"""
TYPES = re.compile(r"\b(bool|complex|device|dtype|float|int|str|type)\b")


def typed(text):
    """A type under a name that no method or property of the same name can hide."""
    return TYPES.sub(r"_\1", text)


# ---- functions made from records ----


def record_of(op):
    name = op.__name__
    return RECORDS[name] if name in RECORDS else RECORDS[name.removesuffix("_")]


def op_parameters(op, method):
    """The parameters of an op as text; a method's first one is self."""
    record, parts, star = record_of(op), ["self"] if method else [], False
    for p in record["params"][1 if method else 0 :]:
        if p["varargs"]:
            kind = KINDS[p["kind"]] + (" | dtype" if op.__name__ == "view" else "")
            parts.append(f"*{p['name']}: {typed(kind)}")
            star = True
            continue
        if p["keyword_only"] and not star:
            parts.append("*")
            star = True
        optional = not p["required"] and p["kind"] != "Tensor"
        parts.append(f"{p['name']}: {typed(KINDS[p['kind']])}" + (f" = {p['default']!r}" if optional else ""))
    extras = [("out", "Any", "None")] if "out" in record["flags"] and op.__name__ == record["name"] else []
    if "creates" in record["flags"]:
        extras += [("device", "Device | None", "None"), ("requires_grad", "bool", "False")]
    if extras and not star:
        parts.append("*")
    parts += [f"{name}: {typed(kind)} = {default}" for name, kind, default in extras]
    return ", ".join(parts + ["**other_spellings: Any"] if has_other_spellings(record) else parts)


def has_other_spellings(record):
    return any(p["name"] in ("dim", "dims", "keepdim", "size", "shape") for p in record["params"])


def op_result(op):
    record = record_of(op)
    if "mutates" in record["flags"]:
        return "None"
    return "Any" if len(record["outputs"]) > 1 else "Tensor"


def op_text(name, op, method, indent=""):
    return f"{indent}def {name}({op_parameters(op, method)}) -> {op_result(op)}: ...\n"


# ---- functions and classes written by hand ----


# What annotations in functions of Python may be made of, to stand in a stub as they are.
NAMEABLE = {"Any", "Callable", "DType", "Device", "Generator", "None", "Number", "Sequence", "Tensor"} | {
    known.__name__ for known in (bool, complex, dict, float, int, object, str, tuple)
}


def annotated(text, otherwise):
    """An annotation as it stands in a stub; `otherwise` where it says nothing that the stub knows."""
    known = isinstance(text, str) and set(re.findall(r"[A-Za-z_]\w*", text)) <= NAMEABLE
    return typed(text) if known else otherwise


def plain_text(name, function, indent="", method=False):
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return f"{indent}def {name}({'self, ' if method else ''}*args: Any, **kwargs: Any) -> {typed(RETURNS.get(name, 'Any'))}: ...\n"
    parts, slash, star = [], False, False
    parameters = list(signature.parameters.values())
    for i, p in enumerate(parameters):
        if p.kind is p.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        prefix = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        star = star or p.kind is p.VAR_POSITIONAL
        first = method and i == 0
        text = prefix + ("self" if first else f"{p.name}: {annotated(p.annotation, 'Any')}")
        if p.default is not p.empty:
            text += " = ..." if not isinstance(p.default, (int, float, str, type(None))) else f" = {p.default!r}"
        parts.append(text)
        last_positional = i + 1 == len(parameters) or parameters[i + 1].kind is not p.POSITIONAL_ONLY
        if p.kind is p.POSITIONAL_ONLY and last_positional and not slash and not first:
            parts.append("/")
            slash = True
    result = annotated(signature.return_annotation, typed(RETURNS.get(name, "Any")))
    return f"{indent}def {name}({', '.join(parts)}) -> {result}: ...\n"


def class_text(cls):
    lines = [f"class {cls.__name__}:\n"]
    if cls is _core.dtype or cls is _core.Node or cls is _core.HookHandle or cls is _core.Op:
        pass
    else:
        lines.append("    def __init__(self, *args: Any, **kwargs: Any) -> None: ...\n")
    if cls in (_core.Op, _core.Called):
        lines.append("    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...\n")
    for name in sorted(vars(cls)):
        lines.append(member_text(cls, name, inspect.getattr_static(cls, name)))
    if cls is _core.Tensor:
        lines += operator_lines()
        lines.append("    def __getattr__(self, name: str) -> Any: ...\n")
    return "".join(lines) if len(lines) > 1 else f"class {cls.__name__}: ...\n"


SKIPPED = {
    f"__{'i' if kind == 'i' else 'r' if kind == 'r' else ''}{name}__"
    for name in (*OPERATORS, "divmod")
    for kind in ("", "r", "i")
} | {
    "__lt__",
    "__le__",
    "__eq__",
    "__ne__",
    "__gt__",
    "__ge__",
    "__neg__",
    "__pos__",
    "__abs__",
    "__invert__",
    "__doc__",
    "__new__",
    "__init__",
    "__module__",
    "__weakref__",
    "__pyx_vtable__",
    "__delitem__",
    "__reduce_cython__",
    "__setstate_cython__",
    "__setstate__",
    "__get__",
    "__reduce__",
    "__reduce_ex__",
    "__signature__",
    "__text_signature__",
    "__qualname__",
    "__buffer__",
    "__release_buffer__",
    "__getattr__",
    "__wrapped__",
    "__call__",
    "__name__",
    "__test__",
    "__format__",
}


def member_text(cls, name, member):
    if name in SKIPPED:
        return ""
    if isinstance(member, _core.Op):
        return op_text(name, member, True, "    ")
    if inspect.isgetsetdescriptor(member) or inspect.ismemberdescriptor(member) or isinstance(member, property):
        kind = typed(PROPERTIES.get(name, "Tensor" if cls is _core.Tensor else "Any"))
        setter = f"    @{name}.setter\n    def {name}(self, value: Any) -> None: ...\n" if name in SETTABLE else ""
        return f"    @property\n    def {name}(self) -> {kind}: ...\n{setter}"
    if isinstance(member, staticmethod):
        return "    @staticmethod\n" + plain_text(name, member.__func__, "    ")
    if isinstance(member, (int, float)):
        return f"    {name}: ClassVar[_{type(member).__name__}]\n"
    return plain_text(name, member, "    ", method=True) if callable(member) else ""


def operator_lines():
    lines = [
        f"    def __{way}{name}__(self, other: Any) -> Tensor: ...\n" for name in OPERATORS for way in ("", "r", "i")
    ]
    lines += [
        f"    def __{name}__(self, other: Any) -> Tensor: ...  # type: ignore[override]\n" for name in ("eq", "ne")
    ]
    lines += [f"    def __{name}__(self, other: Any) -> Tensor: ...\n" for name in ("lt", "le", "gt", "ge")]
    return lines + [f"    def __{name}__(self) -> Tensor: ...\n" for name in ("neg", "pos", "abs", "invert")]


# ---- modules ----


def core_stub():
    parts = [HEADER, PREAMBLE, "\nNumber: TypeAlias = _bool | _int | _float | _complex\n"]
    members = {name: getattr(_core, name) for name in sorted(vars(_core)) if not name.startswith("__")}
    parts.append("_dtype: TypeAlias = dtype\n_device: TypeAlias = device\n")
    parts.append("DType: TypeAlias = dtype | _str | _type\nDevice: TypeAlias = device | _str\n\n")
    for value in members.values():
        if isinstance(value, type):
            parts.append(class_text(value) + "\n")
    parts += [f"{name}: _dtype\n" for name, value in members.items() if isinstance(value, _core.dtype)]
    parts.append("\n")
    parts += [plain_text(name, value) for name, value in members.items() if inspect.isroutine(value)]
    parts.append("\ndef __getattr__(name: str) -> Any: ...\n")
    return "".join(parts)


def names_stub(module, imports, lazy=(), lazy_names=None):
    """A stub of a module whose names come from records and other modules."""
    parts = [HEADER, PREAMBLE, imports, "\n"]
    for name in sorted(vars(module)):
        value = getattr(module, name)
        if name.startswith("_") and name not in ("__version__",):
            continue
        if isinstance(value, _core.Op):
            parts.append(op_text(name, value, False))
        elif isinstance(value, _core.dtype):
            parts.append(f"{name}: _dtype\n")
        elif isinstance(value, ModuleType):
            if value.__name__.startswith("helix.") and name in module.__all__:
                parts.append(f"from helix import {name} as {name}\n")
        elif isinstance(value, (FunctionType, type)):
            parts.append(reexport(name, value, module))
        elif isinstance(value, (helix.layout, helix.memory_format)):
            parts.append(f"from helix.layouts import {name} as {name}\n")
        elif inspect.isbuiltin(value):
            parts.append(f"from helix._core import {value.__name__} as {name}\n")
        elif isinstance(value, (int, float, str)) or value is None:
            parts.append(f"{name}: {typed(type(value).__name__) if value is not None else 'None'}\n")
    imported = [importlib.import_module(f"helix.{name}") for name in lazy]
    parts += [f"from helix import {name} as {name}\n" for name, m in zip(lazy, imported) if not callable(m)]
    if lazy_names:  # those modules take names from here: a checker must read this page first, as Python does
        parts.append("if TYPE_CHECKING:\n")
        parts += [
            f"    from {module.__name__}.{home} import {name} as {name}\n" for name, home in sorted(lazy_names.items())
        ]
        parts += [callable_package(m) for m in imported if callable(m)]
    return "".join(parts)


def callable_package(module):
    """A package that can be called, which checkers know none of: a class that makes what the call returns, with its names."""
    title = module.__name__.rpartition(".")[2]
    call = getattr(module, title)
    members = {member: getattr(module, member) for member in module.__all__}
    said = set(re.findall(r"\w+", " ".join(call.__annotations__.values())))
    known = members | {name: value for name, value in call.__globals__.items() if name in said and name != "Any"}
    parts = [f"    from {one.__module__} import {one.__name__} as _{name}\n" for name, one in known.items()]
    parts += [f"    class {title}:\n", f"        def __new__(cls, {parameters_text(call, known)}) -> "]
    parts.append(f"_{call.__annotations__['return']}: ...  # type: ignore[misc]  # what a call of the package makes\n")
    for member, value in members.items():
        kind, made = (": TypeAlias", f"_{member}") if isinstance(value, type) else ("", f"staticmethod(_{member})")
        parts.append(f"        {member}{kind} = {made}\n")
    return "".join(parts)


def parameters_text(function, known):
    """The parameters of an annotated function, whose types are Python's, or names that are known with a line in front."""
    prefix = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    parts = []
    for p in inspect.signature(function).parameters.values():
        default = "" if p.default is p.empty else f" = {p.default!r}"
        kind = typed(
            re.sub(r"\b(\w+)\b", lambda found: f"_{found[0]}" if found[0] in known else found[0], p.annotation)
        )
        parts.append(f"{prefix.get(p.kind, '')}{p.name}: {kind}{default}")
    return ", ".join(parts)


def reexport(name, value, module):
    made_elsewhere = getattr(sys.modules[value.__module__], value.__name__, None) is value
    if value.__module__ == module.__name__ or not made_elsewhere:
        return plain_text(name, value)
    return f"from {value.__module__} import {value.__name__} as {name}\n"


def error_paragraphs(page):
    """The page of errors with what `helix explain` shows for every number below its last heading."""
    head, heading, _ = page.partition("## Every number\n")
    texts = [(code, helix.errors.explain(code).removeprefix(f"{code}: ")) for code in helix.errors.codes()]
    parts = [f"**{code}**: {' '.join(text.split())}" for code, text in texts]
    form = {"width": 118, "break_long_words": False, "break_on_hyphens": False}
    return head + heading + "".join(f"\n{textwrap.fill(part, **form)}\n" for part in parts)


def made():
    """{path: text} of all files that are made here."""
    functional = importlib.import_module("helix.nn.functional")
    types = (
        "from helix._core import DType, Device, Number, _device, _dtype\n"
        "from helix._core import Generator as Generator, Tensor as Tensor, device as device, dtype as dtype\n"
    )
    return {
        ROOT / "_core.pyi": core_stub(),
        ROOT / "__init__.pyi": names_stub(helix, types, helix._LAZY, helix._LAZY_NAMES),
        ROOT / "nn" / "functional.pyi": names_stub(functional, types),
        ROOT / "fft.pyi": names_stub(importlib.import_module("helix.fft"), types),
        ROOT / "special.pyi": names_stub(importlib.import_module("helix.special"), types),
        ROOT / "linalg.pyi": names_stub(importlib.import_module("helix.linalg"), types),
        ERRORS: error_paragraphs(ERRORS.read_text()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a stub is stale")
    check = parser.parse_args().check
    stale = {path: text for path, text in made().items() if not path.exists() or path.read_text() != text}
    for path, text in stale.items():
        if check:
            print(f"{path.relative_to(ROOT.parent.parent)} is stale: run python tools/stubs.py")
        else:
            path.write_text(text)
    return bool(stale and check)


if __name__ == "__main__":
    sys.exit(main())
