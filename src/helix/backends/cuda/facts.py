"""What GPUs there are, asked by a process of its own.

cuInit may run in a process only once and not before a fork, so a process that lists devices must not call it. Run as a
script, this file prints what it finds as JSON; it needs cffi and nothing of helix.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid

DECLARATIONS = """
int cuInit(unsigned); int cuDriverGetVersion(int *); int cuGetErrorName(int, const char **);
int cuDeviceGetCount(int *); int cuDeviceGet(int *, int); int cuDeviceGetName(char *, int, int);
int cuDeviceTotalMem_v2(size_t *, int); int cuDeviceGetAttribute(int *, int, int); int cuDeviceGetUuid_v2(char *, int);
int helix_emulated_driver(void);
"""
LIBRARY = "libcuda.so.1"
NO_DRIVER = "there is no NVIDIA driver (libcuda.so.1 cannot be loaded). Install the driver of the GPU."
NO_DEVICE = "the NVIDIA driver finds no GPU. `nvidia-smi` tells what it sees; CUDA_VISIBLE_DEVICES may hide them."
FIRST_DRIVER = 12000  # of CUDA 12.0
REASONS = {  # why cuInit fails
    34: "libcuda.so.1 is a stub to link with, not a driver. Take its folder out of LD_LIBRARY_PATH.",
    100: NO_DEVICE,
    803: "the parts of the NVIDIA driver are of different versions. Start the machine again after an update of the driver.",
    804: "the GPU is not one that the CUDA compatibility package supports. Update the driver instead.",
}
PATIENCE = 60  # seconds; a driver without a persistent daemon wakes each GPU
ATTRIBUTES = {"max_group": 1, "shared_bytes": 8, "warp": 10, "multiprocessors": 16}  # CUdevice_attribute


def ask() -> tuple[list[dict], str]:
    """The facts about each GPU, and why there is none."""
    try:
        done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return [], f"the NVIDIA driver did not answer within {PATIENCE} s. Does `nvidia-smi`?"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return [], f"the NVIDIA driver could not be asked: {last[:300]}"
    answer = json.loads(done.stdout)
    return answer["devices"], answer["reason"]


def _answer() -> dict:
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(DECLARATIONS)
    try:
        driver = ffi.dlopen(LIBRARY)
    except OSError:
        return {"devices": [], "reason": NO_DRIVER}
    version = _number(ffi, driver.cuDriverGetVersion)
    if version < FIRST_DRIVER:
        return {"devices": [], "reason": too_old(version)}
    code = driver.cuInit(0)
    if code:
        why = REASONS.get(code, "the NVIDIA driver does not start. `nvidia-smi` may tell why.")
        return {"devices": [], "reason": f"{why} ({_name(ffi, driver, code)})"}
    count = _number(ffi, driver.cuDeviceGetCount)
    devices = [_facts(ffi, driver, index) | {"driver": version} for index in range(count)]
    return {"devices": devices, "reason": "" if devices else NO_DEVICE}


def too_old(version: int) -> str:
    return (
        f"the NVIDIA driver is too old: it is of CUDA {version // 1000}.{version % 1000 // 10}, helix needs one of CUDA "
        f"{FIRST_DRIVER // 1000}.0 or later (version 525). Update it."
    )


def _name(ffi, driver, code) -> str:
    text = ffi.new("const char **")
    driver.cuGetErrorName(code, text)
    return ffi.string(text[0]).decode() if text[0] else f"error {code}"


def _number(ffi, function, *arguments) -> int:
    value = ffi.new("int *")
    code = function(value, *arguments)
    if code:
        raise RuntimeError(f"the driver answers error {code}")
    return value[0]


def _facts(ffi, driver, index: int) -> dict:
    device = _number(ffi, driver.cuDeviceGet, index)
    name, identity, memory = ffi.new("char[120]"), ffi.new("char[16]"), ffi.new("size_t *")
    driver.cuDeviceGetName(name, 120, device)
    driver.cuDeviceGetUuid_v2(identity, device)
    driver.cuDeviceTotalMem_v2(memory, device)

    def attribute(number: int) -> int:
        return _number(ffi, driver.cuDeviceGetAttribute, number, device)

    facts = {key: attribute(number) for key, number in ATTRIBUTES.items()}
    return facts | {
        "name": ffi.string(name).decode(),
        "uuid": f"GPU-{uuid.UUID(bytes=bytes(ffi.buffer(identity)))}"[:39],
        "total_memory": memory[0],
        "capability": [attribute(75), attribute(76)],
        "max_grid": [attribute(5), attribute(6), attribute(7)],
        "emulated": hasattr(driver, "helix_emulated_driver"),
    }


if __name__ == "__main__":
    json.dump(_answer(), sys.stdout)
