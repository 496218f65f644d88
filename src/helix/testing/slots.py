"""The slots of a backend as helix calls them, for cases that look at the contract itself."""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy

import helix

from .case import NotOffered


class Mem(c.Structure):
    _fields_ = [
        *(("handle", c.c_uint64), ("host_ptr", c.c_void_p), ("nbytes", c.c_uint64)),
        *(("kind", c.c_uint32), ("flags", c.c_uint32)),
    ]


class Err(c.Structure):
    _fields_ = [
        *(("struct_size", c.c_uint32), ("code", c.c_int32), ("number", c.c_int32), ("reserved", c.c_int32)),
        *(("native_code", c.c_int64), ("msg", c.c_char * 1000)),
    ]


class Copy(c.Structure):
    _fields_ = [
        *(("struct_size", c.c_uint32), ("reserved", c.c_uint32), ("src", c.POINTER(Mem)), ("dst", c.POINTER(Mem))),
        *(("host_src", c.c_void_p), ("host_dst", c.c_void_p), ("src_offset", c.c_uint64), ("dst_offset", c.c_uint64)),
        *(("nbytes", c.c_uint64), ("rows", c.c_uint64), ("src_pitch", c.c_uint64), ("dst_pitch", c.c_uint64)),
    ]


class Support(c.Structure):
    _fields_ = [
        *(("struct_size", c.c_uint32), ("verdict", c.c_uint32), ("kernel", c.c_void_p), ("dtypes", c.c_uint64)),
        *(("deterministic", c.c_uint32), ("reserved", c.c_uint32)),
    ]


class View(c.Structure):
    _fields_ = [
        *(("mem", c.POINTER(Mem)), ("data", c.c_void_p), ("byte_offset", c.c_int64)),
        *(("shape", c.POINTER(c.c_int64)), ("strides", c.POINTER(c.c_int64)), ("numel", c.c_int64)),
        *(("dtype", c.c_uint8), ("ndim", c.c_uint8), ("contiguous", c.c_uint8), ("flags", c.c_uint8)),
    ]


class Attribute(c.Structure):
    _fields_ = [("kind", c.c_uint32), ("count", c.c_uint32), ("integer", c.c_int64), ("rest", c.c_int64)]


class OpCall(c.Structure):
    _fields_ = [
        *(("struct_size", c.c_uint32), ("n_in", c.c_uint32), ("n_out", c.c_uint32), ("n_attr", c.c_uint32)),
        *(("op", c.c_char_p), ("inputs", c.POINTER(View)), ("outputs", c.POINTER(View))),
        *(("attributes", c.POINTER(Attribute)), ("names", c.POINTER(c.c_char_p))),
    ]


POINTER, CODE, U64 = c.c_void_p, c.c_int32, c.c_uint64
SIGNATURES: dict[str, tuple] = {
    "mem_alloc": (CODE, POINTER, U64, c.c_uint32, c.POINTER(Mem), c.POINTER(Err)),
    "mem_free": (None, POINTER, c.POINTER(Mem)),
    "mem_info": (CODE, POINTER, c.POINTER(U64), c.POINTER(U64)),
    "copy": (CODE, POINTER, POINTER, c.POINTER(Copy), c.POINTER(Err)),
    "fill": (CODE, POINTER, POINTER, c.POINTER(Mem), U64, U64, POINTER, c.c_uint32, c.POINTER(Err)),
    "sync": (CODE, POINTER, POINTER, c.POINTER(Err)),
    "stream_create": (CODE, POINTER, c.POINTER(POINTER), c.POINTER(Err)),
    "stream_destroy": (None, POINTER, POINTER),
    "event_create": (CODE, POINTER, c.POINTER(POINTER), c.POINTER(Err)),
    "event_destroy": (None, POINTER, POINTER),
    "event_record": (CODE, POINTER, POINTER, POINTER, c.POINTER(Err)),
    "event_query": (CODE, POINTER, POINTER, c.POINTER(c.c_int32), c.POINTER(Err)),
    "event_sync": (CODE, POINTER, POINTER, c.POINTER(Err)),
    "stream_wait_event": (CODE, POINTER, POINTER, POINTER, c.POINTER(Err)),
    "op_query": (CODE, POINTER, c.c_char_p, c.POINTER(Support)),
    "op_check": (c.c_uint32, POINTER, c.POINTER(OpCall)),
}
MEMORY_CODE = 7  # HX_E_MEMORY
NO, ASK = 0, 3


class SlotError(AssertionError):
    """A slot answered with a code."""

    def __init__(self, slot: str, code: int, text: str):
        super().__init__(f"{slot} answered with code {code}: {text or 'no message'}")
        self.code = code


