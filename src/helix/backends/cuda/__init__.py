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
    def found(self) -> tuple[list[tuple[int, DeviceInfo]], str]:
        """The GPUs that kernels can be compiled for, with the driver's numbers; why there is none, or not the others."""
        from .facts import ask

        facts, reason = ask()
        problems = [_problem(one) for one in facts]
        usable = [(number, describe(one)) for number, one in enumerate(facts) if not problems[number]]
        refused = [f"{one['name']}: {problem}" for one, problem in zip(facts, problems) if problem]
        return usable, " ".join([*filter(None, [reason]), *refused])

    def probe(self) -> Availability:
        usable, reason = self.found
        return Availability([info for _, info in usable], reason)

    def open(self, index: int) -> CudaDevice:
        number, info = self.found[0][index]
        return self.device_class(index, info, number)


def _problem(facts: dict) -> str:
    """Why no kernel can be compiled for a GPU; "" when they can."""
    from helix.errors import BackendUnavailable

    from .nvrtc import Compiler

    try:
        Compiler(capability(facts), facts["driver"])
    except BackendUnavailable as error:
        return str(error).removeprefix(f"{error.code} ")
    return ""


def capability(facts: dict) -> int:
    major, minor = facts["capability"]
    return 10 * major + minor


def describe(facts: dict) -> DeviceInfo:
    return DeviceInfo(
        name=facts["name"],
        arch=f"sm_{capability(facts)}",
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
