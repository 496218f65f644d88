"""Convolutions and their gradients: products whose operands are read through the windows (implicit GEMM).

With k the position in a kernel, a position of the input and one of the output belong together when
in = out * stride - padding + k * dilation. The three ops differ in which two of the three are given.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from helix.kernel import numeric as num
from helix.kernel.build import Builder
from helix.kernel.elementwise import check, stored
from helix.kernel.ir import WIDE, UnsupportedError
from helix.kernel.kept import kernel
from helix.kernel.layout import coordinates_of
from helix.kernel.matmul import product, product_grid, tile_of
from helix.kernel.plan import Plan, launch
from helix.kernel.registry import template


class _Frame:
    """What the kernels of all three ops declare: sizes, windows, and three tensors: input, weight, output."""

    def __init__(self, op, dtypes, rank, tile, index, bias, written):
        k = self.k = Builder(op, (tile.side * tile.side, 1, 1), index)
        self.rank = rank
        self.batch, self.groups, self.cin, self.cout = (k.scalar(n) for n in ("batch", "groups", "cin", "cout"))
        for name in ("inner", "outer", "taps", "stride", "padding", "dilation"):
            setattr(self, name, [k.scalar(f"{name}{d}") for d in range(rank)])
        self.n_inner, self.n_outer, self.n_taps = (self.product(s) for s in (self.inner, self.outer, self.taps))
        names = ("x", "w", "y")
        self.wide = WIDE[dtypes[written]]
        self.dtypes = dict(zip(names, dtypes))
        self.memory = {n: k.buffer(n, d, written=n == names[written]) for n, d in zip(names, dtypes)}
        self.at = {n: k.scalar(f"{n}_at") for n in names}
        self.strides = {n: [k.scalar(f"{n}_stride{d}") for d in range(rank + 2)] for n in names}
        self.bias = (k.buffer("bias", bias), k.scalar("bias_at"), k.scalar("bias_stride")) if bias else None

    def product(self, sizes):
        total = sizes[0]
        for s in sizes[1:]:
            total = total * s
        return total

    def place(self, name, first, second, spatial):
        strides = self.strides[name]
        place = self.at[name] + first * strides[0] + second * strides[1]
        for c, s in zip(spatial, strides[2:]):
            place = place + c * s
        return place

    def read(self, name, first, second, spatial):
        return num.convert(self.memory[name][self.place(name, first, second, spatial)], self.wide)

    def read_if(self, inside, name, first, second, spatial):
        """The element, or 0 outside."""
        value = self.k.variable(self.k.const(0, self.wide))
        with self.k.when(inside):
            value.set(self.read(name, first, second, spatial))
        return value.get()

    def write(self, name, first, second, spatial, value):
        if self.bias:
            memory, at, stride = self.bias
            value = num.add(value, num.convert(memory[at + second * stride], self.wide))
        self.memory[name][self.place(name, first, second, spatial)] = stored(value, self.dtypes[name])

    def split(self, number, last):
        """(channel, position) of a number that runs over both; `last` are the sizes of the position."""
        count = self.product(last)
        return number // count, coordinates_of(number % count, last[1:])

    def input_of(self, out, tap):
        """Where an output position and a tap meet the input, and whether that is inside."""
        found, inside = [], self.k.const(True, "bool")
        for o, t, s, p, d, n in zip(out, tap, self.stride, self.padding, self.dilation, self.inner):
            i = o * s + t * d - p
            inside = inside & (i >= 0) & (i < n)
            found.append(i)
        return found, inside

    def output_of(self, place, tap):
        """Which output position reads an input position by a tap, and whether there is one."""
        found, inside = [], self.k.const(True, "bool")
        for i, t, s, p, d, n in zip(place, tap, self.stride, self.padding, self.dilation, self.outer):
            reach = i + p - t * d
            inside = inside & (reach >= 0)
            safe = (reach >= 0).where(reach, 0)
            o = safe // s
            inside = inside & (o * s == safe) & (o < n)
            found.append(o)
        return found, inside


@kernel
def _forward(dtypes, rank, tile, index, bias):
    f = _Frame("conv", dtypes, rank, tile, index, bias, 2)

    def a(batch, i, p):
        channel, tap = f.split(p, f.taps)
        return f.read("w", batch % f.groups * f.cout + i, channel, tap)

    def b(batch, p, j):
        channel, tap = f.split(p, f.taps)
        place, inside = f.input_of(coordinates_of(j, f.outer[1:]), tap)
        return f.read_if(inside, "x", batch // f.groups, batch % f.groups * f.cin + channel, place)

    def c(batch, i, j, value):
        f.write("y", batch // f.groups, batch % f.groups * f.cout + i, coordinates_of(j, f.outer[1:]), value)

    product(f.k, tile, (f.batch * f.groups, f.cout, f.n_outer, f.cin * f.n_taps), f.wide, a, b, c)
    return f.k.finish()


@kernel
def _backward_input(dtypes, rank, tile, index, bias):
    f = _Frame("conv_backward_input", dtypes, rank, tile, index, bias, 0)

    def a(batch, i, p):
        channel, tap = f.split(p, f.taps)
        return f.read("w", batch % f.groups * f.cout + channel, i, tap)

    def b(batch, p, j):
        channel, tap = f.split(p, f.taps)
        place, inside = f.output_of(coordinates_of(j, f.inner[1:]), tap)
        return f.read_if(inside, "y", batch // f.groups, batch % f.groups * f.cout + channel, place)

    def c(batch, i, j, value):
        f.write("x", batch // f.groups, batch % f.groups * f.cin + i, coordinates_of(j, f.inner[1:]), value)

    product(f.k, tile, (f.batch * f.groups, f.cin, f.n_inner, f.cout * f.n_taps), f.wide, a, b, c)
    return f.k.finish()


@kernel
def _backward_weight(dtypes, rank, tile, index, bias):
    f = _Frame("conv_backward_weight", dtypes, rank, tile, index, bias, 1)

    def a(group, i, p):
        image, out = f.split(p, f.outer)
        return f.read("y", image, group * f.cout + i, out)

    def b(group, p, j):
        image, out = f.split(p, f.outer)
        channel, tap = f.split(j, f.taps)
        place, inside = f.input_of(out, tap)
        return f.read_if(inside, "x", image, group * f.cin + channel, place)

    def c(group, i, j, value):
        channel, tap = f.split(j, f.taps)
        f.write("w", group * f.cout + i, channel, tap, value)

    product(f.k, tile, (f.groups, f.cout, f.cin * f.n_taps, f.batch * f.n_outer), f.wide, a, b, c)
    return f.k.finish()


def _batched(t, rank):
    """A single image as a batch of one."""
    return t if len(t.shape) == rank + 2 else replace(t, shape=(1, *t.shape), strides=(0, *t.strides))


def _plan(call, target, build, x, w, y, written, bias=None):
    if (x, w, y)[written].numel == 0:
        return Plan()
    check(target, x.dtype, w.dtype, y.dtype)
    rank, a = len(w.shape) - 2, call.attributes
    x, y = _batched(x, rank), _batched(y, rank)
    groups = a["groups"]
    cin, cout = w.shape[1], w.shape[0] // groups
    inner, outer, taps = x.shape[2:], y.shape[2:], w.shape[2:]
    if min(x.numel, w.numel, y.numel) == 0 or len(a["stride"]) != rank:
        raise UnsupportedError("a product over nothing")
    scalars = {"batch": x.shape[0], "groups": groups, "cin": cin, "cout": cout}
    for name, values in (("inner", inner), ("outer", outer), ("taps", taps)):
        scalars |= {f"{name}{d}": v for d, v in enumerate(values)}
    for name in ("stride", "padding", "dilation"):
        scalars |= {f"{name}{d}": v for d, v in enumerate(a[name])}
    for name, t in (("x", x), ("w", w), ("y", y)):
        scalars |= {f"{name}_stride{d}": s for d, s in enumerate(t.strides)}
    tensors = {"x": x, "w": w, "y": y}
    if bias is not None:
        tensors["bias"] = bias
        scalars["bias_stride"] = bias.strides[0]
    batches, m, n = (
        (x.shape[0] * groups, cin, prod(inner)),
        (groups, cout, cin * prod(taps)),
        (x.shape[0] * groups, cout, prod(outer)),
    )[written]
    wide = WIDE[(x, w, y)[written].dtype]
    tile = tile_of(target, m, n, 8 if wide in ("f64", "i64", "u64") else 4)
    kernel = build((x.dtype, w.dtype, y.dtype), rank, tile, call.index, bias.dtype if bias is not None else None)
    return Plan((launch(kernel, tensors, scalars, product_grid(target, tile, batches, m, n)),))


@template("conv")
def conv(call, target):
    x, w, bias = call.inputs
    return _plan(call, target, _forward, x, w, call.outputs[0], 2, bias)


@template("conv_backward_input")
def conv_backward_input(call, target):
    g, w, bias = call.inputs
    return _plan(call, target, _backward_input, call.outputs[0], w, g, 0, bias)


@template("conv_backward_weight")
def conv_backward_weight(call, target):
    g, x = call.inputs
    return _plan(call, target, _backward_weight, x, call.outputs[0], g, 1)
