"""The driver itself, through cffi: what runs where pycuda, which has to be compiled, is not installed."""

from __future__ import annotations

import struct
from typing import Any

from cffi import FFI

from .driver import LOST, lost
from .facts import LIBRARY

ffi = FFI()
ffi.cdef("""
typedef int CUresult; typedef int CUdevice; typedef uint64_t CUdeviceptr; typedef void *CUcontext; typedef void *CUmodule;
typedef void *CUfunction; typedef void *CUstream; typedef void *CUevent;
CUresult cuInit(unsigned); CUresult cuDriverGetVersion(int *); CUresult cuGetErrorName(CUresult, const char **);
CUresult cuGetErrorString(CUresult, const char **); CUresult cuDeviceGet(CUdevice *, int);
CUresult cuDevicePrimaryCtxRetain(CUcontext *, CUdevice); CUresult cuDevicePrimaryCtxRelease_v2(CUdevice);
CUresult cuCtxPushCurrent_v2(CUcontext); CUresult cuCtxPopCurrent_v2(CUcontext *); CUresult cuCtxSynchronize(void);
CUresult cuMemAlloc_v2(CUdeviceptr *, size_t); CUresult cuMemFree_v2(CUdeviceptr);
CUresult cuMemHostAlloc(void **, size_t, unsigned); CUresult cuMemFreeHost(void *);
CUresult cuMemGetInfo_v2(size_t *, size_t *);
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr, const void *, size_t, CUstream);
CUresult cuMemcpyDtoHAsync_v2(void *, CUdeviceptr, size_t, CUstream);
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr, CUdeviceptr, size_t, CUstream);
CUresult cuMemsetD8Async(CUdeviceptr, unsigned char, size_t, CUstream);
CUresult cuMemsetD16Async(CUdeviceptr, unsigned short, size_t, CUstream);
CUresult cuMemsetD32Async(CUdeviceptr, unsigned, size_t, CUstream);
CUresult cuStreamCreate(CUstream *, unsigned); CUresult cuStreamDestroy_v2(CUstream);
CUresult cuStreamSynchronize(CUstream); CUresult cuStreamWaitEvent(CUstream, CUevent, unsigned);
CUresult cuEventCreate(CUevent *, unsigned); CUresult cuEventDestroy_v2(CUevent); CUresult cuEventRecord(CUevent, CUstream);
CUresult cuEventQuery(CUevent); CUresult cuEventSynchronize(CUevent);
CUresult cuModuleLoadData(CUmodule *, const void *); CUresult cuModuleUnload(CUmodule);
CUresult cuModuleGetFunction(CUfunction *, CUmodule, const char *);
CUresult cuLaunchKernel(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void **,
                        void **);
""")
OUT_OF_MEMORY, NOT_READY, DISABLE_TIMING = 2, 600, 2
_FORMS = {"P": "Q", "i": "i4x", "I": "I4x", "q": "q", "Q": "Q", "f": "f4x", "d": "d"}  # an argument in 8 bytes


class Program:
    """A kernel with room for its arguments, which the driver copies at every launch."""

    def __init__(self, module: Any, function: Any, codes: str):
        self.module, self.function = module, function
        self.pack_into = struct.Struct("<" + "".join(_FORMS[code] for code in codes)).pack_into
        self.values = ffi.new("uint64_t[]", max(1, len(codes)))
        self.buffer = ffi.buffer(self.values)
        self.pointers = ffi.new("void *[]", [self.values + n for n in range(len(codes))])


