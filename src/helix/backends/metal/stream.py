"""Command queues as streams, and events between them.

Work is encoded into a command buffer that is committed when it holds enough, or when someone waits. The first one after
a wait is short, so that the GPU starts early; each that follows may hold twice as much.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from helix.errors import DeviceLostError

from .runtime import Metal, ffi

MOST_LAUNCHES = 32  # in one command buffer
MOST_RUNNING = 16  # command buffers, before those that are done are let go of
COMPLETED, FAILED = 4, 5  # MTLCommandBufferStatus
OUT_OF_MEMORY = 8  # MTLCommandBufferError
LOST = {4: "macOS took it away", 7: "macOS does not permit it", 11: "it was removed"}


class Event:
    """A place in a stream. `shared` counts how often it was recorded; other queues wait for the number."""

    def __init__(self, shared: Any):
        self.shared = shared
        self.value = 0
        self.stream: Stream | None = None
        self.place = 0


@dataclass
class Committed:
    """A command buffer that the GPU has got, and what it signals at its end."""

    buffer: Any
    place: int
    signals: list[tuple[Any, int]] = field(default_factory=list)


class Stream:
    def __init__(self, metal: Metal, device: Any):
        self.metal = metal
        self.queue = metal.newCommandQueue(device)
        self.buffer = self.encoder = ffi.NULL  # open; they are retained
        self.launches, self.room = 0, 1
        self.signals: list[tuple[Any, int]] = []
        self.waits: list[tuple[Stream, int]] = []
        self.running: deque[Committed] = deque()
        self.issued = self.done = 0  # command buffers

    # ---- encoding ----

    def encode(self) -> Any:
        """The open encoder. Its dispatches run one after the other and see each other's results."""
        if not self.encoder:
            self._open()
            self.encoder = self.metal.retain(self.metal.computeCommandEncoder(self.buffer))
        return self.encoder

    def launched(self) -> None:
        self.launches += 1
        if self.launches >= self.room:
            self.room = min(2 * self.room, MOST_LAUNCHES)
            self.commit()

    def signal(self, event: Event) -> None:
        """Puts the event behind everything that the stream holds."""
        event.value += 1
        self._open()
        self._end_encoding()
        self.metal.encodeSignalEvent_value(self.buffer, event.shared, event.value)
        self.signals.append((self.metal.retain(event.shared), event.value))
        self.commit()
        event.stream, event.place = self, self.issued

    def wait(self, event: Event) -> None:
        """What follows starts after the event."""
        if event.stream is None or event.stream is self or event.stream.done >= event.place:
            return
        self._open()
        self._end_encoding()
        self.metal.encodeWaitForEvent_value(self.buffer, event.shared, event.value)
        self.waits = [(stream, place) for stream, place in self.waits if stream.done < place]
        self.waits.append((event.stream, event.place))

    def commit(self) -> None:
        if not self.buffer:
            return
        self._end_encoding()
        self.metal.commit(self.buffer)
        self.issued += 1
        self.running.append(Committed(self.buffer, self.issued, self.signals))
        self.buffer, self.signals, self.launches = ffi.NULL, [], 0
        if len(self.running) > MOST_RUNNING:
            self._retire(lambda one: self.metal.status(one.buffer) == COMPLETED)  # who waits is told of failures

    def _open(self) -> None:
        if not self.buffer:
            self.buffer = self.metal.retain(self.metal.commandBuffer(self.queue))

    def _end_encoding(self) -> None:
        if self.encoder:
            self.metal.endEncoding(self.encoder)
            self.metal.release(self.encoder)
            self.encoder = ffi.NULL

    # ---- waiting ----

    def passed(self, place: int) -> bool:
        """Are the command buffers up to this one done? Raises when one of those failed."""
        self._retire(lambda one: self.metal.status(one.buffer) >= COMPLETED)
        return self.done >= place

    def idle(self) -> bool:
        return not self.buffer and self.passed(self.issued)

    def finish(self, place: int | None = None) -> None:
        """Waits until the command buffers up to a place are done; for all work without one.

        Streams that this one waits for come first: work that failed signals nothing, unless the host does it.
        """
        if place is None:
            self.commit()
            place, self.room = self.issued, 1
        failure = None
        while self.waits:
            stream, before = self.waits.pop()
            try:
                stream.finish(before)
            except Exception as error:
                failure = error

        def wait(one: Committed) -> bool:
            if one.place <= place:
                self.metal.waitUntilCompleted(one.buffer)
            return one.place <= place

        self._retire(wait)
        if failure is not None:
            raise failure

    def _retire(self, is_done: Any) -> None:
        """Lets go of command buffers that are done, oldest first, and raises the first failure among them."""
        failure = None
        while self.running and is_done(self.running[0]):
            one = self.running.popleft()
            self.done = one.place
            if self.metal.status(one.buffer) == FAILED:
                failure = failure or self._failure(one)
            for shared, _ in one.signals:
                self.metal.release(shared)
            self.metal.release(one.buffer)
        if failure is not None:
            raise failure

    def _failure(self, one: Committed) -> Exception:
        for shared, value in one.signals:
            self.metal.setSignaledValue(shared, value)
        error = self.metal.error(one.buffer)
        number, text = self.metal.code(error), self.metal.text(self.metal.localizedDescription(error))
        if number in LOST:
            return DeviceLostError(f"HX5003 the GPU does not answer any more: {LOST[number]} ({text})", code="HX5003")
        return MemoryError(text) if number == OUT_OF_MEMORY else RuntimeError(f"queued work failed: {text}")

    def close(self) -> None:
        try:
            self.finish()
        finally:
            self.metal.release(self.queue)
