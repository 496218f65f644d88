"""Recorded work. Launches and copies gather in one encoder and are submitted together: when the host needs them, or
when there are many."""

from __future__ import annotations

from typing import Any

import wgpu

ARENA = 1 << 18  # bytes of scalars in one submission
LAUNCHES = 512


class Commands:
    def __init__(self, device: Any):
        self.device, self.queue = device, device.queue
        self.step = device.limits["min-uniform-buffer-offset-alignment"]
        self.arena = device.create_buffer(size=ARENA, usage=wgpu.BufferUsage.UNIFORM | wgpu.BufferUsage.COPY_DST)
        self._start()

    def _start(self) -> None:
        self.scalars = bytearray()
        self.encoder: Any = None
        self.compute: Any = None
        self.launches = 0

    def launch(self, pipeline: Any, group: Any, scalars: bytes, grid: tuple[int, int, int]) -> None:
        """The scalars lie in the arena, at an offset that is given to the bind group."""
        if self.launches == LAUNCHES or len(self.scalars) + len(scalars) > ARENA:
            self.submit()
        compute = self.compute or self._open()
        compute.set_pipeline(pipeline)
        compute.set_bind_group(0, group, [len(self.scalars)] if scalars else [])
        compute.dispatch_workgroups(*grid)
        self.scalars += scalars + bytes(-len(scalars) % self.step)
        self.launches += 1

    def copy(self, source: Any, source_offset: int, target: Any, target_offset: int, nbytes: int) -> None:
        self._between().copy_buffer_to_buffer(source, source_offset, target, target_offset, nbytes)

    def clear(self, target: Any, offset: int, nbytes: int) -> None:
        self._between().clear_buffer(target, offset, nbytes)

    def submit(self) -> None:
        """After an error the recorded work is gone, and the next begins anew."""
        if self.encoder is None:
            return
        try:
            encoder = self._between()
            if self.scalars:
                self.queue.write_buffer(self.arena, 0, self.scalars)
            self.queue.submit([encoder.finish()])
        finally:
            self._start()

    def _open(self) -> Any:
        self.encoder = self.encoder or self.device.create_command_encoder()
        self.compute = self.encoder.begin_compute_pass()
        return self.compute

    def _between(self) -> Any:
        """The encoder, outside of any pass."""
        self.encoder = self.encoder or self.device.create_command_encoder()
        if self.compute is not None:
            self.compute.end()
            self.compute = None
        return self.encoder