class LibcudaContext:
    def __init__(self, index: int):
        self.driver = ffi.dlopen(LIBRARY)
        self.check(self.driver.cuInit(0))
        self.version = self.made("int *", self.driver.cuDriverGetVersion)
        self.device = self.made("CUdevice *", self.driver.cuDeviceGet, index)
        self.context = self.made("CUcontext *", self.driver.cuDevicePrimaryCtxRetain, self.device)

    def check(self, code: int) -> None:
        if code == 0:
            return
        texts = ffi.new("const char *[2]")
        self.driver.cuGetErrorName(code, texts)
        self.driver.cuGetErrorString(code, texts + 1)
        text = ", ".join(ffi.string(t).decode() for t in texts if t) or f"CUDA error {code}"
        if code == OUT_OF_MEMORY:
            raise MemoryError(text)
        if code in LOST:
            raise lost(f"{LOST[code]} ({text})")
        raise RuntimeError(text)

    def made(self, kind: str, function: Any, *arguments: Any) -> Any:
        place = ffi.new(kind)
        self.check(function(place, *arguments))
        return place[0]

    def __enter__(self) -> None:
        self.check(self.driver.cuCtxPushCurrent_v2(self.context))

    def __exit__(self, *error: Any) -> None:
        self.driver.cuCtxPopCurrent_v2(ffi.new("CUcontext *"))

    def alloc(self, nbytes):
        return self.made("CUdeviceptr *", self.driver.cuMemAlloc_v2, nbytes)

    def free(self, pointer):
        self.check(self.driver.cuMemFree_v2(pointer))

    def alloc_pinned(self, nbytes):
        start = self.made("void **", self.driver.cuMemHostAlloc, nbytes, 0)
        return start, memoryview(ffi.buffer(start, nbytes))

    def free_pinned(self, owner):
        self.check(self.driver.cuMemFreeHost(owner))

    def mem_info(self):
        sizes = ffi.new("size_t[2]")
        self.check(self.driver.cuMemGetInfo_v2(sizes, sizes + 1))
        return sizes[0], sizes[1]

    def copy_in(self, target, source, stream):
        self.check(self.driver.cuMemcpyHtoDAsync_v2(target, ffi.from_buffer(source), source.nbytes, stream))

    def copy_out(self, target, source, stream):
        self.check(self.driver.cuMemcpyDtoHAsync_v2(ffi.from_buffer(target), source, target.nbytes, stream))

    def copy_within(self, target, source, nbytes, stream):
        self.check(self.driver.cuMemcpyDtoDAsync_v2(target, source, nbytes, stream))

    def fill(self, target, value, width, count, stream):
        driver = self.driver
        function = {1: driver.cuMemsetD8Async, 2: driver.cuMemsetD16Async, 4: driver.cuMemsetD32Async}[width]
        self.check(function(target, value, count, stream))

    def sync(self):
        self.check(self.driver.cuCtxSynchronize())

    def new_stream(self):
        return self.made("CUstream *", self.driver.cuStreamCreate, 0)

    def close_stream(self, stream):
        self.check(self.driver.cuStreamDestroy_v2(stream))

    def stream_number(self, stream):
        return int(ffi.cast("uintptr_t", stream))

    def sync_stream(self, stream):
        self.check(self.driver.cuStreamSynchronize(stream))

    def new_event(self):
        return self.made("CUevent *", self.driver.cuEventCreate, DISABLE_TIMING)

    def close_event(self, event):
        self.check(self.driver.cuEventDestroy_v2(event))

    def record(self, event, stream):
        self.check(self.driver.cuEventRecord(event, stream))

    def query(self, event):
        code = self.driver.cuEventQuery(event)
        if code == NOT_READY:
            return False
        self.check(code)
        return True

    def wait_event(self, event):
        self.check(self.driver.cuEventSynchronize(event))

    def stream_wait(self, stream, event):
        self.check(self.driver.cuStreamWaitEvent(stream, event, 0))

    def load(self, image, entry, codes):
        module = self.made("CUmodule *", self.driver.cuModuleLoadData, ffi.from_buffer(image))
        function = self.made("CUfunction *", self.driver.cuModuleGetFunction, module, entry.encode())
        return Program(module, function, codes)

    def unload(self, program):
        self.check(self.driver.cuModuleUnload(program.module))

    def launch(self, program, arguments, grid, group, shared, stream):
        program.pack_into(program.buffer, 0, *arguments)
        self.check(
            self.driver.cuLaunchKernel(program.function, *grid, *group, shared, stream, program.pointers, ffi.NULL)
        )

    def close(self):
        self.check(self.driver.cuDevicePrimaryCtxRelease_v2(self.device))
