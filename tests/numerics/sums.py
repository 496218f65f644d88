"""Errors of what adds many numbers up, on this instruction set, in units that the bounds in docs/numerics.md are stated in.

`python -m tests.numerics.sums` prints them as JSON; `tools/numerics.py` makes a table of them.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable

import numpy as np

import helix
import helix.nn.functional as F

EPS = {"float32": 2.0**-24, "float64": 2.0**-53, "bfloat16": 2.0**-8, "float16": 2.0**-11}


def adverse(n: int) -> dict[str, np.ndarray]:
    """Values that sums go wrong on: of one sign, of two that nearly cancel, growing, falling, and of very different sizes."""
    random = np.random.default_rng(1)
    uniform = random.random(n)
    sizes = 10.0 ** random.uniform(-4, 4, n)
    return {
        "of one sign": uniform,
        "that cancel": np.where(np.arange(n) % 2, uniform, -uniform) * 1e4 + 1e-3,
        "growing": np.sort(uniform),
        "of many sizes": sizes * np.where(random.random(n) < 0.5, -1, 1),
        "all the same": np.full(n, 0.1),
    }


def sum_error(dtype: str, n: int) -> float:
    """The largest |error| / sum |x|, in units of rounding."""
    worst = 0.0
    for values in adverse(n).values():
        x = values.astype(dtype)
        exact = math.fsum(x)
        got = float(helix.from_numpy(x).sum().double())
        worst = max(worst, abs(got - exact) / math.fsum(np.abs(x)) / EPS[dtype])
    return worst


def axis_error(dtype: str, n: int) -> float:
    """Sums over the first of two axes, down columns."""
    x = np.stack([v.astype(dtype) for v in adverse(n).values()] * 8, axis=1)
    got = helix.from_numpy(np.ascontiguousarray(x)).sum(0).double().numpy()
    exact = np.array([math.fsum(column) for column in x.T])
    return float(np.max(np.abs(got - exact) / np.abs(x.astype(np.float64)).sum(0)) / EPS[dtype])


def variance_error(dtype: str, mean: float, n: int) -> float:
    """Relative error of the variance of values around a mean far from 0, in units of rounding."""
    x = (np.random.default_rng(2).normal(mean, 1, n)).astype(dtype)
    wide = x.astype(np.longdouble)
    exact = float(((wide - wide.mean()) ** 2).sum() / (n - 1))
    return abs(float(helix.from_numpy(x).var().double()) - exact) / exact / EPS[dtype]


def softmax_error(dtype: str, spread: float) -> float:
    """Relative error of the largest kind over a row of scores that far apart, in units of rounding."""
    x = np.random.default_rng(3).uniform(-spread, spread, (64, 2000)).astype(dtype)
    wide = x.astype(np.longdouble)
    e = np.exp(wide - wide.max(1, keepdims=True))
    exact = e / e.sum(1, keepdims=True)
    got = F.softmax(helix.from_numpy(x), -1).double().numpy()
    normal = exact > np.finfo(dtype).tiny
    return float(np.max(np.abs(got - exact)[normal] / exact[normal]) / EPS[dtype])


def logsumexp_error(dtype: str, shift: float) -> float:
    x = (np.random.default_rng(4).uniform(-20, 20, (64, 2000)) + shift).astype(dtype)
    wide = x.astype(np.longdouble)
    top = wide.max(1, keepdims=True)
    exact = np.log(np.exp(wide - top).sum(1)) + top[:, 0]
    got = helix.from_numpy(x).logsumexp(-1).double().numpy()
    return float(np.max(np.abs(got - exact) / np.abs(exact)) / EPS[dtype])


def product_error(dtype: str, m: int, k: int, n: int) -> float:
    """The largest c with |error| = c k u |A| |B|, of the elements of a product; u the unit of rounding of the sums. What the
    rounding of a narrow result adds is taken off first."""
    random = np.random.default_rng(5)
    a, b = (helix.from_numpy(random.standard_normal(s)).to(getattr(helix, dtype)) for s in ((m, k), (k, n)))
    wide_a, wide_b = a.double().numpy().astype(np.longdouble), b.double().numpy().astype(np.longdouble)
    exact, scale = wide_a @ wide_b, np.abs(wide_a) @ np.abs(wide_b)
    error = np.abs((a @ b).double().numpy() - exact)
    narrow = dtype in ("bfloat16", "float16")
    if narrow:
        error = np.maximum(error - np.abs(exact) * EPS[dtype] * 1.01, 0)
    return float(np.max(error / scale) / (k * EPS["float32" if narrow else dtype]))


def convolution_error(dtype: str, size: int, channels: int) -> float:
    """The same of a convolution; its terms are the channels times the taps."""
    random = np.random.default_rng(6)
    x, w = (
        random.standard_normal((2, channels, 20, 20)).astype(dtype),
        random.standard_normal((32, channels, size, size)).astype(dtype),
    )
    got = F.conv2d(helix.from_numpy(x), helix.from_numpy(w)).double().numpy()
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.longdouble), (size, size), (2, 3))
    wide = w.astype(np.longdouble)
    exact = np.tensordot(windows, wide, ([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2)
    scale = np.tensordot(np.abs(windows), np.abs(wide), ([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2)
    return float(np.max(np.abs(got - exact) / scale) / (channels * size * size * EPS[dtype]))


def cases(n: int) -> dict[str, tuple[Callable[[], float], float]]:
    """Each with the bound that it is held to."""
    return {
        f"sum of {n:,}, float32: error / sum of sizes": (lambda: sum_error("float32", n), 24),
        f"sum of {n:,}, float64: error / sum of sizes": (lambda: sum_error("float64", n), 64),
        "sum down columns, float32: error / sum of sizes": (lambda: axis_error("float32", n // 20), 24),
        "variance around 1e4, float32": (lambda: variance_error("float32", 1e4, n // 10), 16),
        "variance around 1e8, float64": (lambda: variance_error("float64", 1e8, n // 10), 16),
        "softmax of scores within 10, float32": (lambda: softmax_error("float32", 10), 32),
        "softmax of scores within 80, float32": (lambda: softmax_error("float32", 80), 192),
        "softmax of scores within 80, float64": (lambda: softmax_error("float64", 80), 192),
        "logsumexp around 1e4, float32": (lambda: logsumexp_error("float32", 1e4), 4),
        "logsumexp around 1e4, float64": (lambda: logsumexp_error("float64", 1e4), 4),
        **{
            f"matmul of {m} x {k} x {n}, {t}: error / (k |A| |B|)": (lambda t=t, s=(m, k, n): product_error(t, *s), 0.1)
            for m, k, n in ((1, 1000, 64), (8, 300, 70), (120, 700, 90))
            for t in ("float32", "float64", "bfloat16", "float16")
        },
        **{
            f"conv2d {s} x {s} of {c}, {t}: error / (terms |x| |w|)": (lambda t=t, s=s, c=c: convolution_error(t, s, c), 0.1)
            for s, c in ((5, 8), (1, 64)) for t in ("float32", "float64")
        },
        "conv2d 3 x 3 of 64 (Winograd), float32: error / (terms |x| |w|)": (lambda: convolution_error("float32", 3, 64), 0.1),
    }  # fmt: skip


def figures(n: int = 10_000_000) -> dict[str, list[float]]:
    """Of each case the error and its bound."""
    return {name: [case(), bound] for name, (case, bound) in cases(n).items()}


if __name__ == "__main__":
    print(json.dumps(figures(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)))
