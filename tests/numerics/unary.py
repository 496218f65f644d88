"""Functions of one float32 against the same in float64, at any of the 2^32 arguments there are.

`python -m tests.numerics.unary` walks all arguments, in blocks of 2^24, and keeps what it found in build/numerics: it goes on
where it was stopped. `--functions exp,log` and `--blocks 0:64` take a part, `--stride 257` every 257th argument of a block.
The float64 functions are checked against mpmath in test_numerics.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import helix
import helix.nn.functional as F
from helix import _core

BLOCK = 1 << 24
BLOCKS = 256
KEPT = Path("build/numerics")


@dataclass(frozen=True)
class Function:
    """bound: the largest error, in units of the last place of the result; of the argument where `own`, as of a factor near 0
    or 1 times it."""

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


def unit_of(x: np.ndarray) -> np.ndarray:
    """The unit of the last place of float32 at each value; that of the smallest below the normal ones."""
    exponent = (x.astype(np.float32).view(np.uint32) >> np.uint32(23)) & np.uint32(0xFF)
    return np.ldexp(1.0, np.clip(exponent, 1, 254).astype(np.int32) - 150)


def compare(function: Function, patterns: np.ndarray) -> Found:
    """The error at the float32 arguments with these bits."""
    x = patterns.view(np.float32)
    given = helix.from_numpy(x)
    made = function.call(given).numpy().astype(np.float64)
    with np.errstate(all="ignore"):
        true = function.call(given.double()).numpy()
        rounded = true.astype(np.float32).astype(np.float64)
        usual = np.isfinite(made) & np.isfinite(rounded)
        errors = np.abs(made - true) / unit_of(x if function.own else true)
    same = (made == rounded) | (np.isnan(made) & np.isnan(rounded))
    edge = np.isfinite(true) & (np.abs(true) > 3.4028e38)  # the largest numbers may be rounded to infinity
    wrong = ~usual & ~same & ~edge
    errors = np.where(usual, errors, 0)
    at, bad = int(errors.argmax()), int(wrong.argmax())
    return Found(
        len(x), float(errors[at]), int(patterns[at]), int(wrong.sum()), int(patterns[bad]) if wrong.any() else 0
    )


def block(number: int, stride: int = 1) -> np.ndarray:
    return np.arange(number * BLOCK, (number + 1) * BLOCK, stride, dtype=np.uint64).astype(np.uint32)


def sample(stride: int = 65_537) -> np.ndarray:
    """Arguments of every exponent and sign, and the special ones."""
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-45, -1e-45, 1.1754944e-38, 3.4028235e38, -3.4028235e38]
    spread = np.arange(0, 1 << 32, stride, dtype=np.uint64).astype(np.uint32)
    return np.concatenate([spread, np.array(special, np.float32).view(np.uint32)])


def walk(name: str, blocks: range, stride: int) -> Iterator[Found]:
    """What was found so far, after each block; blocks that were walked before are read."""
    file = KEPT / f"{name}-{_core.cpu_isa()}-{stride}.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    total = Found()
    for number in blocks:
        if str(number) not in kept:
            kept[str(number)] = asdict(compare(FUNCTIONS[name], block(number, stride)))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(kept))
        total.add(Found(**kept[str(number)]))
        yield total


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.numerics.unary")
    parser.add_argument("--functions", default=",".join(FUNCTIONS))
    parser.add_argument("--blocks", default=f"0:{BLOCKS}")
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=np.inf)
    given = parser.parse_args()
    begin, end = (int(n) for n in given.blocks.split(":"))
    start, faults = time.monotonic(), 0
    for name in given.functions.split(","):
        found = Found()
        for so_far in walk(name, range(begin, end), given.stride):
            found = so_far
            if time.monotonic() - start > given.seconds:
                break
        bound = FUNCTIONS[name].bound
        bad = found.worst > bound or found.wrong
        faults += bool(bad)
        print(
            f"{name:12} {found.arguments:13,} arguments  {found.worst:6.3f} units at {found.at:#010x} (bound {bound}); "
            f"{found.wrong} of another kind{f', first {found.wrong_at:#010x}' if found.wrong else ''}",
            flush=True,
        )
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
