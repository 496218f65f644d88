"""The reduce template: any reduction over any axes of a strided view.

Three ways: `serial`, one item for an output; `rows`, a group for an output; `split`, where outputs are few and long:
groups reduce pieces to states in memory, and a second launch reduces those. Pieces depend on shapes alone, so a result
has the same bits each time.
"""

from __future__ import annotations

from math import prod

from helix.kernel.build import Builder
from helix.kernel.elementwise import Attributes, check, stored
from helix.kernel.group import Shared, Variables, reduce_over, rows
from helix.kernel.ir import SIZES, WIDE
from helix.kernel.kept import kernel
from helix.kernel.layout import coalesce, coordinates_of, size_scalars
from helix.kernel.plan import Number, Plan, launch
from helix.kernel.reductions import REDUCTIONS
from helix.kernel.registry import template


class _Frame:
    """The declarations that all ways share."""

    def __init__(self, op, way, attributes, dtype, outs, ranks, group, index):
        k = self.k = Builder(f"{op}_{way}", (group, 1, 1), index)
        self.n, self.outputs = k.scalar("n"), k.scalar("outputs")
        self.kept = [k.scalar(f"kept{d}") for d in range(1, ranks[0])]
        self.reduced = [k.scalar(f"reduced{d}") for d in range(1, ranks[1])]
        self.attributes = Attributes(k, dict(attributes), dtype, WIDE[dtype])
        self.attributes.declare()
        self.reduction = REDUCTIONS[op](k, WIDE[dtype], outs[0], self.attributes)
        self.outs, self.ranks, self.dtype = outs, ranks, dtype

    def read_input(self):
        k = self.k
        self.x, self.x_at = k.buffer("x", self.dtype), k.scalar("x_at")
        self.x_kept = [k.scalar(f"x_kept{d}") for d in range(self.ranks[0])]
        self.x_reduced = [k.scalar(f"x_reduced{d}") for d in range(self.ranks[1])]

    def write_outputs(self):
        k = self.k
        self.y = [k.buffer(f"y{o}", d, written=True) for o, d in enumerate(self.outs)]
        self.y_at = [k.scalar(f"y{o}_at") for o in range(len(self.outs))]
        self.y_strides = [[k.scalar(f"y{o}_stride{d}") for d in range(self.ranks[0])] for o in range(len(self.outs))]

    def elements(self, row):
        """The state of element j of a row."""
        base = self.x_at
        for c, s in zip(coordinates_of(row, self.kept), self.x_kept):
            base = base + c * s

        def element(j):
            place = base
            for c, s in zip(coordinates_of(j, self.reduced), self.x_reduced):
                place = place + c * s
            return self.reduction.element(self.x[place], j)

        return element

    def finish(self, row, state):
        coordinates = coordinates_of(row, self.kept)
        for o, value in enumerate(self.reduction.finish(state, self.n)):
            if o < len(self.y):
                place = self.y_at[o]
                for c, s in zip(coordinates, self.y_strides[o]):
                    place = place + c * s
                self.y[o][place] = stored(value, self.outs[o])


@kernel
def _serial(*key):
    f = _Frame(key[0], "serial", *key[1:])
    f.read_input()
    f.write_outputs()
    with f.k.items(f.outputs) as row:
        element, state = f.elements(row), Variables(f.k, f.reduction.start())
        with f.k.range(0, f.n) as j:
            state.set(f.reduction.combine(state.get(), element(j)))
        f.finish(row, state.get())
    return f.k.finish()


@kernel
def _rows(*key):
    f = _Frame(key[0], "rows", *key[1:])
    f.read_input()
    f.write_outputs()
    k, r = f.k, f.reduction
    shared = Shared(k, r.dtypes)
    with rows(k, f.outputs) as row:
        state = reduce_over(k, shared, r.start(), r.combine, k.const(0, k.index_dtype), f.n, f.elements(row))
        with k.when(k.local_id() == 0):
            f.finish(row, state)
    return k.finish()


