"""Random numbers with the CPU's bits: Philox by element number, and exact arithmetic on the words.

The kernels are marked exact; targets must give a correctly rounded square root and no contraction. What a target cannot
compute so (exponential values without float64) and what is drawn in sequence (randperm, multinomial) the host draws.
"""

from __future__ import annotations

import math

from helix.kernel import numeric as num
from helix.kernel import polynomials
from helix.kernel.build import Builder
from helix.kernel.elementwise import check, stored
from helix.kernel.ir import WIDE, UnsupportedError
from helix.kernel.kept import kernel
from helix.kernel.layout import Operand, coalesce, coordinates_of, layout_of, size_scalars, stride_scalars
from helix.kernel.plan import Derived, Number, Plan, Random, launch
from helix.kernel.registry import template


def philox(k, seed, stream, block):
    """Four words of a block. Salmon et al., SC'11: ten rounds of two products."""
    c = [block.to("u32"), k.const(0, "u32"), stream[0], stream[1]]
    if block.dtype == "i64":
        c[1] = (block >> 32).to("u32")
    keys = list(seed)
    for _ in range(10):
        m0, m1 = k.const(0xD2511F53, "u32"), k.const(0xCD9E8D57, "u32")
        high0, high1 = k.call("mulhi", m0, c[0]), k.call("mulhi", m1, c[2])
        c = [high1 ^ c[1] ^ keys[0], m1 * c[2], high0 ^ c[3] ^ keys[1], m0 * c[0]]
        keys = [keys[0] + 0x9E3779B9, keys[1] + 0xBB67AE85]
    return c


def _unit(words, dtype):
    """Four values in [0, 1) of a storage dtype. Halves draw no more bits than they hold."""
    drop, scale = {"f16": (21, 2.0**-11), "bf16": (24, 2.0**-8)}.get(dtype, (8, 2.0**-24))
    return [(w >> drop).to("f32") * scale for w in words]


def _uniform(a, words):
    return [a["low"] + a["width"] * u for u in _unit(words, a["dtype"])] if "low" in a else _unit(words, a["dtype"])


def _angle(w):
    """Sine and cosine of a turn given by 32 bits."""
    signed = w.bits("i32")
    quarter = ((signed >> 29) + 1) >> 1
    r = (w << 2).bits("i32").to("f32") * float.fromhex("0x1.921fb6p-32")
    z = r * r
    s = polynomials.horner(z, "0x1.71de3ap-19", "-0x1.a01a02p-13", "0x1.111112p-7", "-0x1.555556p-3")
    c = polynomials.horner(z, "0x1.a01a02p-16", "-0x1.6c16c2p-10", "0x1.555556p-5", "-0x1p-1", "0x1p0")
    s = r * (s * z + 1.0)
    odd = (quarter & 1) != 0
    u, v = odd.where(c, s), odd.where(s, c)
    sine = (u.bits("u32") ^ ((quarter & 2).bits("u32") << 30)).bits("f32")
    cosine = (v.bits("u32") ^ (((quarter + 1) & 2).bits("u32") << 30)).bits("f32")
    return sine, cosine


def _normal(a, words):
    """Box and Muller (1958): two words give two values."""
    found = []
    for first, second in ((words[0], words[1]), (words[2], words[3])):
        whole = ((first >> 8) + 1).to("f32") * 2.0**-24
        radius = first.builder.call("sqrt", polynomials.log(whole) * -2.0)
        sine, cosine = _angle(second)
        found += [radius * cosine, radius * sine]
    return [a["low"] + a["width"] * z for z in found] if "low" in a else [0.0 + 1.0 * z for z in found]


def _bernoulli(a, words):
    return [w.to("u64") < a["limit"] for w in words]


def _whole(a, words):
    """The high half of a 64-bit word times the range."""
    found = []
    for high, low in ((words[0], words[1]), (words[2], words[3])):
        word = (high.to("u64") << 32) | low.to("u64")
        found.append((a["low"].bits("u64") + a["low"].builder.call("mulhi", word, a["range"])).bits("i64"))
    return found


def _wide_uniform(a, words):
    found = []
    for high, low in ((words[0], words[1]), (words[2], words[3])):
        word = ((high.to("u64") << 32) | low.to("u64")) >> 11
        value = word.bits("i64").to("f64") * 2.0**-53
        found.append(a["low"] + a["width"] * value if "low" in a else value)
    return found


def _log_f64(x):
    """The CPU's logarithm of a normal float64, step by step."""
    k, low = x.builder, 0x3FE6A09E667F3BCD
    bits = x.bits("u64") - low
    e = (((bits + (2048 << 52)) >> 52) | 0x4330000000000000).bits("f64") - (2.0**52 + 2048.0)
    f = ((bits & 0xFFFFFFFFFFFFF) + low).bits("f64") - 1.0
    s = f / (k.const(2.0, "f64") + f)
    z, h = s * s, 0.5 * f * f
    p = polynomials.horner(
        z, "0x1.2f0d92c95c50ap-3", "0x1.39a0f4901409fp-3", "0x1.7466463160d8ep-3", "0x1.c71c51e7dced4p-3",
        "0x1.2492494217c87p-2", "0x1.999999997fb2ep-2", "0x1.5555555555593p-1",
    )  # fmt: skip
    tail = s * (h + p * z) + e * float.fromhex("0x1.a39ef35793c76p-33")
    return e * float.fromhex("0x1.62e42fee00000p-1") - ((h - tail) - f)


