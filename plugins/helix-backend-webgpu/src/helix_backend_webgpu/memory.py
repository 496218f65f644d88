"""Blocks of device memory. A tensor is a buffer of its own, because a program may bind a buffer once only; buffers
that are given back are kept for the next tensor of the size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import wgpu

USAGE = wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_SRC | wgpu.BufferUsage.COPY_DST
KEPT = 256 << 20
"""Bytes of buffers that nobody uses, at most."""


class Block:
    """A buffer of whole words, the first `nbytes` of which are a tensor's."""

    def __init__(self, buffer: Any):
        self.buffer = buffer
        self.nbytes = 0
        self.bindings: set[tuple] = set()  # keys of the bind groups that hold it


def rounded(nbytes: int) -> int:
    """Up to the next of eight steps between two powers of two, so that similar sizes share buffers."""
    step = max(256, 1 << max(0, nbytes.bit_length() - 4))
    return max(1, -(-nbytes // step)) * step


class Memory:
    def __init__(self, device: Any, largest: int, before_release: Callable[[list[Block]], None]):
        self.device, self.largest = device, largest
        self.before_release = before_release
        self.idle: defaultdict[int, list[Block]] = defaultdict(list)
        self.idle_bytes = 0

    def take(self, nbytes: int) -> Block:
        if nbytes > self.largest:
            raise MemoryError(
                f"{nbytes} bytes asked, a program of this adapter reaches {self.largest} bytes of a buffer "
                "(its limit maxStorageBufferBindingSize)"
            )
        size = min(rounded(nbytes), self.largest)
        block = self._reuse(size) or Block(self._create(size))
        block.nbytes = nbytes
        return block

    def give(self, block: Block) -> None:
        self.idle[block.buffer.size].append(block)
        self.idle_bytes += block.buffer.size
        if self.idle_bytes > KEPT:
            self.release()

    def release(self) -> None:
        """Returns all idle buffers to the driver."""
        blocks = [block for same in self.idle.values() for block in same]
        self.idle.clear()
        self.idle_bytes = 0
        self.before_release(blocks)
        for block in blocks:
            block.buffer.destroy()

    def _reuse(self, size: int) -> Block | None:
        if not self.idle[size]:
            return None
        self.idle_bytes -= size
        return self.idle[size].pop()

    def _create(self, size: int) -> Any:
        try:
            return self.device.create_buffer(size=size, usage=USAGE)
        except wgpu.GPUOutOfMemoryError:
            self.release()
        try:
            return self.device.create_buffer(size=size, usage=USAGE)
        except wgpu.GPUOutOfMemoryError as error:
            raise MemoryError(f"{size} bytes asked: {error}") from error
