"""The corner values: every parameter of every op, one corner at a time.

Run as a process of its own, so that a crash is a finding and not the end of the tests:

    python -m tests.ops.corners add exp conv2d

Each case is announced before it runs. It ends in a result or in an error of helix; anything else is printed as a
finding. A tight memory limit makes absurd sizes cheap.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

import helix

from .sample import Sample, T
from .samples import SAMPLES
from .values import convert, draw, function_of, map_tensors, seed_of, to_helix

LIMIT = 64 << 20
INTEGERS = (0, 1, -1, 2, -2, 7, 17, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, -(2**63), 2**64)
NUMBERS = (0.0, -0.0, 1.0, -1.0, 2.5, 1e-300, 1e300, math.inf, -math.inf, math.nan, 2**63, True, 1j)
LISTS: tuple[Any, ...] = (
    [],
    [0],
    [-1],
    [0, 0],
    [1, 2, 3],
    [-5, 4],
    [2**62, 2**62],
    [2**31, 2**32],
    [2**63 - 1],
    [1] * 17,
    [0] * 40,
    [2**32] * 3,
)
ODD = (None, "", "a\0b", "mean", [], {}, object(), b"x", 1.5, True)
SHAPES: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (0, 3), (3, 0), (1,) * 16, (2, 0, 5), (1, 1, 1, 1), (5,), (2, 3))
OTHER_DTYPES = ("bool", "int8", "int64", "uint64", "float16", "bfloat16", "float64", "complex64")


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def corners_of(value: Any) -> Iterator[Any]:
    if is_integer(value):
        yield from INTEGERS
        yield from ODD
    elif isinstance(value, float):
        yield from NUMBERS
        yield from ODD
    elif isinstance(value, list | tuple) and all(is_integer(v) for v in value):
        yield from LISTS
        yield from ODD
        for i in range(len(value)):
            for corner in INTEGERS:
                yield [*value[:i], corner, *value[i + 1 :]]
    elif isinstance(value, bool | str) or value is None:
        yield from ODD
        yield from INTEGERS[:4]


def special_values(t: T, dtype: str) -> Iterator[np.ndarray]:
    """Tensors of the sample's shape with extreme elements."""
    kind = np.dtype(dtype).kind
    if kind in "fc":
        for value in (math.nan, math.inf, -math.inf, 0.0, -0.0, 1e30, -1e30):
            yield np.full(t.shape, value, dtype)
    elif kind in "iu":
        info = np.iinfo(dtype)
        for number in (0, info.min, info.max, max(info.min, -1)):
            yield np.full(t.shape, number, dtype)


def tensor_corners(t: T, dtype: str) -> Iterator[Any]:
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        yield draw(T(**{**t.__dict__, "shape": shape, "distinct": False}), dtype, rng)
    yield from special_values(t, t.dtype or dtype)
    for other in OTHER_DTYPES:
        if other != (t.dtype or dtype):
            yield draw(T(**{**t.__dict__, "dtype": other, "distinct": False}), other, rng)
    yield from (None, "text", 3, -1, math.nan, [], [1, [2]], b"bytes")


def cases(sample: Sample) -> Iterator[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """Every argument in turn takes every corner."""
    dtype = "float32" if "float32" in sample.dtypes else sample.dtypes[0]

    def usual(value: Any) -> Any:
        rng = np.random.default_rng(seed_of(sample))
        return map_tensors(value, lambda spec: draw(spec, dtype, rng))

    args, kwargs = tuple(usual(a) for a in sample.args), {k: usual(v) for k, v in sample.kwargs.items()}
    for i, a in enumerate(sample.args):
        for corner in tensor_corners(a, dtype) if isinstance(a, T) else corners_of(a):
            yield f"argument {i} = {describe(corner)}", (*args[:i], corner, *args[i + 1 :]), kwargs
        if isinstance(a, list) and any(isinstance(x, T) for x in a):
            for some in ([], args[i][:1], [*args[i], None], None, "text", [1, 2]):
                yield f"argument {i} = {describe(some)}", (*args[:i], some, *args[i + 1 :]), kwargs
    for k, v in sample.kwargs.items():
        for corner in corners_of(v):
            yield f"{k} = {describe(corner)}", args, {**kwargs, k: corner}


def describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape} from {value.flat[0] if value.size else 'nothing'}"
    return repr(value)[:60]


def force(result: Any) -> None:
    """Reads every element, so that a wrong extent is felt. Without elements there may still be 2^32 empty rows."""
    if isinstance(result, helix.Tensor):
        if 0 < result.numel() < 1 << 20:
            (result.to(helix.float32) if result.dtype == helix.bfloat16 else result).detach().tolist()
    elif isinstance(result, list | tuple):
        for r in result:
            force(r)


def run(sample: Sample) -> int:
    count = 0
    for what, args, kwargs in cases(sample):
        count += 1
        print(f"\r@ {sample.op} {what}", flush=True)
        try:
            force(
                function_of(sample.op)(
                    *convert(args, to_helix, helix), **{k: convert(v, to_helix, helix) for k, v in kwargs.items()}
                )
            )
        except helix.errors.HelixError as error:
            if isinstance(error, helix.errors.InternalError):
                print(f"FINDING {sample.op} {what}: {error}")
        except Exception as error:
            print(f"FINDING {sample.op} {what}: {type(error).__name__}: {error}")
        if helix._core.tracing():
            print(f"FINDING {sample.op} {what}: left tracing on")
    return count


def main(ops: list[str]) -> None:
    helix.set_memory_limit(LIMIT)
    total = 0
    for sample in SAMPLES:
        if sample.op in ops:
            total += run(sample)
    print(f"CASES {total}")


if __name__ == "__main__":
    main(sys.argv[1:])
