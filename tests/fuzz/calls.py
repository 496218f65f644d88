"""Random sequences of op calls, drawn from the ops' samples: shapes, dtypes, strides and parameters change, results
become inputs, views are taken and written. Every call ends in a result or in an error of helix."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, Protocol

import numpy as np

import helix
from tests.ops.corners import INTEGERS, force, is_integer
from tests.ops.records import has
from tests.ops.sample import Sample, T
from tests.ops.samples import SAMPLES
from tests.ops.values import LAYOUTS, convert, draw, function_of, map_tensors, to_helix

DTYPES = (
    "bool",
    "int8",
    "int32",
    "int64",
    "uint8",
    "uint32",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)
SIZES = (0, 1, 1, 2, 3, 4, 5, 8, 17, 33)
MOST_ELEMENTS = 20_000
LIMIT = 256 << 20


class Chooser(Protocol):
    """Where decisions come from: hypothesis, or a seeded generator."""

    def integer(self, low: int, high: int) -> int: ...


class Seeded:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))


class Count:
    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.valid: Counter[str] = Counter()

    def report(self) -> str:
        calls, valid = self.calls.total(), self.valid.total()
        hit = [op for op in self.calls if self.valid[op]]
        few = sorted(self.valid[op] for op in self.calls)
        lines = [f"{op:28} {self.calls[op]:8} calls {self.valid[op]:8} valid" for op in sorted(self.calls)]
        middle = few[len(few) // 2] if few else 0
        lines.append(
            f"{calls} calls of {len(self.calls)} ops, {valid} valid ({valid / max(calls, 1):.0%}); "
            f"{len(hit)} ops with valid calls, median {middle} an op"
        )
        return "\n".join(lines)


class Fuzzer:
    def __init__(self, choose: Chooser, count: Count, announce: Any = None) -> None:
        self.choose, self.count, self.announce = choose, count, announce
        self.made: list[helix.Tensor] = []
        helix.manual_seed(0)

    def one_of(self, options: Any) -> Any:
        return options[self.choose.integer(0, len(options) - 1)]

    def chance(self, percent: int) -> bool:
        return self.choose.integer(1, 100) <= percent

    # ---- arguments ----

    def sizes(self, shapes: list[tuple[int, ...]]) -> dict[int, int]:
        """New sizes, the same for equal old ones, so that shapes go on fitting each other."""
        return {n: self.one_of(SIZES) for n in {n for shape in shapes for n in shape} if n > 1}

    def shape(self, old: tuple[int, ...], sizes: dict[int, int]) -> tuple[int, ...]:
        shape = tuple(sizes.get(n, n) for n in old)
        if self.chance(3):
            shape = tuple(self.one_of(SIZES) for _ in range(self.choose.integer(0, 6)))
        while math.prod(shape) > MOST_ELEMENTS:
            shape = tuple(max(1, n // 2) for n in shape)
        return shape

    def tensor(self, spec: T, dtype: str, sizes: dict[int, int], grad: bool) -> Any:
        if self.made and self.chance(15):
            return self.one_of(self.made)
        if self.chance(2):
            return self.one_of((None, 1, 2.5, True, "text", [1.0, 2.0], 2**63))
        name = spec.dtype or dtype
        if self.chance(4):
            name = self.one_of(DTYPES)
        rng = np.random.default_rng(self.choose.integer(0, 2**31))
        values = draw(T(**{**spec.__dict__, "shape": self.shape(spec.shape, sizes), "dtype": name}), name, rng)
        made = LAYOUTS[self.one_of(tuple(LAYOUTS))](values) if self.chance(40) else to_helix(values)
        if grad and made.is_floating_point() and self.chance(50):
            made = made.detach().requires_grad_()
        return made

    def parameter(self, value: Any, sizes: dict[int, int]) -> Any:
        if self.chance(85):
            return sizes.get(value, value) if is_integer(value) and self.chance(30) else value
        if is_integer(value):
            return self.one_of(INTEGERS) if self.chance(30) else self.choose.integer(-4, 6)
        if isinstance(value, bool):
            return not value
        if isinstance(value, float):
            return self.one_of((0.0, -1.0, 0.5, 3.0, math.inf, math.nan, 1e300))
        if isinstance(value, list | tuple) and value and all(is_integer(v) for v in value):
            return (
                [self.parameter(v, sizes) for v in value]
                if self.chance(70)
                else [self.choose.integer(-3, 5)] * self.choose.integer(0, 5)
            )
        return value

    # ---- calls ----

    def call(self, sample: Sample) -> None:
        sizes = self.sizes([t.shape for t in _specs(sample)]) if self.chance(60) else {}
        dtype = self.one_of(sample.dtypes) if self.chance(95) else self.one_of(DTYPES)
        grad = self.chance(30)

        def argument(a: Any) -> Any:
            if isinstance(a, T):
                return self.tensor(a, dtype, sizes, grad)
            if isinstance(a, list) and any(isinstance(x, T) for x in a):
                return map_tensors(a, lambda spec: self.tensor(spec, dtype, sizes, grad))
            return self.parameter(a, sizes)

        try:
            args = convert(tuple(argument(a) for a in sample.args), to_helix, helix)
        except helix.errors.HelixError:
            return
        kwargs = {k: convert(self.parameter(v, sizes), to_helix, helix) for k, v in sample.kwargs.items()}
        name = sample.op
        if self.chance(10) and has(name, "inplace"):
            name += "_"
        self.run(name, args, kwargs, grad)

    def run(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], grad: bool) -> None:
        if self.announce:
            self.announce(name, args, kwargs)
        self.count.calls[name.rstrip("_")] += 1
        try:
            result = function_of(name)(*args, **kwargs)
            force(result)
            self.count.valid[name.rstrip("_")] += 1
            if grad:
                self.backward(result)
        except helix.errors.HelixError as error:
            if isinstance(error, helix.errors.InternalError):
                raise
            return
        self.keep(name, result)

    def backward(self, result: Any) -> None:
        for r in result if isinstance(result, list | tuple) else [result]:
            if isinstance(r, helix.Tensor) and r.requires_grad and r.numel() < MOST_ELEMENTS:
                r.backward(helix.ones_like(r), retain_graph=True)

    def keep(self, name: str, result: Any) -> None:
        for r in result if isinstance(result, list | tuple) else [result]:
            if isinstance(r, helix.Tensor) and r.numel() <= MOST_ELEMENTS and "empty" not in name:
                self.made.append(r)
        del self.made[:-6]

    def sequence(self, ops: list[list[Sample]], most: int) -> int:
        length = self.choose.integer(1, most)
        for _ in range(length):
            self.call(self.one_of(self.one_of(ops)))
        return length


def _specs(sample: Sample) -> list[T]:
    from tests.ops.values import tensors_of

    return list(tensors_of(sample.args))


def samples_by_op() -> list[list[Sample]]:
    groups: dict[str, list[Sample]] = {}
    for sample in SAMPLES:
        groups.setdefault(sample.op, []).append(sample)
    return list(groups.values())
