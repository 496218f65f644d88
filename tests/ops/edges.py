"""NaN, infinities, signed zeros, the ends of each dtype and subnormal numbers, through every op of elements and of rows.

`python -m tests.ops.edges FILE` computes all results with the instruction set that HELIX_CPU_ISA chooses and writes them to
FILE, for tests/ops/test_edges.py to hold against those of another set. Each op runs on memory without gaps and on every
second element of larger memory, and both must give the same bits.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

import helix

from .sample import Sample, T
from .samples import SAMPLES
from .values import function_of

FLOATS = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -3.0)
DTYPES = ("float32", "float64", "float16", "bfloat16", "int8", "int32", "int64", "uint8", "bool")
ROW, FIRST, SECOND = 37, 3, 20
RANDOM = {
    "dropout",
    "alpha_dropout",
    "feature_dropout",
    "feature_alpha_dropout",
    "bernoulli",
    "rrelu",
    "poisson",
    "normal",
    "rand_like",
    "randn_like",
    "empty_like",
}
"""Draw numbers, or give what memory holds."""
ORDER = {"sort", "argsort", "topk", "unique", "kthvalue", "median", "nanmedian", "mode"}
"""Give positions among equal elements, which need not be the first."""


def corners(dtype: str) -> np.ndarray:
    if dtype == "bool":
        return np.array([False, True])
    if "int" in dtype:
        info = np.iinfo(dtype)
        return np.unique(
            np.array([info.min, info.min + 1, max(info.min, -1), 0, 1, 2, 7, info.max - 1, info.max], dtype)
        )
    info = helix.finfo(getattr(helix, dtype))
    ends = [s * v for s in (1, -1) for v in (info.max, info.tiny, info.tiny * info.eps)]
    return np.array([*FLOATS, *ends])


def elements(dtype: str, tensors: int) -> list[np.ndarray]:
    """Every corner beside every other, in vectors whose length is no whole number of registers."""
    values = corners(dtype)
    found = np.array(list(itertools.product(values, repeat=tensors)), values.dtype).T
    times = -(-67 // found.shape[1])
    return [np.concatenate([np.tile(row, times), row[:1]]) for row in found]


def rows(dtype: str) -> np.ndarray:
    """Rows of ones in which two corners stand."""
    pairs = list(itertools.product(corners(dtype), repeat=2))
    found = np.ones((len(pairs), ROW), corners(dtype).dtype)
    for row, (first, second) in zip(found, pairs, strict=True):
        row[FIRST], row[SECOND] = first, second
    return found


def plain(sample: Sample) -> int:
    """How many tensors an op takes, when they come first and nothing but numbers and names follows; else 0."""
    tensors = sum(isinstance(a, T) and a.dtype is None for a in sample.args)
    ordered = all(isinstance(a, T) for a in sample.args[:tensors])
    return tensors if ordered and not any(isinstance(a, T | list) for a in sample.args[tensors:]) else 0


def calls() -> Iterator[tuple[str, Any, list[np.ndarray], dict[str, Any]]]:
    """Name, dtype, arrays and keywords."""
    seen = set()
    for sample in SAMPLES:
        count = plain(sample)
        cancels = sample.op.startswith("fft_")  # where terms cancel, what is left is rounding
        if (
            sample.op in seen | RANDOM | ORDER
            or cancels
            or not 1 <= count <= 3
            or len(sample.args) > count
            or sample.kwargs
        ):
            continue
        seen.add(sample.op)
        for dtype in DTYPES:
            yield sample.op, dtype, elements(dtype, count), {}
            if count == 1:
                yield sample.op, dtype, [rows(dtype)], {"dim": -1}


def computed(op: str, dtype: str, arrays: list[np.ndarray], keywords: dict[str, Any], apart: bool) -> Any:
    """The result of a call, or None where the op refuses it. `apart`: on every second element of larger memory."""
    kind = getattr(helix, dtype)
    given = [helix.tensor(a.repeat(2, -1) if apart else a, dtype=kind) for a in arrays]
    try:
        return function_of(op)(*(t[..., ::2] if apart else t for t in given), **keywords)
    except (helix.errors.HelixError, TypeError):  # TypeError: Python functions without such a keyword
        return None


def arrays_of(result: Any) -> list[np.ndarray]:
    if isinstance(result, helix.Tensor):
        return [np.asarray((result.float() if result.dtype is helix.bfloat16 else result).numpy())]
    return [a for r in result for a in arrays_of(r)] if isinstance(result, list | tuple) else []


def same_bits(x: np.ndarray, y: np.ndarray) -> bool:
    """NaNs are equal, whatever their bits."""
    if x.dtype.kind not in "fc":
        return np.array_equal(x, y)
    parts = lambda a: (a.real, a.imag) if a.dtype.kind == "c" else (a,)  # noqa: E731
    return all(
        np.array_equal(a, b, equal_nan=True)
        and np.array_equal(np.signbit(a)[~np.isnan(a)], np.signbit(b)[~np.isnan(b)])
        for a, b in zip(parts(x), parts(y), strict=True)
    )


def kinds(x: np.ndarray) -> np.ndarray:
    """0, 1 or 2 with a sign for zero, a number, infinity; 9 for NaN. Subnormals count as zero, the last number as infinity."""
    if x.dtype.kind == "c":
        return np.stack([kinds(x.real), kinds(x.imag)])
    if x.dtype.kind not in "f":
        return x
    size, info = np.abs(x), np.finfo(x.dtype)
    kind = (size > info.tiny).astype(int) + (size >= info.max * 0.99)
    return np.where(np.isnan(x), 9, np.where(np.signbit(x), -1 - kind, kind))


def results() -> tuple[dict[str, np.ndarray], list[str]]:
    """All results by name, and the calls whose bits depend on how the memory lies."""
    found, differing = {}, []
    for op, dtype, arrays, keywords in calls():
        made = arrays_of(computed(op, dtype, arrays, keywords, apart=False))
        strided = arrays_of(computed(op, dtype, arrays, keywords, apart=True))
        name = f"{op} {dtype}{' of rows' * bool(keywords)}"
        if not all(map(same_bits, made, strided)):
            differing.append(name)
        found.update({f"{name} {i}": a for i, a in enumerate(made)})
    return found, differing


if __name__ == "__main__":
    made, differing = results()
    np.savez(sys.argv[1], _isa=helix._core.cpu_isa(), _differing=differing, **made)
