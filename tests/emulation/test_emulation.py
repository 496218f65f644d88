"""What the emulation finds: each test plants the fault. Host code and results of helix-backend-cuda: tests/backends."""

from __future__ import annotations

import numpy as np
import pytest

from . import libraries

pytestmark = pytest.mark.skipif(not libraries.available(), reason="needs gcc and g++")
FORWARD, REVERSED = -1, -2
N = 64

REVERSE = """extern "C" __global__ void __launch_bounds__(64) turn(const float *x, float *y) {
  __shared__ float kept[64];
  kept[threadIdx.x] = x[blockIdx.x * 64 + threadIdx.x];
  BARRIER
  y[blockIdx.x * 64 + threadIdx.x] = kept[63 - threadIdx.x];
}
"""


class Machine:
    """A context of the emulated driver, current, with a stream."""

    def __init__(self):
        from ..backends.cuda_device import register

        register()
        from helix.backends.cuda.nvrtc import Compiler
        from helix.backends.cuda.through_libcuda import LibcudaContext

        self.context = LibcudaContext(0)
        self.compiler = Compiler(80, self.context.version)
        self.library = libraries.load("libcuda.so.1")

    def order(self, order):
        self.library.emulation_order(libraries.ctypes.c_int64(order))

    def array(self, values):
        values = np.ascontiguousarray(values)
        pointer = self.context.alloc(values.nbytes)
        self.context.copy_in(pointer, memoryview(values), self.stream)
        return pointer

    def read(self, pointer, n, dtype="f4"):
        out = np.zeros(n, dtype)
        self.context.copy_out(memoryview(out), pointer, self.stream)
        return out

    def program(self, text, entry, codes):
        image = self.compiler.compile(text.encode(), entry, self.compiler.options(False, ""))
        return self.context.load(image, entry, codes)

    def run(self, text, entry, pointers, grid=1, group=N, shared=0):
        program = self.program(text, entry, "P" * len(pointers))
        self.context.launch(program, list(pointers), (grid, 1, 1), (group, 1, 1), shared, self.stream)
        self.context.sync_stream(self.stream)


@pytest.fixture(scope="module")
def opened():
    return Machine()


@pytest.fixture
def machine(opened):
    opened.context.__enter__()
    opened.stream = opened.context.new_stream()
    yield opened
    opened.library.emulation_recover()
    opened.order(FORWARD)
    opened.context.close_stream(opened.stream)
    opened.context.__exit__()


def turned(machine, order, barrier):
    x = np.arange(3 * N, dtype="f4")
    source, target = machine.array(x), machine.array(np.zeros_like(x))
    machine.order(order)
    machine.run(REVERSE.replace("BARRIER", barrier), "turn", (source, target), grid=3)
    return np.array_equal(machine.read(target, 3 * N).reshape(3, N), x.reshape(3, N)[:, ::-1])


@pytest.mark.parametrize("order", [FORWARD, REVERSED, 0, 1])
def test_barriers_make_every_order_right(machine, order):
    assert turned(machine, order, "__syncthreads();")


def test_a_missing_barrier_shows(machine):
    assert not any(turned(machine, order, "") for order in (FORWARD, REVERSED, 0))


SKIPPED = """extern "C" __global__ void __launch_bounds__(64) skip(float *y) {
  if (threadIdx.x >= 5) return;
  __syncthreads();
  y[threadIdx.x] = 1.0f;
}
"""
DIFFERENT = """extern "C" __global__ void __launch_bounds__(64) skip(float *y) {
  if (threadIdx.x < 5) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}
"""


@pytest.mark.parametrize(
    "text, said",
    [(SKIPPED, "59 of 64 work items returned without the barrier in line 3"), (DIFFERENT, "in lines 3 and 5")],
)
def test_a_barrier_that_not_all_items_reach(machine, text, said, capfd):
    from helix.errors import DeviceLostError

    with pytest.raises(DeviceLostError, match=said):
        machine.run(text, "skip", (machine.array(np.zeros(N, "f4")),))
    assert said in capfd.readouterr().err


