"""helix on an OpenCL device beside plain pyopencl kernels on the same device, and NumPy.

    python -m asv_benchmarks.devices [--seconds 0.3]

Prints a table: the best of several runs of each piece of work, in microseconds, and helix's time over that of plain
pyopencl. Compile times are of one kernel that the driver has and has not kept.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

N, M = 1 << 22, 512
SOURCE = """
__kernel void tiny(__global const float *x, __global float *y, int n) {
  int i = get_global_id(0);
  if (i < n) y[i] = x[i] + x[i];
}
__kernel void axpy(__global const float *x, __global const float *y, __global float *z, int n) {
  int i = get_global_id(0);
  if (i < n) z[i] = x[i] * y[i] + x[i];
}
__kernel __attribute__((reqd_work_group_size(64, 1, 1)))
void sums(__global const float *x, __global float *y, int n) {
  __local float part[64];
  float sum = 0;
  for (int i = get_global_id(0); i < n; i += get_global_size(0)) sum += x[i];
  part[get_local_id(0)] = sum;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int step = 32; step; step /= 2) {
    if (get_local_id(0) < step) part[get_local_id(0)] += part[get_local_id(0) + step];
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  if (!get_local_id(0)) y[get_group_id(0)] = part[0];
}
__kernel __attribute__((reqd_work_group_size(16, 16, 1)))
void product(__global const float *a, __global const float *b, __global float *c, int n) {
  __local float left[16][16], right[16][16];
  int x = get_local_id(0), y = get_local_id(1), column = get_global_id(0), row = get_global_id(1);
  float sum = 0;
  for (int k = 0; k < n; k += 16) {
    left[y][x] = a[row * n + k + x];
    right[y][x] = b[(k + y) * n + column];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int i = 0; i < 16; i++) sum += left[y][i] * right[i][x];
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  c[row * n + column] = sum;
}
"""
COLD = """import time, helix
from asv_benchmarks.devices.__main__ import bring_in
bring_in()
x = helix.ones(7, device="opencl"); x.tolist()
begun = time.perf_counter(); (x + x).tolist(); first = time.perf_counter() - begun
begun = time.perf_counter(); helix.sqrt(x).tolist(); second = time.perf_counter() - begun
print(first, second)
"""


def bring_in() -> None:
    """The plugin from the source tree, where it is not installed."""
    from helix.backends import discovery, opencl, register

    if not any(found.name == "opencl" for found in discovery.installed()):
        register("opencl", opencl.backend)


def best(work: Callable[[], object], seconds: float, repeat: int = 1) -> float:
    """Microseconds of one of `repeat` pieces in the best run."""
    work()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times) / repeat * 1e6


def with_helix(a: np.ndarray, b: np.ndarray, m: np.ndarray) -> dict[str, tuple[Callable[[], object], int]]:
    import helix

    x, y, square, small = (helix.tensor(v).to("opencl") for v in (a, b, m, a[:16]))

    def tiny() -> None:
        for _ in range(100):
            last = small + small
        last.tolist()

    return {
        "16 numbers, x + x": (tiny, 100),
        "4 M numbers, x * y + x": (lambda: (x * y + x)[:1].tolist(), 1),
        "4 M numbers, sum": (lambda: x.sum().item(), 1),
        "512 x 512 product": (lambda: (square @ square)[:1, :1].tolist(), 1),
    }


def with_pyopencl(a: np.ndarray, b: np.ndarray, m: np.ndarray) -> dict[str, tuple[Callable[[], object], int]]:
    import pyopencl as cl

    from helix.backends.opencl.platforms import working

    context = cl.Context([working()[0][0][0]])
    queue = cl.CommandQueue(context)
    program = cl.Program(context, SOURCE).build()
    flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
    x, y, square, out = (cl.Buffer(context, flags, hostbuf=v) for v in (a, b, m, np.empty_like(a)))
    kernels = {name: cl.Kernel(program, name) for name in ("tiny", "axpy", "sums", "product")}
    for name, kernel in kernels.items():
        kernel.set_arg_types([None] * (kernel.num_args - 1) + [np.int32])
        assert name == kernel.function_name
    host = np.empty(256, np.float32)

    def run(name: str, size: tuple, group: tuple | None, *arguments: object, times: int = 1) -> Callable[[], object]:
        def work() -> float:
            for _ in range(times):
                kernels[name](queue, size, group, *arguments)
            cl.enqueue_copy(queue, host, out)
            return float(host.sum())

        return work

    return {
        "16 numbers, x + x": (run("tiny", (16,), (16,), x, out, 16, times=100), 100),
        "4 M numbers, x * y + x": (run("axpy", (N,), (256,), x, y, out, N), 1),
        "4 M numbers, sum": (run("sums", (256 * 64,), (64,), x, out, N), 1),
        "512 x 512 product": (run("product", (M, M), (16, 16), square, square, out, M), 1),
    }


def with_numpy(a: np.ndarray, b: np.ndarray, m: np.ndarray) -> dict[str, tuple[Callable[[], object], int]]:
    small = a[:16]
    return {
        "16 numbers, x + x": (lambda: [small + small for _ in range(100)], 100),
        "4 M numbers, x * y + x": (lambda: a * b + a, 1),
        "4 M numbers, sum": (a.sum, 1),
        "512 x 512 product": (lambda: m @ m, 1),
    }


def compile_times() -> dict[str, str]:
    """The first op, which loads the templates, and the second, in a new process: with an empty cache and a full one."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "HELIX_CACHE_DIR": folder, "POCL_CACHE_DIR": folder}
        for state in ("cold", "warm"):
            done = subprocess.run(
                [sys.executable, "-c", COLD], env=environment, capture_output=True, text=True, check=True
            )
            first, second = (1e3 * float(word) for word in done.stdout.split())
            found[state] = f"first op {first:.0f} ms, second {second:.0f} ms"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.3)
    seconds = parser.parse_args().seconds
    bring_in()
    random = np.random.default_rng(0)
    data = [random.normal(size=n).astype(np.float32) for n in (N, N)]
    data.append(random.normal(size=(M, M)).astype(np.float32))
    ways = [make(*data) for make in (with_helix, with_pyopencl, with_numpy)]
    print("| work | helix, us | pyopencl, us | ratio | NumPy, us |\n|---|---|---|---|---|")
    for name in ways[0]:
        ours, plain, numpy = (best(way[name][0], seconds, way[name][1]) for way in ways)
        print(f"| {name} | {ours:.1f} | {plain:.1f} | {ours / plain:.2f} | {numpy:.1f} |")
    for state, text in compile_times().items():
        print(f"\nCompiling, {state} cache: {text}.")


if __name__ == "__main__":
    main()
