"""The driver through pycuda. Its own context handling (autoinit, make_context) is left alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy

from .driver import LOST, lost

cuda: Any = import_module("pycuda.driver")

# What cuGetErrorString says for LOST: pycuda's errors keep no number.
_LOST_WORDS = {
    "illegal memory": 700, "timed out": 702, "stack error": 714, "illegal instruction": 715, "misaligned": 716,
    "address space": 717, "program counter": 718, "launch failure": 719,
}  # fmt: skip
_REFUSED = "too many resources"  # a LaunchError of pycuda's, and no loss


@contextmanager
def _errors():
    try:
        yield
    except cuda.MemoryError as error:
        raise MemoryError(str(error)) from error
    except cuda.Error as error:
        code = _lost_code(error)
        if code is None:
            raise
        raise lost(f"{LOST[code]} ({error})") from error


def _lost_code(error: Any) -> int | None:
    text = str(error)
    usual = 719 if isinstance(error, cuda.LaunchError) and _REFUSED not in text else None
    return next((code for words, code in _LOST_WORDS.items() if words in text), usual)


def _checked(method: Callable) -> Callable:
    def call(self, *arguments):
        with _errors():
            return method(self, *arguments)

    return call


class PycudaContext:
    def __init__(self, index: int):
        with _errors():
            cuda.init()
            self.version = cuda.get_driver_version()
            self.context = cuda.Device(index).retain_primary_context()

    def __enter__(self) -> None:
        self.context.push()

    def __exit__(self, *error: Any) -> None:
        cuda.Context.pop()

    @_checked
    def alloc(self, nbytes):
        return cuda.mem_alloc(nbytes)

    def free(self, pointer):
        pointer.free()

    @_checked
    def alloc_pinned(self, nbytes):
        array = cuda.pagelocked_empty(nbytes, numpy.uint8)
        return array, memoryview(array)

    def free_pinned(self, owner):
        owner.base.free()

    @_checked
    def mem_info(self):
        return cuda.mem_get_info()

    @_checked
    def copy_in(self, target, source, stream):
        cuda.memcpy_htod_async(target, source, stream)

    @_checked
    def copy_out(self, target, source, stream):
        cuda.memcpy_dtoh_async(target, source, stream)

    @_checked
    def copy_within(self, target, source, nbytes, stream):
        cuda.memcpy_dtod_async(target, source, nbytes, stream)

    @_checked
    def fill(self, target, value, width, count, stream):
        {1: cuda.memset_d8_async, 2: cuda.memset_d16_async, 4: cuda.memset_d32_async}[width](
            target, value, count, stream
        )

    @_checked
    def sync(self):
        cuda.Context.synchronize()

    @_checked
    def new_stream(self):
        return cuda.Stream()

    def close_stream(self, stream):
        """pycuda gives it back with the object."""

    def stream_number(self, stream):
        return stream.handle

    @_checked
    def sync_stream(self, stream):
        stream.synchronize()

    @_checked
    def new_event(self):
        return cuda.Event(cuda.event_flags.DISABLE_TIMING)

    def close_event(self, event):
        """pycuda gives it back with the object."""

    @_checked
    def record(self, event, stream):
        event.record(stream)

    @_checked
    def query(self, event):
        return event.query()

    @_checked
    def wait_event(self, event):
        event.synchronize()

    @_checked
    def stream_wait(self, stream, event):
        stream.wait_for_event(event)

    @_checked
    def load(self, image, entry, codes):
        module = cuda.module_from_buffer(image)
        function = module.get_function(entry)
        function.prepare(codes)
        return function, module

    def unload(self, program):
        """pycuda gives it back with the object."""

    @_checked
    def launch(self, program, arguments, grid, group, shared, stream):
        program[0].prepared_async_call(grid, group, stream, *arguments, shared_size=shared)

    def close(self):
        self.context.detach()
