"""The elementary functions of f32 in the IR, for targets whose library lacks them or is too loose.

The same minimax fits as the CPU's vmath.h, with its bounds of 1 to 7 units in the last place. They use no fused
multiply-add, so that every target that rounds each step gives the same bits.
"""

from __future__ import annotations

import math

from helix.kernel.numeric import isnan

_INF, _NAN = math.inf, math.nan


def horner(x, *coefficients):
    """Coefficients from the highest power down."""
    value = x.builder.const(float.fromhex(coefficients[0]), x.dtype)
    for c in coefficients[1:]:
        value = value * x + float.fromhex(c)
    return value


def call(name, *values):
    return values[0].builder.call(name, *values)


def _const(x, value):
    return x.builder.const(value, x.dtype)


def clamp(x, low, high):
    """NaN stays."""
    x = (x < low).where(_const(x, low), x)
    return (x > high).where(_const(x, high), x)


def size(x):
    return (x.bits("u32") & 0x7FFFFFFF).bits("f32")


def copysign(x, sign):
    return ((x.bits("u32") & 0x7FFFFFFF) | (sign.bits("u32") & 0x80000000)).bits("f32")


def scale2(p, k):
    """p * 2^k for whole k, in two steps so that the result may be subnormal."""
    whole = k.to("i32")
    half = whole >> 1
    return p * ((half + 127) << 23).bits("f32") * ((whole - half + 127) << 23).bits("f32")


def _exp_split(x):
    k = call("rint", x * float.fromhex("0x1.715476p+0"))
    return k, (x - k * float.fromhex("0x1.62e400p-1")) - k * float.fromhex("0x1.7f7d1cp-20")


def _exp_of(r, k):
    p = horner(r, "0x1.6a22f4p-10", "0x1.123a76p-7", "0x1.5558f6p-5", "0x1.555490p-3", "0x1.fffffcp-2")
    return scale2(p * (r * r) + r + 1.0, k)


def exp(x):
    k, r = _exp_split(clamp(x, -104.5, 89.0))
    return isnan(x).where(x, _exp_of(r, k))


def exp2(x):
    t = clamp(x, -151.0, 129.0)
    k = call("rint", t)
    return isnan(x).where(x, _exp_of((t - k) * float.fromhex("0x1.62e430p-1"), k))


def expm1(x):
    k, r = _exp_split(clamp(x, -18.0, 89.0))
    p = horner(r, "0x1.a035e4p-13", "0x1.6d72b0p-10", "0x1.111188p-7", "0x1.5554b0p-5", "0x1.555554p-3", "0x1p-1")
    p = p * (r * r) + r
    half = scale2(_const(x, 0.5), k)
    return ((x == 0.0) | isnan(x)).where(x, (half * p + (half - 0.5)) * 2.0)


def _log_tail(f, e):
    p = horner(
        f, "0x1.144e6ep-4", "-0x1.de5fc2p-4", "0x1.e7079ap-4", "-0x1.fc1e58p-4", "0x1.2335bap-3", "-0x1.555c56p-3",
        "0x1.99a4c8p-3", "-0x1.000006p-2", "0x1.555548p-2",
    )  # fmt: skip
    z = f * f
    p = p * (z * f) + e * float.fromhex("0x1.7f7d1cp-20")
    p = p - 0.5 * z
    return (f + p) + e * float.fromhex("0x1.62e400p-1")


def _log_split(x):
    bits = x.bits("i32") - 0x3F3504F3
    return ((bits & 0x7FFFFF) + 0x3F3504F3).bits("f32"), (bits >> 23).to("f32")


def _log_ends(x, y):
    y = (x > 0.0).where(y, _const(x, _NAN))
    y = (x == 0.0).where(_const(x, -_INF), y)
    return (x == _INF).where(x, y)


def log(x):
    tiny = x < 2.0**-126
    m, e = _log_split(tiny.where(x * 2.0**25, x))
    e = e - tiny.where(_const(x, 25.0), _const(x, 0.0))
    return _log_ends(x, _log_tail(m - 1.0, e))


def log1p(x):
    u = x + 1.0
    m, e = _log_split(u)
    lost = (x > 1.0).where(1.0 - (u - x), x - (u - 1.0))
    y = _log_ends(u, _log_tail((m - 1.0) + scale2(lost, -e), e))
    return (size(x) < 2.0**-25).where(x, y)


