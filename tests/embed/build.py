"""Builds extensions against helix's headers as a stranger would: the examples by pip, small files by the compiler."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import helix

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
INSTALLED = str(Path(helix.__file__).parents[1])  # of the helix that is tested
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


def install_example(folder: Path, name: str, module: str, flags: str = "") -> Path:
    """As the example's README says, into a folder of its own; the path of the built module."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation"]
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = os.environ | {"PYTHONPATH": INSTALLED, "PATH": tools, "CFLAGS": f"{flags} -Werror"}
    command = [*pip, "--target", str(folder / "to"), str(EXAMPLES / name)]
    ended = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder / "to" / f"{module}{sysconfig.get_config_var('EXT_SUFFIX')}"


def load(name: str, library: Path):
    spec = importlib.util.spec_from_file_location(name, library)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
