"""The row template: ops that reduce along some axes and then visit every element again (softmax, norms, cross-entropy).

The axes of a call are split into those of the rows and those along a row; every operand has strides for both, 0 where it
repeats, so a weight of a channel, a statistic of a row and the input itself are read in one way.
"""

from __future__ import annotations

from math import prod

from helix.kernel import faults
from helix.kernel import numeric as num
from helix.kernel.build import Builder
from helix.kernel.elementwise import Attributes, check, stored
from helix.kernel.faults import Faults
from helix.kernel.group import Shared, reduce_over, rows
from helix.kernel.ir import WIDE
from helix.kernel.kept import kernel
from helix.kernel.layout import coalesce, coordinates_of, size_scalars
from helix.kernel.plan import Number, Plan, launch

BODIES: dict = {}
_CHECKING: set = set()


def body(name, checks=False):
    """Registers what is done for one row: a function of its Row. One that checks its data has a record of `faults`."""

    def enter(function):
        BODIES[name] = function
        if checks:
            _CHECKING.add(name)
        return function

    return enter


class Row:
    """One row of a kernel: its operands by name, and reductions over its elements."""

    def __init__(self, k, n, row, operands, attributes, wide, shared, sizes, faults):
        self.k, self.n, self.row, self.operands, self.a, self.wide = k, n, row, operands, attributes, wide
        self.shared, (row_sizes, self.along_sizes), self.faults = shared, sizes, faults
        coordinates = coordinates_of(row, row_sizes)
        self.base = {}
        for name, o in operands.items():
            place = o["at"]
            for c, s in zip(coordinates, o["row"]):
                place = place + c * s
            self.base[name] = place

    def has(self, name):
        return name in self.operands

    def place(self, name, j):
        o, place = self.operands[name], self.base[name]
        if j is not None:
            for c, s in zip(coordinates_of(j, self.along_sizes), o["along"]):
                place = place + c * s
        return place

    def read(self, name, j=None):
        """Element j of an operand, or its one value for the row."""
        o = self.operands[name]
        value = o["memory"][self.place(name, j)]
        return num.convert(value, self.wide) if o["dtype"] in ("f16", "bf16", "f32", "f64") else value

    def write(self, name, value, j=None):
        o = self.operands[name]
        if j is not None:
            o["memory"][self.place(name, j)] = stored(value, o["dtype"])
            return
        with self.k.when(self.k.local_id() == 0):
            o["memory"][self.place(name, None)] = stored(value, o["dtype"])

    def sum(self, *elements):
        """Sums over the row of functions of j, together."""
        start = tuple(self.k.const(0, self.wide) for _ in elements)
        return self.reduce(
            start, lambda a, b: tuple(x + y for x, y in zip(a, b)), lambda j: tuple(e(j) for e in elements)
        )

    def reduce(self, start, combine, element):
        shared = self.shared(len(start))
        return reduce_over(self.k, shared, start, combine, self.k.const(0, self.k.index_dtype), self.n, element)

    def each(self):
        return self.k.range(self.k.local_id(), self.n, self.k.group[0])

    def count(self):
        return self.n.to(self.wide)


@kernel
def _kernel(name, attributes, operands, ranks, wide, group, index):
    k = Builder(name, (group, 1, 1), index)
    n, count = k.scalar("n"), k.scalar("rows")
    sizes = (
        [k.scalar(f"row_size{d}") for d in range(1, ranks[0])],
        [k.scalar(f"along_size{d}") for d in range(1, ranks[1])],
    )
    a = Attributes(k, dict(attributes), operands[0][1], wide)
    a.declare()
    table = {}
    for o, dtype, written in operands:
        table[o] = {
            "memory": k.buffer(o, dtype, written), "dtype": dtype, "at": k.scalar(f"{o}_at"),
            "row": [k.scalar(f"{o}_row{d}") for d in range(ranks[0])],
            "along": [k.scalar(f"{o}_along{d}") for d in range(ranks[1])],
        }  # fmt: skip
    found = Faults(k) if name in _CHECKING else None
    rooms = {}

    def shared(components):
        if components not in rooms:
            rooms[components] = Shared(k, (wide,) * components, f"shared{components}_")
        return rooms[components]

    with rows(k, count) as row:
        BODIES[name](Row(k, n, row, table, a, wide, shared, sizes, found))
    return k.finish()


def along(call, target, name, shape, axes, operands):
    """A launch for `shape` with rows along `axes`. operands: name -> (tensor, strides for every axis, written)."""
    row_axes = [d for d in range(len(shape)) if d not in axes]
    n, count = prod(shape[d] for d in axes), prod(shape[d] for d in row_axes)
    names = list(operands)
    check(target, *(t.dtype for t, _, _ in operands.values() if t.dtype in WIDE))
    row_sizes, row_strides = coalesce(
        [shape[d] for d in row_axes], [[operands[o][1][d] for d in row_axes] for o in names]
    )
    along_sizes, along_strides = coalesce([shape[d] for d in axes], [[operands[o][1][d] for d in axes] for o in names])
    scalars = {"n": n, "rows": count} | size_scalars(row_sizes, "row_size") | size_scalars(along_sizes, "along_size")
    for o, r, s in zip(names, row_strides, along_strides):
        scalars |= {f"{o}_row{d}": v for d, v in enumerate(r)} | {f"{o}_along{d}": v for d, v in enumerate(s)}
    scalars |= {a: v for a, v in call.attributes.items() if isinstance(v, Number)}
    group = target.group(max(8, min(target.schedule.row, n // 4)))
    wide = next(WIDE[t.dtype] for t, _, _ in operands.values() if t.dtype in ("f16", "bf16", "f32", "f64"))
    statics = tuple((a, v) for a, v in call.statics() if a not in ("dim", "normalized_shape", "groups", "dtype"))
    kernel = _kernel(
        name, statics, tuple((o, operands[o][0].dtype, operands[o][2]) for o in names),
        (len(row_sizes), len(along_sizes)), wide, group, call.index,
    )  # fmt: skip
    tensors = {o: operands[o][0] for o in names}
    if name in _CHECKING:
        tensors, scalars = tensors | faults.TENSORS, scalars | faults.SCALARS
    return launch(kernel, tensors, scalars, target.grid(count))


def whole(tensor, written=False):
    """An operand that has the call's own shape."""
    return tensor, tensor.strides, written


def plan_along(call, target, name, shape, axes, operands):
    if prod(shape) == 0:
        return Plan()
    return Plan((along(call, target, name, shape, axes, operands),))
