"""One GPU: its primary context, blocks, streams, programs and products. Every method makes the context current, and
puts back what was current before."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from cffi import FFI

from helix.backends.base import Device, DeviceInfo, KernelSource, native
from helix.kernel.cache import cached, dump

from .cublas import Cublas, product
from .driver import open_context
from .nvrtc import Compiler
from .staging import Staging

CODES = {
    "bool": "I", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q", "float32": "f", "float64": "d",
}  # fmt: skip
FIRST_BFLOAT16 = 80  # compute capability
ffi = FFI()


def current(method: Callable) -> Callable:
    @wraps(method)
    def call(self, *arguments):
        with self.context:
            return method(self, *arguments)

    return call


class Block:
    """Device memory, or pinned memory that the device reads by the same address."""

    def __init__(self, owner: Any, address: int, pinned: bool = False, foreign: bool = False):
        self.owner, self.address, self.pinned, self.foreign = owner, address, pinned, foreign


class CudaDevice(Device):
    def __init__(self, index: int, info: DeviceInfo, number: int):
        """`number`: the driver's own."""
        super().__init__(index)
        self.info = info
        self.capability = int(info.arch.removeprefix("sm_"))
        self.context = open_context(number)
        self.compiler: Compiler | None = None
        with self.context:
            self.stream = self.context.new_stream()
            self.staging = Staging(self.context)
            self.cublas = Cublas(self.context.version)

    def on(self, stream: Any) -> Any:
        return self.stream if stream is None else stream

    # ---- memory ----

    @current
    def alloc(self, nbytes: int, pinned: bool) -> Block:
        if pinned:
            owner, memory = self.context.alloc_pinned(nbytes)
            return Block(owner, _address(memory), pinned=True)
        pointer = self.context.alloc(nbytes)
        return Block(pointer, int(pointer))

    @current
    def free(self, block: Block) -> None:
        if block.foreign:
            return
        if block.pinned:
            self.context.free_pinned(block.owner)
        else:
            self.context.free(block.owner)

    @current
    def mem_info(self) -> tuple[int, int]:
        return self.context.mem_info()

    @current
    def copy_in(self, block: Block, offset: int, source: memoryview, stream: Any) -> None:
        self.staging.copy_in(block.address + offset, source, self.on(stream))

    @current
    def copy_out(self, target: memoryview, block: Block, offset: int, stream: Any) -> None:
        self.staging.copy_out(target, block.address + offset, self.on(stream))

    @current
    def copy_within(
        self, target: Block, target_offset: int, source: Block, source_offset: int, nbytes: int, stream: Any
    ):
        to, from_ = target.address + target_offset, source.address + source_offset
        self.context.copy_within(to, from_, nbytes, self.on(stream))

    @current
    def fill(self, block: Block, offset: int, nbytes: int, pattern: bytes, stream: Any) -> None:
        """The driver repeats 1, 2 or 4 bytes; a longer pattern is written once and copied, twice as much each time."""
        stream, start = self.on(stream), block.address + offset
        while len(pattern) > 1 and pattern[: len(pattern) // 2] * 2 == pattern:
            pattern = pattern[: len(pattern) // 2]
        width = len(pattern)
        if width in (1, 2, 4):
            return self.context.fill(start, int.from_bytes(pattern, "little"), width, nbytes // width, stream)
        done = min(width, nbytes)
        self.staging.copy_in(start, memoryview(pattern[:done]), stream)
        while done < nbytes:
            part = min(done, nbytes - done)
            self.context.copy_within(start + done, start, part, stream)
            done += part

    # ---- order ----

    @current
    def sync(self, stream: Any = None) -> None:
        if stream is None:
            self.context.sync()
        else:
            self.context.sync_stream(stream)

    @current
    def new_stream(self) -> Any:
        return self.context.new_stream()

    @current
    def close_stream(self, stream: Any) -> None:
        self.context.close_stream(stream)

    def stream_number(self, stream: Any) -> int:
        return self.context.stream_number(self.on(stream))

    @current
    def new_event(self) -> Any:
        return self.context.new_event()

    @current
    def close_event(self, event: Any) -> None:
        self.context.close_event(event)

    @current
    def record(self, event: Any, stream: Any) -> None:
        self.context.record(event, self.on(stream))

    @current
    def query(self, event: Any) -> bool:
        return self.context.query(event)

    @current
    def wait_event(self, event: Any) -> None:
        self.context.wait_event(event)

    @current
    def stream_wait(self, stream: Any, event: Any) -> None:
        self.context.stream_wait(self.on(stream), event)

    # ---- programs ----

    @current
    def load(self, source: KernelSource) -> Any:
        compiler = self.compiler = self.compiler or Compiler(self.capability, self.context.version)
        options = compiler.options(source.exact, source.options)
        dump(source.kind, source.entry, source.text.decode())
        parts = (source.text.decode(), compiler.version, *options)
        codes = "P" * source.n_buffers + "".join(CODES[dtype] for dtype in source.scalar_dtypes)

        def build() -> bytes:
            return compiler.compile(source.text, source.entry, options)

        image, forget = cached("cuda-emulated" if self.info.emulated else "cuda", parts, build)
        try:
            return self.context.load(image, source.entry, codes)
        except Exception:
            forget()
        return self.context.load(build(), source.entry, codes)

    @current
    def unload(self, program: Any) -> None:
        self.context.unload(program)

    @current
    def launch(
        self, program: Any, buffers: list, scalars: list, grid: tuple, group: tuple, shared_bytes: int, stream: Any
    ) -> None:
        arguments = [block.address for block in buffers] + scalars
        self.context.launch(program, arguments, grid, group, shared_bytes, self.on(stream))

    # ---- products ----

    def takes_product(self, call: Any) -> bool:
        if self.cublas.library is None or call.attributes:
            return False
        if call.inputs[0].dtype == "bfloat16" and self.capability < FIRST_BFLOAT16:
            return False
        return product(call) is not None

    @native("matmul", dtypes="float16 bfloat16 float32 float64", deterministic=False, check="takes_product")
    @current
    def matmul(self, call: Any) -> None:
        form = product(call)
        if form is None:
            raise ValueError("matmul: a layout that takes_product did not see")
        left, right = (v.memory.address + v.offset for v in call.inputs)
        out = call.outputs[0].memory.address + call.outputs[0].offset
        self.cublas.multiply(form, call.inputs[0].dtype, left, right, out, self.stream_number(call.stream))

    # ---- other libraries ----

    def native_number(self, block: Block) -> int:
        return block.address

    def import_native(self, number: int, nbytes: int) -> Block:
        return Block(None, number, foreign=True)

    @current
    def _give_back(self) -> None:
        self.staging.close()
        self.cublas.close()
        self.context.close_stream(self.stream)
        self.stream = None

    def close(self) -> None:
        self._give_back()
        self.context.close()


def _address(memory: memoryview) -> int:
    return int(ffi.cast("uintptr_t", ffi.from_buffer(memory)))
