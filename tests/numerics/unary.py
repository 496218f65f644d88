"""Functions of one float32 against the same in float64, at any of the 2^32 arguments there are.

`python -m tests.numerics.unary` walks all arguments, in blocks of 2^24, and keeps what it found in build/numerics: it goes on
where it was stopped. `--functions exp,log` and `--blocks 0:64` take a part, `--stride 257` every 257th argument of a block.
The float64 functions are checked against mpmath in test_numerics.py.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

import helix
import helix.nn.functional as F
from helix import _core

BLOCK = 1 << 24
BLOCKS = 256
PART = 1 << 15
KEPT = Path("build/numerics")


@dataclass(frozen=True)
class Function:
    """bound: the largest error, in units of the last place of the result; of the argument where `own`, as of a factor near 0
    or 1 times it, which may become 0 of either sign."""

    call: Callable[[helix.Tensor], helix.Tensor]
    bound: float
    own: bool = False


FUNCTIONS = {
    "sqrt": Function(helix.sqrt, 0.501),
    "rsqrt": Function(helix.rsqrt, 2),
    "exp": Function(helix.exp, 2),
    "exp2": Function(helix.exp2, 2),
    "expm1": Function(helix.expm1, 2),
    "log": Function(helix.log, 2),
    "log2": Function(helix.log2, 3),
    "log10": Function(helix.log10, 3),
    "log1p": Function(helix.log1p, 2),
    "sin": Function(helix.sin, 2),
    "cos": Function(helix.cos, 2),
    "tan": Function(helix.tan, 4),
    "asin": Function(helix.asin, 4),
    "acos": Function(helix.acos, 4),
    "atan": Function(helix.atan, 4),
    "sinh": Function(helix.sinh, 4),
    "cosh": Function(helix.cosh, 4),
    "tanh": Function(helix.tanh, 2),
    "asinh": Function(helix.asinh, 4),
    "acosh": Function(helix.acosh, 4),
    "atanh": Function(helix.atanh, 4),
    "sigmoid": Function(helix.sigmoid, 3),
    "erf": Function(helix.erf, 3),
    "erfc": Function(helix.erfc, 3),
    "gelu": Function(F.gelu, 4, own=True),
    "silu": Function(F.silu, 4, own=True),
    "softplus": Function(F.softplus, 4),
    "logsigmoid": Function(F.logsigmoid, 4),
}


@dataclass
class Found:
    """worst: the largest error and its argument's bits.   wrong: arguments at which NaN, an infinity or a sign of zero differs."""

    arguments: int = 0
    worst: float = 0.0
    at: int = 0
    wrong: int = 0
    wrong_at: int = 0

    def add(self, other: Found) -> None:
        self.arguments += other.arguments
        if other.worst > self.worst:
            self.worst, self.at = other.worst, other.at
        if other.wrong and not self.wrong:
            self.wrong_at = other.wrong_at
        self.wrong += other.wrong


def units_of(x: np.ndarray) -> np.ndarray:
    """The unit of the last place of each float32; that of the smallest below the normal ones."""
    exponent = x.view(np.uint32) & np.uint32(0x7F800000)
    np.clip(exponent, 1 << 23, 254 << 23, out=exponent)
    bits = exponent.astype(np.uint64) << np.uint64(29)  # to where float64 has its exponent
    bits += np.uint64((1023 - 127 - 23) << 52)
    return bits.view(np.float64)


