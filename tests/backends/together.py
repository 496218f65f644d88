"""Every plugin that this machine can run, in one process: `bring_in(name)` makes its device usable or skips with the remedy."""

from __future__ import annotations

import functools
import importlib
import subprocess
import tempfile
from pathlib import Path

import helix
from helix.backends import discovery

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ("sim", "opencl", "webgpu", "cuda", "metal", "reference")


@functools.cache
def bring_in(name: str) -> str:
    {"cuda": _emulated, "metal": _emulated, "reference": _compiled, "sim": lambda name: None}.get(name, _tested)(name)
    return name


def _tested(name: str) -> None:
    importlib.import_module(f"tests.backends.test_{name}")  # it skips where its runtime is missing


def _emulated(name: str) -> None:
    importlib.import_module(f"tests.backends.{name}_device").register()


def _compiled(name: str) -> None:
    source = ROOT / "plugins" / f"helix-backend-{name}" / "src" / f"helix_backend_{name}" / "backend.c"
    library = Path(tempfile.mkdtemp()) / f"{name}.so"
    subprocess.run(
        ["cc", "-O2", "-shared", "-fPIC", f"-I{helix.get_include()}", source, "-o", library, "-lm"], check=True
    )
    discovery.load_library(discovery.Found("?", library=str(library)))
