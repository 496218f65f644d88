"""Device "cuda" on the emulated libraries of tests/emulation, for the tests of this process."""

from __future__ import annotations

import functools
import os

import pytest

from helix.backends import discovery

from ..emulation import libraries
from .cuda_collector import find_sources


@functools.cache
def register() -> None:
    """What is installed as helix-backend-cuda, or the sources of it, with the emulated driver in front of any other."""
    if not libraries.available():
        pytest.skip("needs gcc and g++")
    os.environ.setdefault("EMULATION_DEVICES", "2")
    libraries.load_all()
    os.environ["LD_LIBRARY_PATH"] = f"{libraries.folder()}:{os.environ.get('LD_LIBRARY_PATH', '')}"  # probe's process
    find_sources()
    from helix.backends.cuda import backend

    with discovery._lock:  # an installed plugin that found no driver before; one that found a GPU keeps its name
        if "cuda" in discovery._known and discovery._known["cuda"].state != "ready":
            del discovery._known["cuda"]
    discovery.register("cuda", backend)
