"""Passes that bring a kernel down to what a target has: each rewrites some instructions and keeps the rest."""

from __future__ import annotations

from functools import lru_cache

from helix.kernel import numeric, polynomials
from helix.kernel.build import Builder, Memory
from helix.kernel.ir import FUNCTIONS, Buffer, Kernel, UnsupportedError
from helix.kernel.kept import Kept
from helix.kernel.written import Written

# How what is only stored is kept: the dtype of the same size whose bits it is.
_CARRIERS = {"bool": "u8", "f16": "u16", "bf16": "u16"}


def legalize(kernel: Kernel, renderer) -> Kernel:
    """The same kernel in the instructions and dtypes of a renderer."""
    missing = {i.op for i in kernel.body if i.op in FUNCTIONS and i.op not in renderer.functions}
    while missing:
        kernel = _rewrite(kernel, dict.fromkeys(missing, _expand))
        missing = {i.op for i in kernel.body if i.op in FUNCTIONS and i.op not in renderer.functions}
    carried = {b.dtype for b in kernel.buffers if b.dtype in _CARRIERS and b.dtype not in renderer.storage}
    if carried:
        kernel = _carry(kernel, carried)
    return _pack(kernel) if renderer.words else kernel


def merge_buffers(kernel, same: tuple[int, ...]):
    """The kernel with buffer b bound as buffer same[b]: for targets that bind a block once."""
    if isinstance(kernel, Written):
        return kernel.merged(same)
    kept = sorted(set(same))
    place = {b: kept.index(same[b]) for b in range(len(same))}
    buffers = [
        Buffer(
            kernel.buffers[b].name,
            kernel.buffers[b].dtype,
            any(o.written for n, o in enumerate(kernel.buffers) if same[n] == b),
        )
        for b in kept
    ]
    for b, old in enumerate(kernel.buffers):
        if old.dtype != kernel.buffers[same[b]].dtype:
            raise UnsupportedError(f"{kernel.name}: one block holds {old.dtype} and {kernel.buffers[same[b]].dtype}")

    if isinstance(kernel, Kept):
        return kernel.merged(same, tuple(buffers))

    def rebind(k, i, args):
        return k.emit(i.op, i.dtype, *args, attr=place[i.attr])

    return _rewrite(kernel, dict.fromkeys(("load", "store", "atomic_and", "atomic_or"), rebind), buffers)


def _rewrite(kernel, rules, buffers=None):
    """A copy in which rules[op](builder, instruction, arguments) stands for each instruction it answers for."""
    k = Builder(kernel.name.removeprefix("helix_"), kernel.group, exact=kernel.exact)
    k.buffers, k.scalars, k.arrays = list(buffers or kernel.buffers), list(kernel.scalars), list(kernel.shared)
    made = []
    for i in kernel.body:
        args = [made[a] for a in i.args]
        rule = rules.get(i.op)
        value = rule(k, i, args) if rule else NotImplemented
        if value is NotImplemented:
            attr = made[i.attr].number if i.op in ("get", "set") else i.attr
            value = k.emit(i.op, i.dtype, *args, attr=attr)
        made.append(value)
    return k.finish()


def _expand(k, i, args):
    expansion = polynomials.EXPANSIONS.get(i.op)
    if i.dtype != "f32" or expansion is None:
        raise UnsupportedError(f"{k.name}: no {i.op} of {i.dtype} on this target")
    return expansion(*args)


def _carry(kernel, carried):
    """bool and halves as the bits that hold them."""
    buffers = [Buffer(b.name, _CARRIERS[b.dtype], b.written) if b.dtype in carried else b for b in kernel.buffers]
    widen = {"bool": lambda v: v != 0, "f16": numeric.float_of_half, "bf16": numeric.float_of_bfloat}
    narrow = {"bool": lambda v: v.to("u32"), "f16": numeric.half_of_float, "bf16": numeric.bfloat_of_float}

    def load(k, i, args):
        dtype = kernel.buffers[i.attr].dtype
        return widen[dtype](k.emit("load", "u32", *args, attr=i.attr)) if dtype in carried else NotImplemented

    def store(k, i, args):
        dtype = kernel.buffers[i.attr].dtype
        if dtype not in carried:
            return NotImplemented
        return k.emit("store", "", args[0], narrow[dtype](args[1]), attr=i.attr)

    return _rewrite(kernel, {"load": load, "store": store}, buffers)


def _pack(kernel):
    """8 and 16-bit elements as parts of u32 words. A store changes its own bits alone, atomically."""
    small = {n: b.dtype for n, b in enumerate(kernel.buffers) if b.dtype in ("i8", "u8", "i16", "u16")}
    if not small:
        return kernel
    buffers = [Buffer(b.name, "u32" if n in small else b.dtype, b.written) for n, b in enumerate(kernel.buffers)]

    def place(index, dtype):
        """Number of the word, and of the element's first bit in it."""
        per = 4 if dtype.endswith("8") else 2
        unsigned = index.to("u32")
        return unsigned >> (2 if per == 4 else 1), (unsigned & (per - 1)) << (3 if per == 4 else 4)

    def load(k, i, args):
        dtype = small.get(i.attr)
        if dtype is None:
            return NotImplemented
        word, shift = place(args[0], dtype)
        value, bits = Memory(k, i.attr, "u32", "")[word] >> shift, int(dtype[1:])
        if dtype[0] == "u":
            return value & ((1 << bits) - 1)
        return (value << (32 - bits)).bits("i32") >> (32 - bits)

    def store(k, i, args):
        dtype = small.get(i.attr)
        if dtype is None:
            return NotImplemented
        word, shift = place(args[0], dtype)
        mask = k.const((1 << int(dtype[1:])) - 1, "u32")
        k.emit("atomic_and", "", word, ~(mask << shift), attr=i.attr)
        return k.emit("atomic_or", "", word, (args[1].bits("u32") & mask) << shift, attr=i.attr)

    return _rewrite(kernel, {"load": load, "store": store}, buffers)


def _carried(dtype, renderer):
    return dtype if dtype in renderer.storage else _CARRIERS.get(dtype, dtype)


@lru_cache(maxsize=4096)
def source_of(kernel: Kernel | Kept | Written, renderer) -> str:
    """The text of a kernel for one target."""
    if isinstance(kernel, Kept):
        return kernel.text(renderer, lambda whole: renderer().render(legalize(whole, renderer)))
    if isinstance(kernel, Written):
        return renderer().enclose(kernel.stored_as(lambda dtype: _carried(dtype, renderer)))
    return renderer().render(legalize(kernel, renderer))
