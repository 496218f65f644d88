"""Products of whole numbers, which are exact in any order of summation, over every size around the edges of the kernels.

`python -m tests.ops.product_paths` prints as JSON what differs from int64 on the kernels that HELIX_CPU_ISA and
HELIX_CPU_UNIT choose. Operands end where a page that cannot be touched begins.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import helix

F = helix.nn.functional
BYTES = ("int8", "uint8")
DTYPES = ("float32", "bfloat16", "float16", "float64")
ALL_DTYPES = tuple((d, d) for d in DTYPES) + tuple((a, b) for a in BYTES for b in BYTES)
UNIT_DTYPES = tuple(pair for pair in ALL_DTYPES if pair[0] in ("bfloat16", *BYTES))
SOME = (1, 3, 5, 16, 31, 33, 64)
EDGES = range(1, 71)
# around the blocks of k and of rows, the parts of k near the registers, and the plans' own bounds
DEEP = [(33, 512, 40), (40, 513, 33), (70, 1025, 70), (35, 2049, 65), (64, 2100, 31), (3, 4097, 70), (33, 4100, 33)]
WIDE = [(600, 33, 70), (17, 64, 1100), (130, 300, 190), (2, 700, 300), (9, 300, 130)]

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
ROOM = 4 << 20


def guarded() -> np.ndarray:
    """ROOM bytes; touching the byte behind them ends the process."""
    start = _libc.mmap(None, ROOM + mmap.PAGESIZE, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    _libc.mprotect(start + ROOM, mmap.PAGESIZE, 0)
    return np.ctypeslib.as_array((ctypes.c_uint8 * ROOM).from_address(start))


PLACES = [guarded(), guarded()]


def shapes() -> Iterator[tuple[int, int, int]]:
    for turn, n in enumerate(EDGES):
        other, third = SOME[turn % len(SOME)], SOME[turn // 3 % len(SOME)]
        yield from ((n, other, third), (third, n, other), (other, third, n))
    yield from DEEP
    yield from WIDE


def operand(values: np.ndarray, dtype: str, place: np.ndarray, columns: bool) -> helix.Tensor:
    """The values as a tensor, by rows or by columns, whose last element is the last one of its place."""
    laid = helix.tensor(np.ascontiguousarray(values.T if columns else values)).to(getattr(helix, dtype))
    size = laid.numel() * laid.element_size()
    there = helix.from_numpy(place[ROOM - size :]).view(getattr(helix, dtype)).reshape(laid.shape)
    there.copy_(laid)
    return there.mT if columns else there


def whole(rng: np.random.Generator, dtype: str, shape: tuple[int, int]) -> np.ndarray:
    """Bytes of all values; else numbers so small that sums are exact in float32."""
    if dtype in BYTES:
        edge = np.iinfo(dtype)
        return rng.integers(edge.min, edge.max + 1, shape)
    return rng.integers(-2, 3, shape)


def rounded(exact: np.ndarray, dtype: str) -> np.ndarray:
    return helix.tensor(exact.astype(np.float64)).to(getattr(helix, dtype)).double().numpy()


def matmul(a: helix.Tensor, b: helix.Tensor) -> helix.Tensor:
    return helix.int_mm(a, b) if a.dtype in (helix.int8, helix.uint8) else a @ b


def differing(
    product: Callable[..., helix.Tensor] = matmul, dtypes: tuple[tuple[str, str], ...] = ALL_DTYPES
) -> list[Any]:
    """The cases whose product is not the exact one."""
    found: list[Any] = []
    rng = np.random.default_rng(5)
    for left, right in dtypes:
        for turn, (m, k, n) in enumerate(shapes()):
            a, b = whole(rng, left, (m, k)), whole(rng, right, (k, n))
            x, y = (
                operand(a, left, PLACES[0], bool(turn & 1)),
                operand(b, right, PLACES[1], bool(turn & 2)),
            )
            exact = a.astype(np.int64) @ b.astype(np.int64)
            got = product(x, y).double().numpy()
            if not np.array_equal(got, exact if left in BYTES else rounded(exact, left)):
                found.append([left, right, m, k, n, turn & 3])
    return found


def epilogues(dtypes: tuple[str, ...] = ("float32", "bfloat16", "float64")) -> list[Any]:
    """What is done to sums as they are stored, against the same in steps."""
    found: list[Any] = []
    rng = np.random.default_rng(6)
    for turn, (m, k, n) in enumerate([*list(shapes())[::7], *DEEP, *WIDE]):
        for dtype in dtypes:
            a, b, d = (whole(rng, dtype, s) for s in ((m, k), (k, n), (m, n)))
            x, y = operand(a, dtype, PLACES[0], bool(turn & 1)), operand(b, dtype, PLACES[1], bool(turn & 2))
            base = helix.tensor(d.T.copy()).to(x.dtype).T if turn & 4 else helix.tensor(d).to(x.dtype)
            for added, rows in ((base, d), (base[:1], d[:1]), (base[:, :1], d[:, :1])):
                exact = -3 * rows + 2 * (a.astype(np.int64) @ b.astype(np.int64))
                if not np.array_equal(
                    helix.addmm(added, x, y, beta=-3, alpha=2).double().numpy(), rounded(exact, dtype)
                ):
                    found.append(["addmm", dtype, m, k, n, rows.shape])
            for name in ("relu", "gelu", "silu", "tanh"):
                bias = base[0].contiguous()
                apart = getattr(helix if name == "tanh" else F, name)(F.linear(x / 64, y.mT, bias))
                far = (F.linear_activation(x / 64, y.mT, bias, activation=name) - apart).abs()
                if not (far <= 1e-14).all() or (dtype != "float64" and far.any()):
                    found.append([name, dtype, m, k, n])
        for left in BYTES:
            a, b = whole(rng, left, (m, k)), whole(rng, "int8", (k, n))
            x, y = operand(a, left, PLACES[0], bool(turn & 1)), operand(b, "int8", PLACES[1], bool(turn & 2))
            zero, scale, bias = int(a[0, 0]), rng.random(n).astype(np.float32), rng.random(n).astype(np.float32)
            got = F.quantized_linear(
                x, y.mT, helix.tensor(scale), helix.tensor(bias), zero_point=zero, activation="relu"
            )
            sums = ((a.astype(np.int64) - zero) @ b.astype(np.int64)).astype(np.float64)
            if not np.allclose(got.numpy(), np.maximum(sums * scale + bias, 0), 3e-7, 1e-6 * (1 + np.abs(sums).max())):
                found.append(["quantized", left, m, k, n])
    return found


def spreading() -> list[Any]:
    """An infinity, and a NaN, fill their row or column of the product and nothing else."""
    found: list[Any] = []
    for dtype in DTYPES:
        for m, k, n in [*list(shapes())[::11], *DEEP, *WIDE]:
            for value in (np.inf, np.nan):
                a, b = np.ones((m, k)), np.ones((k, n))
                a[m // 2, k - 1] = value
                expected = np.full((m, n), float(k))
                expected[m // 2] = value
                x, y = (helix.tensor(v).to(getattr(helix, dtype)) for v in (a, b))
                if not np.array_equal((x @ y).double().numpy(), rounded(expected, dtype), equal_nan=True):
                    found.append([dtype, m, k, n, value])
                if not np.array_equal((y.mT @ x.mT).double().numpy(), rounded(expected.T, dtype), equal_nan=True):
                    found.append([dtype, m, k, n, value, "turned"])
    return found


def threads() -> list[Any]:
    """Products whose bits depend on the number of threads."""
    found: list[Any] = []
    before = helix.get_num_threads()
    for dtype in DTYPES:
        for m, k, n in ((150, 200, 300), (1, 3000, 500), (8, 700, 900), (300, 1100, 70), (40, 2500, 200)):
            a, b = helix.randn(m, k).to(getattr(helix, dtype)), helix.randn(k, n).to(getattr(helix, dtype))
            results = []
            for count in (1, 2, 3):
                helix.set_num_threads(count)
                results.append((a @ b).double().numpy())
            if any(not np.array_equal(results[0], r) for r in results[1:]):
                found.append([dtype, m, k, n])
    helix.set_num_threads(before)
    return found


def run() -> dict[str, list[Any]]:
    """Where a unit is chosen, only the dtypes that it takes: the others run on the same kernels as without it."""
    if os.environ.get("HELIX_CPU_UNIT", "none") != "none":
        return {"values": differing(dtypes=UNIT_DTYPES), "epilogues": epilogues(dtypes=("bfloat16",))}
    return {"values": differing(), "epilogues": epilogues(), "spreading": spreading(), "threads": threads()}


if __name__ == "__main__":
    print(json.dumps(run()))
