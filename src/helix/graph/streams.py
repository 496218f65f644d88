"""Random numbers within control flow: each iteration has streams of its own.

A step of control flow takes one stream of where it stands, whatever its bodies do; what iteration i draws comes of a generator
whose seed follows from that stream and i. So a graph draws what eager code draws, and computing a body again draws it again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from .. import _core
from .._core import Draw, default_generator
from .executor import draw

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import Tensor
    from .executor import Program
    from .ir import Graph, Node


class Streams:
    """Those of one step: the seed (0 within a trace) and the number of the stream that it took."""

    __slots__ = ("number", "seed")

    def __init__(self, seed: int, number: int) -> None:
        self.seed, self.number = seed, number

    @classmethod
    def take(cls) -> Streams:
        """For a step that begins here."""
        return cls(0, _core.trace_draws(1)) if _core.tracing() else cls(*default_generator().draw(1))

    @classmethod
    def of(cls, attributes: tuple[Any, ...], seed: int = 0, first: int = 0) -> Streams | None:
        """Of a recorded step, in a run or trace that begins with stream `first`; None where nothing is drawn."""
        last: Any = attributes[-1]
        return cls(seed, first + int(last)) if _is_draw(last) else None


def iteration(streams: Streams | None, index: int) -> AbstractContextManager[Any]:
    """A context in which this iteration of a step draws."""
    if streams is None or _core.tracing():
        return nullcontext()
    return _core.derived_generator(streams.seed, streams.number, index)


def drawing(graph: Graph) -> Node | None:
    """The first node that draws, in bodies too."""
    return next((node for node in graph.nodes if node.attributes and any(map(_is_draw, node.attributes))), None)


def _is_draw(attribute: Any) -> bool:
    return type(attribute) is Draw


def recorded(streams: Streams | None, *graphs: Graph) -> tuple[Draw, ...]:
    """The attribute that tells the streams of a step with these bodies: the last, if any."""
    return (Draw(streams.number),) if streams is not None and any(map(drawing, graphs)) else ()


def plain(attributes: tuple[Any, ...]) -> tuple[Any, ...]:
    """Those without the streams."""
    return attributes[:-1] if attributes and _is_draw(attributes[-1]) else attributes


def runs(program: Program, streams: Streams | None) -> Callable[[list[Tensor]], list[Tensor]]:
    """A body, run or traced where it draws as the function that it was recorded from."""
    count = program.graph.draws

    def run(tensors: list[Tensor]) -> list[Tensor]:
        if _core.tracing():
            return program.run(tensors, 0, _core.trace_draws(count))
        return program.run(tensors, *(draw(count) if streams is not None else (0, 0)))

    return run
