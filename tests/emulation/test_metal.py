"""What the emulated Metal finds: each test plants the fault. Host code and results of helix-backend-metal: tests/backends."""

from __future__ import annotations

import re

import numpy as np
import pytest

from helix.backends import KernelSource
from helix.errors import CompileError

from . import libraries

pytestmark = pytest.mark.skipif(not libraries.available(), reason="needs gcc and g++")
FORWARD, REVERSED = -1, -2
N = 64
HEAD = "#include <metal_stdlib>\nusing namespace metal;\n"
ITEM = "uint item [[thread_position_in_threadgroup]], uint group [[threadgroup_position_in_grid]]"


class Machine:
    """A device of its own on the emulated library."""

    def __init__(self):
        from ..backends.metal_device import emulated, register

        self.watcher = register()
        self.device = emulated().open(0)
        self.metal = self.device.metal

    def array(self, values):
        values = np.ascontiguousarray(values)
        block = self.device.alloc(values.nbytes, False)
        self.device.copy_in(block, 0, memoryview(values).cast("B"), None)
        return block

    def read(self, block, dtype="f4"):
        out = np.zeros(block.nbytes // np.dtype(dtype).itemsize, dtype)
        self.device.copy_out(memoryview(out).cast("B"), block, 0, None)
        return out

    def program(self, text, entry, n_buffers, scalars=(), items=N):
        source = KernelSource("msl", (HEAD + text).encode(), entry, "", n_buffers, scalars, (items, 1, 1), False)
        return self.device.load(source)

    def run(self, text, entry, blocks, grid=1, items=N, shared=0, scalars=(), values=()):
        program = self.program(text, entry, len(blocks), scalars, items)
        self.device.launch(program, list(blocks), list(values), (grid, 1, 1), (items, 1, 1), shared, None)
        self.device.sync()


@pytest.fixture(scope="module")
def opened():
    machine = Machine()
    yield machine
    machine.device.close()


@pytest.fixture
def machine(opened):
    opened.watcher.faults()
    yield opened
    opened.watcher.order(FORWARD)
    assert opened.watcher.faults() == ""


# ---- kernels ----

TURN = f"""kernel void turn(device const float *x [[buffer(0)]], device float *y [[buffer(1)]], {ITEM}) {{
  threadgroup float kept[64];
  kept[item] = x[group * 64 + item];
  BARRIER
  y[group * 64 + item] = kept[63 - item];
}}
"""
BARRIER = "threadgroup_barrier(mem_flags::mem_threadgroup);"


def turned(machine, order, barrier):
    x = np.arange(3 * N, dtype="f4")
    source, target = machine.array(x), machine.array(np.zeros_like(x))
    machine.watcher.order(order)
    machine.run(TURN.replace("BARRIER", barrier), "turn", (source, target), grid=3)
    return np.array_equal(machine.read(target).reshape(3, N), x.reshape(3, N)[:, ::-1])


@pytest.mark.parametrize("order", [FORWARD, REVERSED, 0, 1])
def test_barriers_make_every_order_right(machine, order):
    assert turned(machine, order, BARRIER)


def test_a_missing_barrier_shows(machine):
    assert not any(turned(machine, order, "") for order in (FORWARD, REVERSED, 0))


SKIP = f"kernel void skip(device float *y [[buffer(0)]], {ITEM}) {{\n  BODY\n}}\n"
SKIPPED = SKIP.replace("BODY", f"if (item >= 5) return;\n  {BARRIER}\n  y[item] = 1.0f;")
DIFFERENT = SKIP.replace("BODY", f"if (item < 5) {{\n    {BARRIER}\n  }} else {{\n    {BARRIER}\n  }}")
LANES_APART = SKIP.replace(
    "BODY", f"if (item < 5) {{\n    y[item] = simd_sum(1.0f);\n  }} else {{\n    {BARRIER}\n  }}"
)
BESIDE = SKIP.replace("BODY", "y[item + 1] = 1.0f;")


@pytest.mark.parametrize(
    "text, said",
    [
        (SKIPPED, "59 of 64 work items returned without the barrier in line 5"),
        (DIFFERENT, "different barriers, in lines 5 and 7"),
        (LANES_APART, "the lanes of a SIMD group are in lines 5 and 7"),
        (BESIDE, "wrote beside a buffer"),
    ],
)
def test_a_kernel_that_breaks_the_rules_fails_its_command_buffer(machine, text, said, capfd):
    with pytest.raises(RuntimeError, match=f"skip: .*{said}"):
        machine.run(text, "skip", (machine.array(np.zeros(N, "f4")),))
    assert said in capfd.readouterr().err


PEEK = f"""kernel void peek(device float *y [[buffer(0)]], PARAMETER{ITEM}) {{
  DECLARED
  y[group * 64 + item] = kept[item];
  kept[item] = 1.0f;
}}
"""


@pytest.mark.parametrize(
    "parameter, declared, shared",
    [("", "threadgroup float kept[64];", 0), ("threadgroup float *kept [[threadgroup(0)]], ", "", 4 * N)],
)
def test_memory_of_a_group_is_poisoned(machine, parameter, declared, shared):
    target = machine.array(np.zeros(2 * N, "f4"))
    machine.run(
        PEEK.replace("PARAMETER", parameter).replace("DECLARED", declared), "peek", (target,), grid=2, shared=shared
    )
    assert np.isnan(machine.read(target)).all()


LANES = """kernel void lanes(device const float *x [[buffer(0)]], device float *y [[buffer(1)]],
    uint i [[thread_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
    uint group [[simdgroup_index_in_threadgroup]], uint groups [[simdgroups_per_threadgroup]]) {
  if (i >= 48) return;
  y[i] = simd_sum(x[i]) + 1000.0f * simd_max(x[i]) + 1000000.0f * group;
  y[64 + i] = simd_shuffle_xor(x[i], 1);
  y[128 + i] = simd_broadcast(x[i], 3) + simd_shuffle_down(x[i], 1) - groups;
}
"""


@pytest.mark.parametrize("order", [FORWARD, REVERSED, 3])
def test_lanes_tell_each_other_their_values(machine, order):
    x = np.random.default_rng(0).integers(0, 10, N).astype("f4")
    y = machine.array(np.zeros(3 * N, "f4"))
    machine.watcher.order(order)
    machine.run(LANES, "lanes", (machine.array(x), y))
    first, second, third = machine.read(y).reshape(3, N)[:, :48]
    parts = [x[:32], x[32:48]]  # the second group has 16 lanes left
    wanted = [p.sum() + 1000 * p.max() + 1000000 * n for n, p in enumerate(parts) for _ in p]
    assert np.array_equal(first, np.array(wanted, "f4"))
    assert np.array_equal(second, x[np.arange(48) ^ 1])
    down = np.concatenate([np.append(p[1:], p[-1]) for p in parts])
    assert np.array_equal(third, np.repeat([x[3], x[35]], [32, 16]) + down - 2)


COUNT = """kernel void count(device const bfloat *x [[buffer(0)]], device atomic_uint *hits [[buffer(1)]],
    device half *y [[buffer(2)]], constant ulong *scalars [[buffer(3)]], uint3 place [[thread_position_in_grid]],
    uint3 all [[threads_per_grid]]) {
  const uint i = place.x;
  if (float(x[i]) > as_type<float>(uint(scalars[0]))) atomic_fetch_add_explicit(hits, 1u, memory_order_relaxed);
  y[i] = half(float(x[i]) + all.x);
}
"""


def test_atomics_halves_and_scalars(machine):
    import ml_dtypes

    x = np.linspace(-2, 2, 2 * N).astype(ml_dtypes.bfloat16)
    hits, y = machine.array(np.zeros(1, "u4")), machine.array(np.zeros(2 * N, "f2"))
    machine.run(COUNT, "count", (machine.array(x.view("u2")), hits, y), grid=2, scalars=("float32",), values=(0.5,))
    assert machine.read(hits, "u4")[0] == (x.astype("f4") > 0.5).sum()
    assert np.array_equal(machine.read(y, "f2"), (x.astype("f4") + 2 * N).astype("f2"))


def test_what_the_compiler_says_is_told(machine):
    with pytest.raises(CompileError, match=r"HX5006 skip: [\s\S]*program_source:4:[\s\S]*error"):
        machine.program(SKIP.replace("BODY", "y[item] = nonsense;"), "skip", 1)


# ---- objects and commands ----


def fault(machine, said):
    found = machine.watcher.faults()
    assert re.search(said, found), found


@pytest.fixture
def pool(machine):
    pool = machine.metal.push()
    yield machine.metal
    machine.metal.pop(pool)


@pytest.fixture
def buffer(machine, pool):
    """An open command buffer."""
    queue = pool.newCommandQueue(machine.device.device)
    buffer = pool.commandBuffer(queue)
    pool.release(queue)
    yield buffer
    if pool.status(buffer) == 0:
        pool.commit(buffer)
    pool.waitUntilCompleted(buffer)


def test_a_message_that_no_class_has(machine, pool):
    unknown = pool._message("newCommandQueueu", "id ()")
    assert not unknown(machine.device.device)
    fault(machine, "unrecognized selector newCommandQueueu sent to MTLDevice")


def test_a_message_to_the_wrong_object(machine, pool, buffer):
    pool.endEncoding(buffer)
    fault(machine, "unrecognized selector endEncoding sent to MTLCommandBuffer")


def test_a_large_result_has_its_own_entry(machine, pool):
    pool._message("maxThreadsPerThreadgroup", "NSUInteger ()")(machine.device.device)
    fault(machine, "maxThreadsPerThreadgroup must be sent by objc_msgSend_stret")


def test_use_after_release(machine, pool):
    event = pool.newSharedEvent(machine.device.device)
    pool.release(event)
    pool.setSignaledValue(event, 1)
    fault(machine, "setSignaledValue: sent to a MTLSharedEvent that is deallocated")
    pool.release(event)
    fault(machine, "release sent to a MTLSharedEvent that is deallocated")


def test_an_object_without_a_pool(machine):
    machine.metal.string(b"lost")
    fault(machine, "a NSString is autoreleased without a pool")


def test_commands_after_commit(machine, pool, buffer):
    pool.commit(buffer)
    assert not pool.computeCommandEncoder(buffer)
    pool.commit(buffer)
    fault(machine, "computeCommandEncoder after commit\ncommit after commit")


def test_an_encoder_that_is_open(machine, pool, buffer):
    encoder = pool.computeCommandEncoder(buffer)
    pool.computeCommandEncoder(buffer)
    event = pool.newSharedEvent(machine.device.device)
    pool.encodeSignalEvent_value(buffer, event, 1)
    pool.release(event)
    pool.commit(buffer)
    fault(machine, "(.* with an encoder that is open\n){3}")
    pool.endEncoding(encoder)
    pool.endEncoding(encoder)
    fault(machine, "endEncoding after endEncoding")


def test_an_encoder_that_is_dropped_open(machine, buffer):
    metal, pool = machine.metal, machine.metal.push()
    metal.computeCommandEncoder(buffer)
    metal.pop(pool)
    fault(machine, "an encoder is released without endEncoding")


def test_a_command_buffer_that_is_dropped(machine, pool):
    inner = pool.push()
    pool.commandBuffer(machine.device.main.queue)
    pool.pop(inner)
    fault(machine, "a command buffer is released that was never committed")


def test_arguments_that_are_missing_or_too_many(machine, pool, buffer):
    block, program = machine.array(np.zeros(N, "f4")), machine.program(BESIDE, "skip", 1)
    encoder = pool.computeCommandEncoder(buffer)
    pool.dispatchThreadgroups_threadsPerThreadgroup(encoder, (1, 1, 1), (N, 1, 1))
    fault(machine, "without a pipeline")
    pool.setComputePipelineState(encoder, program.pipeline)
    pool.dispatchThreadgroups_threadsPerThreadgroup(encoder, (1, 1, 1), (N, 1, 1))
    fault(machine, "nothing is bound at place 0 of skip")
    program.buffers[0] = block.buffer
    pool.setBuffers_offsets_withRange(encoder, program.buffers, program.offsets, (0, 1))
    for grid, group, said in [
        ((1, 1, 1), (N + 1, 1, 1), "groups of 65 items, at most 64"),
        ((0, 1, 1), (N, 1, 1), "empty"),
    ]:
        pool.dispatchThreadgroups_threadsPerThreadgroup(encoder, grid, group)
        fault(machine, said)
    pool.setBytes_length_atIndex(encoder, program.words, 4097, 1)
    pool.setBytes_length_atIndex(encoder, program.words, 8, 31)
    pool.setThreadgroupMemoryLength_atIndex(encoder, 10, 0)
    fault(machine, "4097 bytes; .*\n.*no place 31\n.*10 bytes")
    pool.endEncoding(encoder)


def test_waits_that_never_end(machine, pool, buffer, capfd):
    pool.waitUntilCompleted(buffer)
    fault(machine, "waits for ever: the command buffer was never committed")
    event = pool.newSharedEvent(machine.device.device)
    pool.encodeWaitForEvent_value(buffer, event, 1)
    pool.commit(buffer)
    pool.waitUntilCompleted(buffer)
    assert pool.code(pool.error(buffer)) == 2  # MTLCommandBufferErrorTimeout
    assert "nothing signals" in capfd.readouterr().err
    pool.release(event)


def test_memory_of_a_buffer(machine):
    block = machine.device.alloc(16, False)
    assert np.isnan(machine.read(block)).all()
    block.start[16] = b"x"
    machine.device.free(block)
    fault(machine, "something wrote beside a buffer of 16 bytes")
