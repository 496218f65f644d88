"""The fused template: a program of elementwise ops, and of reductions over the last axes, as one kernel. One that reduces over
first axes is declined: the core then calls what comes before the reductions as a program of its own, and each reduction.

Without reductions an item takes one element through all steps. With them a group takes a row (an item does, where rows are
short): each reduction is a loop over the row, and a last loop writes the results; what lies along the row is computed again
in every loop that asks for it. A value is rounded to its dtype after each step, as if it had been written and read.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from helix._core import fused_program
from helix.kernel import numeric
from helix.kernel.build import Builder
from helix.kernel.elementwise import Attributes, attribute_dtype, check, expression_of, host_scalar, stored
from helix.kernel.expressions import EXPRESSIONS
from helix.kernel.group import Shared, Variables, reduce_over, rows
from helix.kernel.ir import BITS, FLOATS, SIZES, WIDE, UnsupportedError
from helix.kernel.kept import kernel
from helix.kernel.layout import (
    Operand,
    broadcast_strides,
    coalesce,
    coordinates_of,
    layout_of,
    size_scalars,
    stride_scalars,
)
from helix.kernel.plan import Host, Number, Plan, launch
from helix.kernel.reductions import REDUCTIONS
from helix.kernel.registry import template

_MOST_PER_ITEM = 32  # elements of a row that one item reduces


@dataclass(frozen=True, slots=True)
class Step:
    """An op of the program. `operands`: None for what is absent, ("constant", n), ("input", n) or ("step", n)."""

    op: str
    operands: tuple
    dtypes: tuple[str | None, ...]
    dtype: str
    attributes: tuple  # (name, ("constant", n) for a number or (kind, value))
    along: bool  # does it vary along a row?
    reduces: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """What a kernel is made of; shapes and the values of constants are not in it."""

    constants: tuple[str, ...]  # their dtypes
    inputs: tuple  # (dtype, layout, does it vary along a row?); layout "host" for host scalars
    steps: tuple[Step, ...]
    results: tuple  # (number of the step, dtype, layout)


# ---- reading ----


class _Reader:
    """A program, and the values of its constants."""

    def __init__(self, call):
        kinds = [(x.dtype, x.shape) for x in call.inputs]
        described = fused_program(kinds, call.attributes["program"], call.attributes["numbers"])
        self.axes, self.numbers, steps, self.made, self.results = described
        if self.axes < 0:
            raise UnsupportedError("reductions over the first axes")
        self.n_in, self.values, self.places = len(call.inputs), [], {}
        rank = max(len(shape) for _, shape in self.made)
        aligned = [(1,) * (rank - len(shape)) + shape for _, shape in self.made]
        self.frame = tuple(next((n for n in sizes if n != 1), 1) for sizes in zip(*aligned))
        self.steps = tuple(self._step(number, *step) for number, step in enumerate(steps))

    @property
    def constants(self):
        return tuple(dtype for dtype, _ in self.places)

    def inner(self, register):
        """The sizes of a register along a row."""
        shape = self.made[register][1]
        return ((1,) * self.axes + shape)[len(shape) :] if self.axes else ()

    def along(self, register):
        return not self.axes or any(n != 1 for n in self.inner(register))

    def _constant(self, value, dtype):
        if dtype == "bool":
            value = int(bool(value))
        elif WIDE.get(dtype) in FLOATS:
            value = float(value)
        place = self.places.setdefault((dtype, repr(value)), len(self.places))
        if place == len(self.values):
            self.values.append(value)
        return "constant", place

    def _operand(self, register, dtype):
        if register < 0:
            return None
        if register < self.n_in:
            return "input", register
        number = register - self.n_in
        if number < len(self.numbers):
            return self._constant(self.numbers[number], dtype)
        return "step", number - len(self.numbers)

    def _step(self, number, op, registers, dtypes, attributes, values):
        register = self.n_in + len(self.numbers) + number
        reduces = op in REDUCTIONS
        if not reduces and op not in EXPRESSIONS and op != "cast":
            raise UnsupportedError(f"no expression for {op}")
        if reduces and self.inner(registers[0]) != self.frame[len(self.frame) - self.axes :]:
            raise UnsupportedError(f"{op} over a part of a row")
        dtypes = tuple(None if r < 0 else d for r, d in zip(registers, dtypes))
        wide = WIDE.get(attribute_dtype([d and (d,) for d in dtypes], None))
        named = tuple(
            (name, self._constant(values[name], wide) if isinstance(value, Number) else ("value", value))
            for name, value in attributes.items()
        )
        operands = tuple(self._operand(r, d) for r, d in zip(registers, dtypes))
        return Step(op, operands, dtypes, self.made[register][0], named, self.along(register), reduces)


def rounded(value, dtype):
    """A value of a dtype's wide type as it is after it was written and read again."""
    if dtype in ("f16", "bf16"):
        to, back = {
            "f16": (numeric.half_of_float, numeric.float_of_half),
            "bf16": (numeric.bfloat_of_float, numeric.float_of_bfloat),
        }[dtype]
        return back(to(value))
    if dtype == WIDE[dtype]:
        return value
    bits = 8 * SIZES[dtype]
    if dtype[0] == "u":
        return value & ((1 << bits) - 1)
    return (value.bits("u32") << (BITS["u32"] - bits)).bits("i32") >> (BITS["i32"] - bits)


