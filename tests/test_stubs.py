"""The committed type stubs say what the built module holds."""

import ast
import importlib.util
from pathlib import Path

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
