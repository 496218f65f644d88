"""One Apple GPU: shared buffers, command queues, programs from MSL."""

from __future__ import annotations

import struct
from typing import Any

from helix.backends.base import Device, DeviceInfo, KernelSource
from helix.errors import CompileError
from helix.kernel.cache import dump

from . import moves
from .runtime import Metal, ffi, pooled
from .stream import Event, Stream

STAGED = 1 << 24  # bytes: a longer copy from the host waits for the stream instead of taking as much memory again
SCALARS = {
    "bool": "Q", "int32": "i4x", "uint32": "I4x", "int64": "q", "uint64": "Q", "float32": "f4x",
}  # fmt: skip
"""How struct packs a scalar into its 8 bytes."""
SAFE_MATH = 0  # MTLMathMode: infinities and NaN are kept, and sums in their order


class Block:
    """A buffer in memory that the CPU and the GPU share."""

    def __init__(self, buffer: Any, start: Any, nbytes: int):
        self.buffer, self.start, self.nbytes = buffer, ffi.cast("char *", start), nbytes


class Program:
    """A pipeline with room for its arguments, which an encoder copies at every launch."""

    def __init__(self, pipeline: Any, source: KernelSource):
        self.pipeline = pipeline
        self.n_buffers = source.n_buffers
        self.buffers = ffi.new("id[]", max(1, source.n_buffers))
        self.offsets = ffi.new("NSUInteger[]", max(1, source.n_buffers))
        self.pack_into = struct.Struct("<" + "".join(SCALARS[dtype] for dtype in source.scalar_dtypes)).pack_into
        self.n_bytes = 8 * len(source.scalar_dtypes)
        self.words = ffi.new("uint64_t[]", max(1, len(source.scalar_dtypes)))
        self.scalars = ffi.buffer(self.words)


