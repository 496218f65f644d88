"""Plans for bodies of control flow: a body is planned once, and run as often as it is wanted within one call of the core."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import _core
from .._core import Tensor
from ..errors import TraceError, UnsupportedOpError
from .executor import Program
from .streams import plain

if TYPE_CHECKING:
    from .lower import Body
    from .plan import Blueprint

LINE = 64  # bytes of a cache line, at which everything in an arena begins
FLOWS = {"cond": _core.PLAN_CHOICE, "scan": _core.PLAN_SCAN, "while_loop": _core.PLAN_LOOP}
Source = tuple[int, int]  # where a body finds what it takes, and which it is


class Loop(NamedTuple):
    """A step whose bodies have plans. `work`: bytes for carried values on their way."""

    region: int
    flow: int
    carry: int
    length: int
    reverse: bool
    work: int
    bodies: tuple[Blueprint, ...]
    sources: tuple[list[Source], ...]
    own: tuple[list[Tensor], ...]


class Like:
    """How a tensor that a body takes will lie."""

    def __init__(self, shape: tuple[int, ...], like: Any, strides: tuple[int, ...] | None = None) -> None:
        self.shape, self.dtype, self.device = shape, like.dtype, like.device
        self.strides = _dense(shape) if strides is None else strides


def _dense(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([prod(shape[i + 1 :]) for i in range(len(shape))])


def in_lines(size: int) -> int:
    """Bytes of the whole cache lines that so many take."""
    return -(-size // LINE) * LINE


def loop_of(region: int, body: Body) -> Loop | None:
    """None for a step that Python has to run: it draws random numbers, or a body of it cannot be planned."""
    node, attributes = body.node, plain(body.node.attributes)
    inputs = body.inputs
    if node.op not in FLOWS or attributes is not node.attributes or any(t is None for t in inputs):
        return None
    if any(str(tensor.device) != "cpu" for tensor in inputs):
        return None
    carry, length, reverse, sources = _told(node.op, attributes, inputs)
    if carry > _core.PLAN_MOST_CARRIED or (node.op == "scan" and not length):
        return None
    drawn, own = [], []
    for graph, mine in zip(node.graphs, sources, strict=True):
        program = Program(graph, body.sizes)
        tensors = [value.source for _, value in program.captured]
        mine += [(_core.PLAN_OWN, i) for i in range(len(tensors))]
        found = _drawn(program, [_like(inputs, source) for source in mine[: len(program.inputs)]], tensors)
        if found is None:
            return None
        drawn.append(found)
        own.append(tensors)
    work = LINE + sum(in_lines(value.dtype.itemsize * prod(value.shape)) for value in inputs[:carry])
    return Loop(region, FLOWS[node.op], carry, length, reverse, work, tuple(drawn), tuple(sources), tuple(own))


def _told(op: str, attributes: tuple, inputs: Sequence[Any]) -> tuple[int, int, bool, list[list[Source]]]:
    """How many values are carried, how often, whether from the end, and where each body finds its inputs."""
    if op == "scan":
        n, rows, reverse = attributes
        kinds = [_core.PLAN_CARRY] * n + [_core.PLAN_ROW] * rows
        kinds += [_core.PLAN_INPUT] * (len(inputs) - len(kinds))
        return n, inputs[n].shape[0], reverse, [list(zip(kinds, range(len(inputs)), strict=True))]
    count, *places = attributes
    if op == "cond":
        return 0, 1, False, [[(_core.PLAN_INPUT, 1 + i) for i in (*range(count), *mine)] for mine in places]
    carried = [(_core.PLAN_CARRY, i) for i in range(count)]
    bodies = [[*carried, *[(_core.PLAN_INPUT, i) for i in mine]] for mine in places[:2]]
    return count, places[2] if len(places) > 2 else -1, False, bodies


def _like(inputs: Sequence[Any], source: Source) -> Like:
    kind, i = source
    tensor = inputs[i]
    if kind == _core.PLAN_ROW:
        return Like(tensor.shape[1:], tensor, tensor.strides[1:])
    return Like(tensor.shape, tensor, None if kind == _core.PLAN_CARRY else tensor.strides)


def _drawn(program: Program, leaves: list[Any], captured: list[Tensor]) -> Blueprint | None:
    from .plan import blueprint

    try:
        made = blueprint(program, leaves, captured, body=True)
    except (TraceError, UnsupportedOpError, NotImplementedError):
        return None
    return made if made.whole else None
