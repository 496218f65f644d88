"""Arithmetic with defined edges, written in the IR: what the ops of helix mean, on every target.

Signed integers wrap, division by zero gives 0, a shift by the width or more empties the value, NaN goes through min and
max, floats become integers by truncation that stops at the ends of the range.
"""

from __future__ import annotations

from helix.kernel.ir import BITS, FLOATS

_UNSIGNED = {"i32": "u32", "i64": "u64"}
_RANGE = {"i32": (-(2**31), 2**31 - 1), "u32": (0, 2**32 - 1), "i64": (-(2**63), 2**63 - 1), "u64": (0, 2**64 - 1)}


def _wrapping(operation, *values):
    unsigned = _UNSIGNED.get(values[0].dtype)
    if unsigned is None:
        return operation(*values)
    return operation(*(v.bits(unsigned) for v in values)).bits(values[0].dtype)


def _same(a, b):
    return b if hasattr(b, "builder") else a.builder.const(b, a.dtype)


def add(a, b):
    return (a | b) if a.dtype == "bool" else _wrapping(lambda x, y: x + y, a, _same(a, b))


def sub(a, b):
    return _wrapping(lambda x, y: x - y, a, _same(a, b))


def mul(a, b):
    return (a & b) if a.dtype == "bool" else _wrapping(lambda x, y: x * y, a, _same(a, b))


def neg(a):
    return -a if a.dtype in FLOATS else _wrapping(lambda x: a.builder.const(0, x.dtype) - x, a)


def absolute(a):
    return a.builder.call("abs", a) if a.dtype in FLOATS or a.dtype[0] != "i" else (a < 0).where(neg(a), a)


def _divided(op, a, b):
    """quot or rest that neither divides by zero nor overflows."""
    zero = b == 0
    one = b.builder.const(1, b.dtype)
    safe = zero.where(one, b)
    if a.dtype[0] == "u":
        result = safe._with(op, a, swapped=True)
    else:
        minus = b == -1
        part = minus.where(one, safe)._with(op, a, swapped=True)
        result = minus.where(neg(a) if op == "quot" else one - one, part)
    return zero.where(one - one, result)


def trunc_div(a, b):
    return _divided("quot", a, b)


def trunc_rest(a, b):
    return _divided("rest", a, b)


def _crosses(rest, b):
    return (rest != 0) & ((rest < 0) ^ (b < 0))


def floor_div(a, b):
    q = trunc_div(a, b)
    return q if a.dtype[0] == "u" else _crosses(trunc_rest(a, b), b).where(q - 1, q)


def floor_rest(a, b):
    r = trunc_rest(a, b)
    return r if a.dtype[0] == "u" else _crosses(r, b).where(r + b, r)


def shift_left(a, b, width=None):
    width = width or BITS[a.dtype]
    inside = (b >= 0) & (b < width) if b.dtype[0] == "i" else b < width
    amount = inside.where(b, b.builder.const(0, b.dtype))
    return inside.where(_wrapping(lambda x, n: x << n, a, amount), a - a)


def shift_right(a, b, width=None):
    width = width or BITS[a.dtype]
    inside = (b >= 0) & (b < width) if b.dtype[0] == "i" else b < width
    amount = inside.where(b, b.builder.const(0, b.dtype))
    empty = (a < 0).where(a.builder.const(-1, a.dtype), a - a) if a.dtype[0] == "i" else a - a
    return inside.where(a >> amount, empty)


def maximum(a, b):
    if a.dtype == "bool":
        return a | b
    if a.dtype in FLOATS:
        return ((a > b) | isnan(a)).where(a, b)
    return (a > b).where(a, b)


def minimum(a, b):
    if a.dtype == "bool":
        return a & b
    if a.dtype in FLOATS:
        return ((a < b) | isnan(a)).where(a, b)
    return (a < b).where(a, b)


def isnan(a):
    return a.builder.call("isnan", a)


def convert(a, dtype):
    """Between any two value types."""
    if a.dtype == dtype:
        return a
    if dtype == "bool":
        return a != 0
    if a.dtype == "bool" or dtype in FLOATS or a.dtype not in FLOATS:
        return a.to(dtype)
    low, high = _RANGE[dtype]
    zero = a.builder.const(0, a.dtype)
    inside = (a > float(low) - 1.0) & (a < float(high + 1))  # at the lower end both ways give the same
    whole = inside.where(a, zero).to(dtype)
    ends = (a >= float(high + 1)).where(a.builder.const(high, dtype), a.builder.const(low, dtype))
    return inside.where(whole, isnan(a).where(a.builder.const(0, dtype), ends))


# ---- halves as bits ----


def float_of_half(h):
    """f32 of the low 16 bits of a u32, exact."""
    size = h & 0x7FFF
    moved = size << 13
    normal = (moved + (size >= 0x7C00).where(h.builder.const(0x70000000, "u32"), 0x38000000)).bits("f32")
    value = (size < 0x400).where(size.to("f32") * 2.0**-24, normal)
    return (value.bits("u32") | ((h & 0x8000) << 16)).bits("f32")


def half_of_float(x):
    """The 16 bits nearest to an f32, ties to even."""
    bits = x.bits("u32")
    size = bits & 0x7FFFFFFF
    normal = (size + 0xFFF + ((size >> 13) & 1) - 0x38000000) >> 13
    small = (size.bits("f32") + 0.5).bits("u32") - 0x3F000000
    k = x.builder
    half = (size < 0x38800000).where(small, (size >= 0x477FF000).where(k.const(0x7C00, "u32"), normal))
    quiet = ((size >> 13) & 0x3FF) | 0x7E00
    return (size > 0x7F800000).where(quiet, half) | ((bits >> 16) & 0x8000)


def float_of_bfloat(h):
    return (h << 16).bits("f32")


def bfloat_of_float(x):
    bits = x.bits("u32")
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return ((bits & 0x7FFFFFFF) > 0x7F800000).where((bits >> 16) | 0x40, rounded)
