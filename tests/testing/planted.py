"""A whole little backend over NumPy, and versions of it that are wrong in one way.

    python -m tests.testing.planted < plan.json

runs the kit on some of them in a process of its own, as backends stay registered.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections import deque
from pathlib import Path

import numpy

from helix.backends import Availability, Backend, Device, DeviceInfo, native, register

ROOT = Path(__file__).resolve().parents[2]


class Whole(Device):
    """Work waits in a queue a stream until somebody asks for it."""

    def __init__(self, index=0):
        super().__init__(index)
        self.queues = {None: deque()}

    def issue(self, stream, work):
        self.queues[stream].append(work)

    def run(self, stream):
        queue = self.queues[stream]
        while queue:
            queue.popleft()()

    def alloc(self, nbytes, pinned):
        if nbytes > 1 << 40:
            raise MemoryError("no such memory")
        return numpy.zeros(nbytes, numpy.uint8)

    def free(self, block):
        self.sync()

    def copy_in(self, block, offset, source, stream):
        def work():
            block[offset : offset + len(source)] = numpy.frombuffer(source, numpy.uint8)

        self.issue(stream, work)

    def copy_out(self, target, block, offset, stream):
        def work():
            numpy.frombuffer(target, numpy.uint8)[:] = block[offset : offset + len(target)]

        self.issue(stream, work)

    def copy_within(self, target, target_offset, source, source_offset, nbytes, stream):
        def work():
            target[target_offset : target_offset + nbytes] = source[source_offset : source_offset + nbytes]

        self.issue(stream, work)

    def fill(self, block, offset, nbytes, pattern, stream):
        def work():
            block[offset : offset + nbytes] = numpy.resize(numpy.frombuffer(pattern, numpy.uint8), nbytes)

        self.issue(stream, work)

    def sync(self, stream=None):
        for each in [stream] if stream is not None else list(self.queues):
            self.run(each)

    # Streams and events are numbers.

    def new_stream(self):
        self.queues[len(self.queues)] = deque()
        return len(self.queues) - 1

    def close_stream(self, stream):
        self.run(stream)

    def new_event(self):
        return []

    def close_event(self, event):
        event.clear()

    def record(self, event, stream):
        done = []
        event[:] = [stream, done]
        self.issue(stream, lambda: done.append(True))

    def query(self, event):
        if event and not event[1]:
            self.run(event[0])
        return True

    def wait_event(self, event):
        self.query(event)

    def stream_wait(self, stream, event):
        here = list(event)
        self.issue(stream, lambda: None if here[1] else self.run(here[0]))

    # Kernels wait for their turn, too.

    def array(self, view):
        if view.value is not None:
            return numpy.asarray(view.value, view.dtype)
        typed = view.memory[view.offset % numpy.dtype(view.dtype).itemsize :]
        typed = typed[: typed.size // numpy.dtype(view.dtype).itemsize * numpy.dtype(view.dtype).itemsize].view(
            view.dtype
        )
        start = typed[view.offset // typed.itemsize :]
        if 0 in view.shape:
            return numpy.zeros(view.shape, view.dtype)
        low = -sum((n - 1) * s for n, s in zip(view.shape, view.strides) if s < 0)
        whole = typed[view.offset // typed.itemsize - low :] if low else start
        strided = numpy.lib.stride_tricks.as_strided
        if low:  # negative strides reach back from the first element
            return strided(whole[low:], view.shape, [s * typed.itemsize for s in view.strides])
        return strided(start, view.shape, [s * typed.itemsize for s in view.strides])

    def compute(self, call, function):
        def work():
            self.array(call.outputs[0])[...] = function(*map(self.array, call.inputs))

        self.issue(call.stream, work)

    @native("cast", dtypes="float32 float64 int64 int32 bool", check="plain_cast")
    def cast(self, call):
        self.compute(call, lambda x: x)

    def plain_cast(self, call):
        return set(call.attributes) == {"dtype"} and "bfloat16" not in call.attributes["dtype"]

    @native("add", check="plain_add")
    def add(self, call):
        self.compute(call, lambda x, y: x + call.attributes["alpha"] * y)

    def plain_add(self, call):
        return set(call.attributes) == {"alpha"} and call.inputs[1].dtype == "float32"

    @native("mul", check="same_dtype")
    def mul(self, call):
        self.compute(call, numpy.multiply)

    def same_dtype(self, call):
        return not call.attributes and len({v.dtype for v in call.inputs}) == 1

    @native("neg", check="same_dtype")
    def neg(self, call):
        self.compute(call, numpy.negative)

    @native("relu", check="same_dtype")
    def relu(self, call):
        self.compute(call, lambda x: numpy.where(x < 0, numpy.float32(0), x))

    @native("tanh", check="same_dtype")
    def tanh(self, call):
        self.compute(call, numpy.tanh)

    @native("tanh_backward", check="same_dtype")
    def tanh_backward(self, call):
        self.compute(call, lambda g, y: g * (1 - y * y))


def device(name, device_class, abi):
    """Makes a device of the class."""

    class Planted(Backend):
        def probe(self):
            return Availability([DeviceInfo(name="planted")])

    Planted.name, Planted.device_class, Planted.abi = name, device_class, tuple(abi)
    register(name, Planted)


# ---- faults ----


class ForgetsOffset(Whole):
    def copy_in(self, block, offset, source, stream):
        super().copy_in(block, 0, source, stream)


class ForgetsOffsetOut(Whole):
    def copy_out(self, target, block, offset, stream):
        super().copy_out(target, block, 0, stream)


class FillsByBytes(Whole):
    def fill(self, block, offset, nbytes, pattern, stream):
        super().fill(block, offset, nbytes, pattern[:1], stream)


class Leaks(Whole):
    def __init__(self, index=0):
        super().__init__(index)
        self.lost = []

    def alloc(self, nbytes, pinned):
        self.lost.append(super().alloc(nbytes, pinned))
        return self.lost[-1]


class GivesWhatIsNotThere(Whole):
    def alloc(self, nbytes, pinned):
        return numpy.zeros(min(nbytes, 1 << 20), numpy.uint8)


class SharesBlocks(Whole):
    def alloc(self, nbytes, pinned):
        made = super().alloc(nbytes, pinned)
        self.last = getattr(self, "last", made)
        return self.last[:nbytes] if self.last.size >= nbytes else made


class LastFirst(Whole):
    def run(self, stream):
        queue = self.queues[stream]
        while queue:
            queue.pop()()


class DeafStreams(Whole):
    def stream_wait(self, stream, event):
        pass


class SyncsOneStream(Whole):
    def sync(self, stream=None):
        self.run(stream)


class IgnoresStrides(Whole):
    @native("neg", check="same_dtype")
    def neg(self, call):
        def work():
            source, target = call.inputs[0], call.outputs[0]
            start = source.memory[source.offset :][: 4 * source.numel].view("float32")
            self.array(target).reshape(-1)[:] = -numpy.resize(start, source.numel)

        self.issue(call.stream, work)


class IgnoresAlpha(Whole):
    @native("add", check="plain_add")
    def add(self, call):
        self.compute(call, numpy.add)


class ClaimsWhatItHasNot(Whole):
    """op_query says yes to relu of whole numbers, too; the kernel leaves them as they are."""

    @native("relu", dtypes="float32 int64", check="same_dtype")
    def relu(self, call):
        self.compute(call, lambda x: numpy.maximum(x, 0) if x.dtype.kind == "f" else x)


class KnowsAllAttributes(Whole):
    @native("neg", check="anything")
    def neg(self, call):
        self.compute(call, numpy.negative)

    def anything(self, call):
        return True


class Store(Whole):
    """Memory, and no kernel."""

    natives = {}


class FloatAtomics(Whole):
    """The last bits depend on who comes first: here, they take turns."""

    turns = itertools.cycle((0, 2**-23))

    @native("tanh", check="same_dtype")
    def tanh(self, call):
        self.compute(call, lambda x: numpy.tanh(x) + numpy.float32(next(self.turns)))


class WrongGradient(Whole):
    @native("tanh_backward", check="same_dtype")
    def tanh_backward(self, call):
        self.compute(call, lambda g, y: g * (1 - y))


class OwnRandom(Whole):
    """Its uniform numbers are good, and its own."""

    @native("rand", check="floats")
    def rand(self, call):
        self.compute(call, lambda: numpy.random.default_rng(1).random(call.outputs[0].shape, numpy.float32))

    def floats(self, call):
        return call.outputs[0].dtype == "float32"


class Tires(Whole):
    """After a thousand kernels nothing happens any more."""

    left = 1000

    @native("add", check="plain_add")
    def add(self, call):
        self.left -= 1
        if self.left >= 0:
            self.compute(call, lambda x, y: x + call.attributes["alpha"] * y)


# ---- the process ----


def results(plan):
    """What the kit says to each item of a plan: a class's name and keywords of `conformance.run`, 14 items at most."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.testing.planted"],
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def main():
    from helix.testing import conformance
    from helix.testing.case import Target

    answers = []
    for number, (class_name, options) in enumerate(json.load(sys.stdin)):
        name = f"planted{number}"
        device(name, globals()[class_name], options.pop("abi", (1, 0)))
        target = Target(f"{name}:0", options.pop("profile", "core"))
        stages = tuple(options.pop("stages", ())) or None
        found = conformance.run(target, stages, known=options.pop("known", {}), **options)
        answers.append([result.record() for result in found])
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
