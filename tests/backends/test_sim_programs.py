"""Kernels on the simulated device: queued, run in pieces, watched."""

import shutil

import pytest

import helix
from helix.backends import KernelSource, sim
from helix.backends.sim_programs import bits
from helix.errors import CompileError, DeviceError

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")

HEAD = b"""#include <stdint.h>
void scale(void *const *buffers, const uint64_t *scalars, const uint32_t *grid, uint64_t begin, uint64_t end) {
  const float *source = buffers[0];
  float *target = buffers[1];
  const float by = (union { uint32_t b; float f; }){(uint32_t)scalars[0]}.f;
"""
SCALE = (
    HEAD
    + b"""  for (uint64_t i = begin; i < end; i++) target[i] = source[i] * by;
}
"""
)
BESIDE = (
    HEAD
    + b"""  target[-1] = by;
}
"""
)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HELIX_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "kernels"))


def source(text, exact=False):
    return KernelSource("c", text, "scale", "", 2, ("float32",), (1, 1, 1), exact)


def floats(d, *values):
    block = d.alloc(4 * len(values), False)
    memoryview(block.data).cast("f")[:] = memoryview(bytearray(b"".join(map(packed, values)))).cast("f")
    return block


def packed(value):
    return bits(value, "float32").to_bytes(4, "little")


def read(block):
    return memoryview(block.data).cast("f").tolist()


def launch(d, program, *blocks, by=2.0, stream=None, n=None):
    groups = blocks[0].nbytes // 4 if n is None else n
    d.launch(program, list(blocks), [by], (groups, 1, 1), (1, 1, 1), 0, stream)


def test_a_kernel_runs_when_it_must():
    d = sim.backend("box", "").open(0)
    program = d.load(source(SCALE))
    a, b = floats(d, 1, 2, 3, 4, 5), floats(d, 0, 0, 0, 0, 0)
    launch(d, program, a, b)
    assert read(b) == [0] * 5
    d.sync()
    assert read(b) == [2, 4, 6, 8, 10]


def test_a_write_beside_the_buffer_names_the_kernel():
    d = sim.backend("box", "").open(0)
    launch(d, d.load(source(BESIDE)), floats(d, 1), floats(d, 1))
    with pytest.raises(DeviceError, match="HX5004 scale wrote beside block 2"):
        d.sync()


def test_two_kernels_may_read_but_not_write_the_same_without_an_order():
    d = sim.backend("box", "").open(0)
    program, one, two = d.load(source(SCALE)), d.new_stream(), d.new_stream()
    a, b, c = floats(d, 1, 2), floats(d, 0, 0), floats(d, 0, 0)
    launch(d, program, a, b, stream=one)
    launch(d, program, a, c, stream=two)
    with pytest.raises(DeviceError, match=r"race on block 2 .* scale on stream 1 and scale on stream 2"):
        launch(d, program, a, b, stream=two)


def test_use_after_free_names_the_kernel():
    d = sim.backend("box", "").open(0)
    a, b = floats(d, 1), floats(d, 0)
    d.free(b)
    with pytest.raises(DeviceError, match="scale uses block 2 .* after a free"):
        launch(d, d.load(source(SCALE)), a, b)


def test_what_the_compiler_says_is_told():
    d = sim.backend("box", "").open(0)
    with pytest.raises(CompileError, match=r"HX5006 scale: [\s\S]*error"):
        d.load(source(b"void scale(nonsense) {"))


def test_programs_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("HELIX_CACHE_DIR", str(tmp_path))
    d = sim.backend("box", "").open(0)
    d.load(source(SCALE))
    d.load(source(SCALE))
    d.load(source(SCALE, exact=True))
    assert len(list((tmp_path / "sim").iterdir())) == 2


def test_scalars_keep_their_bits():
    assert [bits(v, t) for v, t in ((-1, "int32"), (True, "bool"), (1.0, "float16"), (1.0, "bfloat16"))] == [
        0xFFFFFFFF, 1, 0x3C00, 0x3F80,
    ]  # fmt: skip
    assert bits(2**64 - 1, "uint64") == 2**64 - 1 and bits(-(2**63), "int64") == 2**63


def test_the_gradient_of_a_plain_sum_lies_on_its_device():
    x = helix.ones(3, device="sim", requires_grad=True)
    (x * 2).sum().backward()
    assert str(x.grad.device) == "sim:0" and x.grad.tolist() == [2.0] * 3
