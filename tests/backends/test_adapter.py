"""Backends written in Python, through the adapter: slots, errors and their causes, frees, threads, the end."""

import ctypes
import subprocess
import sys
import threading
import traceback

import pytest

import helix
from helix.backends import Device, native

from ..host_memory import HostMemory, offer


class Shelf(HostMemory):
    """`broken` names the method that raises `error`."""

    broken, error = "", None
    log = []

    def _maybe(self, method):
        self.log.append(method)
        if method == self.broken:
            raise self.error

    def alloc(self, nbytes, pinned):
        self._maybe("alloc")
        return super().alloc(nbytes, pinned)

    def free(self, block):
        self._maybe("free")
        super().free(block)

    def copy_in(self, block, offset, source, stream):
        self._maybe("copy_in")
        super().copy_in(block, offset, source, stream)

    def copy_out(self, target, block, offset, stream):
        self._maybe("copy_out")
        super().copy_out(target, block, offset, stream)

    def sync(self, stream=None):
        self._maybe("sync")

    @native("neg", dtypes="float32", contiguous=True)
    def neg(self, call):
        self._maybe("neg")
        source, target = call.inputs[0], call.outputs[0]
        n, start, to = source.numel, source.offset, target.offset
        values = memoryview(source.memory)[start : start + 4 * n].cast("f")
        target.memory[to : to + 4 * n] = memoryview(bytearray(4 * n)).cast("f").cast("B")
        result = memoryview(target.memory)[to : to + 4 * n].cast("f")
        for i in range(n):
            result[i] = -values[i]


offer(Shelf)


@pytest.fixture(autouse=True)
def whole():
    yield
    Shelf.broken, Shelf.error = "", None


def broken(method, error):
    Shelf.broken, Shelf.error = method, error


def test_values_go_there_and_back():
    x = helix.tensor([[1.5, -2.0], [0.0, 3.0]]).to("shelf")
    assert str(x.device) == "shelf:0" and x.device.type == "shelf"
    assert x.tolist() == [[1.5, -2.0], [0.0, 3.0]]
    assert (-x).tolist() == [[-1.5, 2.0], [0.0, -3.0]]


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("alloc", lambda x: helix.tensor([1.0] * 900).to("shelf")),
        ("copy_in", lambda x: helix.tensor([1.0] * 901).to("shelf")),
        ("copy_out", lambda x: x.tolist()),
        ("sync", lambda x: x.tolist()),
        ("neg", lambda x: -x),
    ],
)
@pytest.mark.parametrize(
    ("raised", "expected", "code"),
    [
        (MemoryError("the shelf is full"), helix.errors.OutOfMemoryError, "HX1402"),
        (ZeroDivisionError("a fault"), helix.errors.DeviceError, "HX5003"),
        (NotImplementedError("not yet"), helix.errors.UnsupportedOpError, "HX1701"),
    ],
)
def test_an_exception_becomes_an_error_with_its_cause(method, call, raised, expected, code):
    x = helix.tensor([1.0, 2.0]).to("shelf")
    helix.empty_cache()
    broken(method, raised)
    with pytest.raises(expected) as caught:
        call(x)
    assert str(raised) in str(caught.value) and "shelf:0" in str(caught.value)
    assert caught.value.code == code
    assert caught.value.__cause__ is raised
    assert "_maybe" in [frame.name for frame in traceback.extract_tb(raised.__traceback__)]
    broken("", None)
    assert (-x).tolist() == [-1.0, -2.0]
    with pytest.raises(helix.errors.ShapeError) as later:
        helix.zeros(2) + helix.zeros(3)
    assert later.value.__cause__ is None


def test_native_ops_are_inherited_and_replaced():
    class Taller(Shelf):
        @native("abs", dtypes="int8", deterministic=False)
        def absolute(self, call):
            pass

        @native("neg", dtypes="int8")
        def negative(self, call):
            pass

    assert set(Taller.natives) == {"neg", "abs"} and set(Shelf.natives) == {"neg"}
    assert Taller.natives["neg"].method == "negative" and Shelf.natives["neg"].dtypes == "float32"