def _turn_f64(x):
    """The CPU's sine and cosine of a float64 in [0, 2 pi], step by step."""
    k, magic = x.builder, 1.5 * 2.0**52
    shifted = x * float.fromhex("0x1.45f306dc9c883p-1") + magic
    q, turns = shifted.bits("u64"), shifted - magic
    r = x - turns * float.fromhex("0x1.921fb50000000p+0") - turns * float.fromhex("0x1.110b460000000p-26")
    r = r - turns * float.fromhex("0x1.1a62633145c07p-54")
    z = r * r
    s = polynomials.horner(
        z, "0x1.5d924562eb3e0p-33", "-0x1.ae5e63c7e55c3p-26", "0x1.71de3574b1d74p-19", "-0x1.a01a019c0e400p-13",
        "0x1.111111110f861p-7", "-0x1.5555555555549p-3",
    )  # fmt: skip
    c = polynomials.horner(
        z, "-0x1.8fadd1d55115cp-37", "0x1.1ee9ea6f20a06p-29", "-0x1.27e4f807d8e76p-22", "0x1.a01a019caef5cp-16",
        "-0x1.6c16c16c15162p-10", "0x1.555555555554cp-5",
    )  # fmt: skip
    one = k.const(1.0, "f64")
    s, c = r * (one + z * s), one - 0.5 * z + z * z * c
    odd = (q & 1) != 0

    def signed(value, quarter):
        return (value.bits("u64") ^ ((quarter & 2) << 62)).bits("f64")

    return signed(odd.where(c, s), q), signed(odd.where(s, c), q + 1)


def _wide_normal(a, words):
    high, low = (((words[i].to("u64") << 32) | words[i + 1].to("u64")) >> 11 for i in (0, 2))
    radius = high.builder.call("sqrt", _log_f64((high + 1).bits("i64").to("f64") * 2.0**-53) * -2.0)
    sine, cosine = _turn_f64(low.bits("i64").to("f64") * 2.0**-53 * float.fromhex("0x1.921fb54442d18p+2"))
    found = [radius * cosine, radius * sine]
    return [a["low"] + a["width"] * z for z in found] if "low" in a else [0.0 + 1.0 * z for z in found]


def _exponential(a, words):
    found = []
    for high, low in ((words[0], words[1]), (words[2], words[3])):
        word = (((high.to("u64") << 32) | low.to("u64")) >> 11) + 1
        found.append(-_log_f64(word.bits("i64").to("f64") * 2.0**-53) * a["scale"])
    return found


_DRAWS = {
    "exponential": _exponential,
    "uniform": _uniform,
    "normal": _normal,
    "bernoulli": _bernoulli,
    "whole": _whole,
    "wide": _wide_uniform,
    "wide_normal": _wide_normal,
}
_SCALARS = {
    "exponential": (("scale", "f64"),),
    "bernoulli": (("limit", "u64"),),
    "whole": (("low", "i64"), ("range", "u64")),
}


@kernel
def _kernel(draw, dtype, layout, rank, bounded, group, index):
    k = Builder(f"random_{draw}", (group, 1, 1), index, exact=True)
    n, blocks = k.scalar("n"), k.scalar("blocks")
    sizes = [k.scalar(f"size{d}") for d in range(1, rank)]
    y = Operand(k, "y", dtype, layout, rank, written=True)
    state = [k.scalar(f"state{w}", "u32") for w in range(4)]
    a = {"dtype": dtype} | {name: k.scalar(name, d) for name, d in _SCALARS.get(draw, ())}
    if bounded:
        a |= {name: k.scalar(name, "f64" if draw.startswith("wide") else "f32") for name in ("low", "width")}
    with k.items(blocks) as block:
        values = _DRAWS[draw](a, philox(k, state[:2], state[2:], block))
        for t, value in enumerate(values):
            i = block * len(values) + t
            with k.when(i < n):
                y.write(stored(value, dtype), i, coordinates_of(i, sizes) if layout == "strided" else ())
    return k.finish()


def _state(call):
    source = next(v for v in call.attributes.values() if isinstance(v, Random))
    return {f"state{w}": Random(source.attribute, w) for w in range(4)}


