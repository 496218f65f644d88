"""Rendered kernels on disk: a process that asks for a kernel another one has rendered neither builds nor renders it.

A template's kernels are functions of small arguments; `kernel` remembers them, in the process by those arguments and on
disk (helix.kernel.cache) by the arguments and the sources of this package. What comes from disk knows its buffers,
scalars and texts, and is built only when a text is asked for that is not there yet.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache, lru_cache, wraps
from pathlib import Path

from helix.kernel.ir import Buffer, Kernel, Scalar


@cache
def _sources():
    """What stands for this package in the name of a file."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class Kept:
    """A kernel without its instructions."""

    __slots__ = ("_build", "_key", "_texts", "buffers", "exact", "group", "name", "same", "scalars")

    def __init__(self, facts, texts, key, build, same=None):
        self.name, self.buffers, self.scalars, self.group, self.exact = facts
        self._texts, self._key, self._build, self.same = texts, key, build, same

    def whole(self) -> Kernel:
        """The kernel itself, built now."""
        from helix.kernel.passes import merge_buffers

        made = self._build()
        return made if self.same is None else merge_buffers(made, self.same)

    def merged(self, same, buffers):
        """The kernel with one buffer for those that lie in one block."""
        facts = (self.name, buffers, self.scalars, self.group, self.exact)
        return Kept(facts, self._texts, self._key, self._build, same)

    def text(self, renderer, render) -> str:
        """The text for a target, rendered when no process has done so yet."""
        tag = f"{renderer.kind} {renderer.__module__}.{renderer.__qualname__} {renderer.version} {self.same}"
        if tag not in self._texts:
            self._texts[tag] = render(self.whole())
            self._save()
        return self._texts[tag]

    def _save(self):
        from helix.kernel.cache import directory, write

        whole = self if self.same is None else self._build()
        kept = {
            "name": whole.name, "group": whole.group, "exact": whole.exact, "texts": self._texts,
            "buffers": [[b.name, b.dtype, b.written] for b in whole.buffers],
            "scalars": [[s.name, s.dtype] for s in whole.scalars],
        }  # fmt: skip
        write(directory("kernel-texts") / self._key, json.dumps(kept).encode())


def _read(key, build):
    """What is on disk under the key; None where nothing is, or nothing whole."""
    from helix.kernel.cache import directory

    try:
        kept = json.loads((directory("kernel-texts") / key).read_bytes())
        buffers = tuple(Buffer(*b) for b in kept["buffers"])
        scalars = tuple(Scalar(*s) for s in kept["scalars"])
        facts = (kept["name"], buffers, scalars, tuple(kept["group"]), kept["exact"])
        return Kept(facts, dict(kept["texts"]), key, build)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def kernel(function):
    """For functions that build a kernel from arguments whose repr says all: strings, numbers, types, tuples of them."""

    @lru_cache(maxsize=1024)
    @wraps(function)
    def remembered(*arguments):
        parts = (_sources(), function.__module__, function.__qualname__, repr(arguments))
        key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        found = _read(key, lambda: function(*arguments))
        if found is not None:
            return found
        made = function(*arguments)
        facts = (made.name, made.buffers, made.scalars, made.group, made.exact)
        return Kept(facts, {}, key, lambda: made)

    return remembered
