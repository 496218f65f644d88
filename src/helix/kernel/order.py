"""Running sums and extremes: one item a line, with a loop of its own."""

from __future__ import annotations

import math
from math import prod

from helix.kernel import numeric as num
from helix.kernel.build import Builder
from helix.kernel.elementwise import check, stored
from helix.kernel.ir import FLOATS, WIDE
from helix.kernel.kept import kernel
from helix.kernel.layout import coalesce, coordinates_of, size_scalars
from helix.kernel.plan import Plan, launch
from helix.kernel.polynomials import call as function
from helix.kernel.registry import template


class Lines:
    """Operands by name with strides over the lines and one stride along them."""

    def __init__(self, op, operands, rank, group, index):
        k = self.k = Builder(op, (group, 1, 1), index)
        self.lines, self.n = k.scalar("lines"), k.scalar("n")
        self.sizes = [k.scalar(f"size{d}") for d in range(1, rank)]
        self.memory = {name: k.buffer(name, dtype, written) for name, dtype, written in operands}
        self.dtypes = {name: dtype for name, dtype, _ in operands}
        self.at = {name: k.scalar(f"{name}_at") for name in self.memory}
        self.strides = {name: [k.scalar(f"{name}_stride{d}") for d in range(rank)] for name in self.memory}
        self.step = {name: k.scalar(f"{name}_step") for name in self.memory}

    def base(self, line):
        coordinates, found = coordinates_of(line, self.sizes), {}
        for name, place in self.at.items():
            for c, s in zip(coordinates, self.strides[name]):
                place = place + c * s
            found[name] = place
        return found

    def read(self, name, base, j):
        return self.memory[name][base[name] + j * self.step[name]]

    def write(self, name, base, j, value):
        self.memory[name][base[name] + j * self.step[name]] = stored(value, self.dtypes[name])


def plan_lines(call, target, build, operands, axis, *more, apart=None, scalars=None, per_element=False):
    """operands: name -> (tensor, written); all have the shape of the first but for the size of the axis.

    `apart`: name -> (temporary, dtype, written), of one element for each of the first, line by line.
    """
    first = next(iter(operands.values()))[0]
    check(target, *(t.dtype for t, _ in operands.values()))
    rest = [d for d in range(len(first.shape)) if d != axis]
    names = list(operands)
    sizes, strides = coalesce(
        [first.shape[d] for d in rest], [[operands[o][0].strides[d] for d in rest] for o in names]
    )
    lines, n = prod(first.shape[d] for d in rest), first.shape[axis] if first.shape else 1
    if lines * n == 0:
        return Plan()
    scalars = {"lines": lines, "n": n} | (scalars or {}) | size_scalars(sizes)
    for name, own in zip(names, strides):
        tensor = operands[name][0]
        scalars |= {f"{name}_stride{d}": s for d, s in enumerate(own)}
        scalars[f"{name}_step"] = tensor.strides[axis] if tensor.shape else 0
    group, apart = target.group(64), apart or {}
    scalars |= {f"{o}_stride{d}": 0 for o in apart for d in range(len(sizes))} | {f"{o}_step": 1 for o in apart}
    declared = [(o, operands[o][0].dtype, operands[o][1]) for o in names]
    declared += [(o, dtype, written) for o, (_, dtype, written) in apart.items()]
    kernel = build(call.op, tuple(declared), len(sizes), *more, group, call.index)
    work = lines * n if per_element else lines
    tensors = {o: t for o, (t, _) in operands.items()} | {o: reference for o, (reference, _, _) in apart.items()}
    return Plan((launch(kernel, tensors, scalars, target.grid(-(-work // group))),))


def _log_add(a, b):
    top = num.maximum(a, b)
    low = num.minimum(a, b)
    sum_ = top + function("log1p", function("exp", low - top))
    return (function("abs", top) == math.inf).where(top, num.isnan(top).where(top, sum_))


_RUNNING = {"cumsum": (num.add, 0), "cumprod": (num.mul, 1), "logcumsumexp": (_log_add, -math.inf)}


@kernel
def _running_kernel(op, operands, rank, group, index):
    f = Lines(op, operands, rank, group, index)
    k, wide = f.k, WIDE[operands[1][1]]
    combine, start = _RUNNING[op]
    with k.items(f.lines) as line:
        base, state = f.base(line), k.variable(k.const(start, wide))
        with k.range(0, f.n) as j:
            state.set(combine(state.get(), num.convert(f.read("x", base, j), wide)))
            f.write("y", base, j, state.get())
    return k.finish()


@kernel
def _extreme_kernel(op, operands, rank, group, index):
    """The last of equal elements, and NaN from the first one on."""
    f = Lines(op, operands, rank, group, index)
    k, wide = f.k, WIDE[operands[0][1]]
    with k.items(f.lines) as line:
        base = f.base(line)
        best, place = k.variable(k.const(0, wide)), k.variable(k.const(0, k.index_dtype))
        with k.range(0, f.n) as j:
            v, m = f.read("x", base, j), best.get()
            if wide == "bool":
                better = v | ~m if op == "cummax" else m | ~v
            else:
                better = v >= m if op == "cummax" else v <= m
            if wide in FLOATS:
                better = num.isnan(v) | (better & ~num.isnan(m))
            take = (j == 0) | better
            best.set(take.where(v, m))
            place.set(take.where(j, place.get()))
            f.write("y", base, j, best.get())
            f.write("places", base, j, place.get().to("i64"))
    return k.finish()


@template("cumsum", "cumprod", "logcumsumexp")
def running(call, target):
    x, y = call.inputs[0], call.outputs[0]
    axis = call.attributes["dim"] % max(len(x.shape), 1)
    return plan_lines(call, target, _running_kernel, {"x": (x, False), "y": (y, True)}, axis)


@template("cummax", "cummin")
def running_extreme(call, target):
    x, (y, places) = call.inputs[0], call.outputs
    axis = call.attributes["dim"] % max(len(x.shape), 1)
    operands = {"x": (x, False), "y": (y, True), "places": (places, True)}
    return plan_lines(call, target, _extreme_kernel, operands, axis)
