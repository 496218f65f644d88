"""Workloads of groups B and C as expressions of arrays, which NumPy and jax.numpy share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .data import normal

SIZES = {"1M": 1024, "16M": 4096}
PRODUCTS = {
    "f32_batched64_128x64x128": ((64, 128, 64), (64, 64, 128)),
    "f32_gemv_1x4096x4096": ((1, 4096), (4096, 4096)),
    "f32_skinny_8x4096x4096": ((8, 4096), (4096, 4096)),
    "f32_tall_2048x256x1024": ((2048, 256), (256, 1024)),
}


def expressions(m: Any) -> dict[str, Callable[..., Any]]:
    """Elementwise workloads of the module m (numpy or jax.numpy), of three matrices and a row."""
    return {
        "add": lambda a, b, c, w: a + b,
        "muladd": lambda a, b, c, w: a * b + c,
        "addbias": lambda a, b, c, w: a + w,
        "exp": lambda a, b, c, w: m.exp(a),
        "tanh": lambda a, b, c, w: m.tanh(a),
        "sum0": lambda a, b, c, w: a.sum(0),
        "sum1": lambda a, b, c, w: a.sum(1),
        "sumall": lambda a, b, c, w: a.sum(),
    }


def elementwise_inputs(size: str) -> tuple[np.ndarray, ...]:
    rows = SIZES[size]
    return (*(normal(k, rows, rows) for k in "abc"), normal("w", rows))


def product_inputs(rest: str) -> tuple[np.ndarray, np.ndarray]:
    n = rest.removeprefix("f32_")
    shapes = ((int(n), int(n)), (int(n), int(n))) if n.isdigit() else PRODUCTS[rest]
    return normal("ga", *shapes[0]), normal("gb", *shapes[1])
