"""Inputs that are the same numbers in every process."""

from __future__ import annotations

import functools
import zlib

import numpy as np


@functools.lru_cache(maxsize=8)
def _large(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)


def normal(name: str, *shape: int, scale: float = 1.0) -> np.ndarray:
    """Standard normal float32, seeded by its name. Shape as given."""
    values = _large(name, shape)
    return values if scale == 1.0 else values * np.float32(scale)


def labels(name: str, shape: int | tuple[int, ...], classes: int) -> np.ndarray:
    """Integers in [0, classes), int64."""
    return np.random.default_rng(zlib.crc32(name.encode())).integers(0, classes, shape)
