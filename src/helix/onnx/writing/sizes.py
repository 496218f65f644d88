"""Sizes that a run tells: expressions of dimensions, computed from the shapes of the inputs at the start of the model."""

from __future__ import annotations

from collections.abc import Sequence
from math import lcm
from typing import TYPE_CHECKING, Any

from ...graph.symbols import Expr, Unknown
from .edge import Edge

if TYPE_CHECKING:
    from .writer import Writer

Size = int | Expr | Edge  # an edge is int64 of shape (1,)


def known(size: Any) -> bool:
    """Can the size be computed from the inputs' shapes?"""
    return not isinstance(size, Unknown)


class Sizes:
    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.dims: dict[str, Edge] = {}
        self.made: dict[Any, Edge] = {}

    def learn(self, edge: Edge) -> None:
        """Takes dimensions from an input, where they stand alone."""
        for axis, size in enumerate(edge.shape or ()):
            if isinstance(size, Expr) and size.alone is not None and size.alone not in self.dims:
                self.dims[size.alone] = self.writer.Shape(edge, start=axis, end=axis + 1)

    def one(self, size: Size) -> Edge:
        """An int64 of shape (1,)."""
        w = self.writer
        if isinstance(size, Edge):
            return size
        if isinstance(size, int):
            return w.ints([size])
        if size not in self.made:
            with w.at_start():
                self.made[size] = self._computed(size)
        return self.made[size]

    def _computed(self, size: Expr) -> Edge:
        w = self.writer
        share = lcm(*[factor.denominator for _, factor in size.terms])
        total: Edge | None = None
        for names, factor in size.terms:
            whole = int(factor * share)
            part = None
            for name in names:
                part = self.dims[name] if part is None else part * self.dims[name]
            if part is None:
                part = w.ints([whole])
            elif whole != 1:
                part = part * w.ints([whole])
            total = part if total is None else total + part
        assert total is not None
        return total if share == 1 else total / w.ints([share])

    def vector(self, sizes: Sequence[Size]) -> Edge:
        """An int64 of shape (n,)."""
        if all(isinstance(size, int) for size in sizes):
            return self.writer.ints(list(sizes))  # type: ignore[arg-type]
        parts: list[Edge] = []
        run: list[int] = []
        for size in sizes:
            if isinstance(size, int):
                run.append(size)
                continue
            if run:
                parts.append(self.writer.ints(run))
                run = []
            parts.append(self.one(size))
        if run:
            parts.append(self.writer.ints(run))
        return parts[0] if len(parts) == 1 else self.writer.Concat(*parts, axis=0)

    def number(self, value: Any, dtype: str) -> Edge:
        """A scalar that is an expression of dimensions, a quotient perhaps."""
        w = self.writer
        if value.divisor is None:
            return w.Squeeze(self.one(value), [0]).to(dtype)
        top, bottom = (self.one(Expr(dict(part.terms))).to("float64") for part in (value, value.divisor))
        return w.Squeeze(top / bottom, [0]).to(dtype)

    def of(self, edge: Edge, axis: int) -> Size:
        """The size of an axis of a value."""
        assert edge.shape is not None
        size = edge.shape[axis]
        axis %= len(edge.shape)
        return size if known(size) else self.writer.Shape(edge, start=axis, end=axis + 1)

    def shape(self, edge: Edge) -> list[Size]:
        return [self.of(edge, axis) for axis in range(edge.rank)]
