"""Whole files and whole folders: what a reader finds is never half written or half deleted."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..io import atomic_write


def write_text(path: Path, text: str) -> None:
    """Replaces the file at `path` in one step."""
    with atomic_write(path, "w") as file:
        file.write(text)


def sync_directory(path: Path) -> None:
    """Makes the names in a directory survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_tree(path: Path) -> None:
    """Deletes a directory under a name nobody reads, so that half of it is never taken for the whole."""
    doomed = path.with_name(f".removed-{path.name}-{os.getpid()}")
    os.replace(path, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def finite(value: Any) -> Any:
    """The same with null for NaN and infinity, which JSON lacks."""
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
