"""WebGPU devices for helix, through wgpu and a Vulkan driver."""

from __future__ import annotations

from helix.backends import Availability, Backend

from .adapters import adapters, describe
from .device import WebGPUDevice

NO_DRIVER = (
    "no Vulkan driver was found. Install the one of your hardware, or Mesa's for the processor: "
    "apt-get install mesa-vulkan-drivers libvulkan1."
)


class WebGPUBackend(Backend):
    name = "webgpu"
    version = "0.1.0"
    device_class = WebGPUDevice

    def probe(self) -> Availability:
        return Availability([describe(adapter) for adapter in adapters()], reason=NO_DRIVER)

    def open(self, index: int) -> WebGPUDevice:
        return WebGPUDevice(index, adapters()[index])


def backend() -> WebGPUBackend:
    """The entry point."""
    return WebGPUBackend()
