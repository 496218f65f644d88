"""The device without hardware: two simulated devices that keep to the contract and to nothing more.

Their memory cannot be addressed by the host and holds poison until it is written and after it is freed. Work runs as
late as the contract allows, and between streams in an order that a seed decides. A race, a use after free, an access
out of bounds and a double free are errors that name both operations. `HELIX_SIM="seed=3,without=fill+events,exact=1"`
sets the seed, takes optional parts away, and keeps helix's own pool out, so that every tensor is a block of its own,
freed with it.
"""

from __future__ import annotations

import os
from typing import Any

import numpy

from helix.errors import ConfigError

from .base import Availability, Backend, Device, DeviceInfo, KernelSource, overrides
from .sim_order import Block, Event, Stream, World, fault
from .sim_programs import Program, compiler

OPTIONAL = {
    "copy_within": ("copy_within",),
    "events": ("new_event", "close_event", "record", "query", "wait_event", "stream_wait"),
    "fill": ("fill",),
    "mem_info": ("mem_info",),
    "peers": ("reaches", "copy_peer"),
    "programs": ("load", "launch"),
    "stream_wait": ("stream_wait",),
    "streams": ("new_stream", "close_stream"),
}
"""The parts of the contract that `without` can take away, and the methods that make them."""

MEMORY = 1 << 30
ARITHMETIC = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64"


class SimDevice(Device):
    world: World

    def __init__(self, index: int, name: str = "sim"):
        super().__init__(index)
        self.name = f"{name}:{index}"
        self.stream = self.world.new_stream(index)
        self.blocks: dict[int, Block] = {}
        self.made = 0

    def _stream(self, stream: Stream | None) -> Stream:
        return self.stream if stream is None else stream

    # ---- memory ----

    def alloc(self, nbytes: int, pinned: bool) -> Block:
        if nbytes > self.mem_left():
            raise MemoryError(f"{nbytes} bytes asked, {self.mem_left()} free")
        self.made += 1
        block = Block(self.made, nbytes, self.name)
        self.blocks[id(block)] = block
        return block

    def free(self, block: Block) -> None:
        block.free("a free of it")
        del self.blocks[id(block)]
        if not block.margins_whole():
            raise fault(f"something wrote beside {block.name}.")

    def mem_left(self) -> int:
        return MEMORY - sum(b.nbytes for b in self.blocks.values())

    def mem_info(self) -> tuple[int, int]:
        return self.mem_left(), MEMORY

    def leaks(self) -> list[str]:
        """The blocks that nobody has given back."""
        return [b.name for b in self.blocks.values()]

    # ---- copies ----

    def copy_in(self, block: Block, offset: int, source: memoryview, stream: Stream | None) -> None:
        nbytes = source.nbytes

        def run() -> None:
            block.data[offset : offset + nbytes] = numpy.frombuffer(source, numpy.uint8)

        text = f"copy of {nbytes} bytes from the host to byte {offset}"
        self.world.issue(self._stream(stream), text, run, writes=[(block, offset, nbytes)])

    def copy_out(self, target: memoryview, block: Block, offset: int, stream: Stream | None) -> None:
        nbytes = target.nbytes

        def run() -> None:
            numpy.frombuffer(target, numpy.uint8)[:] = block.data[offset : offset + nbytes]

        text = f"copy of {nbytes} bytes from byte {offset} to the host"
        self.world.issue(self._stream(stream), text, run, reads=[(block, offset, nbytes)])

    def copy_within(
        self, target: Block, target_offset: int, source: Block, source_offset: int, nbytes: int, stream: Stream | None
    ) -> None:
        def run() -> None:
            target.data[target_offset : target_offset + nbytes] = source.data[source_offset : source_offset + nbytes]

        text = f"copy of {nbytes} bytes from byte {source_offset} to byte {target_offset}"
        reads, writes = [(source, source_offset, nbytes)], [(target, target_offset, nbytes)]
        self.world.issue(self._stream(stream), text, run, reads, writes)

    def fill(self, block: Block, offset: int, nbytes: int, pattern: bytes, stream: Stream | None) -> None:
        def run() -> None:
            repeated = numpy.frombuffer(pattern, numpy.uint8)
            block.data[offset : offset + nbytes] = numpy.resize(repeated, nbytes)

        text = f"fill of {nbytes} bytes from byte {offset}"
        self.world.issue(self._stream(stream), text, run, writes=[(block, offset, nbytes)])

    def reaches(self, peer: Device) -> bool:
        return isinstance(peer, SimDevice) and peer.world is self.world

    def copy_peer(
        self,
        target: Block,
        target_offset: int,
        source: Block,
        source_offset: int,
        nbytes: int,
        peer: Any,
        into_peer: bool,
        stream: Stream | None,
    ) -> None:
        """Comes after what was issued on the peer; that the peer waits for the copy is up to the caller."""
        for other in [s for s in self.world.streams if s.device == peer.index]:
            event = Event()
            self.world.record(event, other)
            self.world.wait(self._stream(stream), event)
        self.copy_within(target, target_offset, source, source_offset, nbytes, stream)

    # ---- programs ----

    def load(self, source: KernelSource) -> Program:
        return Program(source)

    def launch(
        self,
        program: Program,
        buffers: list[Block],
        scalars: list,
        grid: tuple[int, int, int],
        group: tuple[int, int, int],
        shared_bytes: int,
        stream: Stream | None,
    ) -> None:
        """The group's size and shared memory stand in the text of the kernel."""

        def run() -> None:
            program.run(buffers, scalars, grid, self.world.random)
            for block in buffers:
                if not block.margins_whole():
                    raise fault(f"{program.name} wrote beside {block.name}.")

        touched = [(block, 0, block.nbytes) for block in buffers]
        writes = [t for t, written in zip(touched, program.writes) if written]
        reads = [t for t, written in zip(touched, program.writes) if not written]
        self.world.issue(self._stream(stream), program.name, run, reads, writes)

    # ---- order ----

    def sync(self, stream: Stream | None = None) -> None:
        if stream is None:
            self.world.finish_device(self.index)
        else:
            self.world.finish_stream(stream)

    def new_stream(self) -> Stream:
        return self.world.new_stream(self.index)

    def close_stream(self, stream: Stream) -> None:
        self.world.finish_stream(stream)

    def new_event(self) -> Event:
        return Event()

    def close_event(self, event: Event) -> None:
        event.marker = None

    def record(self, event: Event, stream: Stream | None) -> None:
        self.world.record(event, self._stream(stream))

    def query(self, event: Event) -> bool:
        if event.marker is None or event.marker.done:
            return True
        self.world.step(event.marker.stream)  # whoever asks again and again sees an end
        return event.marker.done

    def wait_event(self, event: Event) -> None:
        if event.marker is not None:
            self.world.finish(event.marker)

    def stream_wait(self, stream: Stream | None, event: Event) -> None:
        self.world.wait(self._stream(stream), event)


