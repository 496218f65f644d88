"""The WebGPU plugin on whatever Vulkan device is here; Mesa's lavapipe, which runs kernels on the processor, is enough."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import helix
from helix.backends import KernelSource, register
from helix.backends.discovery import installed
from helix.errors import CompileError, DeviceLostError, OutOfMemoryError
from helix.testing import conformance
from helix.testing.case import Target

from ..kernel.test_samples import compare
from ..ops.cases import named
from ..ops.values import DTYPES, LAYOUTS, to_helix, to_numpy

REMEDY = "a Vulkan driver and wgpu are needed: apt-get install mesa-vulkan-drivers libvulkan1; pip install wgpu"
wgpu = pytest.importorskip("wgpu", reason=REMEDY)
if not any(found.name == "webgpu" for found in installed()):
    sys.path.append(str(Path(__file__).resolve().parents[2] / "plugins" / "helix-backend-webgpu" / "src"))
plugin = pytest.importorskip("helix_backend_webgpu", reason=REMEDY)
if not plugin.backend().probe().ok:
    pytest.skip(f"{REMEDY} ({plugin.NO_DRIVER})", allow_module_level=True)

from helix_backend_webgpu import commands, memory  # noqa: E402
from helix_backend_webgpu.device import WebGPUDevice, told  # noqa: E402

if not any(found.name == "webgpu" for found in installed()):
    register("webgpu", plugin.backend)


@pytest.fixture
def no_fallback():
    """An op without a kernel is an error here."""
    before = helix.set_fallback("error")
    yield
    helix.set_fallback(before)


@pytest.fixture(scope="module")
def device():
    """A device of its own, apart from the one that helix has open."""
    device = plugin.backend().open(0)
    yield device
    device.close()


# ---- values ----


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_there_and_back(dtype):
    values = np.arange(-6, 6).reshape(3, 4)
    here = helix.tensor(values.tolist()).to(getattr(helix, dtype))
    there = here.to("webgpu")
    assert str(there.device) == "webgpu:0" and there.to("cpu").tolist() == here.tolist()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout, no_fallback):
    values = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
    here = LAYOUTS[layout](values)
    there = here.to("webgpu")
    views = [
        lambda x: x.t(),
        lambda x: x[::2, 1:],
        lambda x: x.flip(0),
        lambda x: x[2],
        lambda x: x[:, :1].expand(5, 6),
    ]
    for view in views:
        np.testing.assert_array_equal(to_numpy((view(there) * 2).to("cpu")), to_numpy(view(here) * 2))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "bool", "int16", "float16", "bfloat16"])
def test_elements_that_share_a_word(dtype, no_fallback):
    """A store changes its own bits alone, in tensors whose elements are smaller than the words of WGSL."""
    here = helix.tensor([1, 0, 1, 1, 0, 1, 0]).to(getattr(helix, dtype))
    there = here.to("webgpu")
    for x in (here, there):
        x[1:6:2] = x[0]
    assert there.tolist() == here.tolist()


def test_whole_numbers_of_64_bits(no_fallback):
    here = helix.tensor([3, -5, 2**40 + 7, -(2**62), 2**31])
    there = here.to("webgpu")
    for op in (lambda x: x * 3 - 1, lambda x: x // 7, lambda x: x % 5, lambda x: x >> 3, lambda x: (x < 0).sum()):
        assert op(there).tolist() == op(here).tolist()


@pytest.mark.parametrize(
    "op",
    [
        lambda x: x != x,
        lambda x: x == x,
        lambda x: x != 0,
        lambda x: x <= 0,
        lambda x: x > 0,
        lambda x: x.to(helix.bool),
        lambda x: helix.count_nonzero(x),
        lambda x: helix.maximum(x, x * 0 + 1),
        lambda x: helix.clamp(x, 0, 2),
    ],
)
def test_not_a_number_as_on_the_cpu(op, no_fallback):
    x = helix.tensor([float("nan"), 0.0, -0.0, 1.0, -3.0])
    np.testing.assert_array_equal(to_numpy(op(x.to("webgpu")).to("cpu")), to_numpy(op(x)))


def test_random_numbers_are_the_cpus(no_fallback):
    def drawn(device):
        helix.manual_seed(5)
        return [f(device).tolist() for f in (lambda d: helix.randn(1000, device=d), lambda d: helix.rand(7, device=d))]

    assert drawn("webgpu") == drawn("cpu")


# ---- ops ----

OPS = """
    add sub mul div pow exp log tanh erf gelu relu where clamp sum mean amax argmax var softmax layer_norm rms_norm matmul
    bmm linear conv2d cross_entropy cat gather index_select index_add embedding floor_divide bitwise_and eq
