"""Where `helix.backends.NAME` is looked for: here first, then in the distributions of the first-party plugins.

These ship only `helix/backends/NAME/`, in whatever directory they are installed. An editable one leaves a note,
`helix/backends/_editable/NAME.txt`, with the directory of the sources, which goes before a wheel that was left behind.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from pathlib import Path


class Widened(builtins.list):
    """A `__path__` that looks at the installed distributions only when a module is not found in this folder."""

    def __iter__(self) -> Iterator[str]:
        yield from super().__iter__()
        own = {*super().__iter__()}
        yield from (place for place in places() if place not in own)


def places() -> list[str]:
    """The folders that installed first-party plugins add."""
    from .discovery import installed

    notes, folders = [], []
    for found in installed():
        if found.entry is not None and found.entry.value.startswith("helix.backends.") and found.entry.dist:
            folder = Path(str(found.entry.dist.locate_file("helix/backends")))
            notes += _note(folder / "_editable" / f"{found.name}.txt")
            folders.append(str(folder))
    return [*dict.fromkeys(notes + folders)]


def _note(file: Path) -> list[str]:
    try:
        source = file.read_text().strip()
    except OSError:
        return []
    return [source] if source else []