def log2(x):
    return call("log", x) * 1.4426950408889634


def log10(x):
    return call("log", x) * 0.4342944819032518


# The bits of 2 / pi behind the point, after 32 zeros.
_TWO_OVER_PI = (0, 0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599, 0x3C439041, 0xFE5163AB)


def _quarters(x):
    """x in quarter turns, for any size of x from 1 on: the whole ones, modulo 4, and the rest in radians.

    Payne and Hanek, "Radian reduction for trigonometric functions" (1983): of 2 / pi only the 96 bits count whose product with
    the 24 bits of x is neither a whole number of turns nor too small to be seen.
    """
    bits = size(x).bits("u32")
    first = (bits >> 23) - 120  # of the bits that count, in the table
    word, shift = first >> 5, first & 31
    taken = [_const(bits, entry) for entry in _TWO_OVER_PI[:4]]
    for start in range(1, 5):
        taken = [
            (word == start).where(_const(bits, b), a)
            for a, b in zip(taken, _TWO_OVER_PI[start : start + 4], strict=True)
        ]
    high, middle, low = ((a << shift) | ((b >> 1) >> (31 - shift)) for a, b in zip(taken, taken[1:]))
    digits = (bits & 0x7FFFFF) | 0x800000
    second = digits * middle + call("mulhi", digits, low)
    carried = (second < digits * middle).where(_const(bits, 1), _const(bits, 0))
    top = digits * high + call("mulhi", digits, middle) + carried
    rest = ((top << 2) | (second >> 30)).bits("i32")  # of a quarter turn, in 32 bits, from -1/2 on
    whole = (top >> 30) + (rest < 0).where(_const(bits, 1), _const(bits, 0))
    part = rest.to("f32") * 2.0**-32 + (second << 2).to("f32") * 2.0**-64
    below = x < 0.0
    whole = whole.bits("i32")
    r = part * float.fromhex("0x1.921fb6p+0")
    return below.where(0 - whole, whole), below.where(0.0 - r, r)


def _circular(x, quarter):
    """pi / 2 in four parts of few bits: whole multiples of the first three are exact up to 8192."""
    k = call("rint", x * float.fromhex("0x1.45f306p-1"))
    r = ((x - k * 1.5703125) - k * 4.8351287841796875e-4) - k * 3.13855707645416259765625e-7
    r = r - k * 6.077094383e-11
    whole, rest = _quarters(x)
    large = size(x) >= 8192.0
    n, r = large.where(whole, k.to("i32")) + quarter, large.where(rest, r)
    z = r * r
    s = horner(z, "0x1.6cd590p-19", "-0x1.a00f92p-13", "0x1.111108p-7", "-0x1.555556p-3")
    c = horner(z, "-0x1.241c94p-22", "0x1.a010d4p-16", "-0x1.6c16b8p-10", "0x1.555556p-5")
    s = r * (s * z + 1.0)
    c = c * (z * z) + (1.0 - 0.5 * z)
    y = ((n & 1) != 0).where(c, s)
    return (y.bits("u32") ^ ((n & 2).bits("u32") << 30)).bits("f32")


def sin(x):
    return (x == 0.0).where(x, _finite(x, _circular(x, 0)))


def cos(x):
    return _finite(x, _circular(x, 1))


def _finite(x, y):
    return (size(x) < _INF).where(y, _const(x, _NAN))


def tan(x):
    return call("sin", x) / call("cos", x)


def tanh(x):
    t = clamp(x, -9.02, 9.02)
    u = t * t
    p = horner(u, "0x1.c987b8p-27", "0x1.594ad0p-16", "0x1.c9f31ap-9", "0x1.12038cp-3", "0x1p0")
    q = horner(u, "0x1.a0a5e8p-21", "0x1.583b1ap-12", "0x1.a7dc9ep-6", "0x1.de5710p-2", "0x1p0")
    return clamp(t * (p / q), -1.0, 1.0)


