"""t2_order: a stream is a queue, events order streams, and the host sees what it waited for."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import numpy

import helix

from ..arguments import array_of, tensor_of
from ..case import Case, NotOffered, Target
from ..slots import Slots, noise
from . import listed


def a_queue_keeps_its_order(target: Target) -> str | None:
    """Two hundred copies back and forth without a wait between, against bytes on the host."""
    slots, dice = Slots(target.name), random.Random(1)
    with slots.block(64) as one, slots.block(64) as two:
        blocks, models = (one, two), (bytearray(64), bytearray(64))
        for block in blocks:
            slots.put(block, bytes(64))
        for step in range(200):
            to, size, at, start = dice.randrange(2), dice.randrange(1, 16), dice.randrange(48), dice.randrange(48)
            if dice.random() < 0.5:
                data = noise(size, step)
                slots.put(blocks[to], data, at)
                models[to][at : at + size] = data
            else:
                slots.within(blocks[to], at, blocks[1 - to], start, size)
                models[to][at : at + size] = models[1 - to][start : start + size]
        for block, model in zip(blocks, models, strict=True):
            assert slots.get(block, 64) == model, "later work does not see earlier work of its stream"
    return None


def copies_out_wait_for_copies_in(target: Target) -> str | None:
    slots = Slots(target.name)
    with slots.block(1 << 16) as block:
        for seed in range(8):
            slots.put(block, noise(1 << 16, seed))
            host = slots.ask(block, 1 << 16)
            slots.put(block, bytes(1 << 16))
            slots.sync()
            assert host.raw == noise(1 << 16, seed), "a copy to the host saw other work than what stands before it"
    return None


def host_memory_is_free_after_sync(target: Target) -> str | None:
    slots = Slots(target.name)
    with slots.block(4096) as block:
        host = slots.put(block, noise(4096))
        slots.sync()
        host.raw = bytes(4096)
        assert slots.get(block, 4096) == noise(4096), "host memory is read after the sync"
    return None


def streams_by_event(target: Target) -> str | None:
    slots = Slots(target.name)
    slots.need("stream_wait_event")
    with slots.block(4096) as block, slots.block(4096) as other, slots.stream() as one, slots.stream() as two:
        for seed in range(8):
            with slots.event() as event:
                slots.put(block, noise(4096, seed), 0, one)
                slots.call("event_record", event, one)
                slots.call("stream_wait_event", two, event)
                slots.within(other, 0, block, 0, 4096, two)
                got = slots.get(other, 4096, 0, two)
                assert got == noise(4096, seed), "a stream does not wait for the event"
                slots.sync()
    return None


def events_end(target: Target) -> str | None:
    slots = Slots(target.name)
    slots.need("event_query", "event_sync")
    with slots.block(4096) as block, slots.event() as event:
        slots.put(block, noise(4096))
        host = slots.ask(block, 4096)
        slots.call("event_record", event, None)
        slots.call("event_sync", event)
        assert host.raw == noise(4096), "event_sync comes back before the work is done"
        assert slots.done(event), "event_query says no after event_sync"
    return None


def sync_waits_for_all_streams(target: Target) -> str | None:
    slots = Slots(target.name)
    with slots.block(4096) as block, slots.stream() as stream:
        slots.put(block, noise(4096), 0, stream)
        host = slots.ask(block, 4096, 0, stream)
        slots.call("sync", None)
        assert host.raw == noise(4096), "sync without a stream does not wait for all of them"
    return None


def freed_memory_is_reused_in_order(target: Target) -> str | None:
    values = numpy.arange(3000, dtype=numpy.float32)
    kept = []
    for step in range(60):
        there = tensor_of(values + step).to(target.name)
        kept.append(there[step : step + 7])
        del there
        tensor_of(values * 0 - 1).to(target.name)
    for step, piece in enumerate(kept):
        assert (array_of(piece) == values[step : step + 7] + step).all(), f"tensor {step} was written over"
    return None


def threads(target: Target) -> str | None:
    wrong: list[str] = []

    def work(number: int) -> None:
        try:
            for step in range(25):
                values = numpy.full(257, 100 * number + step, numpy.int32)
                if not (array_of(tensor_of(values).to(target.name)) == values).all():
                    wrong.append(f"thread {number} reads another's values")
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")

    workers = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong, wrong[0]
    return None


def to_the_next_device(target: Target) -> str | None:
    count = next(count for name, _, _, count, _ in helix._core.registered_backends() if name == target.backend)
    if count < 2:
        raise NotOffered("one device")
    peer = f"{target.backend}:{(int(target.name.partition(':')[2]) + 1) % count}"
    x = tensor_of(numpy.arange(5000, dtype=numpy.int64))
    for _ in range(4):
        there = x.to(target.name).to(peer)
        assert str(there.device) == peer and (array_of(there.to(target.name)) == array_of(x)).all()
    return None


CASES = (
    a_queue_keeps_its_order, copies_out_wait_for_copies_in, host_memory_is_free_after_sync, streams_by_event,
    events_end, sync_waits_for_all_streams, freed_memory_is_reused_in_order, threads, to_the_next_device,
)  # fmt: skip


def cases(target: Target) -> Iterator[Case]:
    return listed("t2_order", {case.__name__: case for case in CASES})