@kernel
def _pieces(*key):
    """Group (piece, row): the state of one piece of a row."""
    f = _Frame(key[0], "pieces", *key[1:])
    f.read_input()
    k, r = f.k, f.reduction
    pieces, size = k.scalar("pieces"), k.scalar("size")
    states = [k.buffer(f"state{n}", d, written=True) for n, d in enumerate(r.dtypes)]
    shared = Shared(k, r.dtypes)
    with rows(k, f.outputs * pieces) as number:
        row, piece = number // pieces, number % pieces
        start = piece * size
        stop = (start + size < f.n).where(start + size, f.n)
        state = reduce_over(k, shared, r.start(), r.combine, start, stop, f.elements(row))
        with k.when(k.local_id() == 0):
            for buffer, value in zip(states, state):
                buffer[number] = value
    return k.finish()


@kernel
def _states(*key):
    """The states of a row's pieces to its results."""
    f = _Frame(key[0], "states", *key[1:])
    f.write_outputs()
    k, r = f.k, f.reduction
    pieces = k.scalar("pieces")
    states = [k.buffer(f"state{n}", d) for n, d in enumerate(r.dtypes)]
    shared = Shared(k, r.dtypes)
    with rows(k, f.outputs) as row:
        zero = k.const(0, k.index_dtype)
        state = reduce_over(
            k, shared, r.start(), r.combine, zero, pieces, lambda j: tuple(s[row * pieces + j] for s in states)
        )
        with k.when(k.local_id() == 0):
            f.finish(row, state)
    return k.finish()


def reduced_axes(call):
    dim = call.attributes.get("dim")
    rank = len(call.inputs[0].shape)
    if dim is None:
        return tuple(range(rank))
    return tuple(d % rank for d in dim) if isinstance(dim, tuple) else (dim % rank,) if rank else ()


@template(*REDUCTIONS)
def reduce(call, target):
    x, outs = call.inputs[0], call.outputs
    if outs[0].numel == 0:
        return Plan()
    check(target, x.dtype, *(o.dtype for o in outs))
    axes = reduced_axes(call)
    kept = [d for d in range(len(x.shape)) if d not in axes]
    keep = len(outs[0].shape) == len(x.shape)
    y_strides = [tuple(o.strides[d] for d in kept) if keep else o.strides for o in outs]
    x_kept = tuple(x.strides[d] for d in kept)
    shape = tuple(x.shape[d] for d in kept)
    sizes, strides = coalesce(shape, [*y_strides, x_kept])
    n, outputs = prod(x.shape[d] for d in axes), prod(shape)
    reduced, inner = coalesce([x.shape[d] for d in axes], [[x.strides[d] for d in axes]]) if n else ((), [()])
    scalars = {"n": n, "outputs": outputs} | size_scalars(sizes, "kept") | size_scalars(reduced, "reduced")
    scalars |= {f"x_kept{d}": s for d, s in enumerate(strides[-1])} | {
        f"x_reduced{d}": s for d, s in enumerate(inner[0])
    }
    for o in range(len(outs)):
        scalars |= {f"y{o}_stride{d}": s for d, s in enumerate(strides[o])}
    scalars |= {name: v for name, v in call.attributes.items() if isinstance(v, Number)}
    statics = tuple((a, v) for a, v in call.statics() if a not in ("dim", "keepdim"))
    ranks = (len(sizes), len(reduced))
    tensors = {"x": x} | {f"y{o}": t for o, t in enumerate(outs)}

    def key(group):
        return call.op, statics, x.dtype, tuple(o.dtype for o in outs), ranks, group, call.index

    group = target.group(target.schedule.flat)
    along = bool(inner[0]) and abs(inner[0][-1]) == 1
    if n < 32 or (not along and outputs >= 1024):
        return Plan((launch(_serial(*key(group)), tensors, scalars, target.grid(-(-outputs // group))),))
    group = target.group(max(8, min(target.schedule.row, n // 4)))
    pieces = min(-(-n // target.schedule.piece), 1024)
    if pieces < 2 or outputs * pieces > 65536 or outputs >= 8 * target.compute_units + 64:
        return Plan((launch(_rows(*key(group)), tensors, scalars, target.grid(outputs)),))
    first = _pieces(*key(group))
    states = [b for b in first.buffers if b.name.startswith("state")]
    references = {b.name: ("temporary", i) for i, b in enumerate(states)}
    more = scalars | {"pieces": pieces, "size": -(-n // pieces)}
    return Plan(
        (
            launch(first, tensors | references, more, target.grid(outputs * pieces)),
            launch(_states(*key(target.group(64))), tensors | references, more, target.grid(outputs)),
        ),
        tuple(SIZES[b.dtype] * outputs * pieces for b in states),
    )
