"""Kernels with a fault planted in them, and their right forms, in the simulator: what test_opencl_grind holds it to."""

import helix
from helix.kernel import raw

from .opencl_grind import each

ROTATE = """__local int part[16];
part[get_local_id(0)] = get_global_id(0);
{wait}
y[get_global_id(0)] = part[(get_local_id(0) + 1) % 16];"""
OUT = {"y": "out int32"}


def kernel(name: str, body: str, parameters: dict = OUT):
    return raw(name, {"opencl-c": body}, parameters, group=16)


KERNELS = {
    "barrier there": kernel("rotates", ROTATE.format(wait="barrier(CLK_LOCAL_MEM_FENCE);")),
    "barrier missing": kernel("races_in_local", ROTATE.format(wait="")),
    "two items, one element": kernel("races_in_global", "y[get_global_id(0) / 2] = get_global_id(0);"),
    "in bounds": kernel("in_bounds", "y[get_global_id(0)] = 1;"),
    "written out of bounds": kernel("writes_behind", "y[get_global_id(0) + 1] = 1;"),
    "read out of bounds": kernel(
        "reads_before", "y[get_global_id(0)] = x[(int)get_global_id(0) - 1];", {"x": "in int32", **OUT}
    ),
    "never written": kernel("forgets", "int v; if (get_global_id(0)) v = 1; y[get_global_id(0)] = v;"),
}


def run(name: str, device: str) -> None:
    x = helix.arange(32, dtype=helix.int32).to(device)
    y = helix.zeros(32, dtype=helix.int32, device=device)
    KERNELS[name](*[x] * (name == "read out of bounds"), y=y)


if __name__ == "__main__":
    each({name: lambda device, name=name: run(name, device) for name in KERNELS})
