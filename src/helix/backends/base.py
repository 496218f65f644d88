"""What a backend written in Python is made of: `Backend` and `Device`, and the small records they exchange with helix.

A method that a subclass does not override is a slot that it does not offer: helix then has a way without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

ABI = (1, 0)
"""Version of the contract between helix and backends: (major, minor)."""

ALL_DTYPES = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64 complex64 complex128"
)


@dataclass(frozen=True)
class DeviceInfo:
    """What a device is and what it can do. Only the name has no default."""

    name: str
    arch: str = ""  # for people, and to choose kernel schedules
    uuid: str = ""
    total_memory: int = 0  # bytes; 0: not known
    dtypes: str = ALL_DTYPES  # that can be stored and copied, with blanks between
    arithmetic: str | None = None  # that kernels may compute in; None: all of `dtypes`
    source_kind: str = ""  # what `load` takes: "c", "opencl-c", "cuda-c", "msl", "wgsl"; "" without programs
    max_group: int = 0  # work items in a group
    subgroup: int = 1  # lanes that run together
    shared_bytes: int = 0  # memory that a group shares
    alignment: int = 64  # of blocks, and of copies at full speed
    compute_units: int = 0
    vector_bytes: int = 0
    max_grid: tuple[int, int, int] = (0, 0, 0)  # groups; 0: no limit
    max_buffers: int = 0  # bound to one program; 0: no limit
    host_addressable: bool = False  # `Device.address` gives pointers that the CPU may use after `sync`
    own_pool: bool = False  # alloc and free are cheap and ordered by stream: helix keeps no pool
    emulated: bool = False  # runs without the hardware it is named after
    unified: bool = False  # shares memory with the host


@dataclass(frozen=True)
class Availability:
    """The answer of `Backend.probe`: the devices that are there, or why there are none."""

    devices: Sequence[DeviceInfo] = ()
    reason: str = ""  # where devices is empty: what is missing, and what to do about it

    @property
    def ok(self) -> bool:
        return bool(self.devices)


@dataclass(frozen=True)
class KernelSource:
    """The text of one kernel. Its parameters are the buffers, then the scalars."""

    kind: str
    text: bytes
    entry: str
    options: str
    n_buffers: int
    scalar_dtypes: tuple[str, ...]
    group: tuple[int, int, int]
    exact: bool  # no contraction and no relaxed functions: the bits matter


@dataclass(frozen=True)
class Native:
    """A mark on a method of a Device: it is the kernel of an op."""

    op: str
    dtypes: str
    contiguous: bool
    deterministic: bool
    check: str | None
    method: str = ""


def native(
    op: str,
    *,
    dtypes: str = "float32",
    contiguous: bool = False,
    deterministic: bool = True,
    check: str | None = None,
) -> Callable[[Callable], Callable]:
    """Makes a method of a Device the kernel of `op` for first inputs of the given dtypes.

    The method receives a call: `call.inputs` and `call.outputs` are views (memory, offset in bytes, shape, strides in
    elements, dtype; `value` where it is a number in host memory; None where an optional tensor is absent),
    `call.attributes` a dictionary, `call.stream` the stream. It writes the outputs and returns nothing.

    `contiguous`: inputs are made contiguous first. `deterministic=False`: not used under helix.use_deterministic.
    `check` names a method that is asked `check(call) -> bool` for each new kind of call; it must answer False for an
    attribute that it does not know.
    """

    def mark(method: Callable) -> Callable:
        method._helix_native = Native(op, dtypes, contiguous, deterministic, check, method.__name__)  # type: ignore[attr-defined]
        return method

    return mark


class Device:
    """One opened device. Blocks, programs, streams and events are whatever objects the subclass likes.

    helix calls from any thread, one call at a time unless the backend says `thread_safe`. A stream of None is the
    device's own queue. Work may be queued: later work on the same stream must see its results, the host only after
    `sync` or an event. Exceptions become errors of helix that name the device, with the exception as their cause.
    """

    natives: ClassVar[dict[str, Native]] = {}
    info: DeviceInfo

    def __init__(self, index: int = 0):
        self.index = index

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        own = [m._helix_native for m in vars(cls).values() if hasattr(m, "_helix_native")]
        cls.natives = {**cls.natives, **{mark.op: mark for mark in own}}

    # ---- memory (required) ----

    def alloc(self, nbytes: int, pinned: bool) -> Any:
        """A block of memory; MemoryError when there is none. `pinned`: host memory that the device copies fast."""
        raise NotImplementedError

    def free(self, block: Any) -> None:
        """Gives a block back. All work that uses it is done, or will be before the memory is handed out again."""
        raise NotImplementedError

    def copy_in(self, block: Any, offset: int, source: memoryview, stream: Any) -> None:
        """Copies host bytes into a block. `source` stays valid until the stream is synchronized."""
        raise NotImplementedError

    def copy_out(self, target: memoryview, block: Any, offset: int, stream: Any) -> None:
        """Copies from a block to host bytes. `target` stays valid until the stream is synchronized."""
        raise NotImplementedError

    def sync(self, stream: Any = None) -> None:
        """Waits for a stream; for all of them with None."""
        raise NotImplementedError

    # ---- memory (optional) ----

    def copy_within(
        self, target: Any, target_offset: int, source: Any, source_offset: int, nbytes: int, stream: Any
    ) -> None:
        """Copies between two blocks of this device. Without it, helix goes through host memory."""
        raise NotImplementedError

    def fill(self, block: Any, offset: int, nbytes: int, pattern: bytes, stream: Any) -> None:
        """Repeats `pattern` (1 to 16 bytes) over a range. Without it, helix copies from host memory."""
        raise NotImplementedError

    def mem_info(self) -> tuple[int, int]:
        """(free, total) bytes. Without it, helix counts what it took."""
        raise NotImplementedError

    def address(self, block: Any) -> int:
        """The address of a block for the CPU; needed where the info says host_addressable."""
        raise NotImplementedError

    # ---- streams and events (optional) ----

    def new_stream(self) -> Any:
        """A further in-order queue. Without it there is one."""
        raise NotImplementedError

    def close_stream(self, stream: Any) -> None:
        """Gives a stream back. Without it, dropping the object is enough."""
        raise NotImplementedError

    def stream_number(self, stream: Any) -> int:
        """What DLPack hands on as the stream."""
        raise NotImplementedError

    def new_event(self) -> Any:
        """A marker in a stream. With it come record, query and wait_event. Without it, helix waits for whole streams."""
        raise NotImplementedError

    def close_event(self, event: Any) -> None:
        """Gives an event back. Without it, dropping the object is enough."""
        raise NotImplementedError

    def record(self, event: Any, stream: Any) -> None:
        """Puts the event behind everything that the stream holds now."""
        raise NotImplementedError

    def query(self, event: Any) -> bool:
        """True when the work before the event is done."""
        raise NotImplementedError

    def wait_event(self, event: Any) -> None:
        """Blocks the host until the work before the event is done."""
        raise NotImplementedError

    def stream_wait(self, stream: Any, event: Any) -> None:
        """Later work on `stream` starts after the event. Without it, the host waits."""
        raise NotImplementedError

    # ---- programs (optional: both or none) ----

    def load(self, source: KernelSource) -> Any:
        """Compiles or loads a kernel."""
        raise NotImplementedError

    def launch(
        self,
        program: Any,
        buffers: list,
        scalars: list,
        grid: tuple[int, int, int],
        group: tuple[int, int, int],
        shared_bytes: int,
        stream: Any,
    ) -> None:
        """Runs a kernel over `grid` groups of `group` work items. Buffers are blocks, scalars Python numbers in the
        order of the source's scalar_dtypes."""
        raise NotImplementedError

    def unload(self, program: Any) -> None:
        """Gives a program back. Without it, dropping the object is enough."""
        raise NotImplementedError

    # ---- other libraries and devices (optional) ----

    def native_number(self, block: Any) -> int:
        """What DLPack puts into `data` for a block."""
        raise NotImplementedError

    def import_native(self, number: int, nbytes: int) -> Any:
        """A block around memory that another library owns; `free` is called for it too."""
        raise NotImplementedError

    def reaches(self, peer: Device) -> bool:
        """Can `copy_peer` read and write the memory of `peer`, an opened device of a Python backend?"""
        raise NotImplementedError

    def copy_peer(
        self,
        target: Any,
        target_offset: int,
        source: Any,
        source_offset: int,
        nbytes: int,
        peer: Device,
        into_peer: bool,
        stream: Any,
    ) -> None:
        """Copies between a block of this device and one of `peer`, on this device's stream, after all work of the peer.
        `into_peer`: the target is the peer's block, else the source is."""
        raise NotImplementedError

    # ---- the end (optional) ----

    def close(self) -> None:
        """Called at the end of the process, after all programs, memory and streams are given back."""