class SimBackend(Backend):
    version = "1"
    devices = 2
    exact = False

    def probe(self) -> Availability:
        kind = "c" if compiler() and overrides(self.device_class, "launch") else ""
        info = DeviceInfo(
            name="simulated device",
            arch="sim",
            total_memory=MEMORY,
            emulated=True,
            own_pool=self.exact,
            source_kind=kind,
            arithmetic=ARITHMETIC,
            max_group=64 if kind else 0,
            shared_bytes=1 << 15 if kind else 0,
        )
        return Availability([info] * self.devices)

    def open(self, index: int) -> Device:
        return self.device_class(index, self.name)  # type: ignore[call-arg]


def backend(name: str = "sim", settings: str | None = None) -> Backend:
    """A simulated backend; `settings` as in HELIX_SIM, which it is by default."""
    chosen = _settings(os.environ.get("HELIX_SIM", "") if settings is None else settings)
    without = [method for part in chosen["without"] for method in OPTIONAL[part]]
    body: dict[str, Any] = {method: getattr(Device, method) for method in without}
    made = SimBackend()
    made.name = name
    made.device_class = type("Sim", (SimDevice,), {**body, "world": World(chosen["seed"])})
    made.devices, made.exact = chosen["devices"], bool(chosen["exact"])
    return made


def _settings(text: str) -> dict[str, Any]:
    values: dict[str, Any] = {"seed": 0, "devices": 2, "exact": 0, "without": []}
    for item in filter(None, text.split(",")):
        key, _, value = item.partition("=")
        parts = value.split("+")
        if key in ("seed", "devices", "exact") and value.isdigit():
            values[key] = int(value)
        elif key == "without" and set(parts) <= set(OPTIONAL):
            values[key] = parts
        else:
            raise ConfigError(
                f"HX3101 HELIX_SIM: {item!r} is not understood; write seed=N, devices=N, exact=1 or without= with one or more of "
                f"{', '.join(OPTIONAL)}, + between.",
                code="HX3101",
            )
    return values
