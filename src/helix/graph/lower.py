"""A graph for one set of sizes, down to what runs in the end: kernels that the device has, and views of their results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, NamedTuple

from .._core import Tensor, Trace, is_wrapped_number, trace_places, trace_region
from ..autograd import no_grad
from ..errors import UnsupportedOpError
from ..precision import restored_autocast
from .executor import Program
from .ir import Node, Place, Value
from .symbols import Sizes, Unknown, at

Layout = tuple[tuple[int, ...], tuple[int, ...]]  # shape and strides


class Body(NamedTuple):
    """A step of control flow: how its inputs lie, and the sizes of dimensions."""

    node: Node
    sizes: Sizes
    inputs: list[Any]


class Lowered:
    """The trace, and which of its values are the graph's: inputs, captured tensors, outputs, and what effects write."""

    __slots__ = ("bodies", "captured", "effects", "inputs", "outputs", "regions", "trace")

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.inputs: list[int] = []
        self.captured: list[int] = []
        self.outputs: list[int] = []
        self.effects: list[tuple[str, int, int]] = []  # kind, which bound tensor, value
        self.regions: list[Any] = []
        self.bodies: list[Body] = []  # theirs


PLACES: list[Place] = []  # of all steps that were ever lowered
_NUMBERS: dict[Place, int] = {}
_LOCK = Lock()


def numbered(place: Place) -> int:
    """The number of a place: the profiler tells by it where a kernel of a plan comes from."""
    with _LOCK:
        if place not in _NUMBERS:
            _NUMBERS[place] = len(PLACES)
            PLACES.append(place)
        return _NUMBERS[place]


def lower(program: Program, leaves: Sequence[Tensor], captured: Sequence[Tensor]) -> Lowered:
    """Traces the steps once more, for tensors that lie like `leaves` and `captured`. No tensor of theirs is kept.

    Raises what the records raise; TraceError where a composite cannot be taken to its parts on shapes alone.
    """
    lowered = Lowered(Trace(True))
    trace = lowered.trace
    now = [0]
    with no_grad(), restored_autocast((None, None)), trace, _placed(lambda: now[0]):
        slots = program.start.copy()
        bound = [*program.inputs, *[slot for slot, _ in program.captured]]
        for slot, given in zip(bound, (*leaves, *captured), strict=True):
            number = isinstance(given, Tensor) and is_wrapped_number(given)
            slots[slot] = trace.input(given.shape, given.dtype, given.device, number, given.strides)
        for step in program.steps:
            now[0] = numbered(step.node.place)
            _step(step, slots, lowered, program.sizes)
        for slot in program.outputs:
            trace.output(slots[slot])
        for _, _, source in program.effects:
            trace.output(slots[source])
    number_of = trace.number
    lowered.inputs = [number_of(slots[slot]) for slot in program.inputs]
    lowered.captured = [number_of(slots[slot]) for slot, _ in program.captured]
    lowered.outputs = [number_of(slots[slot]) for slot in program.outputs]
    at = {slot: i for i, slot in enumerate(bound)}
    lowered.effects = [(e.kind, at[target], number_of(slots[source])) for e, target, source in program.effects]
    return lowered


@contextmanager
def _placed(number: Callable[[], int]) -> Iterator[None]:
    before = trace_places(number)
    try:
        yield
    finally:
        trace_places(before)


def _step(step: Any, slots: list[Any], lowered: Lowered, sizes: Sizes) -> None:
    if step.node.op == "transfer":
        raise UnsupportedOpError("HX1701 a plan runs on one device", code="HX1701", op="transfer")
    inputs = [slots[slot] for slot in step.ins]
    for position in step.writes:
        inputs[position] = inputs[position].clone()
    if step.node.graphs:
        made = _region(step.node, step.call, inputs, lowered, sizes)
    else:
        made = step.call(inputs, 0, 0)
    for slot, value in zip(step.outs, [inputs[i] for i in step.writes] if step.writes else made, strict=True):
        slots[slot] = value


def _region(node: Node, run: Any, inputs: list[Any], lowered: Lowered, sizes: Sizes) -> list[Tensor]:
    specs = [(_shape(value, sizes), value.dtype) for value in node.outputs]
    device = (
        next((tensor.device for tensor in inputs if tensor is not None), None) if node.device is None else node.device
    )
    lowered.regions.append(run)
    lowered.bodies.append(Body(node, sizes, inputs))
    return trace_region(len(lowered.regions) - 1, inputs, specs, device)


def _shape(value: Value, sizes: Sizes) -> tuple[int, ...]:
    if any(isinstance(size, Unknown) for size in value.shape):
        raise UnsupportedOpError(f"HX1701 {value!r} has a size that is known only from a run", code="HX1701")
    shape: tuple[int, ...] = at(value.shape, sizes)
    return shape