STATIC = """extern "C" __global__ void __launch_bounds__(64) peek(float *y) {
  __shared__ float kept[64];
  y[blockIdx.x * 64 + threadIdx.x] = kept[threadIdx.x];
  kept[threadIdx.x] = 1.0f;
}
"""
DYNAMIC = STATIC.replace("__shared__ float kept[64];", "extern __shared__ float kept[];")


@pytest.mark.parametrize("text, shared", [(STATIC, 0), (DYNAMIC, 4 * N)])
def test_shared_memory_is_poisoned_for_every_group(machine, text, shared):
    target = machine.array(np.zeros(2 * N, "f4"))
    machine.run(text, "peek", (target,), grid=2, shared=shared)
    assert np.isnan(machine.read(target, 2 * N)).all()


BESIDE = """extern "C" __global__ void __launch_bounds__(64) beside(float *y) { y[threadIdx.x + 1] = 1.0f; }
"""


def test_a_write_beside_a_block(machine, capfd):
    from helix.errors import DeviceLostError

    with pytest.raises(DeviceLostError, match="wrote beside a block"):
        machine.run(BESIDE, "beside", (machine.array(np.zeros(N, "f4")),))
    assert "beside" in capfd.readouterr().err


def test_a_failure_stays(machine):
    """As after a real one: nothing of the context answers any more."""
    from helix.errors import DeviceLostError

    target = machine.array(np.zeros(N, "f4"))
    machine.library.emulation_fail_kernel(700, 1)
    machine.run(BESIDE.replace("+ 1", ""), "beside", (target,))
    for _ in range(2):
        with pytest.raises(DeviceLostError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
            machine.run(BESIDE.replace("+ 1", ""), "beside", (target,))
    with pytest.raises(DeviceLostError):
        machine.read(target, N)


def test_a_launch_that_is_refused(machine):
    target = machine.array(np.zeros(N, "f4"))
    machine.library.emulation_fail_launch(701, 0)
    with pytest.raises(RuntimeError, match="CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"):
        machine.run(BESIDE.replace("+ 1", ""), "beside", (target,))
    machine.run(BESIDE.replace("+ 1", ""), "beside", (target,))
    assert (machine.read(target, N) == 1).all()


def test_fresh_memory_is_poisoned_and_freed_once(machine):
    pointer = machine.context.alloc(16)
    assert np.isnan(machine.read(pointer, 4)).all()
    machine.context.free(pointer)
    with pytest.raises(RuntimeError, match="CUDA_ERROR_INVALID_VALUE"):
        machine.context.free(pointer)
    with pytest.raises(RuntimeError, match="CUDA_ERROR_INVALID_VALUE"):
        machine.read(pointer, 4)


def test_calls_need_a_context(machine):
    machine.context.__exit__()
    try:
        with pytest.raises(RuntimeError, match="CUDA_ERROR_INVALID_CONTEXT"):
            machine.context.alloc(16)
    finally:
        machine.context.__enter__()


def test_pinned_memory_is_read_late(machine):
    owner, memory = machine.context.alloc_pinned(16)
    pointer = machine.context.alloc(16)
    memory[:] = b"a" * 16
    machine.context.copy_in(pointer, memory, machine.stream)
    memory[:] = b"b" * 16  # too early: the copy has not run
    assert bytes(machine.read(pointer, 16, "u1")) == b"b" * 16
    del memory
    machine.context.free_pinned(owner)


def test_an_event_orders_two_streams(machine):
    x = np.arange(N, dtype="f4")
    source, target = machine.array(x), machine.array(np.zeros(N, "f4"))
    other, event = machine.context.new_stream(), machine.context.new_event()
    machine.context.copy_within(target, source, 4 * N, machine.stream)
    assert (machine.context.record(event, machine.stream), machine.context.query(event)) == (None, False)
    machine.context.stream_wait(other, event)
    result = np.zeros(N, "f4")
    machine.context.copy_out(memoryview(result), target, other)
    assert np.array_equal(result, x) and machine.context.query(event)
    machine.context.close_event(event)


def test_what_the_compiler_says_is_told(machine):
    from helix.errors import CompileError

    with pytest.raises(CompileError, match=r"HX5006 wrong: [\s\S]*kernel.cu:1:[\s\S]*error"):
        machine.program('extern "C" __global__ void wrong(nonsense) {}', "wrong", "P")