# ---- computing ----


class _Values:
    """The values of a program's steps. `row` holds what is one for the row; others are made where they are asked for."""

    def __init__(self, k, program, read):
        self.k, self.program, self.read_input, self.row = k, program, read, {}
        scalars = [host_scalar(k, f"constant{n}", dtype) for n, dtype in enumerate(program.constants)]
        self.constants = [rounded(c, d) for c, d in zip(scalars, program.constants)]

    def at(self, operand, place, here):
        """An operand at a place of the row; `here` holds what was computed there."""
        if operand is None:
            return None
        kind, number = operand
        if kind == "constant":
            return self.constants[number]
        found = self.row if operand in self.row else here
        if operand not in found:
            found[operand] = (
                self.read_input(number, place)
                if kind == "input"
                else self.step(self.program.steps[number], place, here)
            )
        return found[operand]

    def attributes(self, step):
        dtype = attribute_dtype([d and (d,) for d in step.dtypes], step.dtype)
        plain = {name: held[1] if held[0] == "value" else float for name, held in step.attributes}
        made = Attributes(self.k, plain, dtype, WIDE[dtype])
        made.declared = {name: self.constants[n] for name, (kind, n) in step.attributes if kind == "constant"}
        return made

    def step(self, step, place, here):
        operands = [self.at(o, place, here) for o in step.operands]
        value = expression_of(step.op)(self.attributes(step), *operands)
        return rounded(stored(value, step.dtype), step.dtype)


# ---- without reductions ----


@kernel
def _flat(program, rank, group, index, looped):
    k = Builder("fused", (group, 1, 1), index)
    n = k.scalar("n")
    sizes = [k.scalar(f"size{d}") for d in range(1, rank)]
    outs = [Operand(k, f"y{o}", dtype, layout, rank, True) for o, (_, dtype, layout) in enumerate(program.results)]
    ins = [
        host_scalar(k, f"x{i}", dtype) if layout == "host" else Operand(k, f"x{i}", dtype, layout, rank)
        for i, (dtype, layout, _) in enumerate(program.inputs)
    ]
    strided = any(isinstance(o, Operand) and o.layout == "strided" for o in (*outs, *ins))
    values = _Values(k, program, lambda i, place: ins[i].read(*place) if isinstance(ins[i], Operand) else ins[i])
    with k.items(n, looped) as i:
        place, here = (i, coordinates_of(i, sizes) if strided else ()), {}
        made = [values.at(("step", number), place, here) for number, _, _ in program.results]
        for out, value in zip(outs, made):
            out.write(value, *place)
    return k.finish()


