"""The OpenCL plugin on whatever OpenCL device is here; PoCL, which runs kernels on the processor, is enough."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import helix
from helix.backends import KernelSource, register
from helix.backends.discovery import installed
from helix.errors import CompileError, DeviceError, DeviceLostError, OutOfMemoryError
from helix.testing import conformance
from helix.testing.case import Target

from ..kernel.test_fused import chain, launches
from ..kernel.test_samples import compare
from ..ops.cases import named
from ..ops.values import DTYPES, LAYOUTS, to_helix, to_numpy

REMEDY = "an OpenCL driver and pyopencl are needed: apt-get install pocl-opencl-icd; pip install pyopencl"
cl = pytest.importorskip("pyopencl", reason=REMEDY)
platforms = pytest.importorskip("helix.backends.opencl.platforms", reason="pip install ./plugins/helix-backend-opencl")
if not platforms.working()[0]:
    pytest.skip(f"{REMEDY} ({' '.join(platforms.working()[1])})", allow_module_level=True)

from helix.backends import opencl  # noqa: E402
from helix.backends.opencl.device import check  # noqa: E402

if not any(found.name == "opencl" for found in installed()):
    register("opencl", opencl.backend)

ADD_ONE = """__kernel __attribute__((reqd_work_group_size(4, 1, 1)))
void add_one(__global int *x, int by) { x[get_global_id(0)] += by; }
"""


@pytest.fixture
def no_fallback():
    """An op without a kernel is an error here."""
    before = helix.set_fallback("error")
    yield
    helix.set_fallback(before)


@pytest.fixture(scope="module")
def device():
    """A device of its own, apart from the one that helix has open."""
    device = opencl.backend().open(0)
    yield device
    device.close()


def run_python(text, **environment):
    return subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, env={**os.environ, **environment}, timeout=100
    )


# ---- values ----


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_there_and_back(dtype):
    values = np.arange(-6, 6).reshape(3, 4)
    there = helix.tensor(values.tolist()).to(getattr(helix, dtype)).to("opencl")
    assert str(there.device) == "opencl:0"
    assert there.to("cpu").tolist() == helix.tensor(values.tolist()).to(getattr(helix, dtype)).tolist()
    assert there[1:, ::2].t().to("cpu").tolist() == there.to("cpu")[1:, ::2].t().tolist()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout, no_fallback):
    values = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
    here = LAYOUTS[layout](values)
    there = here.to("opencl")
    np.testing.assert_array_equal(to_numpy(there.to("cpu")), to_numpy(here))
    views = [
        lambda x: x.t(),
        lambda x: x[::2, 1:],
        lambda x: x.flip(0),
        lambda x: x[2],
        lambda x: x[:, :1].expand(5, 6),
    ]
    for view in views:
        np.testing.assert_array_equal(to_numpy((view(there) * 2).to("cpu")), to_numpy(view(here) * 2))


def test_nothing_and_one(no_fallback):
    empty = helix.zeros(0, 3).to("opencl")
    assert (empty + 1).tolist() == [] and empty.sum().item() == 0
    assert (helix.tensor(2.0).to("opencl") * 3).item() == 6


def test_random_numbers_are_the_cpus(no_fallback):
    helix.manual_seed(5)
    here = [helix.randn(1000), helix.rand(7), helix.randint(0, 100, (9,))]
    helix.manual_seed(5)
    there = [
        helix.randn(1000, device="opencl"),
        helix.rand(7, device="opencl"),
        helix.randint(0, 100, (9,), device="opencl"),
    ]
    for a, b in zip(here, there):
        np.testing.assert_array_equal(to_numpy(a), to_numpy(b.to("cpu")))


# ---- ops ----

OPS = """
    add sub mul div pow exp log tanh erf sigmoid gelu relu where clamp sum mean prod amax argmax var cumsum softmax
    log_softmax layer_norm rms_norm matmul bmm linear conv1d conv2d cross_entropy mse_loss cat stack gather index_select
    index_add embedding sort floor_divide remainder bitwise_and isnan eq lt logical_not
