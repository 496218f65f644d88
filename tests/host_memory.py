"""Devices for tests whose memory is the host's: blocks are bytearrays, and copies are done at once."""

from __future__ import annotations

from helix.backends import Availability, Backend, Device, DeviceInfo, register


class HostMemory(Device):
    """What a device must have, and no kernels: composites are taken apart, and their parts are run by the CPU."""

    def alloc(self, nbytes, pinned):
        return bytearray(nbytes)

    def free(self, block):
        block.clear()

    def copy_in(self, block, offset, source, stream):
        block[offset : offset + len(source)] = source

    def copy_out(self, target, block, offset, stream):
        target[:] = block[offset : offset + len(target)]

    def sync(self, stream=None):
        pass


def offer(device_class: type[Device], *infos: DeviceInfo) -> None:
    """Registers a backend of the class's name in lower case, with a device for each info."""

    class Offered(Backend):
        def probe(self):
            return Availability(list(infos) or [DeviceInfo(name=f"a {self.name}", arch="paper")])

    Offered.name, Offered.device_class = device_class.__name__.lower(), device_class
    register(Offered.name, Offered)
