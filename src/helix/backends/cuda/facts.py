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
NO_DEVICE = "the NVIDIA driver finds no GPU."
ATTRIBUTES = {"max_group": 1, "shared_bytes": 8, "warp": 10, "multiprocessors": 16}  # CUdevice_attribute


def ask() -> tuple[list[dict], str]:
    """The facts about each GPU, and why there is none."""
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, timeout=60)
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
    code = driver.cuInit(0)
    if code:
        return {"devices": [], "reason": f"{NO_DEVICE} ({_name(ffi, driver, code)})"}
    count = _number(ffi, driver.cuDeviceGetCount)
    devices = [_facts(ffi, driver, index) for index in range(count)]
    return {"devices": devices, "reason": "" if devices else NO_DEVICE}


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