def erf(x):
    t = clamp(x, -3.93, 3.93)
    u = t * t
    p = horner(u, "0x1.e5c11cp-20", "0x1.08a40cp-12", "0x1.b6f85cp-9", "0x1.7f3e40p-5", "0x1.5a4010p-3", "0x1p0")
    q = horner(u, "0x1.3ec838p-15", "0x1.3168dap-10", "0x1.eb661cp-7", "0x1.d3fa76p-4", "0x1.013aa0p-1", "0x1p0")
    return clamp(t * float.fromhex("0x1.20dd76p+0") * (p / q), -1.0, 1.0)


def erfc(x):
    """exp(-a * a) times a polynomial in 1 / (1 + a / 2). a * a is taken apart, so that exp sees it exactly."""
    a = clamp(size(x), 0.0, 10.3)
    t = 1.0 / (1.0 + 0.5 * a)
    p = horner(
        t, "0x1.9bdfb155cfb1ap-6", "-0x1.8c525973a9dccp-3", "0x1.483bb5fef5456p-1", "-0x1.29148469fdbd1p+0",
        "0x1.2d2a8a5edaa51p+0", "-0x1.23993f6a9a182p-1", "0x1.68c52b35eaa76p-5", "0x1.751eae66c7f2dp-7",
        "-0x1.0992f87d27672p-4", "0x1.bb406e6eaf10ep-4", "0x1.5c623cd2df859p-3", "0x1.fba08be90e019p-3",
        "0x1.20c09cf1191b2p-2", "0x1.20df3fa3fea0bp-2", "-0x1.941d0c309d7cep-23",
    )  # fmt: skip
    high = (a.bits("u32") & 0xFFFFF000).bits("f32")
    y = p * (call("exp", -(high * high)) * call("exp", -((a - high) * (a + high))))
    return isnan(x).where(x, (x < 0.0).where(2.0 - y, y))


def atan(x):
    a = size(x)
    far, middle = a > 2.414213562373095, a > 0.4142135623730951
    t = middle.where(far.where(_const(x, -1.0), a - 1.0) / far.where(a, a + 1.0), a)
    base = far.where(_const(x, math.pi / 2), middle.where(_const(x, math.pi / 4), _const(x, 0.0)))
    z = t * t
    p = horner(
        z, "0x1.eb60e3d37f1aep-6", "-0x1.ddc6d2d80fa64p-5", "0x1.355ff76dc9519p-4", "-0x1.73cbbed102eaep-4",
        "0x1.c713e4868f664p-4", "-0x1.2492253e26117p-3", "0x1.9999990737779p-3", "-0x1.55555554ef18dp-2",
    )  # fmt: skip
    return isnan(x).where(x, copysign(base + (t + t * z * p), x))


def atan2(y, x):
    ay, ax = size(y), size(x)
    both = (ax == _INF) & (ay == _INF)
    low, high = (ay < ax).where(ay, ax), (ay < ax).where(ax, ay)
    ratio = both.where(_const(x, 1.0), (high == 0.0).where(_const(x, 0.0), low / high))
    angle = call("atan", ratio)
    angle = (ay > ax).where(math.pi / 2 - angle, angle)
    angle = ((x.bits("u32") >> 31) != 0).where(math.pi - angle, angle)
    return isnan(x).where(x, isnan(y).where(y, copysign(angle, y)))


def asin(x):
    return call("atan2", x, call("sqrt", (1.0 - x) * (1.0 + x)))


def acos(x):
    return call("atan2", call("sqrt", (1.0 - x) * (1.0 + x)), x)


def sinh(x):
    e = call("expm1", size(x))
    y = (e == _INF).where(e, 0.5 * (e + e / (e + 1.0)))
    return isnan(x).where(x, copysign(y, x))


def cosh(x):
    e = call("exp", size(x) - math.log(2.0))
    return e + 0.25 / e


def asinh(x):
    a = size(x)
    small = call("log1p", a + a * a / (1.0 + call("sqrt", a * a + 1.0)))
    large = call("log", a) + math.log(2.0)
    return isnan(x).where(x, copysign((a > 1e9).where(large, small), x))


def acosh(x):
    t = x - 1.0
    small = call("log1p", t + call("sqrt", t * (t + 2.0)))
    return (x > 1e9).where(call("log", x) + math.log(2.0), small)


