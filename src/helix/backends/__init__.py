"""Devices besides the CPU: what a backend is made of, and which ones are installed.

A backend is a distribution of its own with an entry point in the group `helix.backends`, whose name is the device's
name. `helix.device("x")` loads the plugin that offers x; nothing is looked for before that.
"""

from helix._core import fallback_stats

from . import path as _path
from .base import ABI, Availability, Backend, Device, DeviceInfo, KernelSource, native
from .discovery import known as list
from .discovery import register

__path__ = _path.Widened(__path__)

__all__ = [
    "ABI",
    "Availability",
    "Backend",
    "Device",
    "DeviceInfo",
    "KernelSource",
    "fallback_stats",
    "list",
    "native",
    "register",
]