class Slots:
    """A device's slots. Bytes go in and come out as `bytes`; blocks are Mem."""

    def __init__(self, device: str):
        helix.device(device)
        self._address = helix._core.device_slots(device)
        self.handle = self._address.pop("handle", None)
        self.context = self._address.pop("ctx", None)
        self._held: list[Any] = []  # host memory that unfinished copies use

    def __contains__(self, slot: str) -> bool:
        return slot in self._address

    def need(self, *slots: str) -> None:
        missing = [slot for slot in slots if slot not in self]
        if missing:
            raise NotOffered(f"no {', '.join(missing)}")

    def raw(self, slot: str) -> Callable[..., Any]:
        self.need(slot)
        return c.CFUNCTYPE(*SIGNATURES[slot])(self._address[slot])

    def call(self, slot: str, *arguments: Any) -> None:
        error = Err(struct_size=c.sizeof(Err))
        code = self.raw(slot)(self.handle, *arguments, c.byref(error))
        if code:
            raise SlotError(slot, code, error.msg.decode("utf-8", "replace"))

    # ---- memory ----

    def alloc(self, nbytes: int) -> Mem:
        mem = Mem()
        self.call("mem_alloc", nbytes, 0, c.byref(mem))
        return mem

    def free(self, mem: Mem) -> None:
        self.raw("mem_free")(self.handle, c.byref(mem))

    @contextmanager
    def block(self, nbytes: int) -> Iterator[Mem]:
        mem = self.alloc(nbytes)
        try:
            yield mem
        finally:
            self.sync()
            self.free(mem)

    def _copy(self, stream: Any, **fields: Any) -> None:
        self.call("copy", stream, c.byref(Copy(struct_size=c.sizeof(Copy), **fields)))

    def put(self, mem: Mem, data: bytes, offset: int = 0, stream: Any = None) -> Any:
        """Gives the host buffer, which the copy reads until a sync."""
        host = c.create_string_buffer(data, max(1, len(data)))
        self._held.append(host)
        self._copy(stream, dst=c.pointer(mem), host_src=c.addressof(host), dst_offset=offset, nbytes=len(data))
        return host

    def get(self, mem: Mem, nbytes: int, offset: int = 0, stream: Any = None) -> bytes:
        host = self.ask(mem, nbytes, offset, stream)
        self.sync(stream)
        return host.raw[:nbytes]

    def ask(self, mem: Mem, nbytes: int, offset: int = 0, stream: Any = None) -> Any:
        """Starts a copy to the host; the buffer holds it after a sync."""
        host = c.create_string_buffer(max(1, nbytes))
        self._held.append(host)
        self._copy(stream, src=c.pointer(mem), host_dst=c.addressof(host), src_offset=offset, nbytes=nbytes)
        return host

    def within(self, to: Mem, at: int, source: Mem, offset: int, nbytes: int, stream: Any = None) -> None:
        self._copy(stream, src=c.pointer(source), dst=c.pointer(to), src_offset=offset, dst_offset=at, nbytes=nbytes)

    def rows(self, mem: Mem, data: bytes, rows: int, width: int, pitch: int) -> None:
        host = c.create_string_buffer(data, len(data))
        self._held.append(host)
        pitches = {"rows": rows, "src_pitch": width, "dst_pitch": pitch, "nbytes": width}
        self._copy(None, dst=c.pointer(mem), host_src=c.addressof(host), **pitches)

    def fill(self, mem: Mem, offset: int, nbytes: int, pattern: bytes, stream: Any = None) -> None:
        host = c.create_string_buffer(pattern, len(pattern))
        self._held.append(host)
        self.call("fill", stream, c.byref(mem), offset, nbytes, c.addressof(host), len(pattern))

    def memory(self) -> tuple[int, int]:
        free, total = U64(), U64()
        code = self.raw("mem_info")(self.handle, c.byref(free), c.byref(total))
        assert not code, f"mem_info answered with code {code}"
        return free.value, total.value

    # ---- order ----

    def sync(self, stream: Any = None) -> None:
        self.call("sync", stream)
        if stream is None:
            self._held.clear()

    @contextmanager
    def stream(self) -> Iterator[Any]:
        made = POINTER()
        self.need("stream_create", "stream_destroy")
        self.call("stream_create", c.byref(made))
        try:
            yield made
        finally:
            self.sync(made)
            self.raw("stream_destroy")(self.handle, made)

    @contextmanager
    def event(self) -> Iterator[Any]:
        made = POINTER()
        self.need("event_create", "event_record", "event_destroy")
        self.call("event_create", c.byref(made))
        try:
            yield made
        finally:
            self.raw("event_destroy")(self.handle, made)

    def done(self, event: Any) -> bool:
        answer = c.c_int32()
        self.call("event_query", event, c.byref(answer))
        return bool(answer.value)

    # ---- native ops ----

    def support(self, op: str) -> Support:
        answer = Support(struct_size=c.sizeof(Support))
        if "op_query" in self:
            code = self.raw("op_query")(self.context, op.encode(), c.byref(answer))
            assert not code, f"op_query('{op}') answered with code {code}"
        return answer

    def claims(self) -> dict[str, Support]:
        """The ops that the backend says it has kernels for."""
        found = {record["name"]: self.support(record["name"]) for record in helix._core.ops()}
        return {op: answer for op, answer in found.items() if answer.verdict != NO}

    def check_unknown_attribute(self, op: str, inputs: int) -> int:
        """What op_check says to a call with an attribute that no helix has."""
        with self.block(64) as mem:
            size, step = (c.c_int64 * 1)(4), (c.c_int64 * 1)(1)
            view = View(mem=c.pointer(mem), shape=size, strides=step, numel=4, dtype=11, ndim=1, contiguous=1)
            views = (View * max(1, inputs))(*[view] * inputs)
            names = (c.c_char_p * 1)(b"no_such_attribute")
            call = OpCall(
                struct_size=c.sizeof(OpCall), n_in=inputs, n_out=1, n_attr=1, op=op.encode(), inputs=views,
                outputs=(View * 1)(view), attributes=(Attribute * 1)(Attribute(kind=2, integer=7)), names=names,
            )  # fmt: skip
            return self.raw("op_check")(self.handle, c.byref(call))


def noise(nbytes: int, seed: int = 0) -> bytes:
    return numpy.random.default_rng(seed).bytes(nbytes)