"""
CHOSEN = [(label, sample) for label, sample in named() if label in OPS.split()]


@pytest.mark.parametrize("sample", [s for _, s in CHOSEN], ids=[label for label, _ in CHOSEN])
def test_an_op_as_on_the_cpu(sample, no_fallback):
    dtype = "float32" if "float32" in sample.dtypes else "int32"
    compare(sample, dtype, lambda values: to_helix(values).to("webgpu"))


def test_a_wrong_kernel_is_seen(monkeypatch):
    """The comparison itself: two buffers exchanged in a launch are found."""

    class Faulty(WebGPUDevice):
        def launch(self, program, buffers, scalars, *rest):
            super().launch(program, [buffers[1], buffers[0], *buffers[2:]], scalars, *rest)

    class FaultyBackend(plugin.WebGPUBackend):
        name = "webgpu_faulty"

        def open(self, index):
            return Faulty(index, plugin.adapters()[index])

    register("webgpu_faulty", FaultyBackend)
    with pytest.raises(AssertionError):
        compare(dict(named())["div"], "float32", lambda values: to_helix(values).to("webgpu_faulty"))


# ---- the kit, and models ----


@pytest.mark.parametrize("stage", ["t1_memory", "t2_order"])
def test_it_passes_the_kit(stage):
    found = list(conformance.run(Target("webgpu:0"), (stage,)))
    assert not [(r.title, r.text) for r in found if r.state == "fail"] and any(r.state == "pass" for r in found)


@pytest.mark.parametrize("model", ["MLP", "transformer block", "SSM block"])
def test_a_model_learns_as_on_the_cpu(model):
    found = list(conformance.run(Target("webgpu:0", "train"), ("t6_train",), f"/{model}"))
    assert [r.state for r in found] == ["pass"] * 2, [r.text for r in found]


@pytest.mark.parametrize("other", ["cpu", "sim:1", "webgpu"])
def test_copies_between_devices(other):
    values = np.arange(12, dtype=np.int16).reshape(3, 4)
    x = helix.tensor(values.tolist(), dtype=helix.int16)
    for source, target in ((other, "webgpu"), ("webgpu", other)):
        moved = x.to(source).t()[1:].to(target)
        assert moved.device == helix.device(target) and moved.to("cpu").tolist() == values.T[1:].tolist()


# ---- bytes, which WebGPU moves by fours ----


def block_of(device, data):
    block = device.alloc(len(data), False)
    device.copy_in(block, 0, memoryview(data), None)
    return block


def read(device, block):
    out = bytearray(block.nbytes)
    device.copy_out(memoryview(out), block, 0, None)
    return bytes(out)


@pytest.mark.parametrize("begin, end", [(0, 1), (1, 3), (3, 9), (4, 12), (5, 6), (7, 21), (20, 23), (0, 23)])
def test_ranges_of_bytes(device, begin, end):
    data, other = bytes(range(1, 24)), bytes(range(200, 223))
    expected = data[:begin] + other[begin:end] + data[end:]
    block = block_of(device, data)
    device.copy_in(block, begin, memoryview(other[begin:end]), None)
    assert read(device, block) == expected

    block, source = block_of(device, data), block_of(device, other)
    device.copy_within(block, begin, source, begin, end - begin, None)
    assert read(device, block) == expected

    block = block_of(device, data)
    device.fill(block, begin, end - begin, b"\7", None)
    assert read(device, block) == data[:begin] + b"\7" * (end - begin) + data[end:]

    out = bytearray(end - begin)
    device.copy_out(memoryview(out), source, begin, None)
    assert bytes(out) == other[begin:end]


@pytest.mark.parametrize("shift", [3, 4])
def test_a_copy_inside_a_block_as_if_all_were_read_first(device, shift):
    data = np.random.default_rng(0).bytes(5000)
    block = block_of(device, data)
    device.copy_within(block, shift, block, 0, 4000, None)
    assert read(device, block) == data[:shift] + data[:4000] + data[4000 + shift :]


def test_patterns_and_zeros(device):
    block = block_of(device, b"\xff" * 40)
    device.fill(block, 8, 8, bytes(4), None)
    device.fill(block, 1, 2, bytes(1), None)
    device.fill(block, 16, 24, b"\1\2\3\4\5\6\7\x08", None)
    assert read(device, block) == b"\xff\0\0" + b"\xff" * 5 + bytes(8) + bytes(range(1, 9)) * 3


# ---- memory and order ----


def test_a_buffer_is_used_again_and_given_back(device, monkeypatch):
    first = device.alloc(5000, False)
    device.free(first)
    again = device.alloc(4990, False)
    assert again is first and again.nbytes == 4990
    device.free(again)
    monkeypatch.setattr(memory, "KEPT", 0)
    device.free(device.alloc(64, False))
    assert device.memory.idle_bytes == 0 and device.alloc(5000, False) is not first


def test_what_is_given_back_while_its_last_reader_waits(device, monkeypatch):
    """The buffer is destroyed only after the work that reads it has been handed over."""
    monkeypatch.setattr(memory, "KEPT", 0)
    source, target = block_of(device, bytes(range(8))), device.alloc(8, False)
    device.copy_within(target, 0, source, 0, 8, None)
    device.free(source)
    assert read(device, target) == bytes(range(8))


def test_more_memory_than_there_is():
    with pytest.raises(OutOfMemoryError, match="webgpu(?s:.)*maxStorageBufferBindingSize"):
        helix.empty(1 << 44, device="webgpu")
    assert (helix.ones(3, device="webgpu") + 1).tolist() == [2, 2, 2]


ADD = """@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@group(0) @binding(1) var<uniform> scalars: array<vec4<u32>, 1>;
@compute @workgroup_size(4) fn add(@builtin(local_invocation_id) id: vec3<u32>) { x[id.x] = x[id.x] * 3u + scalars[0].x; }
"""


def source(text=ADD, entry="add"):
    return KernelSource("wgsl", text.encode(), entry, "", 1, ("uint32",), (4, 1, 1), True)


def add_many(device, times):
    """x = 3 x + step, so that a step that is lost, doubled or out of order is seen."""
    block, program = block_of(device, np.arange(4, dtype=np.uint32).tobytes()), device.load(source())
    expected = np.arange(4, dtype=np.uint32)
    for step in range(times):
        device.launch(program, [block], [step], (1, 1, 1), (4, 1, 1), 0, None)
        expected = expected * 3 + np.uint32(step)
    assert np.frombuffer(read(device, block), np.uint32).tolist() == expected.tolist()
    return program


def test_a_program_goes_with_its_bind_groups(device):
    program = add_many(device, 1)
    assert [key for key in device.groups if key[0] is program]
    device.unload(program)
    assert not [key for key in device.groups if key[0] is program]


@pytest.mark.parametrize("limit, value", [("LAUNCHES", 3), ("ARENA", 128)])
def test_more_launches_than_one_submission_holds(monkeypatch, limit, value):
    monkeypatch.setattr(commands, limit, value)
    device, submissions = plugin.backend().open(0), []
    submit = device.commands.submit
    monkeypatch.setattr(device.commands, "submit", lambda: submissions.append(device.commands.launches) or submit())
    add_many(device, 20)
    assert len([n for n in submissions if n]) > 1
    device.close()


# ---- errors ----


def test_what_the_compiler_says(device):
    with pytest.raises(CompileError, match="HX5006 add:(?s:.)*nonsense"):
        device.load(source(ADD.replace("* 3u", "* nonsense")))


def test_work_that_is_refused_leaves_a_device_that_works(device):
    block, program = block_of(device, bytes(16)), device.load(source())
    with pytest.raises(wgpu.GPUError):
        device.launch(program, [block], [1], (1 << 20, 1, 1), (4, 1, 1), 0, None)
        device.sync()
    device.launch(program, [block], [1], (1, 1, 1), (4, 1, 1), 0, None)
    assert np.frombuffer(read(device, block), np.uint32).tolist() == [1] * 4


def test_a_lost_device_is_told_apart():
    with pytest.raises(DeviceLostError, match="HX5003"), told():
        raise wgpu.GPUError("Parent device is lost")
    with pytest.raises(wgpu.GPUValidationError), told():
        raise wgpu.GPUValidationError("too many groups")


def test_without_a_driver(monkeypatch):
    monkeypatch.setattr(plugin, "adapters", list)
    answer = plugin.backend().probe()
    assert not answer.ok and "mesa-vulkan-drivers" in answer.reason


def test_a_program_without_a_session_hears_nothing():
    """From the first look for adapters to the end, where nothing is given back."""
    environment = {k: v for k, v in os.environ.items() if k not in ("XDG_RUNTIME_DIR", "NODEVICE_SELECT")}
    program = (
        "import os, helix, helix_backend_webgpu as plugin; from helix.backends import register, discovery\n"
        "if not any(f.name == 'webgpu' for f in discovery.installed()): register('webgpu', plugin.backend)\n"
        "x = helix.ones(1000, device='webgpu'); y = (x * 2).sum(); print(y.item(), 'NODEVICE_SELECT' in os.environ)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "2000.0 False", "")
