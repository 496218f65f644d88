"""Streams of the simulated device: work waits until somebody must see its result, and runs in an unkind order.

Vector clocks say which operations are ordered: of two that touch the same bytes, one of them writing, one must come
before the other by stream, event or a wait of the host. Clocks are kept when work is issued, so a race is found
whatever order the work then runs in.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy

from helix.errors import DeviceError

FRESH, FREED, EDGE = 0xFF, 0xFB, 0xED  # what unwritten, freed and foreign bytes hold: NaN in every floating dtype
MARGIN = 64  # bytes of EDGE on both sides of a block


def fault(text: str) -> DeviceError:
    return DeviceError(f"HX5004 {text}", code="HX5004")


class Block:
    """Memory that only the simulated device can look into."""

    def __init__(self, number: int, nbytes: int, device: str):
        self.name = f"block {number} of {nbytes} bytes on {device}"
        self.nbytes = nbytes
        self._whole = numpy.full(nbytes + 2 * MARGIN, EDGE, numpy.uint8)
        self.data = self._whole[MARGIN : MARGIN + nbytes]
        self.accesses: list[Access] = []
        self.users = 0  # operations that wait to run
        self.freed_by = ""
        self.data[:] = FRESH

    def check(self, offset: int, nbytes: int, text: str) -> None:
        if self.freed_by:
            raise fault(f"{text} uses {self.name} after {self.freed_by}.")
        if offset < 0 or nbytes < 0 or offset + nbytes > self.nbytes:
            raise fault(f"{text} reaches bytes {offset} to {offset + nbytes} of {self.name}.")

    def margins_whole(self) -> bool:
        before, behind = self._whole[:MARGIN], self._whole[MARGIN + self.nbytes :]
        return bool((before == EDGE).all() and (behind == EDGE).all())

    def free(self, text: str) -> None:
        if self.freed_by:
            raise fault(f"{text}: {self.name} was freed before, by {self.freed_by}.")
        self.freed_by = text
        if not self.users:
            self.data[:] = FREED

    def used(self) -> None:
        self.users -= 1
        if self.freed_by and not self.users:
            self.data[:] = FREED


@dataclass
class Operation:
    text: str
    stream: Stream
    clock: dict[int, int]
    run: Callable[[], None]
    blocks: list[Block] = field(default_factory=list)
    after: Operation | None = None  # of another stream
    done: bool = False

    def before(self, clock: dict[int, int]) -> bool:
        """Is everything at `clock` ordered after this operation?"""
        number = self.stream.number
        return self.clock[number] <= clock.get(number, 0)


@dataclass
class Access:
    operation: Operation
    low: int
    high: int
    writes: bool

    def clashes(self, other: Access) -> bool:
        return (self.writes or other.writes) and self.low < other.high and other.low < self.high


@dataclass
class Stream:
    number: int
    device: int
    waiting: deque[Operation] = field(default_factory=deque)
    clock: dict[int, int] = field(default_factory=dict)


@dataclass
class Event:
    marker: Operation | None = None


Touched = tuple[Block, int, int]  # a block, and a range of its bytes


def merge(clock: dict[int, int], other: dict[int, int]) -> None:
    for number, count in other.items():
        if clock.get(number, 0) < count:
            clock[number] = count


class World:
    """All streams of all simulated devices, and what the host has waited for."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.streams: list[Stream] = []
        self.host: dict[int, int] = {}

    def new_stream(self, device: int) -> Stream:
        self.streams.append(Stream(len(self.streams), device))
        return self.streams[-1]

    # ---- issuing ----

    def issue(
        self,
        stream: Stream,
        text: str,
        run: Callable[[], None],
        reads: Iterable[Touched] = (),
        writes: Iterable[Touched] = (),
        after: Operation | None = None,
    ) -> Operation:
        """Puts work behind the stream; raises when it touches what it may not."""
        reads, writes = list(reads), list(writes)
        for block, offset, nbytes in (*reads, *writes):
            block.check(offset, nbytes, text)
        clock = dict(stream.clock)
        merge(clock, self.host)
        if after is not None:
            merge(clock, after.clock)
        clock[stream.number] = clock.get(stream.number, 0) + 1
        operation = Operation(text, stream, clock, run, [b for b, _, _ in (*reads, *writes)], after)
        for touched, writing in ((reads, False), (writes, True)):
            for block, offset, nbytes in touched:
                self._touch(block, Access(operation, offset, offset + nbytes, writing))
        stream.clock = clock
        stream.waiting.append(operation)
        for block in operation.blocks:
            block.users += 1
        return operation

    def _touch(self, block: Block, access: Access) -> None:
        block.accesses = [a for a in block.accesses if not a.operation.before(self.host)]
        for earlier in block.accesses:
            if earlier.clashes(access) and not earlier.operation.before(access.operation.clock):
                first, second = earlier.operation, access.operation
                raise fault(
                    f"race on {block.name}: {first.text} on stream {first.stream.number} and {second.text} on stream "
                    f"{second.stream.number} are in no order."
                )
        block.accesses.append(access)

    def record(self, event: Event, stream: Stream) -> None:
        event.marker = self.issue(stream, "an event", _nothing)

    def wait(self, stream: Stream, event: Event) -> None:
        if event.marker is not None:
            self.issue(stream, "a wait for an event", _nothing, after=event.marker)

    # ---- running ----

    def finish(self, operation: Operation) -> None:
        """Runs what must run before the host may see the operation done, and now and then more."""
        while not operation.done:
            if self.random.random() < 0.25:
                self.step(self.random.choice([s for s in self.streams if s.waiting]))
            else:
                self.step(operation.stream)
        merge(self.host, operation.clock)

    def finish_stream(self, stream: Stream) -> None:
        if stream.waiting:
            self.finish(stream.waiting[-1])
        merge(self.host, stream.clock)

    def finish_device(self, device: int) -> None:
        own = [s for s in self.streams if s.device == device]
        while busy := [s for s in own if s.waiting]:
            self.step(self.random.choice(busy))
        for stream in own:
            merge(self.host, stream.clock)

    def step(self, stream: Stream) -> None:
        """Runs the next operation of a stream, or of the stream that it waits for."""
        operation = stream.waiting[0]
        while operation.after is not None and not operation.after.done:
            operation = operation.after.stream.waiting[0]
        operation.stream.waiting.popleft()
        operation.done = True
        try:
            operation.run()
        finally:
            for block in operation.blocks:
                block.used()


def _nothing() -> None:
    pass
