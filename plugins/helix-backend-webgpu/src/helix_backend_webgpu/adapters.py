"""The adapters of the machine's Vulkan drivers, and what they can do."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import wgpu
from wgpu.backends.wgpu_native.extras import set_instance_extras

from helix.backends import DeviceInfo

ARITHMETIC = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32"
FEATURES = ("shader-f16",)  # asked for where offered
LIMITS = (
    "max-buffer-size",
    "max-compute-invocations-per-workgroup",
    "max-compute-workgroup-size-x",
    "max-compute-workgroup-size-y",
    "max-compute-workgroup-size-z",
    "max-compute-workgroup-storage-size",
    "max-compute-workgroups-per-dimension",
    "max-storage-buffer-binding-size",
    "max-storage-buffers-per-shader-stage",
    "min-uniform-buffer-offset-alignment",
)
"""Asked for at the adapter's own values; a device otherwise has WebGPU's defaults, which are far lower."""


@functools.cache
def choose_vulkan() -> None:
    """Drivers of other kinds are not even loaded. The choice is made once a process; a program that uses wgpu itself has
    made it already."""
    with suppress(RuntimeError):
        set_instance_extras(backends=["Vulkan"])


@contextmanager
def without_display() -> Iterator[None]:
    """Mesa's layer that finds the device of a display complains on standard error where there is no session; this leaves
    the layer out."""
    if {"XDG_RUNTIME_DIR", "NODEVICE_SELECT"} & os.environ.keys():
        yield
        return
    os.environ["NODEVICE_SELECT"] = "1"
    try:
        yield
    finally:
        del os.environ["NODEVICE_SELECT"]


def adapters() -> list[Any]:
    """Processors come last: what comes first is `webgpu:0`."""
    with without_display():
        choose_vulkan()
        found = [a for a in wgpu.gpu.enumerate_adapters_sync() if a.info["backend_type"] == "Vulkan"]
    return sorted(found, key=is_processor)


def is_processor(adapter: Any) -> bool:
    return adapter.info["adapter_type"] == "CPU"


def largest_block(limits: Any) -> int:
    """Bytes that a program can reach in one buffer."""
    return min(limits["max-storage-buffer-binding-size"], limits["max-buffer-size"]) // 4 * 4


def describe(adapter: Any) -> DeviceInfo:
    info, limits = adapter.info, adapter.limits
    return DeviceInfo(
        name=info["device"][:120],
        arch=f"Vulkan, {info['description']}"[:60],
        arithmetic=ARITHMETIC,
        source_kind="wgsl",
        max_group=min(limits["max-compute-invocations-per-workgroup"], limits["max-compute-workgroup-size-x"]),
        shared_bytes=limits["max-compute-workgroup-storage-size"],
        max_grid=(limits["max-compute-workgroups-per-dimension"],) * 3,
        max_buffers=limits["max-storage-buffers-per-shader-stage"],
        own_pool=True,
        emulated=is_processor(adapter),
    )


def request(adapter: Any) -> Any:
    """A device with what the adapter offers."""
    return adapter.request_device_sync(
        label="helix",
        required_features=[feature for feature in FEATURES if feature in adapter.features],
        required_limits={name: adapter.limits[name] for name in LIMITS},
    )
