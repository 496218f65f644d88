"""Tensors in files beside a model: only regular files below its folder are read, and no link is followed."""

from __future__ import annotations

import os
import stat
from typing import Any

from .faults import broken, short


def read(folder: str, location: str, offset: int, length: int) -> bytearray:
    """`length` bytes of a file below a folder.

    Raises FormatError (HX4020) for names that lead elsewhere, links, what is no regular file, and ranges outside of it.
    """
    parts = parts_of(location)
    descriptor = _open(folder, parts, location)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise broken(f"external data {short(location)} is no regular file")
        if facts.st_nlink != 1:
            raise broken(f"external data {short(location)} has a second name elsewhere; make a copy of it")
        if offset < 0 or length < 0 or offset + length > facts.st_size:
            raise broken(
                f"external data {short(location)} has {facts.st_size} bytes, {length} from {offset} on are asked for"
            )
        return _read(descriptor, offset, length, location)
    finally:
        os.close(descriptor)


def parts_of(location: str) -> list[str]:
    """The folders and the name of a location, which must lead down."""
    if not location or "\0" in location or "\\" in location or ":" in location or location.startswith("/"):
        raise broken(f"external data must lie below the model's folder, got location {short(location)}")
    parts = [part for part in location.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise broken(f"external data must lie below the model's folder, got location {short(location)}")
    return parts


def _open(folder: str, parts: list[str], location: str) -> int:
    """Opens step by step, so that nothing on the way can be exchanged for a link."""
    plain = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    unlinked = plain | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if os.open not in os.supports_dir_fd:
            return _open_plainly(folder, parts, plain, location)
        at = os.open(folder, plain | getattr(os, "O_DIRECTORY", 0))
        try:
            for part in parts[:-1]:
                below = os.open(part, unlinked | os.O_DIRECTORY, dir_fd=at)
                os.close(at)
                at = below
            return os.open(parts[-1], unlinked, dir_fd=at)
        finally:
            os.close(at)
    except OSError as error:
        raise broken(
            f"external data {short(location)} cannot be read: {error.strerror}; links are not followed"
        ) from None


def _open_plainly(folder: str, parts: list[str], flags: int, location: str) -> int:
    """Where a system cannot open relative to a folder: the real path is the one that was asked for, or it is refused."""
    path = os.path.join(os.path.realpath(folder), *parts)
    if os.path.realpath(path) != path:
        raise broken(f"external data {short(location)} goes through a link")
    return os.open(path, flags)


def _read(descriptor: int, offset: int, length: int, location: str) -> bytearray:
    made = bytearray(length)
    view: Any = memoryview(made)
    os.lseek(descriptor, offset, os.SEEK_SET)
    while view:
        block = os.read(descriptor, min(len(view), 1 << 26))
        if not block:
            raise broken(f"external data {short(location)} became shorter while it was read")
        view[: len(block)] = block
        view = view[len(block) :]
    return made