class Backend:
    """One kind of device. `python -m helix.testing.conformance NAME` tells what a backend gets right.

    A whole backend, with device memory that is a list of bytearrays:

    >>> from helix.backends import Availability, Backend, Device, DeviceInfo, native, register
    >>> class Shelf(Device):
    ...     def alloc(self, nbytes, pinned):
    ...         return bytearray(nbytes)
    ...
    ...     def free(self, block):
    ...         block.clear()
    ...
    ...     def copy_in(self, block, offset, source, stream):
    ...         block[offset : offset + len(source)] = source
    ...
    ...     def copy_out(self, target, block, offset, stream):
    ...         target[:] = block[offset : offset + len(target)]
    ...
    ...     def sync(self, stream=None):
    ...         pass  # nothing is ever queued
    ...
    ...     @native("neg", dtypes="int8", contiguous=True)
    ...     def neg(self, call):
    ...         source, target = call.inputs[0], call.outputs[0]
    ...         for i in range(source.numel):
    ...             value = -source.memory[source.offset + i] % 256
    ...             target.memory[target.offset + i] = value
    >>> class Library(Backend):
    ...     name = "library"
    ...     device_class = Shelf
    ...
    ...     def probe(self):
    ...         return Availability([DeviceInfo(name="a shelf of bytearrays")])
    >>> register("library", Library)
    >>> x = helix.tensor([1, 2, 3], dtype=helix.int8).to("library")
    >>> x.device
    device('library:0')
    >>> (-x).tolist()
    [-1, -2, -3]
    """

    name: str  # as users write it: [a-z][a-z0-9_]*
    version: str = "0"
    abi: tuple[int, int] = ABI
    device_class: type[Device]
    dlpack_type: int = 0  # DLDeviceType; 0: none, other libraries exchange through host memory
    renderer: Any = None  # a Renderer class of helix.kernel, for a source_kind that helix does not know
    thread_safe: bool = False  # True: several threads may be inside the device at once

    def probe(self) -> Availability:
        """The devices that are there. Must not create a context: `helix devices` asks this of every backend."""
        raise NotImplementedError

    def open(self, index: int) -> Device:
        """Opens a device, once. It stays open until the process ends."""
        return self.device_class(index)


def overrides(device_class: type[Device], method: str) -> bool:
    """Does the class have its own version of a method of Device?"""
    return getattr(device_class, method) is not getattr(Device, method)