def atanh(x):
    a = size(x)
    return copysign(0.5 * call("log1p", 2.0 * a / (1.0 - a)), x)


def pow_(x, y):
    """exp(y log x) with the logarithm in two floats, so that large results keep their digits."""
    a = size(x)
    m, e = _log_split((a < 2.0**-126).where(a * 2.0**25, a))
    e = e - (a < 2.0**-126).where(_const(x, 25.0), _const(x, 0.0))
    f = m - 1.0
    tail = _log_tail(f, _const(x, 0.0)) - f  # log m = f + tail
    high = e * float.fromhex("0x1.62e400p-1")
    total = high + f
    part = total - high
    low = ((high - (total - part)) + (f - part)) + tail + e * float.fromhex("0x1.7f7d1cp-20")
    sum_ = total + low
    low = low - (sum_ - total)
    ph, pl = _product(y, sum_)
    pl = pl + y * low
    bounded = clamp(ph, -110.0, 100.0)
    r = call("exp", bounded) * (1.0 + (size(ph) < 110.0).where(pl, _const(x, 0.0)))
    r = (a == 0.0).where((y > 0.0).where(_const(x, 0.0), _const(x, _INF)), r)
    r = (a == _INF).where((y > 0.0).where(_const(x, _INF), _const(x, 0.0)), r)
    grows = (a > 1.0) ^ (y < 0.0)
    r = (size(y) == _INF).where((a == 1.0).where(_const(x, 1.0), grows.where(_const(x, _INF), _const(x, 0.0))), r)
    whole = call("floor", y) == y
    odd = whole & (call("floor", y * 0.5) != y * 0.5)
    r = odd.where(copysign(r, x), r)
    r = ((x < 0.0) & ~whole & (a != _INF)).where(_const(x, _NAN), r)
    r = (isnan(x) | isnan(y)).where(_const(x, _NAN), r)
    return ((y == 0.0) | (x == 1.0)).where(_const(x, 1.0), r)


def _product(a, b):
    """a * b and what rounding lost (Dekker, 1971)."""
    ah = (a.bits("u32") & 0xFFFFF000).bits("f32")
    bh = (b.bits("u32") & 0xFFFFF000).bits("f32")
    al, bl, p = a - ah, b - bh, a * b
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def fmod(x, y):
    """By steps of at most 2^23 in the quotient: each remainder is exact."""
    k = x.builder
    a, b = size(x), size(y)
    rest = k.variable(a)
    valid = (a < _INF) & (b > 0.0)
    with k.loop():
        k.leave_if(~(valid & (rest.get() >= b)))
        now = rest.get()
        gap = ((now.bits("u32") >> 23).bits("i32") - (b.bits("u32") >> 23).bits("i32")) - 1
        scaled = (gap > 0).where(scale2(b, (gap > 0).where(gap, k.const(0, "i32")).to("f32")), b)
        rest.set(now - (scaled <= now).where(scaled, b))
    return (valid & ~isnan(y)).where(copysign(rest.get(), x), _const(x, _NAN))


def nextafter(x, y):
    bits = x.bits("i32")
    away = ((y > x) ^ (x < 0.0)).where(bits + 1, bits - 1).bits("f32")
    least = copysign(x.builder.const(1, "u32").bits("f32"), y)
    moved = (x == 0.0).where(least, away)
    return (isnan(x) | isnan(y)).where(_const(x, _NAN), (x == y).where(y, moved))


def rint(x):
    a = size(x)
    return (a < 2.0**23).where(copysign((a + 2.0**23) - 2.0**23, x), x)


def floor(x):
    t = call("trunc", x)
    return (t > x).where(t - 1.0, t)


EXPANSIONS = {
    "exp": exp, "exp2": exp2, "expm1": expm1, "log": log, "log1p": log1p, "log2": log2, "log10": log10, "sin": sin,
    "cos": cos, "tan": tan, "tanh": tanh, "sinh": sinh, "cosh": cosh, "asinh": asinh, "acosh": acosh, "atanh": atanh,
    "asin": asin, "acos": acos, "atan": atan, "atan2": atan2, "erf": erf, "erfc": erfc, "pow": pow_, "fmod": fmod,
    "nextafter": nextafter, "rint": rint, "floor": floor,
}  # fmt: skip