def _draw(call, target, draw, more, each=4):
    y = call.outputs[0]
    if y.numel == 0:
        return Plan()
    check(target, y.dtype)
    if call.index == "i64":
        raise UnsupportedError("blocks of 2^31 elements")
    sizes, (strides,) = coalesce(y.shape, [y.strides], ordered=True)
    layout = layout_of(sizes, strides) if y.numel > 1 else "dense"
    group, blocks = target.group(target.schedule.flat), -(-y.numel // each)
    kernel = _kernel(draw, y.dtype, layout, len(sizes), "low" in more and draw != "whole", group, call.index)
    scalars = {"n": y.numel, "blocks": blocks} | size_scalars(sizes) | stride_scalars("y", layout, strides)
    return Plan((launch(kernel, {"y": y}, scalars | _state(call) | more, target.grid(-(-blocks // group))),))


@template("rand", "rand_like", "uniform")
def uniform(call, target):
    y = call.outputs[0]
    if y.dtype not in ("f16", "bf16", "f32", "f64"):
        raise UnsupportedError(f"uniform values of {y.dtype}")
    more = {}
    if call.op == "uniform":
        low, high = _bounds(call)
        more = {"low": low, "width": Derived((low, high), lambda a, b: float(b - a))}
    return _draw(call, target, "wide" if y.dtype == "f64" else "uniform", more, 2 if y.dtype == "f64" else 4)


@template("randn", "randn_like", "normal")
def normal(call, target):
    y = call.outputs[0]
    if y.dtype not in ("f16", "bf16", "f32", "f64"):
        raise UnsupportedError(f"normal values of {y.dtype}")
    more = {}
    if call.op == "normal":
        mean, deviation = _bounds(call)
        more = {"low": mean, "width": deviation}
    return _draw(call, target, "wide_normal" if y.dtype == "f64" else "normal", more, 2 if y.dtype == "f64" else 4)


def _bounds(call):
    numbers = [v for v in call.attributes.values() if isinstance(v, Number)]
    if len(numbers) != 2:
        raise UnsupportedError("bounds that are not numbers")
    return numbers


@template("randint")
def randint(call, target):
    low, high, *_ = call.attributes.values()
    if not isinstance(low, int) or not isinstance(high, tuple) or call.outputs[0].dtype[0] not in "iu":
        raise UnsupportedError("integers in another form")
    return _draw(call, target, "whole", {"low": low, "range": (high[0] - low) % 2**64}, 2)


@template("bernoulli")
def bernoulli(call, target):
    p = next((v for v in call.attributes.values() if isinstance(v, Number)), None)
    if p is None or call.outputs[0].dtype == "f64":
        raise UnsupportedError("probabilities in a tensor are checked on the host")
    return _draw(call, target, "bernoulli", {"limit": Derived((p,), lambda p: math.ceil(p * 2.0**32))})


@kernel
def _dropout_kernel(dtypes, layouts, rank, group, index):
    k = Builder("dropout", (group, 1, 1), index, exact=True)
    n, blocks = k.scalar("n"), k.scalar("blocks")
    sizes = [k.scalar(f"size{d}") for d in range(1, rank)]
    y = Operand(k, "y", dtypes[0], layouts[0], rank, written=True)
    x = Operand(k, "x", dtypes[1], layouts[1], rank)
    state = [k.scalar(f"state{w}", "u32") for w in range(4)]
    wide = WIDE[dtypes[0]]
    limit, scale = k.scalar("limit", "u32"), k.scalar("scale", wide)
    with k.items(blocks) as block:
        for t, word in enumerate(philox(k, state[:2], state[2:], block)):
            i = block * 4 + t
            with k.when(i < n):
                coordinates = coordinates_of(i, sizes) if "strided" in layouts else ()
                kept = num.convert(x.read(i, coordinates), wide) * scale
                y.write((word < limit).where(k.const(0, wide), kept), i, coordinates)
    return k.finish()


@template("dropout_apply")
def dropout(call, target):
    x, y = call.inputs[0], call.outputs[0]
    if y.numel == 0:
        return Plan()
    check(target, x.dtype)
    if call.index == "i64":
        raise UnsupportedError("blocks of 2^31 elements")
    p = next(v for v in call.attributes.values() if isinstance(v, Number))
    sizes, strides = coalesce(y.shape, [y.strides, x.strides], ordered=True)
    layouts = tuple(layout_of(sizes, s) if y.numel > 1 else "dense" for s in strides)
    group, blocks = target.group(target.schedule.flat), -(-y.numel // 4)
    scalars = {"n": y.numel, "blocks": blocks} | size_scalars(sizes) | _state(call)
    scalars |= stride_scalars("y", layouts[0], strides[0]) | stride_scalars("x", layouts[1], strides[1])
    scalars["limit"] = Derived((p,), lambda p: min(int(p * 2.0**32), 0xFFFFFFFF))
    scalars["scale"] = Derived((p,), lambda p: 1.0 / (1.0 - p) if p < 1.0 else math.inf)
    kernel = _dropout_kernel((y.dtype, x.dtype), layouts, len(sizes), group, call.index)
    return Plan((launch(kernel, {"y": y, "x": x}, scalars, target.grid(-(-blocks // group))),))


@template("exponential")
def exponential(call, target):
    if call.outputs[0].dtype not in ("f16", "bf16", "f32", "f64"):
        raise UnsupportedError(f"exponential values of {call.outputs[0].dtype}")
    check(target, "f64")
    rate = next(v for v in call.attributes.values() if isinstance(v, Number))
    return _draw(call, target, "exponential", {"scale": Derived((rate,), lambda x: 1.0 / x)}, 2)
