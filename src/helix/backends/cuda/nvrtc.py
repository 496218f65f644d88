"""From CUDA C to what the driver loads, by NVRTC."""

from __future__ import annotations

from typing import Any

from cffi import FFI

from helix.errors import BackendUnavailable, CompileError

from . import libraries

ffi = FFI()
ffi.cdef("""
typedef int nvrtcResult; typedef void *nvrtcProgram;
const char *nvrtcGetErrorString(nvrtcResult); nvrtcResult nvrtcVersion(int *, int *);
nvrtcResult nvrtcGetNumSupportedArchs(int *); nvrtcResult nvrtcGetSupportedArchs(int *);
nvrtcResult nvrtcCreateProgram(nvrtcProgram *, const char *, const char *, int, const char *const *, const char *const *);
nvrtcResult nvrtcDestroyProgram(nvrtcProgram *);
nvrtcResult nvrtcCompileProgram(nvrtcProgram, int, const char *const *);
nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram, size_t *); nvrtcResult nvrtcGetProgramLog(nvrtcProgram, char *);
nvrtcResult nvrtcGetCUBINSize(nvrtcProgram, size_t *); nvrtcResult nvrtcGetCUBIN(nvrtcProgram, char *);
nvrtcResult nvrtcGetPTXSize(nvrtcProgram, size_t *); nvrtcResult nvrtcGetPTX(nvrtcProgram, char *);
""")
MAJORS = (13, 12)
MISSING = (
    "NVRTC, the compiler of kernels, cannot be loaded. Install the CUDA toolkit, or its wheel: "
    "pip install nvidia-cuda-nvrtc-cu12 (drivers of CUDA 12) or nvidia-cuda-nvrtc (of CUDA 13)."
)


class Compiler:
    """NVRTC for one compute capability. A driver takes programs of its own major version of CUDA and of older ones."""

    def __init__(self, capability: int, driver_version: int):
        majors = [m for m in MAJORS if m <= driver_version // 1000]
        self.library = libraries.load(ffi, "nvrtc", majors, "cuda_nvrtc")
        if self.library is None:
            raise BackendUnavailable(f"HX5001 {MISSING}", code="HX5001")
        major, minor = ffi.new("int *"), ffi.new("int *")
        self.check(self.library.nvrtcVersion(major, minor))
        self.version = f"{major[0]}.{minor[0]}"
        self.architecture = self.choose(capability)

    def check(self, code: int, text: str = "") -> None:
        if code:
            name = ffi.string(self.library.nvrtcGetErrorString(code)).decode()
            raise CompileError(f"HX5006 {text or 'NVRTC'}: {name}", code="HX5006")

    def choose(self, capability: int) -> str:
        """sm_N where NVRTC knows the GPU; else the newest form before it that the driver translates."""
        count = ffi.new("int *")
        self.check(self.library.nvrtcGetNumSupportedArchs(count))
        known = ffi.new("int[]", count[0])
        self.check(self.library.nvrtcGetSupportedArchs(known))
        if capability in known:
            return f"sm_{capability}"
        older = [one for one in known if one < capability]
        if not older:
            text = f"NVRTC {self.version} knows no GPU as old as sm_{capability}; it begins at sm_{min(known)}."
            raise BackendUnavailable(f"HX5001 {text} Install an older one.", code="HX5001")
        return f"compute_{max(older)}"

    def options(self, exact: bool, more: str) -> tuple[str, ...]:
        return (
            f"--gpu-architecture={self.architecture}",
            "--std=c++17",
            *(["--fmad=false"] if exact else []),
            *more.split(),
        )

    def compile(self, text: bytes, name: str, options: tuple[str, ...]) -> bytes:
        place = ffi.new("nvrtcProgram *")
        self.check(self.library.nvrtcCreateProgram(place, text, name.encode() + b".cu", 0, ffi.NULL, ffi.NULL))
        try:
            words = [ffi.new("char[]", option.encode()) for option in options]
            code = self.library.nvrtcCompileProgram(place[0], len(words), ffi.new("char *[]", words))
            if code:
                said = self.read(place[0], "ProgramLog").rstrip(b"\0").decode("utf-8", "replace").strip()
                self.check(code, f"{name}: {said[:900]}" if said else name)
            return self.read(place[0], "CUBIN" if self.architecture.startswith("sm_") else "PTX")
        finally:
            self.library.nvrtcDestroyProgram(place)

    def read(self, program: Any, what: str) -> bytes:
        size = ffi.new("size_t *")
        self.check(getattr(self.library, f"nvrtcGet{what}Size")(program, size))
        data = ffi.new("char[]", max(1, size[0]))
        self.check(getattr(self.library, f"nvrtcGet{what}")(program, data))
        return bytes(ffi.buffer(data, size[0]))
