"""What a kernel is: a list of typed instructions in SSA form, over buffers, scalars and memory shared by a group.

One work item runs the list once; `group` items run together and share memory; a launch is a grid of groups. The number
of an instruction is its position in the list, and the name of its result. Control flow is structured: `for`, `loop`,
`if` and `else` open a block that `end` closes.

Values have one of seven types: bool, i32, u32, i64, u64, f32, f64. The other dtypes exist in memory only: `load` widens
what it reads and `store` narrows what it writes (integers wrap, floats round to nearest even).

    instruction                       arguments            attribute
    const                                                  the value
    scalar                                                 number of the scalar
    local_id group_id num_groups                           axis
    load shared_load get              index | index | -    buffer | shared array | variable's instruction
    store shared_store set            index, value | value the same
    var                               first value
    atomic_and atomic_or              index, value         buffer (of u32 words)
    for                               start, stop, step    (result: the counter)
    loop, break_if, if, else, end     - | condition
    barrier
    cast bitcast                      value
    every other                       operands             one of ARITHMETIC
"""

from __future__ import annotations

from dataclasses import dataclass

VALUE_DTYPES = ("bool", "i32", "u32", "i64", "u64", "f32", "f64")
INTEGERS = ("i32", "u32", "i64", "u64")
FLOATS = ("f32", "f64")
# In the order of hx_dtype.
DTYPES = (
    "bool", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f16", "bf16", "f32", "f64", "c64", "c128",
)  # fmt: skip
SIZES = dict(zip(DTYPES, (1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 8, 16)))
# The type in which a stored dtype is computed.
WIDE = {d: d for d in VALUE_DTYPES} | {
    "i8": "i32",
    "i16": "i32",
    "u8": "u32",
    "u16": "u32",
    "f16": "f32",
    "bf16": "f32",
}
BITS = {"i32": 32, "u32": 32, "f32": 32, "i64": 64, "u64": 64, "f64": 64}

COMPARISONS = frozenset(("lt", "le", "gt", "ge", "eq", "ne"))
# Operators and functions that a renderer writes in its own language. Integer add, sub, mul, neg and shl wrap.
# div is of floats; quot and rest are of integers, cut towards zero, with a divisor that is not zero and no overflow;
# shl and shr have an amount below the width. min and max say nothing about NaN.
ARITHMETIC = frozenset(
    ("add", "sub", "mul", "neg", "abs", "min", "max", "div", "quot", "rest", "not", "and", "or", "xor", "shl", "shr")
) | {"mulhi", "where", "isnan"}  # fmt: skip
FUNCTIONS = frozenset(
    ("sqrt", "floor", "ceil", "trunc", "rint", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos")
) | frozenset(("tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh")) | frozenset(
    ("erf", "erfc", "lgamma", "pow", "fmod", "nextafter")
)  # fmt: skip
BLOCKS = frozenset(("for", "loop", "if", "else"))
EFFECTS = frozenset(("store", "shared_store", "set", "barrier", "break_if", "atomic_and", "atomic_or"))


class KernelError(Exception):
    """A kernel that breaks the rules of the language, or that a target cannot run."""


class UnsupportedError(KernelError):
    """What the kernel language has no way for; the caller goes another way."""


@dataclass(frozen=True, slots=True)
class Instruction:
    op: str
    dtype: str = ""  # of the result; "" without one
    args: tuple[int, ...] = ()
    attr: object = None


@dataclass(frozen=True, slots=True)
class Buffer:
    name: str
    dtype: str
    written: bool = False


@dataclass(frozen=True, slots=True)
class Scalar:
    name: str
    dtype: str


@dataclass(frozen=True, slots=True)
class Shared:
    name: str
    dtype: str
    size: int


@dataclass(frozen=True, slots=True)
class Kernel:
    name: str
    buffers: tuple[Buffer, ...]
    scalars: tuple[Scalar, ...]
    group: tuple[int, int, int]
    body: tuple[Instruction, ...]
    shared: tuple[Shared, ...] = ()
    exact: bool = False  # no contraction and no relaxed functions: the bits matter

    def text(self) -> str:
        """The kernel in words, the same for equal kernels: what caches are keyed by."""
        lines = [f"kernel {self.name} group {self.group}{' exact' if self.exact else ''}"]
        lines += [f"buffer {b.name} {b.dtype}{' written' if b.written else ''}" for b in self.buffers]
        lines += [f"scalar {s.name} {s.dtype}" for s in self.scalars]
        lines += [f"shared {s.name} {s.dtype} {s.size}" for s in self.shared]
        for number, i in enumerate(self.body):
            words = [f"%{number}", i.dtype or "-", i.op, *(f"%{a}" for a in i.args)]
            if i.attr is not None:
                words.append(i.attr.hex() if isinstance(i.attr, float) else str(i.attr))
            lines.append(" ".join(words))
        return "\n".join(lines) + "\n"
