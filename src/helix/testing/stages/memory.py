"""t1_memory: blocks hold what was put into them, where it was put."""

from __future__ import annotations

import functools
import gc
import os
from collections.abc import Iterator

import numpy

import helix

from ..arguments import LAYOUTS, array_of, tensor_of
from ..case import Case, NotOffered, Target
from ..slots import MEMORY_CODE, SlotError, Slots, noise
from . import listed

SIZES = (1, 2, 3, 7, 64, 255, 4096, 65537, (1 << 20) + 1)


def round_trips(target: Target) -> str | None:
    slots = Slots(target.name)
    for nbytes in SIZES:
        with slots.block(nbytes) as block:
            data = noise(nbytes)
            slots.put(block, data)
            assert slots.get(block, nbytes) == data, f"{nbytes} bytes come back changed"
    return None


def offsets_of_copies_in(target: Target) -> str | None:
    slots = Slots(target.name)
    with slots.block(256) as block:
        for offset, nbytes in ((0, 5), (1, 1), (3, 64), (17, 100), (255, 1), (128, 128)):
            model = bytearray(noise(256))
            slots.put(block, bytes(model))
            model[offset : offset + nbytes] = noise(nbytes, 1)
            slots.put(block, noise(nbytes, 1), offset)
            assert slots.get(block, 256) == model, f"{nbytes} bytes to offset {offset} land elsewhere"
    return None


def offsets_of_copies_out(target: Target) -> str | None:
    slots = Slots(target.name)
    with slots.block(256) as block:
        data = noise(256)
        slots.put(block, data)
        for offset, nbytes in ((0, 5), (1, 1), (3, 64), (17, 100), (255, 1), (128, 128)):
            assert slots.get(block, nbytes, offset) == data[offset : offset + nbytes], f"at offset {offset}"
    return None


def copies_within(target: Target) -> str | None:
    slots = Slots(target.name)
    with slots.block(300) as one, slots.block(200) as two:
        first, second = noise(300), bytearray(noise(200, 1))
        slots.put(one, first)
        slots.put(two, bytes(second))
        for at, offset, nbytes in ((0, 0, 200), (7, 99, 13), (199, 299, 1), (50, 3, 0)):
            slots.within(two, at, one, offset, nbytes)
            second[at : at + nbytes] = first[offset : offset + nbytes]
            assert slots.get(two, 200) == second, f"{nbytes} bytes from {offset} to {at}"
    return None


def copies_of_rows(target: Target) -> str | None:
    slots = Slots(target.name)
    with slots.block(100) as block:
        slots.put(block, bytes(100))
        slots.rows(block, noise(30), rows=5, width=6, pitch=20)
        wanted = b"".join(noise(30)[6 * i : 6 * i + 6] + bytes(14) for i in range(5))
        assert slots.get(block, 100) == wanted, "5 rows of 6 bytes, 20 bytes apart"
    return None


def copies_of_nothing(target: Target) -> str | None:
    slots = Slots(target.name)
    with slots.block(8) as block:
        slots.put(block, b"12345678")
        slots.put(block, b"", 8)
        assert slots.get(block, 0, 8) == b"" and slots.get(block, 8) == b"12345678"
    return None