class MetalDevice(Device):
    def __init__(self, index: int, info: DeviceInfo, metal: Metal):
        super().__init__(index)
        self.info = info
        self.metal = metal
        self.moves: dict[str, Program] = {}
        self._open()

    @pooled
    def _open(self) -> None:
        self.device = self.metal.default_device()
        self.largest = self.metal.maxBufferLength(self.device)
        self.main = Stream(self.metal, self.device)
        self.streams = [self.main]

    # ---- memory ----

    @pooled
    def alloc(self, nbytes: int, pinned: bool) -> Block:
        """All memory is the host's too, so pinned memory is no other."""
        if nbytes > self.largest:
            raise MemoryError(f"{nbytes} bytes asked, Metal gives {self.largest} bytes at most in one buffer")
        buffer = self.metal.newBufferWithLength_options(self.device, nbytes, 0)
        if not buffer:
            raise MemoryError(f"{nbytes} bytes asked, {self.mem_info()[0]} left")
        return Block(buffer, self.metal.contents(buffer), nbytes)

    def free(self, block: Block) -> None:
        """Command buffers keep what they use until they are done."""
        self.metal.release(block.buffer)

    @pooled
    def mem_info(self) -> tuple[int, int]:
        total = self.info.total_memory
        return max(0, total - self.metal.currentAllocatedSize(self.device)), total

    @pooled
    def copy_in(self, block: Block, offset: int, source: memoryview, stream: Stream | None) -> None:
        on, nbytes = stream or self.main, source.nbytes
        if nbytes > STAGED:
            on.finish()
        if on.idle():
            ffi.memmove(block.start + offset, source, nbytes)
        elif nbytes:
            staged = self.metal.newBufferWithBytes_length_options(self.device, ffi.from_buffer(source), nbytes, 0)
            if not staged:
                raise MemoryError(f"no {nbytes} bytes for a copy from the host")
            self._copy(block, offset, Block(staged, ffi.NULL, nbytes), 0, nbytes, on)
            self.metal.release(staged)

    @pooled
    def copy_out(self, target: memoryview, block: Block, offset: int, stream: Stream | None) -> None:
        (stream or self.main).finish()
        ffi.memmove(target, block.start + offset, target.nbytes)

    @pooled
    def copy_within(
        self, target: Block, target_offset: int, source: Block, source_offset: int, nbytes: int, stream: Stream | None
    ) -> None:
        if nbytes:
            self._copy(target, target_offset, source, source_offset, nbytes, stream or self.main)

    @pooled
    def fill(self, block: Block, offset: int, nbytes: int, pattern: bytes, stream: Stream | None) -> None:
        if not nbytes:
            return
        size = moves.piece(offset, nbytes, 16 % len(pattern))
        pattern = pattern * (16 // len(pattern)) if size == 8 else pattern
        words = struct.unpack("<2Q", pattern.ljust(16, b"\0"))
        count = nbytes // size
        self._move(moves.FILL[size], [block], [offset // size, count, len(pattern) // size, *words], count, stream)

    def _copy(self, target: Block, to: int, source: Block, from_: int, nbytes: int, stream: Stream) -> None:
        size = moves.piece(to, from_, nbytes)
        count = nbytes // size
        self._move(moves.COPY[size], [target, source], [to // size, from_ // size, count], count, stream)

    def _move(self, source: KernelSource, blocks: list, scalars: list, count: int, stream: Stream | None) -> None:
        program = self.moves.get(source.entry)
        if program is None:
            program = self.moves[source.entry] = self.load(source)
        self.launch(program, blocks, scalars, (-(-count // moves.GROUP), 1, 1), source.group, 0, stream)

    # ---- order ----

    @pooled
    def sync(self, stream: Stream | None = None) -> None:
        """All streams are waited for, also when one of them failed."""
        failure = None
        for one in [stream] if stream else self.streams:
            one.commit()
        for one in [stream] if stream else self.streams:
            try:
                one.finish()
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure

    @pooled
    def new_stream(self) -> Stream:
        self.streams.append(Stream(self.metal, self.device))
        return self.streams[-1]

    @pooled
    def close_stream(self, stream: Stream) -> None:
        self.streams.remove(stream)
        stream.close()

    def stream_number(self, stream: Stream | None) -> int:
        return int(ffi.cast("uintptr_t", (stream or self.main).queue))

    @pooled
    def new_event(self) -> Event:
        return Event(self.metal.newSharedEvent(self.device))

    def close_event(self, event: Event) -> None:
        self.metal.release(event.shared)

    @pooled
    def record(self, event: Event, stream: Stream | None) -> None:
        (stream or self.main).signal(event)

    @pooled
    def query(self, event: Event) -> bool:
        return event.stream is None or event.stream.passed(event.place)

    @pooled
    def wait_event(self, event: Event) -> None:
        if event.stream is not None:
            event.stream.finish(event.place)

    @pooled
    def stream_wait(self, stream: Stream | None, event: Event) -> None:
        (stream or self.main).wait(event)

    # ---- programs ----

    @pooled
    def load(self, source: KernelSource) -> Program:
        """macOS keeps what it compiled."""
        dump(source.kind, source.entry, source.text.decode())
        if source.options:
            raise CompileError(f"HX5006 {source.entry}: Metal takes no compiler options", code="HX5006")
        failed = ffi.new("id *")
        options = self._options()
        library = self.metal.newLibraryWithSource_options_error(
            self.device, self.metal.string(source.text), options, failed
        )
        self.metal.release(options)
        if not library:
            raise self._compile_error(source, failed[0])
        function = self.metal.newFunctionWithName(library, self.metal.string(source.entry.encode()))
        self.metal.release(library)
        if not function:
            raise CompileError(f"HX5006 {source.entry}: the text has no kernel of this name", code="HX5006")
        return Program(self._pipeline(source, function), source)

    def _options(self) -> Any:
        """Fast math off, by its name since macOS 15 or by the one before."""
        options = self.metal.new("MTLCompileOptions")
        if self.metal.respondsToSelector(options, self.metal.selector("setMathMode:")):
            self.metal.setMathMode(options, SAFE_MATH)
        else:
            self.metal.setFastMathEnabled(options, 0)
        return options

    def _pipeline(self, source: KernelSource, function: Any) -> Any:
        """Compiled for groups of the size that the kernel has."""
        x, y, z = source.group
        failed = ffi.new("id *")
        descriptor = self.metal.new("MTLComputePipelineDescriptor")
        self.metal.setComputeFunction(descriptor, function)
        self.metal.setMaxTotalThreadsPerThreadgroup(descriptor, x * y * z)
        pipeline = self.metal.newComputePipelineStateWithDescriptor_options_reflection_error(
            self.device, descriptor, 0, ffi.NULL, failed
        )
        self.metal.release(descriptor)
        self.metal.release(function)
        if not pipeline:
            raise self._compile_error(source, failed[0])
        if x * y * z > (most := self.metal.maxTotalThreadsPerThreadgroup(pipeline)):
            self.metal.release(pipeline)
            raise NotImplementedError(f"{source.entry}: groups of {x * y * z} items, of which the GPU takes {most}")
        return pipeline

    def _compile_error(self, source: KernelSource, error: Any) -> CompileError:
        text = self.metal.text(self.metal.localizedDescription(error)).strip()
        return CompileError(f"HX5006 {source.entry}: {text[:900]}", code="HX5006")

    @pooled
    def unload(self, program: Program) -> None:
        self.metal.release(program.pipeline)

    @pooled
    def launch(
        self,
        program: Program,
        buffers: list,
        scalars: list,
        grid: tuple[int, int, int],
        group: tuple[int, int, int],
        shared_bytes: int,
        stream: Stream | None,
    ) -> None:
        metal, on = self.metal, stream or self.main
        encoder = on.encode()
        metal.setComputePipelineState(encoder, program.pipeline)
        if buffers:
            program.buffers[0 : len(buffers)] = [block.buffer for block in buffers]
            metal.setBuffers_offsets_withRange(encoder, program.buffers, program.offsets, (0, len(buffers)))
        if scalars:
            program.pack_into(program.scalars, 0, *scalars)
            metal.setBytes_length_atIndex(encoder, program.words, program.n_bytes, program.n_buffers)
        if shared_bytes:
            metal.setThreadgroupMemoryLength_atIndex(encoder, -(-shared_bytes // 16) * 16, 0)
        metal.dispatchThreadgroups_threadsPerThreadgroup(encoder, grid, group)
        on.launched()

    # ---- other libraries ----

    def native_number(self, block: Block) -> int:
        return int(ffi.cast("uintptr_t", block.buffer))

    @pooled
    def import_native(self, number: int, nbytes: int) -> Block:
        buffer = ffi.cast("id", number)
        if (there := self.metal.length(buffer)) < nbytes:
            raise ValueError(f"the buffer holds {there} bytes, {nbytes} are asked for")
        if not (start := self.metal.contents(buffer)):
            raise ValueError("the buffer is in memory of the GPU's own; helix uses shared buffers")
        return Block(self.metal.retain(buffer), start, there)

    # ---- the end ----

    @pooled
    def close(self) -> None:
        for stream in self.streams:
            stream.close()
        for program in self.moves.values():
            self.metal.release(program.pipeline)
        self.streams.clear()
        self.moves.clear()
        self.metal.release(self.device)
