"""Kernels on disk: compiled programs for backends that can keep them, and sources for people who want to read them.

$HELIX_CACHE_DIR or ~/.cache/helix     compiled programs and rendered kernels (kept.py), one file each, readable by their
                                       owner alone
$HELIX_DUMP_KERNELS                    when set, every source is written there
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from helix.kernel.renderers import renderers

_SUFFIXES = {"c": ".c", "opencl-c": ".cl", "cuda-c": ".cu", "msl": ".metal", "wgsl": ".wgsl"}


def directory(backend: str) -> Path:
    root = os.environ.get("HELIX_CACHE_DIR")
    return (Path(root) if root else Path.home() / ".cache" / "helix") / backend


def cached(backend: str, parts: tuple[str, ...], build: Callable[[], bytes]) -> tuple[bytes, Callable[[], None]]:
    """The compiled program for these parts (text, driver, device, options), built when it is not there.

    The second result takes it away again: to be called when the driver refuses what it is given.
    """
    digest = hashlib.sha256("\0".join((*parts, *(f"{k}{r.version}" for k, r in sorted(renderers.items())))).encode())
    path = directory(backend) / digest.hexdigest()
    try:
        return path.read_bytes(), lambda: path.unlink(missing_ok=True)
    except OSError:
        data = build()
    write(path, data)
    return data, lambda: path.unlink(missing_ok=True)


def write(path, data):
    """A whole file or none, whoever else writes it. A disk that is full or read-only costs the cache, not the call."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        return


def dump(kind: str, name: str, text: str) -> None:
    folder = os.environ.get("HELIX_DUMP_KERNELS")
    if not folder:
        return
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    write(Path(folder) / f"{name}-{digest}{_SUFFIXES.get(kind, '.txt')}", text.encode())
