"""A plan: what one kind of call becomes on one kind of device, a list of launches.

A template makes a plan from a Call once; the executor keeps it and runs it for every call of the same key. The key holds
op, dtypes, shapes, strides and the attributes that are not floats. What may differ between two calls of one key (places
in memory, float attributes, seeds, values of host scalars) is named here and read when the plan runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

from helix.kernel.ir import SIZES, Kernel, KernelError
from helix.kernel.schedule import schedule_of

Reference = tuple[str, int]  # ("in", 0), ("out", 1), ("temporary", 0), LATE
LATE = ("late", 0)  # the record in which kernels note what is wrong in their data: four i32, the first is OpNumber


@dataclass(frozen=True, slots=True)
class Tensor:
    """An operand as a template sees it. `size` bytes an element, also where the dtype is only a carrier of bits."""

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    reference: Reference
    host: bool = False  # one element in host memory

    @property
    def numel(self):
        return prod(self.shape)

    @property
    def size(self):
        return SIZES[self.dtype]


@dataclass(frozen=True, slots=True)
class Offset:
    """Place of a tensor's first element in its block, in elements of `size` bytes."""

    reference: Reference
    size: int


@dataclass(frozen=True, slots=True)
class Number:
    """A number among the attributes, by position."""

    attribute: int
    whole: bool = False  # given as an integer
    zero: bool = False  # is 0: the one value that code may depend on


@dataclass(frozen=True, slots=True)
class Derived:
    """A function of several numbers, in float64 on the host."""

    numbers: tuple[Number, ...]
    function: Callable[..., float]


@dataclass(frozen=True, slots=True)
class Host:
    """The value of a host scalar among the inputs."""

    input: int


@dataclass(frozen=True, slots=True)
class Random:
    """A 32-bit word of the generator's state: 0, 1 the seed, 2, 3 the stream."""

    attribute: int
    word: int


@dataclass(frozen=True, slots=True)
class OpNumber:
    """What stands for the running op in the record of faults."""


Source = int | float | Offset | Number | Derived | Host | Random | OpNumber


@dataclass(frozen=True, slots=True)
class Launch:
    kernel: Kernel
    buffers: tuple[Reference, ...]
    scalars: tuple[Source, ...]
    grid: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    launches: tuple[Launch, ...] = ()
    temporaries: tuple[int, ...] = ()  # bytes of each


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of call. Attributes by name: plain values, or Number and Random where they may differ."""

    op: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    attributes: dict[str, object] = field(default_factory=dict)
    index: str = "i32"  # i64 where a block has 2^30 elements or more

    def statics(self):
        """The attributes in a form that can be hashed: `float` or `int` stands for a number that is not in the key."""
        return tuple((k, _kind(v)) for k, v in self.attributes.items())


def _kind(value):
    if isinstance(value, Number):
        return int if value.whole else float
    return Random if isinstance(value, Random) else value


@dataclass(frozen=True, slots=True)
class Target:
    """What templates may know about a device."""

    kind: str
    arch: str = ""
    arithmetic: frozenset[str] = frozenset(("bool", "i32", "u32", "i64", "u64", "f32", "f64"))
    max_group: int = 256
    shared_bytes: int = 16384
    compute_units: int = 1
    subgroup: int = 1
    max_grid: tuple[int, int, int] = (0, 0, 0)
    max_buffers: int = 0

    @property
    def schedule(self):
        return schedule_of(self.kind, self.arch)

    def group(self, wanted):
        """The largest power of two up to `wanted` and the device's limit."""
        size = 1
        while size * 2 <= min(wanted, max(self.max_group, 1)):
            size *= 2
        return size

    def grid(self, groups, axis=0):
        """So many groups along an axis, or as many as the device takes; kernels step over the rest."""
        limit = self.max_grid[axis] or 65535
        return max(1, min(groups, limit))


def launch(kernel, tensors, scalars, grid):
    """A Launch by names: `tensors` and `scalars` for the kernel's buffers and scalars.

    A buffer `x` may be a Tensor or a reference; the scalar `x_at` is its offset unless it is given.
    """
    references, places = [], {}
    for b in kernel.buffers:
        t = tensors[b.name]
        reference = t.reference if isinstance(t, Tensor) else t
        references.append(reference)
        apart = reference[0] in ("temporary", "late")
        places[b.name + "_at"] = 0 if apart else Offset(reference, SIZES[b.dtype])
    values = places | scalars
    missing = [s.name for s in kernel.scalars if s.name not in values]
    if missing:
        raise KernelError(f"{kernel.name}: no source for the scalars {', '.join(missing)}")
    grid = (*grid, 1, 1)[:3] if isinstance(grid, tuple) else (grid, 1, 1)
    return Launch(kernel, tuple(references), tuple(values[s.name] for s in kernel.scalars), grid)
