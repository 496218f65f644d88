"""Elementwise ops, one line each: the result of one element from the elements of the inputs.

`a` gives what else an op needs: a.number(name) a float attribute as a value, a.fixed(name) an attribute of the key,
a.dtype the dtype of the first input in memory, a.const(x) a constant of its computed type.
"""

from __future__ import annotations

import math

from helix.kernel import numeric as num
from helix.kernel import special
from helix.kernel.ir import FLOATS, SIZES
from helix.kernel.polynomials import call

_HALF_ROOT = 0.5**0.5
_DENSITY = 1 / math.sqrt(2 * math.pi)
_ROOT = math.sqrt(2 / math.pi)
_CUBE = 0.044715


def _sigmoid(a, x):
    e = call("exp", -call("abs", x))
    return (x < 0.0).where(e, 1.0) / (e + 1.0)


def _softplus(x):
    return (x > 0.0).where(x, 0.0) + call("log1p", call("exp", -call("abs", x)))


def _scaled_add(sign):
    def expression(a, x, y):
        alpha = a.attributes.get("alpha", 1)
        scaled = y if alpha == 1 else num.mul(y, a.number("alpha"))
        if x.dtype == "bool":
            return x | scaled if sign > 0 else x ^ scaled
        return num.add(x, scaled) if sign > 0 else num.sub(x, scaled)

    return expression


def _floor_float(x, y):
    """The floor of the exact quotient, from the remainder; signed zero as the quotient's."""
    rest = call("fmod", x, y)
    q = call("rint", (x - rest) / y)
    q = ((rest != 0.0) & ((y < 0.0) ^ (rest < 0.0))).where(q - 1.0, q)
    plain = x / y
    zero = (plain < 0.0).where(x.builder.const(-0.0, x.dtype), x.builder.const(0.0, x.dtype))
    return (y == 0.0).where(plain, (q == 0.0).where(zero, q))


def _divide(a, x, y):
    mode = a.fixed("rounding_mode")
    if mode == "floor":
        return _floor(a, x, y)
    if mode == "trunc":
        return call("trunc", x / y) if x.dtype in FLOATS else num.trunc_div(x, y)
    return x / y


def _floor(a, x, y):
    return _floor_float(x, y) if x.dtype in FLOATS else num.floor_div(x, y)


def _fmod(a, x, y):
    return call("fmod", x, y) if x.dtype in FLOATS else num.trunc_rest(x, y)


def _remainder(a, x, y):
    if x.dtype not in FLOATS:
        return num.floor_rest(x, y)
    rest = call("fmod", x, y)
    moved = ((rest < 0.0) ^ (y < 0.0)).where(rest + y, rest)
    zero = (y < 0.0).where(a.const(-0.0), a.const(0.0))
    return num.isnan(rest).where(rest, (rest == 0.0).where(zero, moved))


def _power(a, x, y):
    if x.dtype in FLOATS:
        return call("pow", x, y)
    k = x.builder
    base, result, left = k.variable(x), k.variable(a.const(1)), k.variable(y)
    with k.loop():
        e = left.get()
        k.leave_if(e <= 0)
        b = base.get()
        result.set(((e & 1) != 0).where(num.mul(result.get(), b), result.get()))
        base.set(num.mul(b, b))
        left.set(e >> 1)
    if x.dtype[0] == "u":
        return result.get()
    odd = ((y & 1) != 0).where(a.const(-1), a.const(1))
    inverse = (x == 1).where(a.const(1), (x == -1).where(odd, a.const(0)))
    return (y < 0).where(inverse, result.get())


def _share_of(a, total, count):
    """A mean from a sum; of whole numbers rounded down."""
    count = num.maximum(count, count.builder.const(1, count.dtype))
    if total.dtype in FLOATS:
        return total / count.to(total.dtype)
    return num.floor_div(total, num.convert(count, total.dtype))


def _gcd(a, x, y):
    k = x.builder
    u, v = k.variable(_magnitude(x)), k.variable(_magnitude(y))
    with k.loop():
        b = v.get()
        k.leave_if(b == 0)
        rest = u.get() % b
        u.set(b)
        v.set(rest)
    return u.get().bits(x.dtype)


def _magnitude(x):
    return x if x.dtype[0] == "u" else num.absolute(x).bits("u" + x.dtype[1:])