"""
CHOSEN = [(label, sample) for label, sample in named() if label in OPS.split()]


@pytest.mark.parametrize("sample", [s for _, s in CHOSEN], ids=[label for label, _ in CHOSEN])
def test_an_op_as_on_the_cpu(sample):
    before = helix.set_fallback("host")
    try:
        compare(
            sample, "float32" if "float32" in sample.dtypes else sample.dtypes[0], lambda v: to_helix(v).to("opencl")
        )
    finally:
        helix.set_fallback(before)


def test_a_wrong_kernel_is_seen(monkeypatch):
    """The comparison itself: an offset of one element in a launch is found."""
    sample = dict(named())["add"]
    launch = opencl.OpenCLDevice.launch

    def shifted(self, program, buffers, scalars, *rest):
        launch(self, program, [*buffers[:-1], buffers[0]], scalars, *rest)

    monkeypatch.setattr(opencl.OpenCLDevice, "launch", shifted)
    register("opencl_faulty", lambda: named_backend("opencl_faulty"))
    with pytest.raises(AssertionError):
        compare(sample, "float32", lambda v: to_helix(v).to("opencl_faulty"))


def named_backend(name):
    made = opencl.backend()
    made.name = name
    return made


@pytest.mark.parametrize("stage", ["t1_memory", "t2_order"])
def test_it_passes_the_kit(stage):
    found = list(conformance.run(Target("opencl:0"), (stage,)))
    assert not [(r.title, r.text) for r in found if r.state == "fail"] and any(r.state == "pass" for r in found)


# ---- training ----


def losses(device):
    helix.manual_seed(0)
    net = helix.nn.Sequential(helix.nn.Linear(8, 16), helix.nn.Tanh(), helix.nn.Linear(16, 3))
    x, y = helix.randn(32, 8), helix.randint(0, 3, (32,))
    net, x, y = net.to(device), x.to(device), y.to(device)
    optimizer = helix.optim.AdamW(net.parameters(), lr=0.05)
    found = []
    for _ in range(20):
        loss = helix.nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def test_a_network_learns_as_on_the_cpu(no_fallback):
    here, there = losses("cpu"), losses("opencl")
    assert here[-1] < 0.5 * here[0]
    np.testing.assert_allclose(there, here, rtol=2e-4)


# ---- other devices ----


@pytest.mark.parametrize("target", ["cpu", "sim:0", "sim:1", "opencl"])
@pytest.mark.parametrize("source", ["cpu", "sim:0", "sim:1", "opencl"])
def test_copies_between_all_devices(source, target):
    values = np.arange(12, dtype=np.int16).reshape(3, 4)
    x = helix.tensor(values.tolist(), dtype=helix.int16).to(source)
    moved = x.t()[1:].to(target)
    assert moved.device == helix.device(target)
    assert moved.to("cpu").tolist() == values.T[1:].tolist()


# ---- errors ----


def test_more_memory_than_there_is():
    with pytest.raises(OutOfMemoryError, match="opencl"):
        helix.empty(1 << 44, device="opencl")
    assert (helix.ones(3, device="opencl") + 1).tolist() == [2, 2, 2]


def source(text, entry="add_one"):
    return KernelSource("opencl-c", text.encode(), entry, "", 1, ("int32",), (4, 1, 1), True)


def test_what_the_compiler_says(device):
    with pytest.raises(CompileError, match="HX5006 add_one:(?s:.)*nonsense"):
        device.load(source(ADD_ONE.replace("+= by", "+= nonsense")))


def block_of(device, values):
    block = device.alloc(4 * len(values), False)
    device.copy_in(block, 0, memoryview(np.array(values, np.int32)).cast("B"), None)
    device.sync()
    return block


def read(device, block, stream=None):
    out = np.zeros(block.size // 4, np.int32)
    device.copy_out(memoryview(out).cast("B"), block, 0, stream)
    return out.tolist()


def launch(device, block, by, stream=None):
    device.launch(device.load(source(ADD_ONE)), [block], [by], (1, 1, 1), (4, 1, 1), 0, stream)


def test_a_kernel_of_ones_own(device):
    block = block_of(device, [1, 2, 3, 4])
    launch(device, block, 5)
    assert read(device, block) == [6, 7, 8, 9]
    device.fill(block, 4, 8, b"\1\0\0\0", None)
    other = device.alloc(16, True)
    device.copy_within(other, 0, block, 4, 12, None)
    assert read(device, other)[:3] == [1, 1, 9]
    taken = device.taken
    device.free(other)
    assert device.taken == taken - 16


def held(device, stream):
    """What follows on the stream waits until this event is set."""
    gate = cl.UserEvent(device.context)
    cl.enqueue_barrier(stream.queue, wait_for=[gate])
    return gate


def test_streams_wait_for_events(device):
    block = block_of(device, [0, 0, 0, 0])
    one, two, event = device.new_stream(), device.new_stream(), device.new_event()
    gate = held(device, one)
    launch(device, block, 3, one)
    device.record(event, one)
    device.stream_wait(two, event)
    launch(device, block, 4, two)
    assert not device.query(event)
    gate.set_status(cl.command_execution_status.COMPLETE)
    device.sync(two)
    assert device.query(event) and read(device, block) == [7] * 4
    device.wait_event(event)
    for stream in (one, two):
        device.close_stream(stream)


def fail_later(device, block, stream):
    """A command that is queued now and fails later. Of barriers and markers that fail PoCL 3.1 makes an abort."""
    gate = cl.UserEvent(device.context)
    stream.last = cl.enqueue_fill_buffer(stream.queue, block, bytes(4), 0, 4, wait_for=[gate])
    gate.set_status(cl.status_code.OUT_OF_RESOURCES)


def test_work_that_fails_after_it_was_queued(device):
    block, stream = block_of(device, [1, 2, 3, 4]), device.new_stream()
    fail_later(device, block, stream)
    with pytest.raises(RuntimeError, match="queued work failed with"):
        device.sync(stream)
    device.sync(stream)
    assert read(device, block) == [1, 2, 3, 4]
    device.close_stream(stream)


def test_the_op_of_a_failed_launch_is_named(monkeypatch):
    def fails(self, program, buffers, scalars, grid, group, shared_bytes, stream):
        fail_later(self, buffers[-1], stream or self.main)

    x = helix.ones(4, device="opencl")
    assert (x * 2).tolist() == [2] * 4
    with monkeypatch.context() as patch:
        patch.setattr(opencl.OpenCLDevice, "launch", fails)
        register("opencl_failing", lambda: named_backend("opencl_failing"))
        y = helix.tensor([1.0]).to("opencl_failing")
        with pytest.raises(DeviceError, match=r"mul.*queued work failed|queued work failed.*mul"):
            (y * 2).tolist()
    assert (x * 3).tolist() == [3] * 4


def test_a_lost_device():
    with pytest.raises(DeviceLostError, match="DEVICE_NOT_AVAILABLE"):
        check(cl.status_code.DEVICE_NOT_AVAILABLE)


# ---- which devices ----


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """The list of devices is made anew."""
    monkeypatch.setenv("HELIX_CACHE_DIR", str(tmp_path))
    return platforms.working.__wrapped__


def test_a_platform_that_is_listed_but_cannot_work(fresh, monkeypatch):
    monkeypatch.setattr(platforms, "_three", lambda device: 4)
    found, refused = fresh()
    assert not found and "1 + 2 is not 3" in refused[0]

    def fails(device):
        raise cl.RuntimeError("unknown target CPU 'generic'")

    monkeypatch.setattr(platforms, "_three", fails)
    found, refused = fresh()
    assert not found and "a small kernel fails: unknown target CPU" in refused[0]


def test_one_trial_a_driver(fresh, monkeypatch):
    assert fresh()[0]
    monkeypatch.setattr(cl, "Context", None)
    assert fresh()[0]


def test_a_choice_by_name(fresh, monkeypatch):
    (device, info), *_ = fresh()[0]
    monkeypatch.setenv("HELIX_OPENCL", device.name.strip()[:8].upper())
    assert fresh()[0][0][1] == info
    monkeypatch.setenv("HELIX_OPENCL", "no such maker")
    found, refused = fresh()
    assert not found and refused[0].startswith("HELIX_OPENCL=no such maker matches none of the devices: ")


def test_without_a_driver(fresh, monkeypatch):
    def none():
        raise cl.LogicError("clGetPlatformIDs failed: PLATFORM_NOT_FOUND_KHR")

    monkeypatch.setattr(cl, "get_platforms", none)
    assert fresh() == ([], [platforms.NO_DRIVER])


def test_the_end_of_a_program_that_gives_nothing_back():
    done = run_python(
        "import helix\nfrom helix.backends import opencl, register, discovery\n"
        "if not any(f.name == 'opencl' for f in discovery.installed()): register('opencl', opencl.backend)\n"
        "x = helix.ones(1000, device='opencl'); s = helix.backends.opencl\ny = (x * 2).sum(); print(y.item())"
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "2000.0", "")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_chain_of_ten_is_one_launch(dtype, no_fallback):
    x = helix.rand(64, 80).to(getattr(helix, dtype)).to("opencl")
    compiled = helix.compile(chain)
    want, apart = launches(lambda: chain(x))
    got, together = launches(lambda: compiled(x))
    assert (apart, together) == (10, 1)
    np.testing.assert_allclose(to_numpy(got.to("cpu")), to_numpy(want.to("cpu")), rtol=1e-6)
