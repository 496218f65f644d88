"""What is computed over the reduced elements: states, how they combine, and what becomes of the last one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from helix.kernel import numeric as num
from helix.kernel.ir import FLOATS, WIDE
from helix.kernel.polynomials import call


@dataclass
class Reduction:
    """`element(x, j)` is the state of one element; `finish(state, n)` the results, one for each output."""

    k: object
    dtypes: tuple[str, ...]
    identity: tuple
    element: object
    combine: object
    finish: object

    def start(self):
        return tuple(self.k.const(v, d) for v, d in zip(self.identity, self.dtypes))


def _single(k, dtype, identity, element, combine, finish=lambda s, n: (s[0],)):
    return Reduction(k, (dtype,), (identity,), lambda x, j: (element(x),), lambda a, b: (combine(a[0], b[0]),), finish)


def _sum(k, wide, out, a):
    dtype = WIDE[out]
    return _single(k, dtype, 0, lambda x: num.convert(x, dtype), num.add)


def _mean(k, wide, out, a):
    return _single(k, wide, 0, lambda x: x, num.add, lambda s, n: (s[0] / n.to(wide),))


def _nansum(k, wide, out, a):
    return _single(k, wide, 0, lambda x: num.isnan(x).where(k.const(0, wide), x), num.add)


def _prod(k, wide, out, a):
    dtype = WIDE[out]
    return _single(k, dtype, 1, lambda x: num.convert(x, dtype), num.mul)


def extreme(dtype, largest):
    """The identity of max (largest=False gives the least) and of min."""
    if dtype == "bool":
        return largest
    if dtype in FLOATS:
        return math.inf if largest else -math.inf
    bits = int(dtype[1:])
    if dtype[0] == "u":
        return (1 << bits) - 1 if largest else 0
    return (1 << (bits - 1)) - 1 if largest else -(1 << (bits - 1))


def _amax(k, wide, out, a):
    return _single(k, wide, extreme(wide, False), lambda x: x, num.maximum)


def _amin(k, wide, out, a):
    return _single(k, wide, extreme(wide, True), lambda x: x, num.minimum)


def _all(k, wide, out, a):
    return _single(k, "bool", True, lambda x: num.convert(x, "bool"), lambda x, y: x & y)


def _any(k, wide, out, a):
    return _single(k, "bool", False, lambda x: num.convert(x, "bool"), lambda x, y: x | y)


def _count(k, wide, out, a):
    return _single(k, "i64", 0, lambda x: num.convert(x, "bool").to("i64"), num.add)


def moments(k, wide):
    """Mean, sum of squared distances from it, and count (Chan, Golub and LeVeque, 1979)."""

    def combine(a, b):
        total = a[2] + b[2]
        share = (total == 0.0).where(k.const(0.0, wide), b[2] / total)
        apart = b[0] - a[0]
        return a[0] + apart * share, a[1] + b[1] + apart * apart * a[2] * share, total

    def element(x, j):
        return x, k.const(0.0, wide), k.const(1.0, wide)

    return Reduction(k, (wide,) * 3, (0.0,) * 3, element, combine, None)


def _var_mean(k, wide, out, a):
    r = moments(k, wide)

    def finish(s, n):
        left = n.to(wide) - a.number("correction")
        left = (left > 0.0).where(left, k.const(0.0, wide))
        none = n == 0
        return none.where(k.const(math.nan, wide), s[1] / left), none.where(k.const(math.nan, wide), s[0])

    r.finish = finish
    return r


def log_sum(k, wide):
    """The largest element, and the sum of exponentials of what lies below it."""

    def scaled(s, top):
        return (s[0] == top).where(s[1], s[1] * call("exp", s[0] - top))

    def combine(a, b):
        top = num.maximum(a[0], b[0])
        return top, scaled(a, top) + scaled(b, top)

    return Reduction(
        k, (wide, wide), (-math.inf, 0.0), lambda x, j: (x, k.const(1.0, wide)), combine,
        lambda s, n: (s[0] + call("log", s[1]),),
    )  # fmt: skip


def _logsumexp(k, wide, out, a):
    return log_sum(k, wide)


def _extreme_index(largest):
    def build(k, wide, out, a):
        def better(x, y):
            """Is y's value the one to take before x's? NaN is before everything."""
            if wide == "bool":
                return y & ~x if largest else x & ~y
            order = y > x if largest else y < x
            return order | (num.isnan(y) & ~num.isnan(x)) if wide in FLOATS else order

        def equal(x, y):
            return (x == y) | (num.isnan(x) & num.isnan(y)) if wide in FLOATS else ~(better(x, y) | better(y, x))

        def combine(a, b):
            take = (b[1] >= 0) & ((a[1] < 0) | better(a[0], b[0]) | (equal(a[0], b[0]) & (b[1] < a[1])))
            return take.where(b[0], a[0]), take.where(b[1], a[1])

        return Reduction(
            k, (wide, k.index_dtype), (False if wide == "bool" else 0, -1), lambda x, j: (x, j), combine,
            lambda s, n: (s[0], s[1].to("i64")),
        )  # fmt: skip

    return build


REDUCTIONS = {
    "sum": _sum, "mean": _mean, "nansum": _nansum, "prod": _prod, "amax": _amax, "amin": _amin, "all": _all,
    "any": _any, "count_nonzero": _count, "var_mean": _var_mean, "logsumexp": _logsumexp,
    "max": _extreme_index(True), "min": _extreme_index(False),
}  # fmt: skip
