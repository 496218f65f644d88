"""Who takes a value: a multiset of nodes, of which each can be found and taken out at once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .ir import Node


class Users:
    """The nodes that take a value, each once for every time it takes it, in the order in which they began to."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts: dict[Node, int] = {}
        self.total = 0

    def append(self, node: Node, times: int = 1) -> None:
        counts = self.counts
        counts[node] = counts.get(node, 0) + times
        self.total += times

    def drop(self, node: Node) -> int:
        """Takes a node out; how often it was there."""
        times = self.counts.pop(node, 0)
        self.total -= times
        return times

    @property
    def nodes(self) -> list[Node]:
        """Each once."""
        return list(self.counts)

    def __iter__(self) -> Iterator[Node]:
        return chain.from_iterable(repeat(node, times) for node, times in list(self.counts.items()))

    def __getitem__(self, index: int) -> Node:
        found = next(islice(self, index, None), None) if index >= 0 else None
        if found is None:
            raise IndexError(f"there are {self.total} users")
        return found

    def __contains__(self, node: object) -> bool:
        return node in self.counts

    def __len__(self) -> int:
        return self.total

    def __repr__(self) -> str:
        return repr(list(self))