def wrong_kinds(function: Function, made: np.ndarray, rounded: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Where one is NaN, infinite or -0 and the other is not. The largest numbers may be rounded to infinity."""
    usual = np.isfinite(made) & np.isfinite(rounded)
    zeros = (not function.own) & (made == 0) & (rounded == 0) & (np.signbit(made) != np.signbit(rounded))
    same = (made == rounded) | (np.isnan(made) & np.isnan(rounded))
    return np.where(usual, zeros, ~same & ~(np.isfinite(true) & (np.abs(true) > 3.4028e38)))


def compare_part(function: Function, patterns: np.ndarray) -> Found:
    x = patterns.view(np.float32)
    given = helix.from_numpy(x)
    made = function.call(given).numpy()
    true = function.call(given.double()).numpy()
    rounded = true.astype(np.float32)
    errors = np.subtract(made, true)
    np.abs(errors, out=errors)
    errors /= units_of(x if function.own else rounded)
    worst = int(errors.argmax())  # the first NaN, if there is one
    signs = (made.view(np.int32) ^ rounded.view(np.int32)).min(initial=0)
    if signs >= 0 and np.isfinite(errors[worst]) and np.isfinite(rounded).all():
        return Found(len(x), float(errors[worst]), int(patterns[worst]))
    errors[~(np.isfinite(made) & np.isfinite(rounded))] = 0
    wrong = wrong_kinds(function, made, rounded, true)
    worst, first = int(errors.argmax()), int(wrong.argmax())
    return Found(
        len(x), float(errors[worst]), int(patterns[worst]), int(wrong.sum()), int(patterns[first]) if wrong.any() else 0
    )


def compare(function: Function, patterns: np.ndarray) -> Found:
    """The error at the float32 arguments with these bits; in parts that stay in the processor's cache."""
    total = Found()
    with np.errstate(all="ignore"), helix.no_grad():
        for at in range(0, len(patterns), PART):
            total.add(compare_part(function, patterns[at : at + PART]))
    return total


def changed_subnormals(names: Iterable[str], stride: int = 509) -> dict[str, int]:
    """How many x below the normal numbers these functions, which are x there to the last place, make another number of."""
    small = np.concatenate([np.arange(1, 4096), np.arange(4096, 1 << 23, stride)]).astype(np.uint32)
    x = np.concatenate([small, small | np.uint32(1 << 31)]).view(np.float32)
    given = helix.from_numpy(x)
    return {name: int((FUNCTIONS[name].call(given).numpy() != x).sum()) for name in names}


def block(number: int, stride: int = 1) -> np.ndarray:
    return np.arange(number * BLOCK, (number + 1) * BLOCK, stride, dtype=np.uint64).astype(np.uint32)


def sample(stride: int = 65_537) -> np.ndarray:
    """Arguments of every exponent and sign, and the special ones."""
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-45, -1e-45, 1.1754944e-38, 3.4028235e38, -3.4028235e38]
    spread = np.arange(0, 1 << 32, stride, dtype=np.uint64).astype(np.uint32)
    return np.concatenate([spread, np.array(special, np.float32).view(np.uint32)])


def file_of(name: str, stride: int) -> Path:
    return KEPT / f"{name}-{_core.cpu_isa()}-{stride}.json"


def walk(name: str, blocks: range, stride: int) -> Iterator[Found]:
    """What was found so far, after each block; blocks that were walked before are read."""
    file = file_of(name, stride)
    kept = json.loads(file.read_text()) if file.exists() else {}
    total = Found()
    for number in blocks:
        if str(number) not in kept:
            kept[str(number)] = asdict(compare(FUNCTIONS[name], block(number, stride)))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(kept))
        total.add(Found(**kept[str(number)]))
        yield total


def walk_until(end: float, blocks: range, stride: int, name: str) -> tuple[str, Found]:
    """As much as there is time for, on one thread: parts of a block are too small for more."""
    helix.set_num_threads(1)
    found = Found()
    for so_far in walk(name, blocks, stride):
        found = so_far
        if time.time() > end:
            break
    return name, found


def report(name: str, found: Found) -> str:
    first = f", first {found.wrong_at:#010x}" if found.wrong else ""
    return (
        f"{name:12} {found.arguments:13,} arguments  {found.worst:6.3f} units at {found.at:#010x} "
        f"(bound {FUNCTIONS[name].bound}); {found.wrong} of another kind{first}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.numerics.unary")
    parser.add_argument("--functions", default=",".join(FUNCTIONS))
    parser.add_argument("--blocks", default=f"0:{BLOCKS}")
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=np.inf)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    begin, end = (int(n) for n in given.blocks.split(":"))
    work = partial(walk_until, time.time() + given.seconds, range(begin, end), given.stride)
    faults = 0
    with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        for name, found in pool.imap(work, given.functions.split(",")):
            faults += found.worst > FUNCTIONS[name].bound or found.wrong > 0
            print(report(name, found), flush=True)
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
