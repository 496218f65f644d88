"""The elementwise template: any expression over broadcast and strided operands; copies, casts and fills too."""

from __future__ import annotations

from math import prod

from helix.kernel import numeric
from helix.kernel.build import Builder
from helix.kernel.expressions import EXPRESSIONS
from helix.kernel.ir import WIDE, UnsupportedError
from helix.kernel.kept import kernel
from helix.kernel.layout import (
    Operand,
    as_bits,
    broadcast_strides,
    coalesce,
    coordinates_of,
    layout_of,
    size_scalars,
    stride_scalars,
)
from helix.kernel.plan import Derived, Host, Number, Plan, launch
from helix.kernel.registry import template

_STORED_RANGE = {"i8": (-128, 127), "i16": (-32768, 32767), "u8": (0, 255), "u16": (0, 65535)}


class Attributes:
    """What an expression asks of its call."""

    def __init__(self, k, attributes, dtype, wide):
        self.k, self.attributes, self.dtype, self.wide = k, attributes, dtype, wide
        self.declared = {}

    def declare(self):
        """Scalars for the numbers, before any block: what is defined in a block does not outlive it."""
        for name, kind in self.attributes.items():
            if kind in (int, float):
                self.declared[name] = host_scalar(self.k, name, self.wide)

    def number(self, name):
        return self.declared[name] if name in self.declared else self.const(self.attributes[name])

    def fixed(self, name):
        return self.attributes[name]

    def const(self, x):
        return self.k.const(x, self.wide)


def stored(value, dtype):
    """A value as the type in which a dtype is computed; floats stop at the ends of the dtype's range."""
    if dtype in _STORED_RANGE and value.dtype in ("f32", "f64"):
        low, high = _STORED_RANGE[dtype]
        value = (value < float(low)).where(value.builder.const(float(low), value.dtype), value)
        value = (value > float(high)).where(value.builder.const(float(high), value.dtype), value)
    return numeric.convert(value, WIDE[dtype])


def host_scalar(k, name, dtype):
    """A value that the host gives; bools come as whole numbers."""
    return k.scalar(name, "u32") != 0 if dtype == "bool" else k.scalar(name, WIDE[dtype])


def host_numbers(call, dtype):
    """The numbers among a call's attributes, as host_scalar expects them for a dtype."""
    numbers = {k: v for k, v in call.attributes.items() if isinstance(v, Number)}
    return {k: Derived((v,), bool) for k, v in numbers.items()} if dtype == "bool" else numbers


@kernel
def _kernel(op, attributes, operands, out, rank, group, index, looped):
    """`operands`: (dtype, layout) of each input, None for what is absent, layout "host" for host scalars.

    Without the loop wherever the grid allows: compilers for processors vectorize over the items of a group, not in a loop.
    """
    k = Builder(op, (group, 1, 1), index)
    n = k.scalar("n")
    sizes = [k.scalar(f"size{d}") for d in range(1, rank)]
    y = Operand(k, "y", out[0], out[1], rank, written=True)
    read = []
    for number, operand in enumerate(operands):
        if operand is None or operand[1] == "host":
            read.append(operand and host_scalar(k, f"x{number}", operand[0]))
        else:
            read.append(Operand(k, f"x{number}", operand[0], operand[1], rank))
    dtype = attribute_dtype(operands, out[0])
    a = Attributes(k, dict(attributes), dtype, WIDE[dtype])
    strided = any(isinstance(r, Operand) and r.layout == "strided" for r in (y, *read))
    a.declare()
    with k.items(n, looped) as i:
        coordinates = coordinates_of(i, sizes) if strided else ()
        values = [r.read(i, coordinates) if isinstance(r, Operand) else r for r in read]
        y.write(stored(expression_of(op)(a, *values), out[0]), i, coordinates)
    return k.finish()


def attribute_dtype(operands, out):
    """The dtype in which an op's numbers are taken: the first operand's that is no bool."""
    first = next((o for o in operands if o and o[0] != "bool"), operands[0] if operands else None)
    return first[0] if first else out


def expression_of(op):
    return (lambda a, x: x) if op in ("cast", "move") else EXPRESSIONS[op]


def check(target, *dtypes):
    """Refuses what the device cannot compute in."""
    for d in dtypes:
        wide = WIDE.get(d)
        if wide is None:
            raise UnsupportedError(f"no template for {d}")
        if wide == "f64" and "f64" not in target.arithmetic:
            raise UnsupportedError("the device has no f64")


def elementwise(call, target, op, inputs, out):
    """A plan for one output over inputs that broadcast to its shape."""
    if out.numel == 0:
        return Plan()
    check(target, out.dtype, *(x.dtype for x in inputs if x is not None))
    on_device = [x for x in inputs if x is not None and not x.host]
    sizes, strides = coalesce(out.shape, [out.strides, *(broadcast_strides(x, out.shape) for x in on_device)])
    layouts = [layout_of(sizes, s) for s in strides]
    if layouts[0] == "one":
        layouts[0] = "dense" if prod(out.shape) == 1 else "strided"
    tensors, scalars, operands = {"y": out}, {"n": out.numel}, []
    scalars |= size_scalars(sizes) | stride_scalars("y", layouts[0], strides[0])
    place = 1
    for number, x in enumerate(inputs):
        name = f"x{number}"
        if x is None:
            operands.append(None)
        elif x.host:
            operands.append((x.dtype, "host"))
            scalars[name] = Host(x.reference[1])
        else:
            operands.append((x.dtype, layouts[place]))
            tensors[name] = x
            scalars |= stride_scalars(name, layouts[place], strides[place])
            place += 1
    scalars |= host_numbers(call, attribute_dtype(operands, out.dtype))
    group = target.group(target.schedule.flat)
    groups = -(-out.numel // group)
    grid = target.grid(groups)
    written = (out.dtype, layouts[0])
    kernel = _kernel(op, call.statics(), tuple(operands), written, len(sizes), group, call.index, grid < groups)
    return Plan((launch(kernel, tensors, scalars, grid),))


@template(*EXPRESSIONS)
def elementwise_op(call, target):
    out, inputs = call.outputs[0], call.inputs
    if call.op == "where":
        return move_op(call, target, "where", inputs)
    if any(x is not None and x.dtype == "f64" for x in inputs) or out.dtype == "f64":
        check(target, "f64")
    return elementwise(call, target, call.op, inputs, out)


def move_op(call, target, op, inputs):
    """Ops that only move elements take every dtype, as bits."""
    out = call.outputs[0]
    if any(x is not None and x.host and x.dtype != "bool" for x in inputs) and out.dtype[0] in "fbc":
        return elementwise(call, target, op, inputs, out)  # a host scalar comes as a number, not as bits
    bits = [
        x if x is None or (x.dtype == "bool" and op == "where" and n == 0) else as_bits(x) for n, x in enumerate(inputs)
    ]
    if out.dtype == "c128" and op == "where":
        c = bits[0]
        bits[0] = type(c)(c.dtype, (*c.shape, 1), (*c.strides, 0), c.reference, c.host)
    return elementwise(call, target, op, bits, as_bits(out))


@template("cast", "clone", "copy")
def cast(call, target):
    source = call.inputs[1] if call.op == "copy" else call.inputs[0]
    if source.dtype == call.outputs[0].dtype:
        return move_op(call, target, "move", (source,))
    return elementwise(call, target, "cast", (source,), call.outputs[0])
