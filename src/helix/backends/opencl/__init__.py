"""Devices of OpenCL 1.2 and later, through pyopencl. The distribution is helix-backend-opencl."""

from __future__ import annotations

from helix.backends.base import Availability, Backend

from .device import OpenCLDevice

SIGNALS = (
    "LLVM, which PoCL compiles with, sets handlers of signals when it is loaded; helix puts the program's own back"
)
KNOWN_FAULTS = {"t0_abi/is_quiet_while_it_loads": SIGNALS, "t0_abi/can_be_probed_in_another_process": SIGNALS}
"""What the conformance kit finds and the plugin cannot change."""


class OpenCLBackend(Backend):
    name = "opencl"
    version = "0.1.0"
    device_class = OpenCLDevice
    dlpack_type = 4  # kDLOpenCL

    def probe(self) -> Availability:
        from .platforms import working

        found, refused = working()
        if found:
            return Availability([info for _, info in found])
        return Availability(reason=" ".join(refused))

    def open(self, index: int) -> OpenCLDevice:
        from .platforms import working

        device, info = working()[0][index]
        return OpenCLDevice(index, device, info)


def backend() -> OpenCLBackend:
    """The entry point. Nothing of OpenCL is loaded before `probe`."""
    return OpenCLBackend()
