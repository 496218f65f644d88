"""Builds an extension with the system's compiler against helix's headers, as a stranger would."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers", "-Wno-cast-function-type"]


def config(question: str) -> str:
    command = [sys.executable, "-m", "helix.config", f"--{question}"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def compile_extension(folder: Path, name: str, *sources: Path, flags: tuple[str, ...] = (), helix: bool = True) -> Path:
    """The path of the built module."""
    library = folder / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    headers = [config("cflags")] if helix else []
    command = ["cc", "-shared", "-fPIC", "-O1", "-pthread", *headers, f"-I{sysconfig.get_path('include')}", *flags]
    subprocess.run([*command, *map(str, sources), "-o", str(library)], check=True, timeout=120)
    return library


def load(name: str, library: Path):
    spec = importlib.util.spec_from_file_location(name, library)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
