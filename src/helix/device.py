"""Devices, memory and threads."""

from __future__ import annotations

from helix._core import (
    Event,
    Stream,
    current_stream,
    device,
    device_memory_stats,
    devices,
    empty_cache,
    get_default_device,
    get_fallback,
    get_num_threads,
    memory_stats,
    reset_peak_memory,
    set_default_device,
    set_fallback,
    set_memory_limit,
    set_num_threads,
    synchronize,
)

__all__ = [
    "Event",
    "Stream",
    "current_stream",
    "device",
    "device_memory_stats",
    "devices",
    "empty_cache",
    "set_fallback",
    "get_fallback",
    "get_default_device",
    "get_num_threads",
    "memory_stats",
    "reset_peak_memory",
    "set_default_device",
    "set_memory_limit",
    "set_num_threads",
    "synchronize",
]
