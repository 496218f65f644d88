"""The committed type stubs say what the built module holds."""

import ast
import importlib.util
import inspect
from pathlib import Path
from types import FunctionType, ModuleType

import helix

TOOL = Path(__file__).resolve().parent.parent / "tools" / "stubs.py"


def load():
    spec = importlib.util.spec_from_file_location("stubs", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_stubs_are_fresh():
    for path, text in load().made().items():
        assert path.read_text() == text, f"{path.name} is stale: run python tools/stubs.py"


def test_stubs_name_every_function():
    text = load().core_stub()
    tree = ast.parse(text)
    tensor = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Tensor")
    methods = {node.name for node in tensor.body if isinstance(node, ast.FunctionDef)}
    assert {"add", "add_", "sum", "permute", "backward", "to", "__matmul__", "shape"} <= methods
    body = ast.parse(load().names_stub(helix, "")).body
    names = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    names |= {alias.asname for node in body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(helix._core.functions()) <= names


def bound(body):
    """The names that statements of a stub make, those for checkers alone as well."""
    for node in body:
        if isinstance(node, ast.If):
            yield from bound(node.body)
        elif isinstance(node, (ast.ImportFrom, ast.Import)):
            yield from (alias.asname for alias in node.names if alias.asname)
        else:
            yield node.target.id if isinstance(node, ast.AnnAssign) else node.name


def test_stub_has_every_public_name():
    tool = load()
    named = {n for n in bound(ast.parse(tool.made()[tool.ROOT / "__init__.pyi"]).body) if not n.startswith("_")}
    public = {name: getattr(helix, name) for name in dir(helix) if not name.startswith("_")}
    hidden = {name for name, value in public.items() if isinstance(value, ModuleType)}  # loaded by others
    assert set(public) - hidden <= named <= set(public)
    assert {*helix.__all__, *helix._LAZY, *helix._LAZY_NAMES} <= named


def test_functions_in_python_say_their_types():
    found = [value for name, value in vars(helix).items() if isinstance(value, FunctionType) and name[0] != "_"]
    found += [getattr(helix, name) for name in helix._LAZY_NAMES if isinstance(getattr(helix, name), FunctionType)]
    assert len(found) > 150
    untold = [f.__name__ for f in found if {*inspect.signature(f).parameters, "return"} - set(f.__annotations__)]
    assert untold == []
