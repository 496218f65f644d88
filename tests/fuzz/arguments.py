"""Arguments for a call, made from one of the op's samples; most of them fit, and every parameter is reached."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import helix
from tests.ops.corners import INTEGERS, is_integer
from tests.ops.records import RECORDS
from tests.ops.sample import Sample, T
from tests.ops.values import LAYOUTS, convert, draw, tensors_of, to_helix

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
LARGE_SIZES = (1, 3, 16, 31, 64, 100, 257)
MOST_ELEMENTS = 20_000
MOST_LARGE = 100_000
EXTREMES = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-45, -65504.0, 3e38, 1e308, -1e308)
FLOATS = (0.0, -1.0, 0.5, 3.0, math.inf, math.nan, 1e300)
NUMBERS = (0, 1, -1, 2, 3, True, 0.5, -2.5, 1e300, math.nan, 1j)
ODD = (None, 1, 2.5, True, "text", [1.0, 2.0], 2**63)


class Block:
    """Decisions read from bytes, two for each. Beyond the end all are zero."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def integer(self, low: int, high: int) -> int:
        at = self.at
        self.at = at + 2
        return low + int.from_bytes(self.data[at : at + 2], "little") % (high - low + 1)

    def one_of(self, options: Any) -> Any:
        return options[self.integer(0, len(options) - 1)]

    def chance(self, percent: int) -> bool:
        return self.integer(0, 99) >= 100 - percent


