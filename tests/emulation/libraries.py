"""Builds the emulated libraries, once a process, and loads them so that the loader takes them for the real ones.

The loader knows a library by its soname: after `load`, whoever asks for libcuda.so.1, libnvrtc.so or libcublas.so gets
ours. For other processes, `folder()` goes into LD_LIBRARY_PATH. Metal has no sonames: `metal()` is the path of one library
that stands in for libobjc and the frameworks, for HELIX_METAL_LIBRARY.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
WARNINGS = ("-Wall", "-Wextra", "-Werror")
# What a program was compiled against is part of the compiler's version, so that no cache outlives a change here.
BUILD = zlib.crc32(b"".join((HERE / f).read_bytes() for f in ("cuda.h", "kernel.h", "group.h", "libnvrtc.c"))) % 10**6
PARTS = {
    "libcuda.so.1": ("gcc", "-std=gnu11", *WARNINGS, "libcuda.c", "group.c", "-lpthread", "-ldl"),
    "libnvrtc.so.13": (
        "gcc",
        "-std=gnu11",
        f'-DEMULATION_HEADERS="{HERE}"',
        f"-DEMULATION_BUILD={BUILD}",
        "libnvrtc.c",
    ),
    "libcublas.so.13": ("g++", "-std=c++17", *WARNINGS, "libcublas.cpp"),
}
METAL = (
    "gcc",
    "-std=gnu11",
    *WARNINGS,
    f'-DEMULATION_HEADERS="{HERE}"',
    "libmetal.c",
    "objc.c",
    "msl.c",
    "group.c",
    "-ldl",
)
_made: list[tempfile.TemporaryDirectory] = []


def available() -> bool:
    return bool(shutil.which("gcc") and shutil.which("g++"))


@functools.cache
def folder() -> Path:
    """Where the libraries are; EMULATION_FOLDER tells processes that this one starts."""
    if made := os.environ.get("EMULATION_FOLDER"):
        return Path(made)
    target = _new_folder()
    _build(target, PARTS)
    os.environ["EMULATION_FOLDER"] = str(target)
    return target


@functools.cache
def metal() -> Path:
    """HELIX_METAL_LIBRARY tells processes that this one starts."""
    if made := os.environ.get("HELIX_METAL_LIBRARY"):
        return Path(made)
    target = _new_folder()
    _build(target, {"libmetal-emulated.so": METAL})
    return target / "libmetal-emulated.so"


def _new_folder() -> Path:
    _made.append(tempfile.TemporaryDirectory(prefix="helix-emulation-"))
    return Path(_made[-1].name)


def _build(target: Path, parts: dict[str, tuple[str, ...]]) -> None:
    building = [
        subprocess.Popen(
            [*command, "-O1", "-g", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(target / name)], cwd=HERE
        )
        for name, command in parts.items()
    ]
    if any(process.wait() for process in building):
        raise RuntimeError(f"the emulated libraries cannot be built: {', '.join(parts)}")


@functools.cache
def load(name: str) -> ctypes.CDLL:
    """One of PARTS. libcublas refers to libcuda, which is loaded before it."""
    if name == "libcublas.so.13":
        load("libcuda.so.1")
    return ctypes.CDLL(str(folder() / name), mode=ctypes.RTLD_GLOBAL)


def load_all() -> None:
    for name in PARTS:
        load(name)
