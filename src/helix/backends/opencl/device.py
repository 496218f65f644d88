"""One OpenCL device: a context of its own, in-order queues, buffers, programs."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy
import pyopencl as cl

from helix.backends.base import Device, DeviceInfo, KernelSource
from helix.backends.cache import folder
from helix.errors import CompileError, DeviceLostError

NAMES = {number: name for name, number in vars(cl.status_code).items() if isinstance(number, int)}
LOST = (cl.status_code.DEVICE_NOT_AVAILABLE, -9999)  # -9999: what NVIDIA's driver says after an illegal access
COMPLETE = cl.command_execution_status.COMPLETE


class Stream:
    """An in-order queue, the last command in it, and uploads that may still read the host's memory."""

    def __init__(self, context: Any):
        self.queue = cl.CommandQueue(context)
        self.last: Any = None
        self.uploads: deque = deque()

    def keep(self, upload: Any) -> None:
        """pyopencl waits for an upload whose event is dropped, so it is kept until it is done."""
        while self.uploads and self.uploads[0].command_execution_status <= COMPLETE:
            self.uploads.popleft()
        self.uploads.append(upload)
        self.last = upload

    def finish(self) -> None:
        self.queue.finish()
        self.uploads.clear()
        last, self.last = self.last, None
        if last is not None:
            check(last.command_execution_status)


class Event:
    """A marker in a queue; without one, everything before it is done."""

    marker: Any = None


def check(status: int) -> int:
    """Raises for a command that failed after it was queued."""
    if status >= 0:
        return status
    name = NAMES.get(status, f"error {status}")
    if status in LOST:
        raise DeviceLostError(f"HX5003 the device does not answer any more ({name})", code="HX5003")
    raise RuntimeError(f"queued work failed with {name}")


class OpenCLDevice(Device):
    def __init__(self, index: int, device: Any, info: DeviceInfo):
        super().__init__(index)
        self.info = info
        self.context = cl.Context([device])
        self.main = Stream(self.context)
        self.streams = [self.main]
        self.largest = device.max_mem_alloc_size
        self.taken = 0
        rounded = cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT & device.single_fp_config
        self.exact_options = ["-cl-fp32-correctly-rounded-divide-sqrt"] if rounded else []

    # ---- memory ----

    def alloc(self, nbytes: int, pinned: bool) -> Any:
        """Drivers allocate at the first use; moving the buffer to the device now makes a lack of memory known here."""
        if nbytes > self.largest:
            raise MemoryError(f"{nbytes} bytes asked, the driver gives {self.largest} bytes at most in one block")
        if nbytes > self.info.total_memory - self.taken:
            raise MemoryError(f"{nbytes} bytes asked, {self.info.total_memory - self.taken} left on the device")
        kind = cl.mem_flags.ALLOC_HOST_PTR if pinned else 0
        try:
            block = cl.Buffer(self.context, cl.mem_flags.READ_WRITE | kind, max(1, nbytes))
            flags = cl.mem_migration_flags.CONTENT_UNDEFINED
            cl.enqueue_migrate_mem_objects(self.main.queue, [block], flags).wait()
        except cl.MemoryError as error:
            raise MemoryError(f"{nbytes} bytes asked: {error}") from error
        self.taken += nbytes
        return block

    def free(self, block: Any) -> None:
        self.taken -= block.size
        block.release()

    def mem_info(self) -> tuple[int, int]:
        """OpenCL does not tell what others took."""
        return self.info.total_memory - self.taken, self.info.total_memory

    def copy_in(self, block: Any, offset: int, source: memoryview, stream: Stream | None) -> None:
        on = stream or self.main
        on.keep(cl.enqueue_copy(on.queue, block, source, dst_offset=offset, is_blocking=False))

    def copy_out(self, target: memoryview, block: Any, offset: int, stream: Stream | None) -> None:
        cl.enqueue_copy((stream or self.main).queue, target, block, src_offset=offset, is_blocking=True)

    def copy_within(
        self, target: Any, target_offset: int, source: Any, source_offset: int, nbytes: int, stream: Stream | None
    ) -> None:
        if nbytes == 0:
            return  # an error in OpenCL
        on = stream or self.main
        on.last = cl.enqueue_copy(
            on.queue, target, source, src_offset=source_offset, dst_offset=target_offset, byte_count=nbytes
        )

    def fill(self, block: Any, offset: int, nbytes: int, pattern: bytes, stream: Stream | None) -> None:
        on = stream or self.main
        on.last = cl.enqueue_fill_buffer(on.queue, block, pattern, offset, nbytes)

    # ---- order ----

    def sync(self, stream: Stream | None = None) -> None:
        for one in self.streams if stream is None else [stream]:
            one.finish()

    def new_stream(self) -> Stream:
        stream = Stream(self.context)
        self.streams.append(stream)
        return stream

    def close_stream(self, stream: Stream) -> None:
        self.streams.remove(stream)
        stream.finish()

    def stream_number(self, stream: Stream | None) -> int:
        return (stream or self.main).queue.int_ptr

    def new_event(self) -> Event:
        return Event()

    def record(self, event: Event, stream: Stream | None) -> None:
        """Flushed, so that another queue may wait for it, and that asking again and again sees an end."""
        queue = (stream or self.main).queue
        event.marker = cl.enqueue_marker(queue)
        queue.flush()

    def query(self, event: Event) -> bool:
        return event.marker is None or check(event.marker.command_execution_status) == COMPLETE

    def wait_event(self, event: Event) -> None:
        if event.marker is not None:
            event.marker.wait()

    def stream_wait(self, stream: Stream | None, event: Event) -> None:
        if event.marker is not None:
            cl.enqueue_barrier((stream or self.main).queue, wait_for=[event.marker])

    # ---- programs ----

    def load(self, source: KernelSource) -> Any:
        """Drivers without a cache of their own get pyopencl's, in helix's directory."""
        options = [*source.options.split(), *(self.exact_options if source.exact else [])]
        program = cl.Program(self.context, source.text.decode())
        try:
            program.build(options, cache_dir=str(folder() / "opencl"))
            kernel = cl.Kernel(program, source.entry)
        except cl.Error as error:
            raise CompileError(f"HX5006 {source.entry}: {str(error).strip()[:900]}", code="HX5006") from error
        # Scalars of known dtypes are set by generated code: a plain set_arg takes 25 microseconds for one.
        kernel.set_arg_types([None] * source.n_buffers + [numpy.dtype(name) for name in source.scalar_dtypes])
        return kernel

    def launch(
        self,
        program: Any,
        buffers: list,
        scalars: list,
        grid: tuple[int, int, int],
        group: tuple[int, int, int],
        shared_bytes: int,
        stream: Stream | None,
    ) -> None:
        """Shared memory is declared in the text of the kernel."""
        program.set_args(*buffers, *scalars)
        items = (grid[0] * group[0], grid[1] * group[1], grid[2] * group[2])
        on = stream or self.main
        on.last = cl.enqueue_nd_range_kernel(on.queue, program, items, group)

    # ---- other libraries ----

    def native_number(self, block: Any) -> int:
        return block.int_ptr

    def import_native(self, number: int, nbytes: int) -> Any:
        block: Any = cl.Buffer.from_int_ptr(number)
        if block.context != self.context or block.size < nbytes:
            raise ValueError("the buffer is of another OpenCL context than helix's, or too small")
        self.taken += block.size
        return block

    def close(self) -> None:
        """The queues go before the context."""
        self.streams.clear()
        del self.main
        del self.context