class Arguments:
    """What one call is made with. Tame: the sample with other values, dtypes and layouts. Fitted: also with other sizes,
    the same for equal old ones, so that shapes go on fitting each other. Wild: anything in any place."""

    def __init__(self, choose: Block, sample: Sample, made: list[helix.Tensor]) -> None:
        self.choose, self.sample, self.made = choose, sample, made
        self.rng = np.random.Generator(np.random.PCG64(choose.integer(0, 65535)))
        kind = choose.integer(0, 99)
        self.wild = kind >= 90
        self.large = 52 <= kind < 55
        self.sizes = self.new_sizes(LARGE_SIZES if self.large else SIZES) if kind >= 52 else {}
        self.dtype = choose.one_of(DTYPES if self.wild and choose.chance(30) else sample.dtypes)
        self.grad = choose.chance(25)
        self.args = convert(tuple(self.argument(a) for a in sample.args), to_helix, helix)
        self.kwargs = {k: convert(self.argument(v), to_helix, helix) for k, v in sample.kwargs.items()}
        if choose.chance(20):
            self.add_optional()

    def new_sizes(self, sizes: tuple[int, ...]) -> dict[int, int]:
        old = sorted({n for t in tensors_of(self.sample.args) for n in t.shape if n > 1})
        return {n: self.choose.one_of(sizes) for n in old}

    def argument(self, value: Any) -> Any:
        if isinstance(value, T):
            return self.tensor(value)
        if isinstance(value, list | tuple) and any(isinstance(x, T) for x in value):
            return type(value)(self.argument(x) for x in value)
        return self.parameter(value)

    # ---- tensors ----

    def tensor(self, spec: T) -> Any:
        choose = self.choose
        if self.wild and choose.chance(15):
            return choose.one_of(self.made) if self.made and choose.chance(80) else choose.one_of(ODD)
        dtype = spec.dtype or self.dtype
        if self.wild and choose.chance(15):
            dtype = choose.one_of(DTYPES)
        shape = self.shape(spec.shape)
        if spec.dtype is None and choose.chance(20):
            for t in self.made:
                if t.shape == shape and t.dtype.name == dtype:
                    return t
        return self.with_gradient(self.laid_out(self.values(spec, shape, dtype)))

    def shape(self, old: tuple[int, ...]) -> tuple[int, ...]:
        if self.wild and self.choose.chance(20):
            old = tuple(self.choose.one_of(SIZES) for _ in range(self.choose.integer(0, 6)))
        shape = tuple(self.sizes.get(n, n) for n in old)
        while math.prod(shape) > (MOST_LARGE if self.large else MOST_ELEMENTS):
            shape = tuple(max(1, n // 2) for n in shape)
        return shape

    def values(self, spec: T, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        changed = {**spec.__dict__, "shape": shape, "dtype": dtype}
        if spec.dtype and self.sizes:  # positions: their bounds follow the size that they were written for
            changed["low"] = -self.sizes.get(-int(spec.low), -spec.low)
            changed["high"] = max(self.sizes.get(int(spec.high) + 1, spec.high + 1) - 1, changed["low"])
        values = draw(T(**changed), dtype, self.rng)
        if (self.wild or spec.dtype is None) and values.size and self.choose.chance(12):
            self.put_extremes(values)
        return values

    def put_extremes(self, values: np.ndarray) -> None:
        kind = np.dtype(values.dtype).kind
        if kind in "iu":
            info = np.iinfo(values.dtype)
            extreme: Any = self.choose.one_of((info.min, info.max, 0, info.max // 2))
        else:
            extreme = self.choose.one_of(EXTREMES)
        every = self.choose.integer(1, 4)
        with np.errstate(all="ignore"):
            values.reshape(-1)[::every] = np.asarray(extreme).astype(values.dtype)

    def laid_out(self, values: np.ndarray) -> helix.Tensor:
        return LAYOUTS[self.choose.one_of(tuple(LAYOUTS))](values) if self.choose.chance(45) else to_helix(values)

    def with_gradient(self, t: helix.Tensor) -> helix.Tensor:
        if self.grad and t.is_floating_point() and self.choose.chance(60):
            return t.detach().requires_grad_()
        return t

    # ---- parameters ----

    def parameter(self, value: Any) -> Any:
        if self.wild and self.choose.chance(40):
            return self.other_parameter(value)
        if self.sizes and is_integer(value) and self.choose.chance(30):
            return self.sizes.get(value, value)
        return value

    def other_parameter(self, value: Any) -> Any:
        choose = self.choose
        if is_integer(value):
            return choose.one_of(INTEGERS) if choose.chance(30) else choose.integer(-4, 6)
        if isinstance(value, bool):
            return not value
        if isinstance(value, float):
            return choose.one_of(FLOATS)
        if isinstance(value, list | tuple) and value and all(is_integer(v) for v in value):
            if choose.chance(70):
                return [self.other_parameter(v) if choose.chance(40) else v for v in value]
            return [choose.integer(-3, 5)] * choose.integer(0, 5)
        return value

    def add_optional(self) -> None:
        """One more parameter from the op's record, beyond those that the sample gives."""
        record = RECORDS.get(self.sample.op)
        absent = record["params"][len(self.args) :] if record else []
        absent = [p for p in absent if not p["required"] and not p["varargs"] and p["name"] not in self.kwargs]
        if absent:
            parameter = self.choose.one_of(absent)
            self.kwargs[parameter["name"]] = self.optional(parameter)

    def optional(self, parameter: dict[str, Any]) -> Any:
        choose, kind = self.choose, parameter["kind"]
        if parameter["choices"]:
            return choose.one_of(parameter["choices"])
        if kind == "bool":
            return choose.chance(50)
        if kind == "dtype | None":
            return getattr(helix, choose.one_of(DTYPES if choose.chance(20) else self.sample.dtypes))
        if kind == "Tensor | None":
            first = next(iter(tensors_of(self.sample.args)), T((3,)))
            return self.tensor(T(first.shape))
        if kind.startswith("Number"):
            return choose.one_of(NUMBERS)
        if kind.startswith("float"):
            return choose.one_of(FLOATS)
        if kind.startswith("int"):
            one = choose.integer(-1, 3)
            return [one] * choose.integer(1, 3) if "Sequence" in kind and choose.chance(40) else one
        return parameter["default"]