def _lcm(a, x, y):
    g = _gcd(a, x, y)
    u, v, d = _magnitude(x), _magnitude(y), g.bits("u" + x.dtype[1:])
    zero = d == 0
    return zero.where(d, (u // zero.where(d + 1, d)) * v).bits(x.dtype)


def _hypot(a, x, y):
    p, q = call("abs", x), call("abs", y)
    large, small = (p > q).where(p, q), (p > q).where(q, p)
    ratio = (large == 0.0).where(a.const(0.0), small / large)
    size = large * call("sqrt", 1.0 + ratio * ratio)
    infinite = (p == math.inf) | (q == math.inf)
    return infinite.where(a.const(math.inf), (num.isnan(x) | num.isnan(y)).where(x + y, size))


def _log_add(a, x, y):
    top = (x > y).where(x, y)
    sum_ = top + call("log1p", call("exp", -call("abs", x - y)))
    return (x == y).where(x + math.log(2), (num.isnan(x) | num.isnan(y)).where(x + y, sum_))


def _log_add2(a, x, y):
    top = (x > y).where(x, y)
    sum_ = top + call("log1p", call("exp2", -call("abs", x - y))) * (1 / math.log(2))
    return (x == y).where(x + 1.0, (num.isnan(x) | num.isnan(y)).where(x + y, sum_))


def _copysign(a, x, y):
    bits, top = ("u32", 1 << 31) if x.dtype == "f32" else ("u64", 1 << 63)
    return ((x.bits(bits) & (top - 1)) | (y.bits(bits) & top)).bits(x.dtype)


def _sign(a, x):
    if x.dtype == "bool":
        return x
    positive = (x > 0).where(a.const(1), a.const(0))
    result = positive if x.dtype[0] == "u" else (x < 0).where(a.const(-1), positive)
    return result


def _signbit(a, x):
    if x.dtype not in FLOATS:
        return x != x if x.dtype[0] in "ub" else x < 0
    return (x.bits("i32") < 0) if x.dtype == "f32" else (x.bits("i64") < 0)


def _predicate(real, whole):
    def expression(a, x):
        return real(x) if x.dtype in FLOATS else x.builder.const(whole, "bool")

    return expression


def _rounding(name):
    def expression(a, x):
        return call(name, x) if x.dtype in FLOATS else x

    return expression


def _round(a, x):
    places = a.fixed("decimals")
    if places == 0 or x.dtype not in FLOATS:
        return _rounding("rint")(a, x)
    scale = 10.0 ** abs(places)
    return call("rint", x * scale) / scale if places > 0 else call("rint", x / scale) * scale


def _sinc(a, x):
    t = x * math.pi
    return (x == 0.0).where(a.const(1.0), call("sin", t) / t)


def _logit(a, x):
    if a.attributes.get("eps") is not None:
        eps = a.number("eps")
        x = (x < eps).where(eps, (x > 1.0 - eps).where(1.0 - eps, x))
    return call("log", x / (1.0 - x))


_LARGEST = {"f16": 65504.0, "bf16": float.fromhex("0x1.fep127"), "f32": float.fromhex("0x1.fffffep127")}


def _nan_to_num(a, x):
    if x.dtype not in FLOATS:
        return x
    top = _LARGEST.get(a.dtype, float.fromhex("0x1.fffffffffffffp1023"))
    high = a.const(top) if a.attributes["posinf"] is None else a.number("posinf")
    low = a.const(-top) if a.attributes["neginf"] is None else a.number("neginf")
    return num.isnan(x).where(a.number("nan"), (x == math.inf).where(high, (x == -math.inf).where(low, x)))


def _angle(a, x):
    return num.isnan(x).where(x, (x < 0.0).where(a.const(math.pi), a.const(0.0)))


def _clamp(a, x, low, high):
    if low is not None:
        x = ((x < low) | num.isnan(low) if x.dtype in FLOATS else x < low).where(low, x)
    if high is not None:
        x = ((x > high) | num.isnan(high) if x.dtype in FLOATS else x > high).where(high, x)
    return x


def _lerp(a, x, y, w):
    return (call("abs", w) < 0.5).where(x + w * (y - x), y - (y - x) * (1.0 - w))


def _addcdiv(a, x, y, z):
    return x + a.number("value") * y / z


def _addcmul(a, x, y, z):
    return num.add(x, num.mul(num.mul(a.number("value"), y), z))


def _heaviside(a, x, y):
    step = (x > 0).where(a.const(1), a.const(0))
    result = (x == 0).where(y, step)
    return num.isnan(x).where(x, result) if x.dtype in FLOATS else result


def _xlogy(a, x, y):
    return num.isnan(y).where(y, (x == 0.0).where(a.const(0.0), x * call("log", y)))


def _fmax(a, x, y):
    return ((x > y) | num.isnan(y) if x.dtype in FLOATS else x > y).where(x, y)


def _fmin(a, x, y):
    return ((x < y) | num.isnan(y) if x.dtype in FLOATS else x < y).where(x, y)


def _comparison(op):
    def expression(a, x, y):
        if x.dtype == "bool":
            x, y = x.to("u32"), y.to("u32")
        return op(x, y)

    return expression


def _logic(op):
    def expression(a, x, y):
        return op(num.convert(x, "bool"), num.convert(y, "bool"))

    return expression


def _function(name):
    return lambda a, x: call(name, x)


def _shift(function):
    def expression(a, x, y):
        return function(x, y, 8 * SIZES[a.dtype])

    return expression


def _gelu(a, x):
    if a.fixed("approximate") == "tanh":
        return 0.5 * x * (1.0 + call("tanh", x * (_ROOT + x * x * (_ROOT * _CUBE))))
    return 0.5 * x * call("erfc", x * -_HALF_ROOT)


def _gelu_backward(a, g, x):
    if a.fixed("approximate") != "tanh":
        density = call("exp", x * x * -0.5) * _DENSITY
        return g * (0.5 * call("erfc", x * -_HALF_ROOT) + (density == 0.0).where(a.const(0.0), x * density))
    t = call("tanh", x * (_ROOT + x * x * (_ROOT * _CUBE)))
    slope = (1.0 - t * t) * (x * (_ROOT + x * x * (3 * _ROOT * _CUBE)))
    return g * (0.5 + 0.5 * (t + (call("abs", x) < 10.0).where(slope, x - x)))


def _elu(a, x):
    below = call("expm1", x * a.number("inner")) * a.number("alpha") * a.number("scale")
    return (x > 0.0).where(x * a.number("scale"), below)


def _elu_backward(a, g, x):
    inner, scale = a.number("inner"), a.number("scale")
    below = call("exp", x * inner) * a.number("alpha") * scale * inner
    return g * (x > 0.0).where(scale, below)


def _silu_backward(a, g, x):
    s = _sigmoid(a, x)
    return g * (s * (1.0 + x * (1.0 - s)))


def _mish(a, x):
    e = call("exp", (x > 20.0).where(a.const(20.0), x))
    n = e * (e + 2.0)
    return x * (n / (n + 2.0))


def _plain_softplus(a, x):
    t = x * a.number("beta")
    return (t > a.number("threshold")).where(x, _softplus(t) / a.number("beta"))


def _softplus_backward(a, g, x):
    t = x * a.number("beta")
    return (t > a.number("threshold")).where(g, g * _sigmoid(a, t))


def _softshrink(a, x):
    l = a.number("lambd")
    return (x > l).where(x - l, (x < -l).where(x + l, x * 0.0))


def _relu(a, x):
    return x if x.dtype[0] == "u" else (x < 0).where(a.const(0), x)


def _bool_or(whole, truth):
    return lambda a, x, y: truth(x, y) if x.dtype == "bool" else whole(x, y)


EXPRESSIONS = {
    # one input
    "neg": lambda a, x: num.neg(x),
    "abs": lambda a, x: x if x.dtype == "bool" else num.absolute(x),
    "sign": _sign,
    "square": lambda a, x: num.mul(x, x),
    "reciprocal": lambda a, x: 1.0 / x,
    "rsqrt": lambda a, x: 1.0 / call("sqrt", x),
    "sinc": _sinc,
    "sigmoid": _sigmoid,
    "logit": _logit,
    "floor": _rounding("floor"),
    "ceil": _rounding("ceil"),
    "trunc": _rounding("trunc"),
    "frac": lambda a, x: x - call("trunc", x),
    "round": _round,
    "deg2rad": lambda a, x: x * (math.pi / 180),
    "rad2deg": lambda a, x: x * (180 / math.pi),
    "isnan": _predicate(num.isnan, False),
    "isinf": _predicate(lambda x: (x == math.inf) | (x == -math.inf), False),
    "isfinite": _predicate(lambda x: (x < math.inf) & (x > -math.inf), True),
    "isposinf": _predicate(lambda x: x == math.inf, False),
    "isneginf": _predicate(lambda x: x == -math.inf, False),
    "signbit": _signbit,
    "logical_not": lambda a, x: ~num.convert(x, "bool"),
    "bitwise_not": lambda a, x: ~x,
    "nan_to_num": _nan_to_num,
    "angle": _angle,
    # two
    "add": _scaled_add(1),
    "sub": _scaled_add(-1),
    "mul": lambda a, x, y: num.mul(x, y),
    "div": _divide,
    "floor_divide": _floor,
    "fmod": _fmod,
    "remainder": _remainder,
    "pow": _power,
    "atan2": lambda a, x, y: call("atan2", x, y),
    "nextafter": lambda a, x, y: call("nextafter", x, y),
    "hypot": _hypot,
    "copysign": _copysign,
    "logaddexp": _log_add,
    "logaddexp2": _log_add2,
    "xlogy": _xlogy,
    "maximum": lambda a, x, y: num.maximum(x, y),
    "minimum": lambda a, x, y: num.minimum(x, y),
    "fmax": _fmax,
    "fmin": _fmin,
    "heaviside": _heaviside,
    "eq": _comparison(lambda x, y: x == y),
    "ne": _comparison(lambda x, y: x != y),
    "lt": _comparison(lambda x, y: x < y),
    "le": _comparison(lambda x, y: x <= y),
    "gt": _comparison(lambda x, y: x > y),
    "ge": _comparison(lambda x, y: x >= y),
    "logical_and": _logic(lambda x, y: x & y),
    "logical_or": _logic(lambda x, y: x | y),
    "logical_xor": _logic(lambda x, y: x ^ y),
    "bitwise_and": lambda a, x, y: x & y,
    "bitwise_or": lambda a, x, y: x | y,
    "bitwise_xor": lambda a, x, y: x ^ y,
    "bitwise_left_shift": _shift(num.shift_left),
    "bitwise_right_shift": _shift(num.shift_right),
    "gcd": _gcd,
    "lcm": _lcm,
    # three
    "where": lambda a, c, x, y: c.where(x, y),
    "clamp": _clamp,
    "lerp": _lerp,
    "addcmul": _addcmul,
    "addcdiv": _addcdiv,
    "share_of": _share_of,
    # special functions
    "erfinv": special.erfinv,
    "digamma": special.digamma,
    "trigamma": special.trigamma,
    # activations
    "relu": _relu,
    "leaky_relu": lambda a, x: (x > 0.0).where(x, x * a.number("negative_slope")),
    "threshold": lambda a, x: (x <= a.number("threshold")).where(a.number("value"), x),
    "hardshrink": lambda a, x: ((x >= -a.number("lambd")) & (x <= a.number("lambd"))).where(a.const(0.0), x),
    "softshrink": _softshrink,
    "hardsigmoid": lambda a, x: (x <= -3.0).where(a.const(0.0), (x >= 3.0).where(a.const(1.0), x * (1 / 6) + 0.5)),
    "hardswish": lambda a, x: (x <= -3.0).where(a.const(0.0), (x >= 3.0).where(x, x * (x + 3.0) * (1 / 6))),
    "softsign": lambda a, x: x / (1.0 + call("abs", x)),
    "silu": lambda a, x: x * _sigmoid(a, x),
    "mish": _mish,
    "softplus": _plain_softplus,
    "logsigmoid": lambda a, x: -_softplus(-x),
    "gelu": _gelu,
    "elu_scaled": _elu,
    "sloped": lambda a, x, w: (x > 0.0).where(x, x * w),
    "slope_backward": lambda a, g, x: (x > 0.0).where(g, g * a.number("slope")),
    "inside_backward": lambda a, g, x: ((x > a.number("low")) & (x < a.number("high"))).where(g, a.const(0.0)),
    "silu_backward": _silu_backward,
    "softplus_backward": _softplus_backward,
    "elu_backward": _elu_backward,
    "gelu_backward": _gelu_backward,
    "tanh_backward": lambda a, g, y: g * (1.0 - y * y),
    "sigmoid_backward": lambda a, g, y: g * y * (1.0 - y),
} | {
    name: _function(name)
    for name in (
        "sqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan",
        "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "lgamma",
    )
}  # fmt: skip
