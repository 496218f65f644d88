"""One WebGPU device: buffers, one in-order queue, programs."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import wgpu

from helix.backends import Device, KernelSource
from helix.errors import DeviceLostError

from .adapters import describe, largest_block, request
from .commands import Commands
from .memory import Block, Memory
from .programs import COPY_BYTES, FILL_BYTES, Program, byte_grid

STAGING = 16 << 20  # bytes that are read at once
BIND_GROUPS = 8192


@contextmanager
def told() -> Iterator[None]:
    """A device that is gone is told apart from work that is wrong."""
    try:
        yield
    except wgpu.GPUError as error:
        if "lost" in str(error).lower():
            raise DeviceLostError(f"HX5003 the device does not answer any more ({error})", code="HX5003") from error
        raise


class WebGPUDevice(Device):
    def __init__(self, index: int, adapter: Any):
        super().__init__(index)
        self.info = describe(adapter)
        self.device = request(adapter)
        self.commands = Commands(self.device)
        self.memory = Memory(self.device, largest_block(self.device.limits), self._forget)
        self.groups: dict[tuple, Any] = {}
        self.staging: Any = None
        self.own: dict[str, Program] = {}

    # ---- memory ----

    def alloc(self, nbytes: int, pinned: bool) -> Block:
        return self.memory.take(nbytes)

    def free(self, block: Block) -> None:
        """Work that is recorded comes before any work of the block's next owner."""
        self.memory.give(block)

    def _forget(self, blocks: list[Block]) -> None:
        """Before buffers are destroyed: recorded work is handed over, bind groups of theirs are dropped."""
        self.commands.submit()
        for block in blocks:
            for key in block.bindings:
                self.groups.pop(key, None)

    # ---- copies ----

    def copy_in(self, block: Block, offset: int, source: memoryview, stream: None) -> None:
        """Whole words are written at once; a part of a word goes through a block of its own."""
        nbytes = source.nbytes
        with told():
            if offset % 4 == 0 and (nbytes % 4 == 0 or offset + nbytes == block.nbytes):
                self._write(block, offset, source.cast("B"))
                return
            between = self.alloc(nbytes, False)
            self._write(between, 0, source.cast("B"))
            self.copy_within(block, offset, between, 0, nbytes, stream)
            self.free(between)

    def _write(self, block: Block, offset: int, source: memoryview) -> None:
        self.commands.submit()
        whole = source.nbytes // 4 * 4
        if whole:
            self.device.queue.write_buffer(block.buffer, offset, source[:whole])
        if whole < source.nbytes:
            self.device.queue.write_buffer(block.buffer, offset + whole, bytes(source[whole:]).ljust(4, b"\0"))

    def copy_out(self, target: memoryview, block: Block, offset: int, stream: None) -> None:
        target = target.cast("B")
        with told():
            for begin in range(0, target.nbytes, STAGING):
                self._read(target[begin : begin + STAGING], block, offset + begin)

    def _read(self, target: memoryview, block: Block, offset: int) -> None:
        """Through a buffer that the host can map, by whole words."""
        first = offset // 4 * 4
        nbytes = -(-(offset + target.nbytes - first) // 4) * 4
        staging = self._staging(nbytes)
        self.commands.copy(block.buffer, first, staging, 0, nbytes)
        self.commands.submit()
        staging.map_sync(wgpu.MapMode.READ, 0, nbytes)
        try:
            target[:] = staging.read_mapped(0, nbytes, copy=False)[offset - first : offset - first + target.nbytes]
        finally:
            staging.unmap()

    def _staging(self, nbytes: int) -> Any:
        if self.staging is None or self.staging.size < nbytes:
            usage = wgpu.BufferUsage.MAP_READ | wgpu.BufferUsage.COPY_DST
            self.staging = self.device.create_buffer(size=max(1 << 16, nbytes), usage=usage)
        return self.staging

    def copy_within(
        self, target: Block, target_offset: int, source: Block, source_offset: int, nbytes: int, stream: None
    ) -> None:
        """A buffer is not copied to itself, nor bound twice: such a copy goes through another block."""
        if nbytes == 0:
            return
        if source is target:
            between = self.alloc(nbytes, False)
            self.copy_within(between, 0, source, source_offset, nbytes, stream)
            self.copy_within(target, target_offset, between, 0, nbytes, stream)
            self.free(between)
        elif target_offset % 4 == 0 and source_offset % 4 == 0 and nbytes % 4 == 0:
            with told():
                self.commands.copy(source.buffer, source_offset, target.buffer, target_offset, nbytes)
        else:
            end = target_offset + nbytes
            self._own(COPY_BYTES, [target, source], [target_offset, end, source_offset])

    def fill(self, block: Block, offset: int, nbytes: int, pattern: bytes, stream: None) -> None:
        if offset % 4 == 0 and nbytes % 4 == 0 and not any(pattern):
            with told():
                self.commands.clear(block.buffer, offset, nbytes)
        else:
            words = struct.unpack("<4I", pattern.ljust(16, b"\0"))
            self._own(FILL_BYTES, [block], [offset, offset + nbytes, len(pattern), *words])

    def _own(self, source: KernelSource, buffers: list[Block], scalars: list[int]) -> None:
        program = self.own.get(source.entry)
        if program is None:
            program = self.own[source.entry] = self.load(source)
        grid = byte_grid(scalars[0], scalars[1], self.info.max_grid[0])
        self.launch(program, buffers, scalars, grid, source.group, 0, None)

    def sync(self, stream: None = None) -> None:
        """A buffer can be mapped when all work before its last use is done."""
        with told():
            staging = self._staging(4)
            self.commands.clear(staging, 0, 4)
            self.commands.submit()
            staging.map_sync(wgpu.MapMode.READ, 0, 4)
            staging.unmap()

    # ---- programs ----

    def load(self, source: KernelSource) -> Program:
        with told():
            return Program(self.device, source)

    def launch(
        self,
        program: Program,
        buffers: list[Block],
        scalars: list,
        grid: tuple[int, int, int],
        group: tuple[int, int, int],
        shared_bytes: int,
        stream: None,
    ) -> None:
        """The group's size and shared memory stand in the text of the kernel."""
        key = (program, *buffers)
        with told():
            bound = self.groups.get(key) or self._bind(key)
            self.commands.launch(program.pipeline, bound, program.scalars.pack(*scalars), grid)

    def _bind(self, key: tuple) -> Any:
        program, *blocks = key
        if len(self.groups) == BIND_GROUPS:
            self.groups.clear()
        for block in blocks:
            block.bindings.add(key)
        buffers = [block.buffer for block in blocks]
        bound = self.groups[key] = program.bind(self.device, buffers, self.commands.arena)
        return bound

    def unload(self, program: Program) -> None:
        for key in [key for key in self.groups if key[0] is program]:
            del self.groups[key]

    def close(self) -> None:
        """Bind groups and staging go before the device."""
        self.commands.submit()
        self.groups.clear()
        self.staging = None
        self.memory.release()
        self.device.destroy()
