"""Builds the emulated libraries, once a process, and loads them so that the loader takes them for the real ones.

The loader knows a library by its soname: after `load`, whoever asks for libcuda.so.1, libnvrtc.so or libcublas.so gets
ours. For other processes, `folder()` goes into LD_LIBRARY_PATH.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
WARNINGS = ("-Wall", "-Wextra", "-Werror")
PARTS = {
    "libcuda.so.1": ("gcc", "-std=gnu11", *WARNINGS, "libcuda.c", "group.c", "-lpthread", "-ldl"),
    "libnvrtc.so.13": ("gcc", "-std=gnu11", f'-DEMULATION_HEADERS="{HERE}"', "libnvrtc.c"),
    "libcublas.so.13": ("g++", "-std=c++17", *WARNINGS, "libcublas.cpp"),
}
_made: list[tempfile.TemporaryDirectory] = []


def available() -> bool:
    return bool(shutil.which("gcc") and shutil.which("g++"))


@functools.cache
def folder() -> Path:
    """Where the libraries are; EMULATION_FOLDER tells processes that this one starts."""
    if made := os.environ.get("EMULATION_FOLDER"):
        return Path(made)
    _made.append(tempfile.TemporaryDirectory(prefix="helix-emulation-"))
    target = Path(_made[-1].name)
    building = [
        subprocess.Popen(
            [*command, "-O1", "-g", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(target / name)], cwd=HERE
        )
        for name, command in PARTS.items()
    ]
    if any(process.wait() for process in building):
        raise RuntimeError("the emulated CUDA libraries cannot be built")
    os.environ["EMULATION_FOLDER"] = str(target)
    return target


@functools.cache
def load(name: str) -> ctypes.CDLL:
    """One of PARTS. libcublas refers to libcuda, which is loaded before it."""
    if name == "libcublas.so.13":
        load("libcuda.so.1")
    return ctypes.CDLL(str(folder() / name), mode=ctypes.RTLD_GLOBAL)


def load_all() -> None:
    for name in PARTS:
        load(name)