def _plan_flat(call, target, reader):
    outs, on_device = call.outputs, [x for x in call.inputs if not x.host]
    operands = [*outs, *on_device]
    sizes, strides = coalesce(reader.frame, [broadcast_strides(x, reader.frame) for x in operands])
    layouts = [layout_of(sizes, s) for s in strides]
    names = [f"y{o}" for o in range(len(outs))] + [f"x{i}" for i, x in enumerate(call.inputs) if not x.host]
    scalars = {"n": prod(reader.frame)} | size_scalars(sizes) | _host_values(call, reader)
    for name, layout, s in zip(names, layouts, strides):
        scalars |= stride_scalars(name, layout, s)
    held = dict(zip(names, layouts))
    program = _program(call, reader, held)
    group = target.group(target.schedule.flat)
    groups = -(-scalars["n"] // group)
    grid = target.grid(groups)
    made = _flat(program, len(sizes), group, call.index, grid < groups)
    return Plan((launch(made, dict(zip(names, operands)), scalars, grid),))


def _program(call, reader, layouts):
    first = reader.n_in + len(reader.numbers)
    return Program(
        reader.constants,
        tuple((x.dtype, "host" if x.host else layouts[f"x{i}"], reader.along(i)) for i, x in enumerate(call.inputs)),
        reader.steps,
        tuple(
            (of - first, y.dtype, layouts[f"y{o}"]) for o, ((of, _), y) in enumerate(zip(reader.results, call.outputs))
        ),
    )


def _host_values(call, reader):
    """Scalars for constants and host scalars."""
    return {f"constant{n}": value for n, value in enumerate(reader.values)} | {
        f"x{i}": Host(x.reference[1]) for i, x in enumerate(call.inputs) if x.host
    }


# ---- with reductions ----


class _Rows:
    """A kernel that goes over rows: one for a group, or one for an item."""

    def __init__(self, k, program, ranks, per_item):
        self.k, self.program, self.per_item, self.rooms = k, program, per_item, {}
        self.n, self.count = k.scalar("n"), k.scalar("rows")
        self.sizes = [[k.scalar(f"{part}_size{d}") for d in range(1, rank)] for part, rank in zip(_PARTS, ranks)]
        self.outs = [self._operand(f"y{o}", r[1], ranks, True) for o, r in enumerate(program.results)]
        self.ins = [
            host_scalar(k, f"x{i}", dtype) if layout == "host" else self._operand(f"x{i}", dtype, ranks, False)
            for i, (dtype, layout, _) in enumerate(program.inputs)
        ]
        self.values = _Values(k, program, self._read)

    def _operand(self, name, dtype, ranks, written):
        k = self.k
        memory, at = k.buffer(name, dtype, written), k.scalar(f"{name}_at")
        return memory, at, *[[k.scalar(f"{name}_{part}{d}") for d in range(r)] for part, r in zip(_PARTS, ranks)]

    def _place(self, operand, j):
        _, place, by_row, by_element = operand
        for c, s in zip(self.coordinates, by_row):
            place = place + c * s
        if j is not None:
            for c, s in zip(coordinates_of(j, self.sizes[1]), by_element):
                place = place + c * s
        return place

    def _read(self, number, j):
        operand = self.ins[number]
        return operand[0][self._place(operand, j)] if isinstance(operand, tuple) else operand

    def _elements(self):
        k = self.k
        return k.range(0, self.n) if self.per_item else k.range(k.local_id(), self.n, k.group[0])

    def _reduce(self, step):
        k, source = self.k, step.operands[0]
        attributes = self.values.attributes(step)
        r = REDUCTIONS[step.op](k, WIDE[step.dtypes[0]], step.dtype, attributes)

        def element(j):
            return r.element(self.values.at(source, j, {}), j)

        if self.per_item:
            state = Variables(k, r.start())
            with self._elements() as j:
                state.set(r.combine(state.get(), element(j)))
            total = state.get()
        else:
            room = self._room(r.dtypes)
            total = reduce_over(k, room, r.start(), r.combine, k.const(0, k.index_dtype), self.n, element)
        return rounded(stored(r.finish(total, self.n)[0], step.dtype), step.dtype)

    def _room(self, dtypes):
        if dtypes not in self.rooms:
            self.rooms[dtypes] = Shared(self.k, dtypes, f"shared{len(self.rooms)}_")
        return self.rooms[dtypes]

    def one(self, row):
        """One row: what is one for it, in order, then what lies along it."""
        self.coordinates = coordinates_of(row, self.sizes[0])
        known = self.values.row = {}
        for i, (_, _, along) in enumerate(self.program.inputs):
            if not along:
                known["input", i] = self._read(i, None)
        for number, step in enumerate(self.program.steps):
            if step.reduces:
                known["step", number] = self._reduce(step)
            elif not step.along:
                known["step", number] = self.values.step(step, None, known)
        self._write()

    def _write(self):
        k, steps = self.k, self.program.steps
        pairs = [(out, of) for out, (of, _, _) in zip(self.outs, self.program.results)]
        whole = [(out, of) for out, of in pairs if steps[of].along]
        if whole:
            with self._elements() as j:
                here = {}
                made = [(out, self.values.at(("step", of), j, here)) for out, of in whole]
                for out, value in made:
                    out[0][self._place(out, j)] = value
        single = [(out, self.values.row["step", of]) for out, of in pairs if not steps[of].along]
        if not single:
            return
        if self.per_item:
            self._write_single(single)
        else:
            with k.when(k.local_id() == 0):
                self._write_single(single)

    def _write_single(self, single):
        for out, value in single:
            out[0][self._place(out, None)] = value


_PARTS = ("row", "along")


@kernel
def _by_rows(program, ranks, group, index, per_item):
    k = Builder("fused_rows", (group, 1, 1), index)
    made = _Rows(k, program, ranks, per_item)
    with k.items(made.count) if per_item else rows(k, made.count) as row:
        made.one(row)
    return k.finish()


def _plan_rows(call, target, reader):
    kept = len(reader.frame) - reader.axes
    n, count = prod(reader.frame[kept:]), prod(reader.frame[:kept])
    if not n:
        raise UnsupportedError("rows without elements")
    if n >= target.schedule.piece and count < 8 * target.compute_units:
        raise UnsupportedError("few long rows are shared out")
    tensors, strides = {}, []
    for o, (y, (_, dropped)) in enumerate(zip(call.outputs, reader.results)):
        tensors[f"y{o}"] = y
        outer = broadcast_strides(y, reader.frame[:kept]) + (0,) * reader.axes
        strides.append(outer if dropped else broadcast_strides(y, reader.frame))
    for i, x in enumerate(call.inputs):
        if not x.host:
            tensors[f"x{i}"] = x
            strides.append(broadcast_strides(x, reader.frame))
    scalars = {"n": n, "rows": count} | _host_values(call, reader)
    ranks = []
    for part, cut in zip(_PARTS, (slice(None, kept), slice(kept, None))):
        sizes, found = coalesce(reader.frame[cut], [s[cut] for s in strides])
        ranks.append(len(sizes))
        scalars |= size_scalars(sizes, f"{part}_size")
        for name, s in zip(tensors, found):
            scalars |= {f"{name}_{part}{d}": v for d, v in enumerate(s)}
    program = _program(call, reader, dict.fromkeys(tensors, "strided"))
    per_item = n < _MOST_PER_ITEM
    group = target.group(target.schedule.flat if per_item else max(8, min(target.schedule.row, n // 4)))
    grid = target.grid(-(-count // group) if per_item else count)
    return Plan((launch(_by_rows(program, tuple(ranks), group, call.index, per_item), tensors, scalars, grid),))


@template("fused")
def fused(call, target):
    """A launch for the whole program; declined where a step has no expression or a dtype is not the device's."""
    if not any(y.numel for y in call.outputs):
        return Plan()
    reader = _Reader(call)
    for step in reader.steps:
        check(target, step.dtype, *(d for d in step.dtypes if d))
    check(target, *(x.dtype for x in call.inputs))
    return (_plan_rows if reader.axes else _plan_flat)(call, target, reader)
