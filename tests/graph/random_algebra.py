"""Random programs of what passes look for: neutral numbers, signs, casts, views and copies that undo each other, on the numbers on
which rules of algebra fail: infinities, NaN, zeros of either sign, the smallest and the largest.

A program is a number, as in `random_graphs`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import helix
from helix.graph import Graph, optimize
from helix.graph.passes import PASSES

from .random_graphs import LOOSE, same_bits

T = helix.Tensor
DTYPES = ("float32", "float64", "float16", "bfloat16", "int32", "int8", "uint8", "bool", "complex64")
SHAPES = ((3, 4), (2, 1, 4), (4,), (), (1, 6))
SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-40, -1e-7, 3e38, 65504.0, 0.1)
NUMBERS = (0, 0.0, 0, -0.0, 1, 1.0, -1, 2, 0.5, -4.0, 0.1, float("inf"))


def input_of(number: int) -> helix.Tensor:
    rng = np.random.default_rng([number, 2])
    shape, dtype = SHAPES[int(rng.integers(len(SHAPES)))], str(rng.choice(DTYPES))
    values = np.where(rng.random(shape) < 0.6, rng.choice(SPECIAL, shape), rng.normal(size=shape))
    if dtype == "complex64":
        values = values + 1j * rng.choice(SPECIAL[2:4], shape)
    elif "float" not in dtype:
        values = rng.integers(0, 2 if dtype == "bool" else 100, shape)
    return helix.tensor(values).to(getattr(helix, dtype))


def _float(x: T) -> bool:
    return x.is_floating_point()


def _shuffled(x: T, rng: np.random.Generator) -> T:
    return x.permute([int(axis) for axis in rng.permutation(x.ndim)])


def _turned(x: T, rng: np.random.Generator) -> T:
    return x.transpose(int(rng.integers(-x.ndim, x.ndim)), int(rng.integers(x.ndim))) if x.ndim else x


def _laid_out(x: T, rng: np.random.Generator) -> T:
    shapes = [(-1,), (x.numel(), 1), x.shape, (1, *x.shape), (2, -1) if x.numel() % 2 == 0 else (-1,)]
    return x.reshape(shapes[int(rng.integers(len(shapes)))])


def _cast(x: T, rng: np.random.Generator) -> T:
    wanted = str(rng.choice([d for d in DTYPES if (d == "complex64") == x.is_complex()]))
    return x.to(getattr(helix, wanted))


def _with_number(x: T, rng: np.random.Generator) -> T:
    kind, number = int(rng.integers(6)), NUMBERS[int(rng.integers(len(NUMBERS)))]
    if not (_float(x) or x.is_complex()):
        kind, number = kind % 3, int(rng.integers(-1, 3))
        if x.dtype is helix.bool:
            return x.logical_not()
    forms: list[Callable] = [
        lambda: x + number, lambda: x * number, lambda: x - number, lambda: number * x, lambda: x / (number or 1.0),
        lambda: x ** float(rng.choice([1.0, 2.0, 3.0])),
    ]  # fmt: skip
    return forms[kind]()


def _with_fill(x: T, rng: np.random.Generator) -> T:
    if x.dtype is helix.bool:
        return x
    makes = [helix.zeros, helix.ones, lambda s, dtype: helix.full(s, -1.0 if _float(x) else 1, dtype=dtype)]
    fill = makes[int(rng.integers(3))](x.shape, dtype=x.dtype)
    return [lambda: x + fill, lambda: fill * x, lambda: x - fill, lambda: x * (fill / 2 if _float(x) else fill)][
        int(rng.integers(4))
    ]()


def _with_constant(x: T, rng: np.random.Generator) -> T:
    if x.dtype is helix.bool or not x.ndim:
        return x
    row = helix.arange(x.shape[-1], device=None).to(x.dtype) * 2 + helix.tensor([1] * x.shape[-1], dtype=x.dtype)
    return [lambda: x * row, lambda: x + (row - row.flip(0)).reshape(1, -1), lambda: x + helix.full((), 3.0).to(x.dtype) * 2][
        int(rng.integers(3))
    ]()  # fmt: skip


def _unary(x: T, rng: np.random.Generator) -> T:
    if x.dtype is helix.bool:
        return [lambda: ~x, lambda: x.logical_not(), lambda: x & x][int(rng.integers(3))]()
    forms = [lambda: -x, lambda: x.square()]
    if not x.is_complex():
        forms += [lambda: x.abs(), lambda: x.sign(), lambda: helix.relu(x), lambda: x.floor(), lambda: x.trunc()]
        forms += [lambda: helix.maximum(x, x), lambda: helix.where(x > 0, x, x)]
    if _float(x):
        forms += [lambda: x.exp(), lambda: helix.sigmoid(x)]
    return forms[int(rng.integers(len(forms)))]()


def _stretched(x: T, rng: np.random.Generator) -> T:
    if x.ndim and x.shape[-1] == 1:
        return x.expand(*x.shape[:-1], 4)
    return x.expand(([2, 3] + list(x.shape))[int(rng.integers(3)) :]) if x.ndim < 4 else x


def _copied(x: T, rng: np.random.Generator) -> T:
    return [x.clone, x.contiguous, lambda: x.unsqueeze(0), lambda: x.squeeze(), lambda: x.flip(0) if x.ndim else x][
        int(rng.integers(5))
    ]()


def _part(x: T, rng: np.random.Generator) -> T:
    if not x.ndim:
        return x
    return [lambda: x[:], lambda: x[..., 1:] if x.shape[-1] > 1 else x, lambda: helix.stack([x, x * 2])[int(rng.integers(2))]][
        int(rng.integers(3))
    ]()  # fmt: skip


MOVES = (
    _shuffled,
    _turned,
    _laid_out,
    _cast,
    _with_number,
    _with_number,
    _with_fill,
    _with_constant,
    _unary,
    _unary,
    _stretched,
    _copied,
    _part,
)


def program(number: int) -> Callable[[T], tuple[T, ...]]:
    def run(x: T) -> tuple[T, ...]:
        rng = np.random.default_rng([number, 3])
        pool = [x]
        for _ in range(int(rng.integers(4, 14))):
            a = pool[int(rng.integers(max(0, len(pool) - 3), len(pool)))]
            if rng.random() < 0.15:
                b = pool[int(rng.integers(len(pool)))]
                if b.shape == a.shape and helix.bool not in (a.dtype, b.dtype):
                    pool.append([lambda: a + b, lambda: a - b, lambda: a * b, lambda: b - a][int(rng.integers(4))]())  # noqa: B023
                    continue
            made = MOVES[int(rng.integers(len(MOVES)))](a, rng)
            if made.numel() < 500:
                pool.append(made)
        return tuple(pool[-3:])

    return run


def check(number: int, passes: dict | None = None) -> str | None:
    """What passes do wrong to a program, or None. `passes` plants a fault."""
    x, function = input_of(number), program(number)
    graph = helix.trace(function, x)
    expected = graph(x)
    table = {name: one.run for name, one in PASSES.items() if name not in LOOSE} if passes is None else passes
    for names in [[name] for name in table] + [[name for name in table if name not in PASSES or not PASSES[name].last]]:
        made = optimize(graph, [table[name] for name in names])
        made.check()
        before = made.hash()
        what = _difference(made, x, expected, _close if names == ["composites"] else same_bits)
        if what:
            return f"{', '.join(names)}: {what}"
        if any(table[name](made) for name in names) or made.hash() != before:
            return f"{', '.join(names)}: not settled"
    return None


def _close(a: T, b: T) -> bool:
    """To four last places of the largest element: what a composite does not round on its way, its parts do."""
    if not _float(b) or same_bits(a, b):
        return same_bits(a, b)
    x, y, step = a.double().numpy(), b.double().numpy(), 4 * helix.finfo(b.dtype).eps
    scale = float(np.abs(y[np.isfinite(y)]).max(initial=0.0))
    return bool(np.allclose(x, y, rtol=step, atol=step * scale, equal_nan=True))


def _difference(made: Graph, x: T, expected: tuple[T, ...], alike: Callable[[T, T], bool]) -> str | None:
    found = made(x)
    for value, mine, theirs in zip(made.outputs, found, expected, strict=True):
        if (value.shape, value.dtype) != (mine.shape, mine.dtype):
            return f"{value!r} is {mine.dtype.name}{list(mine.shape)}"
        if not alike(mine, theirs):
            return f"{value!r} has other values"
    return None