def test_an_interrupt_stays_an_interrupt():
    x = helix.tensor([1.0]).to("shelf")
    broken("neg", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        -x


def test_an_error_of_helix_keeps_its_kind():
    x = helix.tensor([1.0]).to("shelf")
    broken("neg", helix.errors.ParameterError("HX1403 neg: no.", code="HX1403"))
    with pytest.raises(helix.errors.ParameterError, match="HX1403"):
        -x


def test_a_class_that_lacks_a_method_is_refused():
    class Refused(Device):
        def alloc(self, nbytes, pinned):
            return bytearray(nbytes)

        def launch(self, *arguments):
            pass

    offer(Refused)
    with pytest.raises(helix.errors.BackendUnavailable, match=r"lacks free, copy_in, copy_out, sync, load"):
        helix.device("refused")


def test_methods_not_overridden_leave_no_slot():
    slots = set(helix._core.device_slots("shelf"))
    assert slots == {"handle", "ctx", "mem_alloc", "mem_free", "copy", "sync", "op_query", "op_run"}


class Memory(ctypes.Structure):
    _fields_ = [("handle", ctypes.c_uint64), ("address", ctypes.c_void_p), ("nbytes", ctypes.c_uint64),
                ("kind", ctypes.c_uint32), ("flags", ctypes.c_uint32)]  # fmt: skip


class Slots:
    """The slots of a device, called as C calls them: without the GIL."""

    def __init__(self, device):
        self.at = helix._core.device_slots(device)
        self.device = ctypes.c_void_p(self.at["handle"])
        self.error = ctypes.create_string_buffer(1024)

    def call(self, slot, result, *arguments):
        return ctypes.CFUNCTYPE(result, *map(type, arguments))(self.at[slot])(*arguments)

    def alloc(self, nbytes):
        m = Memory()
        sizes = ctypes.c_uint64(nbytes), ctypes.c_uint32(0)
        assert not self.call("mem_alloc", ctypes.c_int32, self.device, *sizes, ctypes.pointer(m), self.error)
        return m

    def free(self, m):
        self.call("mem_free", None, self.device, ctypes.pointer(m))

    def sync(self):
        return self.call("sync", ctypes.c_int32, self.device, ctypes.c_void_p(), self.error)


def test_a_free_without_the_gil_waits_for_the_next_call():
    slots = Slots("shelf")
    blocks = [slots.alloc(8) for _ in range(50)]
    Shelf.log.clear()
    threads = [
        threading.Thread(target=lambda part=part: [*map(slots.free, part)]) for part in (blocks[::2], blocks[1::2])
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert Shelf.log == []
    assert slots.sync() == 0
    assert Shelf.log == ["sync", *["free"] * 50]


def test_a_block_that_was_given_back_is_not_found_again(monkeypatch):
    slots = Slots("shelf")
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    m = slots.alloc(8)
    slots.free(m)
    slots.sync()
    slots.alloc(8)  # takes the place of the first, under another number
    Shelf.log.clear()
    slots.free(m)
    slots.sync()
    assert Shelf.log == ["sync"] and "was given back" in str(told[0].exc_value)


def test_a_free_from_inside_a_method_of_the_device_comes_after_it():
    """As when the garbage collector runs there: the device is not entered a second time."""
    slots = Slots("shelf")
    kept, order = [slots.alloc(8)], []
    free = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(Memory))(slots.at["mem_free"])  # keeps the GIL

    def maybe(self, method):
        if method == "sync":
            order.append("sync begins")
            free(slots.device, ctypes.pointer(kept.pop()))
        order.append(method)

    original, Shelf._maybe = Shelf._maybe, maybe
    try:
        slots.sync()
    finally:
        Shelf._maybe = original
    assert order == ["sync begins", "sync", "free"]


def test_threads_take_turns():
    """Frees and calls from many threads: no deadlock, no block lost."""
    inside = []

    def work():
        for i in range(60):
            x = helix.tensor([float(i)] * 1100).to("shelf")
            inside.append((-x).tolist()[-1] == -float(i))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not any(t.is_alive() for t in threads)
    assert len(inside) == 240 and all(inside)


END = """
import helix, sys
sys.path.insert(0, {tests!r})
from tests.backends.test_adapter import Shelf
from tests.host_memory import offer
class Closing(Shelf):
    def close(self): print("close", len(self.log), self.log.count("free"))
offer(Closing)
x = helix.tensor([1.0] * 2000).to("closing")
Shelf.log.clear()
"""


def test_the_end_of_the_process_gives_memory_back_and_closes():
    from pathlib import Path

    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", END.format(tests=root)], capture_output=True, text=True, cwd=root, timeout=60
    )
    assert done.stdout == "close 1 1\n", done.stderr
    assert done.returncode == 0 and done.stderr == ""
