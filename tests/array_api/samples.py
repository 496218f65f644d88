"""Calls of every function of the standard, for helix.array_api and array_api_strict alike.

A call is (name, arguments, keywords); arguments that stand for arrays are NumPy arrays, and dtypes are their names, `Type`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

FLOATS = ("float32", "float64")
COMPLEX = ("complex64", "complex128")
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
KINDS = {
    "any": ("bool", *SIGNED, *UNSIGNED, *FLOATS, *COMPLEX),
    "boolean": ("bool",),
    "integer": (*SIGNED, *UNSIGNED),
    "integer or boolean": ("bool", *SIGNED, *UNSIGNED),
    "numeric": (*SIGNED, *UNSIGNED, *FLOATS, *COMPLEX),
    "real numeric": (*SIGNED, *UNSIGNED, *FLOATS),
    "floating-point": (*FLOATS, *COMPLEX),
    "real floating-point": FLOATS,
    "complex floating-point": COMPLEX,
}
SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, -2.5, 3.0)
SHAPES = ((), (0,), (5,), (2, 3), (2, 0, 3), (2, 3, 4))


@dataclass(frozen=True)
class Type:
    """A dtype of either namespace, by name."""

    name: str


@dataclass(frozen=True)
class Call:
    name: str
    args: tuple[Any, ...]
    keywords: dict[str, Any]

    def __str__(self) -> str:
        shown = [f"{a.dtype}{list(a.shape)}" if isinstance(a, np.ndarray) else repr(a) for a in self.args]
        return f"{self.name}({', '.join([*shown, *(f'{k}={v!r}' for k, v in self.keywords.items())])})"


def call(name: str, *args: Any, **keywords: Any) -> Call:
    return Call(name, args, keywords)


def numbers(
    rng: np.random.Generator, dtype: str, shape: tuple[int, ...], low: float = -4, high: float = 5
) -> np.ndarray:
    """Values of a dtype between low and high."""
    if dtype == "bool":
        low, high = 0, 2
    if dtype in ("bool", *SIGNED, *UNSIGNED):
        low = max(0, low) if dtype in UNSIGNED else low
        return np.asarray(rng.integers(int(low), int(high), shape)).astype(dtype)
    made = np.asarray(rng.uniform(low, high, shape))
    if dtype in COMPLEX:
        made = made + 1j * rng.uniform(low, high, shape)
    return np.asarray(made).astype(dtype)


def special(dtype: str) -> np.ndarray:
    """Infinities, NaN, both zeros, and plain numbers; of complex dtypes every pair of them."""
    if dtype in COMPLEX:
        real = np.array(SPECIAL, dtype="float32" if dtype == "complex64" else "float64")
        made = np.empty((len(real), len(real)), dtype)
        made.real, made.imag = real[:, None], real[None, :]
        return made
    return np.array(SPECIAL, dtype=dtype)


UNARY = {
    "boolean": ("logical_not",),
    "integer or boolean": ("bitwise_invert",),
    "numeric": ["abs", "conj", "isfinite", "isinf", "isnan", "negative", "positive", "real", "round", "sign", "square"],
    "real numeric": ["ceil", "floor", "trunc"],
    "floating-point": [
        "acos",
        "acosh",
        "asin",
        "asinh",
        "atan",
        "atanh",
        "cos",
        "cosh",
        "exp",
        "expm1",
        "log",
        "log10",
        "log1p",
        "log2",
        "reciprocal",
        "sin",
        "sinh",
        "sqrt",
        "tan",
        "tanh",
    ],
    "real floating-point": ("signbit",),
    "complex floating-point": ("imag",),
}
BINARY = {
    "boolean": ["logical_and", "logical_or", "logical_xor"],
    "integer or boolean": ["bitwise_and", "bitwise_or", "bitwise_xor"],
    "integer": ["bitwise_left_shift", "bitwise_right_shift"],
    "any": ["equal", "not_equal"],
    "numeric": ["add", "multiply", "subtract"],
    "real numeric": [
        "floor_divide",
        "greater",
        "greater_equal",
        "less",
        "less_equal",
        "maximum",
        "minimum",
        "remainder",
    ],
    "floating-point": ("divide",),
    "real floating-point": ["atan2", "copysign", "hypot", "logaddexp", "nextafter"],
}
DOMAIN = {"acosh": (1, 5), "log": (0.1, 5), "log2": (0.1, 5), "log10": (0.1, 5), "log1p": (-0.9, 5), "sqrt": (0, 5),
          "acos": (-1, 1), "asin": (-1, 1), "atanh": (-0.9, 0.9), "reciprocal": (0.5, 4)}  # fmt: skip


def elementwise(rng: np.random.Generator) -> Iterator[Call]:
    for category, names in UNARY.items():
        for name in names:
            for dtype in KINDS[category]:
                low, high = DOMAIN.get(name, (-4, 5))
                yield call(name, numbers(rng, dtype, (2, 3), low, high))
            for dtype in set(KINDS[category]) & set(FLOATS):
                yield call(name, special(dtype))
    for category, names in BINARY.items():
        shifts = category == "integer"
        for name in names:
            for dtype in KINDS[category]:
                low = 0 if shifts else 1
                x1, x2 = numbers(rng, dtype, (2, 3)), numbers(rng, dtype, (3,), low, 4)
                yield from (call(name, x1, x2), call(name, x2, numbers(rng, dtype, (), low, 4)))
                yield call(name, x1, x2[0].item())
            for dtype in set(KINDS[category]) & set(FLOATS) - {"bool"}:
                if name not in ("nextafter", "floor_divide"):  # the standard says otherwise than NumPy: test_rules.py
                    yield call(name, special(dtype)[:, None], special(dtype)[None, :])
    for dtype in KINDS["numeric"]:
        yield call("pow", numbers(rng, dtype, (2, 3), 1, 4), numbers(rng, dtype, (3,), 0, 3))
    for dtype in KINDS["real numeric"]:
        x = numbers(rng, dtype, (4, 3))
        yield from (
            call("clip", x, 1, 3),
            call("clip", x, None, np.array(2, dtype)),
            call("clip", x, x.min(0), x.max(0)),
        )


def reductions(rng: np.random.Generator) -> Iterator[Call]:
    for name, category in (
        ("sum", "numeric"), ("prod", "numeric"), ("mean", "floating-point"), ("std", "real floating-point"),
        ("var", "real floating-point"), ("max", "real numeric"), ("min", "real numeric"), ("all", "any"), ("any", "any"),
        ("count_nonzero", "any"),
    ):  # fmt: skip
        for dtype in KINDS[category]:
            x = numbers(rng, dtype, (2, 3, 4))
            yield from (call(name, x), call(name, x, axis=1, keepdims=True), call(name, x, axis=(0, -1)))
        yield from (call(name, x, axis=()), call(name, numbers(rng, dtype, ()), keepdims=True))
        if name in ("sum", "prod", "all", "any", "count_nonzero"):
            yield call(name, numbers(rng, dtype, (2, 0, 3)), axis=1)
    for name in ("sum", "prod"):
        yield call(name, numbers(rng, "int8", (4,)), dtype=Type("float32"))
    for name in ("std", "var"):
        yield call(name, numbers(rng, "float64", (5, 3)), axis=0, correction=1)
    for name in ("cumulative_sum", "cumulative_prod"):
        for dtype in KINDS["numeric"]:
            yield from (
                call(name, numbers(rng, dtype, (5,))),
                call(name, numbers(rng, dtype, (2, 3)), axis=-1, include_initial=True),
            )
    for name in ("argmax", "argmin"):
        for dtype in KINDS["real numeric"]:
            x = numbers(rng, dtype, (3, 5))
            yield from (call(name, x), call(name, x, axis=0, keepdims=True), call(name, x, keepdims=True))
    for dtype in KINDS["numeric"]:
        x = numbers(rng, dtype, (3, 5))
        yield from (call("diff", x), call("diff", x, axis=0, n=2), call("diff", x, prepend=x[:, :1], append=x[:, :2]))


def orders(rng: np.random.Generator) -> Iterator[Call]:
    for dtype in KINDS["real numeric"]:
        x = numbers(rng, dtype, (4, 6))
        for name in ("sort", "argsort"):
            yield from (call(name, x), call(name, x, axis=0), call(name, x, descending=True))
        line = np.sort(x[0])
        yield from (call("searchsorted", line, x), call("searchsorted", line, x[1], side="right"))
        yield from (call("searchsorted", x[0], x[1], sorter=np.argsort(x[0])), call("searchsorted", line, 2))
        if dtype not in FLOATS:
            yield call("isin", x, x[0, :2])
    for dtype in KINDS["any"]:
        x = numbers(rng, dtype, (3, 4), -1, 2) if dtype not in COMPLEX else numbers(rng, "int8", (3, 4)).astype(dtype)
        yield from (
            call(name, x) for name in ("unique_all", "unique_counts", "unique_inverse", "unique_values", "nonzero")
        )
        yield from (call("where", x != 0, x, x[0]), call("where", x != 0, x, x[0, 0].item()))
    yield call("unique_all", np.array([complex(-0.0, 2), 1j, 2j, complex(0.0, -0.0), 0]))
    yield from (call("unique_all", special(dtype).reshape(-1)) for dtype in FLOATS)


def shapes(rng: np.random.Generator) -> Iterator[Call]:
    for dtype in KINDS["any"]:
        x, y = numbers(rng, dtype, (2, 3)), numbers(rng, dtype, (2, 3))
        yield from (call("concat", (x, y)), call("concat", [x, y], axis=None), call("stack", [x, y], axis=-1))
        yield from (call("flip", x), call("flip", x, axis=0), call("roll", x, 1), call("roll", x, (1, -1), axis=(0, 1)))
        yield from (call("repeat", x, 2), call("repeat", x, np.array([1, 0, 2]), axis=1), call("tile", x, (2, 1, 2)))
        yield from (
            call("tril", x, k=1),
            call("triu", x, k=9),
            call("triu", x, k=-1),
            call("take", x, np.array([2, 0, -1]), axis=1),
        )
        yield call("take_along_axis", x, np.array([[0], [2]]), axis=1)
    yield from (
        call("concat", (x.real.astype("float32"), numbers(rng, "float64", (2, 3)))),
        call("roll", x, (1, 2), axis=0),
    )
    cube = numbers(rng, "float64", (2, 1, 3))
    yield from (call("broadcast_to", cube, (2, 4, 3)), call("broadcast_arrays", cube, numbers(rng, "int8", (4, 1))))
    yield from (
        call("broadcast_shapes", (2, 1), (3,), ()),
        call("broadcast_shapes"),
        call("expand_dims", cube, axis=(0, -1)),
    )
    yield from (call("expand_dims", cube, axis=1), call("squeeze", cube, axis=1), call("squeeze", cube, axis=(-2,)))
    yield from (
        call("moveaxis", cube, 0, -1),
        call("moveaxis", cube, (0, 1), (1, 0)),
        call("permute_dims", cube, (2, 0, -2)),
    )
    yield from (call("reshape", cube, (3, -1)), call("reshape", cube, (6,), copy=True), call("unstack", cube, axis=2))
    yield from (call("meshgrid", cube[0, 0], cube[1, 0]), call("meshgrid", cube[0, 0], cube[1, 0], indexing="ij"))


def creations(rng: np.random.Generator) -> Iterator[Call]:
    kept = Type("float64")
    yield from (
        call("arange", 5),
        call("arange", 1, 9, 3),
        call("arange", 5, 1, 2),
        call("arange", 0, 1, 0.25, dtype=kept),
    )
    yield from (
        call("eye", 3, 4, k=-1, dtype=kept),
        call("eye", 2, dtype=Type("int8")),
        call("eye", 0, 2, dtype=kept),
        call("eye", 2, k=2**63, dtype=kept),
    )
    yield from (call("linspace", 0, 1, 7, dtype=kept), call("linspace", 2.0, -1.0, 5, dtype=kept, endpoint=False))
    yield from (call("linspace", 0, 1 + 2j, 3, dtype=Type("complex128")), call("linspace", 0, 1, 0, dtype=kept))
    yield from (call("full", (2, 3), 7), call("full", 2, True), call("full", (), 1.5, dtype=kept))
    yield from (call(name, (2, 3), dtype=kept) for name in ("ones", "zeros"))
    x = numbers(rng, "int16", (2, 3))
    yield from (
        call("full_like", x, 3),
        call("ones_like", x),
        call("zeros_like", x, dtype=kept),
        call("asarray", [[1, 2], [3, 4]]),
    )
    for dtype in KINDS["any"]:
        for goal in KINDS["any"]:
            if dtype not in COMPLEX or goal in COMPLEX:
                yield call("astype", numbers(rng, dtype, (4,), 0, 5), Type(goal))


def products(rng: np.random.Generator) -> Iterator[Call]:
    for dtype in KINDS["numeric"]:
        x, y = numbers(rng, dtype, (4, 2, 3)), numbers(rng, dtype, (3, 5))
        yield from (call("matmul", x, y), call("matmul", y[:, 0], y), call("matrix_transpose", x))
        yield from (call("tensordot", x, y, axes=1), call("tensordot", x, x, axes=((1, 2), (1, 2))))
        yield from (call("vecdot", x, y[:, 0]), call("vecdot", y, y[0], axis=-1), call("vecdot", y, y, axis=-2))


def transforms(rng: np.random.Generator) -> Iterator[Call]:
    for dtype in COMPLEX:
        x = numbers(rng, dtype, (3, 8))
        for name in ("fft", "ifft", "irfft", "hfft"):
            yield from (call(f"fft.{name}", x), call(f"fft.{name}", x, n=6, axis=0, norm="ortho"))
        for name in ("fftn", "ifftn", "irfftn"):
            yield from (call(f"fft.{name}", x, norm="forward"), call(f"fft.{name}", x, s=(4,), axes=(1,)))
    for dtype in FLOATS:
        x = numbers(rng, dtype, (3, 8))
        yield from (call(f"fft.{name}", x) for name in ("rfft", "ihfft", "rfftn", "fftshift", "ifftshift"))
        yield from (
            call("fft.rfftn", x, axes=(1, 0)),
            call("fft.fftshift", x, axes=1),
            call("fft.ifftshift", x, axes=(0,)),
        )
    for name in ("fftfreq", "rfftfreq"):
        yield from (call(f"fft.{name}", 7, d=0.5, dtype=Type("float64")), call(f"fft.{name}", 4, dtype=Type("float32")))


def linear_algebra(rng: np.random.Generator) -> Iterator[Call]:
    for dtype in KINDS["floating-point"]:
        x, line = numbers(rng, dtype, (2, 3, 3)), numbers(rng, dtype, (3,))
        definite = x @ x.conj().swapaxes(-1, -2) + 4 * np.eye(3, dtype=dtype)
        for name in ("det", "inv", "slogdet", "svdvals", "pinv", "matrix_rank", "eigvalsh", "cholesky"):
            yield call(f"linalg.{name}", definite)
        yield from (call("linalg.det", x), call("linalg.pinv", x[:, :2]), call("linalg.cholesky", definite, upper=True))
        yield from (
            call("linalg.matrix_rank", definite, rtol=0.1),
            call("linalg.pinv", definite, rtol=np.full(2, 0.1, x.real.dtype)),
        )
        yield from (
            call("linalg.solve", definite, line),
            call("linalg.solve", definite, x),
            call("linalg.solve", definite[0], x),
        )
        yield from (
            call("linalg.solve", definite, x[0]),
            call("linalg.cross", x, line),
            call("linalg.cross", x, x, axis=-2),
        )
        yield from (call("linalg.matrix_power", definite / 8, n) for n in (0, 1, 5, -2))
        cube = np.stack([definite[0]] * 3)
        yield call("linalg.solve", cube, x[0])  # torch would take x[0] for a stack of vectors
        for order in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
            yield call("linalg.matrix_norm", x, ord=order, keepdims=order == "nuc")
        for order in (0, 1, 2, 3, -1, np.inf, -np.inf, 0.5):
            yield from (call("linalg.vector_norm", x, ord=order), call("linalg.vector_norm", x, axis=(0, 2), ord=order))
            yield call("linalg.vector_norm", x, axis=-1, keepdims=True, ord=order)
    for dtype in KINDS["numeric"]:
        x, line = numbers(rng, dtype, (2, 3, 4)), numbers(rng, dtype, (4,))
        yield from (call("linalg.trace", x), call("linalg.trace", x, offset=-1), call("linalg.diagonal", x, offset=1))
        yield from (
            call("linalg.outer", line, line[:2]),
            call("linalg.matmul", x, line),
            call("linalg.vecdot", x, line),
        )
        yield from (call("linalg.matrix_transpose", x), call("linalg.tensordot", x, line, axes=1))
    yield call("linalg.trace", numbers(rng, "int8", (3, 3)), dtype=Type("float64"))


FAMILIES = (linear_algebra, elementwise, reductions, orders, shapes, creations, products, transforms)


def calls(family: Any) -> list[Call]:
    return list(family(np.random.default_rng(2025)))
