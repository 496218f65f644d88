"""Device "metal" on the emulated library of tests/emulation, for the tests of this process."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any

import pytest

import helix.backends
from helix.backends import discovery

from ..emulation import libraries

SOURCES = Path(__file__).resolve().parents[2] / "src" / "helix" / "backends"


class Watcher:
    """What the emulated Objective-C runtime saw."""

    def __init__(self, library: ctypes.CDLL):
        self.library = library
        for name in ("emulation_faults", "emulation_objects", "emulation_types"):
            getattr(library, name).restype = ctypes.c_char_p

    def faults(self) -> str:
        """Since the last call."""
        found = self.library.emulation_faults().decode()
        self.library.emulation_forget_faults()
        return found

    def objects(self) -> dict[str, int]:
        words = self.library.emulation_objects().decode().split()
        return {name: int(count) for name, count in zip(words[::2], words[1::2])}

    def types(self, selector: str) -> str | None:
        found = self.library.emulation_types(selector.encode())
        return found and found.decode()

    def order(self, order: int) -> None:
        self.library.emulation_order(ctypes.c_int64(order))

    def fail_next(self, code: int) -> None:
        """The next command buffer that is committed fails with this MTLCommandBufferError."""
        self.library.emulation_fail_next(code)


@functools.cache
def emulated() -> Any:
    """The backend that is installed as helix-backend-metal, or made of its sources, on the emulated library."""
    if str(SOURCES) not in list.__iter__(helix.backends.__path__):
        helix.backends.__path__.append(str(SOURCES))
    from helix.backends.metal import backend

    made = backend()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HELIX_METAL_LIBRARY", str(libraries.metal()))
        assert made.metal.emulated
    return made


@functools.cache
def register() -> Watcher:
    discovery.register("metal", emulated)
    return Watcher(ctypes.CDLL(str(libraries.metal())))
