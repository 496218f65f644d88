"""Device "cuda" on the emulated libraries of tests/emulation, for the tests of this process."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import helix.backends
from helix.backends import discovery

from ..emulation import libraries

SOURCES = Path(__file__).resolve().parents[2] / "src" / "helix" / "backends"


@functools.cache
def register() -> None:
    """What is installed as helix-backend-cuda, or the sources of it, with the emulated driver in front of any other."""
    libraries.load_all()
    os.environ["LD_LIBRARY_PATH"] = f"{libraries.folder()}:{os.environ.get('LD_LIBRARY_PATH', '')}"  # probe's process
    if str(SOURCES) not in list.__iter__(helix.backends.__path__):
        helix.backends.__path__.append(str(SOURCES))
    from helix.backends.cuda import backend

    discovery.register("cuda", backend)
