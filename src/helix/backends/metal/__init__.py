"""Apple GPUs: Metal through the Objective-C runtime and cffi. The distribution is helix-backend-metal."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING

from helix.backends.base import Availability, Backend, DeviceInfo

if TYPE_CHECKING:
    from .device import MetalDevice
    from .runtime import Metal

OLDEST = (13, 0)  # macOS: the first with Metal 3
APPLE_GPUS = {1007: "apple7", 1008: "apple8", 1009: "apple9", 1010: "apple10"}  # MTLGPUFamily; the M1 is the first
ARITHMETIC = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32"
BUFFERS = 30  # of a kernel; the 31st place is for its scalars


class MetalBackend(Backend):
    name = "metal"
    version = "0.1.0"
    dlpack_type = 8  # kDLMetal

    @property
    def device_class(self) -> type[MetalDevice]:  # type: ignore[override]
        from .device import MetalDevice

        return MetalDevice

    @cached_property
    def metal(self) -> Metal:
        from .runtime import Metal

        return Metal()

    def probe(self) -> Availability:
        try:
            metal = self.metal
        except OSError:
            return Availability(reason=f"Metal is a part of macOS, which this is not ({sys.platform}).")
        pool = metal.push()
        try:
            found = ask(metal)
        finally:
            metal.pop(pool)
        return Availability([found]) if isinstance(found, DeviceInfo) else Availability(reason=found)

    def open(self, index: int) -> MetalDevice:
        return self.device_class(index, self.probe().devices[index], self.metal)


def ask(metal: Metal) -> DeviceInfo | str:
    """The GPU of this machine, or why it cannot be used."""
    major, minor = metal.version()
    if (major, minor) < OLDEST:
        return f"helix needs macOS {OLDEST[0]} or later for Metal; this is macOS {major}.{minor}."
    device = metal.default_device()
    if not device:
        return "macOS offers this process no Metal device (a virtual machine, or a machine without a GPU)."
    try:
        name = metal.text(metal.name(device))
        families = [APPLE_GPUS[number] for number in APPLE_GPUS if metal.supportsFamily(device, number)]
        if not families:
            return f"{name} is no Apple GPU: helix needs a Mac with Apple silicon (M1 or later)."
        return describe(metal, device, name, families[-1])
    finally:
        metal.release(device)


def describe(metal: Metal, device: object, name: str, family: str) -> DeviceInfo:
    return DeviceInfo(
        name=name[:120],
        arch=family,
        uuid=f"metal-{metal.registryID(device):016x}",
        total_memory=metal.recommendedMaxWorkingSetSize(device),
        arithmetic=ARITHMETIC,
        source_kind="msl",
        max_group=metal.maxThreadsPerThreadgroup(device).width,
        subgroup=32,
        shared_bytes=metal.maxThreadgroupMemoryLength(device),
        alignment=256,
        vector_bytes=16,
        max_buffers=BUFFERS,
        emulated=metal.emulated,
        unified=True,
    )


def backend() -> MetalBackend:
    """The entry point. Nothing of Metal is loaded before `probe`."""
    return MetalBackend()
