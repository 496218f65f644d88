"""The devices that can be used: listed by a platform, chosen by HELIX_OPENCL, and able to run a kernel.

A platform may be listed although each of its builds fails, so every device adds two numbers first, in a context that is
gone afterwards. That it went well is noted in the cache directory, by name and version of the driver; so a process that
only lists devices makes no context.
"""

from __future__ import annotations

import contextlib
import functools
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy
import pyopencl as cl

from helix.backends.base import DeviceInfo
from helix.backends.cache import folder

NO_DRIVER = (
    "no OpenCL driver is installed. Install the one of your hardware, or PoCL for the processor: "
    "apt-get install pocl-opencl-icd."
)
ARITHMETIC = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32"
TRIAL = """__kernel void add(__global const int *a, __global int *b) {
  b[get_global_id(0)] += a[get_global_id(0)];
}
"""
Usable = list[tuple[Any, DeviceInfo]]


@functools.cache
def working() -> tuple[Usable, list[str]]:
    """The devices in their order (accelerators before processors), and why others are left out."""
    try:
        platforms = cl.get_platforms()
    except cl.Error:
        return [], [NO_DRIVER]
    found: Usable = []
    refused: list[str] = []
    for device in _chosen(platforms):
        if problem := _problem(device):
            refused.append(f"{device.platform.name.strip()}, {device.name.strip()}: {problem}")
        else:
            found.append((device, describe(device)))
    if not found and not refused:
        refused.append(NO_DRIVER if "HELIX_OPENCL" not in os.environ else _none_chosen(platforms))
    return found, refused


def _chosen(platforms: list) -> list:
    wanted = os.environ.get("HELIX_OPENCL", "").lower()
    devices = [device for platform in platforms for device in _devices(platform) if wanted in label(device).lower()]
    return sorted(devices, key=is_processor)


def _devices(platform: Any) -> list:
    try:
        return platform.get_devices()
    except cl.Error:
        return []


def _none_chosen(platforms: list) -> str:
    labels = "; ".join(label(device) for platform in platforms for device in _devices(platform))
    return f"HELIX_OPENCL={os.environ['HELIX_OPENCL']} matches none of the devices: {labels or 'there are none'}."


def label(device: Any) -> str:
    """Platform, version and device: what HELIX_OPENCL chooses by."""
    return f"{device.platform.name.strip()} {device.driver_version.strip()}, {device.name.strip()}"


def is_processor(device: Any) -> bool:
    return bool(device.type & cl.device_type.CPU)


# ---- does it work ----


def _problem(device: Any) -> str:
    """Why a device cannot be used; "" when it can."""
    if not (device.available and device.compiler_available):
        return "its driver says that it is not available, or has no compiler."
    if not device.endian_little:
        return "its numbers are big-endian."
    note = _note(device)
    if note.exists():
        return ""
    try:
        if _three(device) != 3:
            return "its kernels give wrong results: 1 + 2 is not 3."
    except cl.Error as error:
        return f"a small kernel fails: {str(error).strip()[:400]}"
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        note.touch()
    return ""


def _note(device: Any) -> Path:
    parts = (label(device), device.platform.version, device.version, cl.VERSION_TEXT)
    return folder() / "opencl" / f"{sha256(repr(parts).encode()).hexdigest()[:24]}.works"


def _three(device: Any) -> int:
    """1 + 2, by a kernel; the context ends with the call."""
    context = cl.Context([device])
    queue = cl.CommandQueue(context)
    flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
    one, two = (cl.Buffer(context, flags, hostbuf=numpy.array([n], numpy.int32)) for n in (1, 2))
    program = cl.Program(context, TRIAL).build(cache_dir=str(folder() / "opencl"))
    cl.Kernel(program, "add")(queue, (1,), (1,), one, two)
    result = numpy.zeros(1, numpy.int32)
    cl.enqueue_copy(queue, result, two)
    queue.finish()
    return int(result[0])


# ---- what it is ----


def describe(device: Any) -> DeviceInfo:
    platform = device.platform
    return DeviceInfo(
        name=device.name.strip()[:120],
        arch=f"{platform.name.strip()} {device.driver_version.strip()}"[:60],
        total_memory=device.global_mem_size,
        arithmetic=ARITHMETIC + (" float64" if has_double(device) else ""),
        source_kind="opencl-c",
        max_group=device.max_work_group_size,
        max_grid=(2**31 - 1,) * 3,
        shared_bytes=device.local_mem_size,
        alignment=max(64, device.mem_base_addr_align // 8),
        compute_units=device.max_compute_units,
        vector_bytes=4 * device.preferred_vector_width_float,
        emulated=is_processor(device),
        unified=bool(device.host_unified_memory),
    )


def has_double(device: Any) -> bool:
    return "cl_khr_fp64" in device.extensions.split() and device.double_fp_config != 0