def fills(target: Target) -> str | None:
    slots = Slots(target.name)
    slots.need("fill")
    with slots.block(192) as block:
        for width in (1, 2, 4, 8, 16):
            for offset, count in ((0, 3), (width, 1), (2 * width, 5), (16, 64 // width)):
                model = bytearray(noise(192))
                slots.put(block, bytes(model))
                slots.fill(block, offset, count * width, noise(width, width))
                model[offset : offset + count * width] = noise(width, width) * count
                assert slots.get(block, 192) == model, f"{count} patterns of {width} bytes at offset {offset}"
    return None


def blocks_are_apart(target: Target) -> str | None:
    slots = Slots(target.name)
    blocks = [slots.alloc(size) for size in (1, 16, 100, 4096) * 8]
    try:
        for number, block in enumerate(blocks):
            slots.put(block, noise(block.nbytes, number))
        for number, block in enumerate(blocks):
            assert slots.get(block, block.nbytes) == noise(block.nbytes, number), f"block {number} was written over"
    finally:
        for block in blocks:
            slots.free(block)
    return None


def says_when_there_is_none(target: Target) -> str | None:
    """More memory than any machine has is HX_E_MEMORY, and the device goes on."""
    slots = Slots(target.name)
    try:
        slots.free(slots.alloc(1 << 60))
    except SlotError as error:
        assert error.code == MEMORY_CODE, f"{error}; it must be {MEMORY_CODE} (HX_E_MEMORY)"
        return round_trips(target)
    raise AssertionError("it gave 2^60 bytes")


def gives_memory_back(target: Target) -> str | None:
    """Many blocks one after the other: neither the device's memory nor the process grows."""
    slots, size = Slots(target.name), 4 << 20
    data = bytes(size)

    def churn(times: int) -> None:
        for _ in range(times):
            with slots.block(size) as block:
                slots.put(block, data)

    churn(24)  # a collector or a pool may keep that much, but not as much again each time
    lost, grown = [], []
    for _ in range(3):
        gc.collect()
        free, resident = slots.memory()[0] if "mem_info" in slots else 0, _resident()
        churn(24)
        gc.collect()
        lost.append(free - slots.memory()[0] if "mem_info" in slots else 0)
        grown.append(_resident() - resident)
    for who, sizes in (("mem_info counts", lost), ("the process holds", grown)):
        least = min(sizes)
        assert least < 8 * size, f"{who} {least >> 20} MiB more memory each time 24 blocks of 4 MiB came and went"
    return None


def _resident() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def tensors_of_every_dtype(target: Target) -> str:
    kept, refused = [], []
    for name in helix.dtypes.TYPES:
        x = tensor_of(numpy.arange(24).reshape(4, 6) % 2).to(getattr(helix, name))
        try:
            there = x.to(target.name)
        except helix.errors.HelixError:
            refused.append(name)
            continue
        assert there.dtype == x.dtype and (array_of(there) == array_of(x)).all(), f"{name} comes back changed"
        kept.append(name)
    assert "float32" in kept, "float32 cannot be stored"
    return f"not stored: {', '.join(refused)}" if refused else ""


def view_of_a_tensor(name: str, target: Target) -> None:
    """Copied back to the host; a view with gaps needs a kernel that copies by strides."""
    memory, view = LAYOUTS[name]((3, 4))
    base = tensor_of(numpy.arange(numpy.prod(memory), dtype=numpy.float32).reshape(memory))
    assert (array_of(view(base.to(target.name))) == array_of(view(base))).all()


def tensors_without_elements_or_axes(target: Target) -> None:
    for odd in (helix.zeros(0), helix.zeros(3, 0, 2), helix.tensor(7.5)):
        back = odd.to(target.name).to("cpu")
        assert back.shape == odd.shape and back.tolist() == odd.tolist(), f"shape {tuple(odd.shape)}"


def beyond_4_gib(target: Target) -> str | None:
    if target.profile != "full" or target.facts["total_memory"] < 6 << 30:
        raise NotOffered("profile full, on a device with 6 GiB")
    slots, far = Slots(target.name), 1 << 32
    with slots.block(far + 4096) as block:
        slots.put(block, b"low memory", 5)
        slots.put(block, b"high memory", far + 5)
        assert slots.get(block, 10, 5) == b"low memory" and slots.get(block, 11, far + 5) == b"high memory"
    return None


CASES = (
    round_trips, offsets_of_copies_in, offsets_of_copies_out, copies_within, copies_of_rows, copies_of_nothing, fills,
    blocks_are_apart, says_when_there_is_none, gives_memory_back, tensors_of_every_dtype,
    tensors_without_elements_or_axes, beyond_4_gib,
)  # fmt: skip


def cases(target: Target) -> Iterator[Case]:
    yield from listed("t1_memory", {case.__name__: case for case in CASES})
    for name in LAYOUTS:
        yield Case("t1_memory", f"view/{name}", functools.partial(view_of_a_tensor, name))
