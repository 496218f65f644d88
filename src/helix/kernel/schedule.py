"""How kernels are cut for each architecture: a table of numbers, and nothing else.

The first line whose kind of source and architecture fit (as file names do) is taken; what a device cannot hold is made
smaller. A plugin's author tunes by `schedules.insert(0, (kind, architecture, Schedule(...)))`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache


@dataclass(frozen=True)
class Tile:
    """A group of `side` x `side` items makes side * each rows and columns of a product, `depth` steps at a time."""

    side: int = 16
    each: int = 4
    depth: int = 16

    @property
    def span(self):
        return self.side * self.each


@dataclass(frozen=True)
class Schedule:
    tiles: tuple[Tile, ...] = (Tile(16, 4), Tile(16, 2), Tile(16, 1))  # of products, the largest first
    flat: int = 256  # items in a group that goes over elements
    row: int = 256  # items in a group that reduces a row, at most
    piece: int = 16384  # elements that a group takes of a row that several share, at least


# PoCL compiles a group to a loop: few items with many values in registers each. Measured on an AVX-512 processor.
_PROCESSOR = Schedule(tiles=(Tile(8, 8), Tile(8, 4), Tile(8, 2), Tile(8, 1)), flat=64, row=32)

schedules: list[tuple[str, str, Schedule]] = [
    ("opencl-c", "Portable Computing Language*", _PROCESSOR),
    ("c", "*", _PROCESSOR),
    ("*", "*", Schedule()),
]


@lru_cache(maxsize=256)
def schedule_of(kind: str, arch: str) -> Schedule:
    return next(s for k, a, s in schedules if fnmatchcase(kind, k) and fnmatchcase(arch, a))
