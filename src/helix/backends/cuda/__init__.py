"""NVIDIA GPUs: the CUDA driver through pycuda (or directly), NVRTC and cuBLAS through cffi. The distribution is
helix-backend-cuda."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from helix.backends.base import Availability, Backend, DeviceInfo

if TYPE_CHECKING:
    from .device import CudaDevice

ARITHMETIC = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64"


class CudaBackend(Backend):
    name = "cuda"
    version = "0.1.0"
    dlpack_type = 2  # kDLCUDA

    @property
    def device_class(self) -> type[CudaDevice]:  # type: ignore[override]
        from .device import CudaDevice

        return CudaDevice

    @cached_property
    def found(self) -> tuple[list[DeviceInfo], str]:
        from .facts import ask

        facts, reason = ask()
        return [describe(one) for one in facts], reason

    def probe(self) -> Availability:
        devices, reason = self.found
        return Availability(devices, reason)

    def open(self, index: int) -> CudaDevice:
        return self.device_class(index, self.found[0][index])


def describe(facts: dict) -> DeviceInfo:
    major, minor = facts["capability"]
    return DeviceInfo(
        name=facts["name"],
        arch=f"sm_{major}{minor}",
        uuid=facts["uuid"],
        total_memory=facts["total_memory"],
        arithmetic=ARITHMETIC,
        source_kind="cuda-c",
        max_group=facts["max_group"],
        subgroup=facts["warp"],
        shared_bytes=facts["shared_bytes"],
        alignment=256,
        compute_units=facts["multiprocessors"],
        vector_bytes=16,
        max_grid=tuple(facts["max_grid"]),
        emulated=facts["emulated"],
    )


def backend() -> CudaBackend:
    """The entry point. Nothing of CUDA is loaded before `probe`, and no context is made before a device is opened."""
    return CudaBackend()
