"""helix-backend-metal without a Mac: its host code drives an emulated Objective-C runtime, its kernels run as C++ on the CPU.

What passes here is right in logic, order and memory; what macOS and Apple's compiler make of it, no test here can tell.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import helix
from helix import nn
from helix.backends import KernelSource
from helix.errors import CompileError, DeviceError, DeviceLostError, OutOfMemoryError
from helix.testing.case import Target
from helix.testing.conformance import run

from ..emulation import libraries
from ..kernel.test_raw import SCALE
from ..kernel.test_samples import EVERY, FIRST, compare
from ..ops.cases import each_sample
from ..ops.sample import Sample
from ..ops.values import to_helix, to_numpy

pytestmark = [
    pytest.mark.skipif(not libraries.available(), reason="needs gcc and g++"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning"),
]
ROOT = Path(__file__).resolve().parents[2]
# Kernels of every kind, and what MSL says otherwise than CUDA C does; with HELIX_EVERY_SAMPLE=1 the rest of the ops.
CHOSEN = {
    "add", "pow", "where", "erf", "floor_divide", "isnan", "sum", "argmax", "softmax", "layer_norm", "matmul", "conv2d",
    "gather", "scatter_add", "sort", "arange", "randn",
}  # fmt: skip
OUT_OF_MEMORY, REMOVED = 8, 11  # MTLCommandBufferError


@pytest.fixture(scope="module", autouse=True)
def watcher():
    from .metal_device import register

    return register()


def opened():
    """A device of its own, apart from the one that helix has open."""
    from .metal_device import emulated

    return emulated().open(0)


@pytest.fixture(autouse=True)
def no_faults(watcher):
    watcher.faults()
    yield
    watcher.order(-1)
    assert watcher.faults() == ""


@each_sample(lambda sample: FIRST[sample.op] is sample and "empty" not in sample.op and (EVERY or sample.op in CHOSEN))
def test_on_the_device_as_on_the_cpu(sample: Sample) -> None:
    dtype = "float32" if "float32" in sample.dtypes else sample.dtypes[0]
    compare(sample, dtype, lambda values: to_helix(values).to("metal"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int64", "uint8"])
def test_dtypes_that_metal_stores_otherwise(dtype):
    x = helix.tensor([[1.5, -2.25, 3.0], [100.0, 0.0, -0.5]]).to(getattr(helix, dtype))
    there = x.to("metal")
    np.testing.assert_array_equal(to_numpy((there * 3 + there.t().t()).to("cpu")), to_numpy(x * 3 + x))


@pytest.mark.parametrize("name", ["text", "hxir"])
def test_kernels_of_users(name):
    x = helix.arange(300, dtype=helix.float32).to("metal")
    assert SCALE[name](x[7:207], 200, 0.5).tolist() == [0.5 * v for v in range(7, 207)]


def test_it_says_what_it_is():
    facts = dict(helix.devices())["metal:0"]
    assert facts["emulated"] and facts["arch"] == "apple8" and facts["name"] == "emulated GPU"


def test_float64_is_stored_and_not_computed():
    x = helix.tensor([1.0, 1e-300], dtype=helix.float64)
    assert x.to("metal").tolist() == x.tolist()
    before = helix.set_fallback("error")
    try:
        with pytest.raises(helix.errors.UnsupportedOpError, match="float64"):
            x.to("metal") * 2
    finally:
        helix.set_fallback(before)


@pytest.mark.parametrize("stage", ["t0_abi", "t1_memory", "t2_order"])
def test_conformance(stage):
    results = list(run(Target("metal:0", "core"), (stage,)))
    assert [r.title for r in results if r.state == "pass"]
    assert [(r.title, r.text) for r in results if r.state == "fail"] == []


# ---- training ----


def losses(device: str) -> list[float]:
    rng = np.random.default_rng(0)
    x, y = helix.tensor(rng.standard_normal((16, 8)).astype("f4")), helix.tensor(rng.integers(0, 3, 16))
    helix.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 3)).to(device)
    optimizer = helix.optim.AdamW(model.parameters(), lr=1e-2)
    x, y, told = x.to(device), y.to(device), []
    for _ in range(20):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        told.append(loss.item())
    return told


def test_a_network_trains_as_on_the_cpu_in_any_order_of_work_items(watcher):
    helix.backends.fallback_stats(reset=True)
    there = losses("metal")
    np.testing.assert_allclose(there, losses("cpu"), rtol=1e-4)
    assert there[-1] < 0.5 * there[0]
    assert "metal:0" not in helix.backends.fallback_stats(), "an op of the network ran on the host"
    for order in (-2, 1):
        watcher.order(order)
        assert losses("metal") == there


# ---- messages and objects ----

ENCODED = {
    "id": "@", "SEL": ":", "void": "v", "void *": "^v", "const void *": "r^v", "const char *": "r*", "BOOL": "c",
    "NSUInteger": "Q", "uint64_t": "Q", "NSInteger": "q", "id *": "^@", "const id *": "r^@", "const NSUInteger *": "r^Q",
    "MTLSize": "{?=QQQ}", "NSRange": "{_NSRange=QQ}", "NSOperatingSystemVersion": "{?=qqq}",
}  # fmt: skip


def misdeclared(watcher, messages):
    """Messages whose declaration is not that of the method, or does not have an argument for each colon."""
    found = []
    for selector, declared in messages.items():
        result, _, rest = declared.partition(" (")
        arguments = [a.strip() for a in rest.rstrip(")").split(",") if a.strip()]
        types = (watcher.types(selector) or "").replace("^@^@", "^v^@")  # an out argument that helix does not ask for
        encoded = f"{ENCODED[result]}@:{''.join(ENCODED[a] for a in arguments)}"
        if len(arguments) != selector.count(":") or types != encoded:
            found.append(selector)
    return found


def test_messages_are_declared_as_the_methods_are(watcher):
    from helix.backends.metal.runtime import MESSAGES

    assert misdeclared(watcher, MESSAGES) == []
    planted = {
        "newBufferWithLength:options:": "id (NSUInteger)",
        "setComputeFunction:": "void (NSUInteger)",
        "newCommandQueueu": "id ()",
        "commit": "void ()",
    }
    assert misdeclared(watcher, planted) == list(planted)[:3]


@pytest.fixture
def device(watcher):
    made = opened()
    yield made
    made.close()


def work(device):
    """A little of everything, with all given back."""
    block, other = block_of(device, range(64)), device.alloc(256, True)
    one, two, event = device.new_stream(), device.new_stream(), device.new_event()
    program = device.load(source(ADD))
    for stream in (one, one, two):
        device.launch(program, [block], [5], (1, 1, 1), (64, 1, 1), 0, stream)
        device.record(event, stream)
        device.stream_wait(two, event)
    device.copy_in(block, 4, memoryview(bytes(8)), two)
    device.copy_within(other, 1, block, 0, 9, two)
    device.fill(other, 32, 32, b"ab" * 4, two)
    device.wait_event(event)
    read(device, other, two)
    device.close_event(event)
    device.unload(program)
    for stream in (one, two):
        device.close_stream(stream)
    for memory in (block, other):
        device.free(memory)


def left_over(watcher, then):
    before = watcher.objects()
    then()
    return {name: n - before.get(name, 0) for name, n in watcher.objects().items() if n != before.get(name, 0)}


def open_work_close():
    made = opened()
    work(made)
    made.close()


def test_everything_is_given_back(watcher):
    assert left_over(watcher, open_work_close) == {}


def test_a_missing_release_is_found(watcher, monkeypatch):
    from helix.backends.metal.device import MetalDevice

    monkeypatch.setattr(MetalDevice, "close_event", lambda self, event: None)
    assert left_over(watcher, open_work_close) == {"MTLSharedEvent": 1}


def test_work_after_a_commit_is_found(watcher, monkeypatch):
    from helix.backends.metal.stream import Stream

    def forgets(self):
        """As `commit`, but the open encoder stays in use."""
        if self.buffer:
            encoder = self.encoder
            self.metal.retain(encoder)
            commit(self)
            self.encoder = encoder

    commit, made = Stream.commit, opened()
    monkeypatch.setattr(Stream, "commit", forgets)
    block, program = block_of(made, range(64)), made.load(source(ADD))
    for _ in range(2):
        made.launch(program, [block], [1], (1, 1, 1), (64, 1, 1), 0, None)
    assert "dispatchThreadgroups:threadsPerThreadgroup: after endEncoding" in watcher.faults()


# ---- host code ----

ADD = """#include <metal_stdlib>
using namespace metal;
kernel void add(device int *x [[buffer(0)]], constant ulong *scalars [[buffer(1)]],
                uint item [[thread_position_in_threadgroup]]) {
  x[item] += int(uint(scalars[0]));
}
"""


def source(text, entry="add", group=64, options=""):
    return KernelSource("msl", text.encode(), entry, options, 1, ("int32",), (group, 1, 1), True)


def block_of(device, values):
    values = np.array(values, "i4")
    block = device.alloc(values.nbytes, False)
    device.copy_in(block, 0, memoryview(values).cast("B"), None)
    return block


def read(device, block, stream=None):
    out = np.zeros(block.nbytes // 4, "i4")
    device.copy_out(memoryview(out).cast("B"), block, 0, stream)
    return out.tolist()


def add(device, block, by, stream=None):
    device.launch(device.load(source(ADD)), [block], [by], (1, 1, 1), (64, 1, 1), 0, stream)


def test_a_copy_from_the_host_keeps_its_place_in_the_stream(device):
    block, data = block_of(device, range(64)), np.full(64, 7, "i4")
    add(device, block, 1)
    device.copy_in(block, 0, memoryview(data).cast("B")[:128], None)
    add(device, block, 2)
    data[:] = 99  # Metal has its own copy already, which is not promised
    assert read(device, block) == [9] * 32 + [n + 3 for n in range(32, 64)]


def test_a_copy_longer_than_what_is_staged(device, monkeypatch):
    monkeypatch.setattr("helix.backends.metal.device.STAGED", 64)
    block = block_of(device, range(64))
    add(device, block, 1)
    device.copy_in(block, 0, memoryview(np.arange(32, dtype="i4")).cast("B"), None)
    assert read(device, block) == [*range(32), *range(33, 65)]


def test_streams_wait_for_events(device):
    block, one, two, event = block_of(device, [0] * 64), device.new_stream(), device.new_stream(), device.new_event()
    assert device.query(event)
    add(device, block, 3, one)
    device.record(event, one)
    device.stream_wait(two, event)
    add(device, block, -4, two)
    assert not device.query(event)
    device.sync(two)
    assert device.query(event) and read(device, block) == [-1] * 64


def test_the_gpu_waits_for_an_event_without_the_host(device):
    block, other = block_of(device, [0] * 64), block_of(device, [0] * 64)
    one, two, first, last = device.new_stream(), device.new_stream(), device.new_event(), device.new_event()
    add(device, block, 3, one)
    device.record(first, one)
    device.stream_wait(two, first)
    device.copy_within(other, 0, block, 0, 256, two)
    device.record(last, two)
    asked = sum(1 for _ in iter(lambda: device.query(last), True))
    assert asked and read(device, other) == [3] * 64


def test_many_launches_fill_many_command_buffers(device, watcher):
    block, program = block_of(device, [0] * 64), device.load(source(ADD))
    for _ in range(5000):
        device.launch(program, [block], [1], (1, 1, 1), (64, 1, 1), 0, None)
    assert len(device.main.running) < 20
    assert read(device, block) == [5000] * 64


def test_work_that_fails_is_told_by_the_next_wait(device, watcher, capfd):
    block = block_of(device, range(64))
    watcher.fail_next(3)
    add(device, block, 1)
    with pytest.raises(RuntimeError, match="queued work failed: a failure that a test asked for"):
        device.sync()
    device.sync()
    add(device, block, 1)
    assert read(device, block) == [*range(1, 65)]


@pytest.mark.parametrize("code, kind", [(OUT_OF_MEMORY, MemoryError), (REMOVED, DeviceLostError)])
def test_kinds_of_failures(device, watcher, code, kind, capfd):
    watcher.fail_next(code)
    add(device, block_of(device, range(64)), 1)
    with pytest.raises(kind, match="a failure that a test asked for"):
        device.sync()


def test_a_stream_that_waits_for_work_that_fails(device, watcher, capfd):
    block, other = block_of(device, range(64)), block_of(device, range(64))
    one, two, event = device.new_stream(), device.new_stream(), device.new_event()
    add(device, block, 1, one)
    watcher.fail_next(3)
    device.record(event, one)
    device.stream_wait(two, event)
    add(device, other, 1, two)
    with pytest.raises(RuntimeError, match="queued work failed"):
        device.sync(two)
    assert read(device, other, two) == [*range(1, 65)]


def test_the_op_of_a_failed_launch_is_named(watcher, capfd):
    x = helix.ones(4, device="metal")
    assert (x * 2).tolist() == [2] * 4
    watcher.fail_next(3)
    with pytest.raises(DeviceError, match="Issued last: .*mul"):
        (x * 2).tolist()
    assert (x * 3).tolist() == [3] * 4


def test_memory_that_is_not_there(device, watcher):
    for nbytes in (1 << 29, 1 << 40):
        with pytest.raises(OutOfMemoryError, match="metal"):
            helix.empty(3, nbytes, dtype=helix.uint8, device="metal")
    free, total = device.mem_info()
    block = device.alloc(1 << 20, False)
    assert device.mem_info() == (free - (1 << 20), total)
    device.free(block)


def test_programs_that_cannot_be_made(device, monkeypatch):
    with pytest.raises(CompileError, match=r"HX5006 add: [\s\S]*program_source:5:.*nonsense"):
        device.load(source(ADD.replace("+= int", "+= nonsense")))
    with pytest.raises(CompileError, match="HX5006 sub: the text has no kernel of this name"):
        device.load(source(ADD, "sub"))
    with pytest.raises(CompileError, match="takes no compiler options"):
        device.load(source(ADD, options="-O3"))
    monkeypatch.setenv("EMULATION_MAX_GROUP", "32")
    with pytest.raises(NotImplementedError, match="add: groups of 64 items, of which the GPU takes 32"):
        device.load(source(ADD))


@pytest.mark.parametrize("version", ["13.0", "15.1"])
def test_fast_math_is_off(device, watcher, monkeypatch, version):
    monkeypatch.setenv("EMULATION_MACOS", version)
    device.unload(device.load(source(ADD)))
    monkeypatch.setattr("helix.backends.metal.device.SAFE_MATH", 2)
    device.unload(device.load(source(ADD)))
    assert bool(watcher.faults()) == (version == "15.1")  # before macOS 15 there is no mode


def test_memory_of_others(device, watcher):
    block = block_of(device, range(64))
    same = device.import_native(device.native_number(block), 256)
    device.free(block)
    assert read(device, same) == [*range(64)]
    with pytest.raises(ValueError, match="holds 256 bytes, 257 are asked for"):
        device.import_native(device.native_number(same), 257)
    device.free(same)


# ---- why there is no device ----


@pytest.mark.parametrize(
    "name, value, reason",
    [
        ("EMULATION_MACOS", "12.6", "helix needs macOS 13 or later for Metal; this is macOS 12.6."),
        ("EMULATION_DEVICES", "0", "macOS offers this process no Metal device"),
        ("EMULATION_FAMILY", "2002", "emulated GPU is no Apple GPU: helix needs a Mac with Apple silicon"),
    ],
)
def test_reasons(monkeypatch, name, value, reason, watcher):
    from .metal_device import emulated

    before = watcher.objects()
    monkeypatch.setenv(name, value)
    found = emulated().probe()
    assert not found.ok and found.reason.startswith(reason)
    assert watcher.objects() == before


@pytest.mark.skipif(sys.platform == "darwin", reason="Metal is here")
def test_the_reason_on_other_systems(monkeypatch):
    from helix.backends.metal import backend

    monkeypatch.delenv("HELIX_METAL_LIBRARY", raising=False)
    assert backend().probe().reason == f"Metal is a part of macOS, which this is not ({sys.platform})."


def test_the_end_of_a_program_that_gives_nothing_back():
    text = (
        "import sys; sys.path.insert(0, '.')\nfrom tests.backends.metal_device import register\nwatcher = register()\n"
        "import helix\nx = helix.ones(1000, device='metal')\nprint((x * 2).sum().item(), watcher.faults())"
    )
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=100, cwd=ROOT,
        env=os.environ
        | {
            "EMULATION_STRICT": "1",
            "HELIX_METAL_LIBRARY": str(libraries.metal()),
            "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path),
        },
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "2000.0", "")
