"""NVIDIA's libraries beside the driver: from the system, else from NVIDIA's wheels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def load(ffi: Any, name: str, majors: list[int], wheels: str) -> Any:
    """`libNAME.so.MAJOR`, the first that is there; None without one. `wheels`: its folder under nvidia/ before CUDA 13."""
    for major in majors:
        file = f"lib{name}.so.{major}"
        for path in [file, *_in_wheels(file, major, wheels)]:
            _load_parts(ffi, path, name)
            try:
                return ffi.dlopen(path)
            except OSError:
                continue
    return None


def _in_wheels(file: str, major: int, wheels: str) -> list[str]:
    inside = [Path("nvidia") / folder / "lib" / file for folder in (f"cu{major}", wheels)]
    return [str(Path(place) / one) for place in sys.path for one in inside if (Path(place) / one).exists()]


def _load_parts(ffi: Any, path: str, name: str) -> None:
    """A library asks the loader for its parts by name: those of a wheel must be loaded before it (NVRTC 13's
    builtins, cuBLAS's Lt)."""
    if "/" not in path:
        return
    for part in sorted(Path(path).parent.glob(f"lib{name}[-L]*.so.*")):
        ffi.dlopen(str(part), ffi.RTLD_NOW | ffi.RTLD_GLOBAL)
