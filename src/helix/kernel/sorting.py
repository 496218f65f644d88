"""Sorting, selecting and searching. NaN is the largest; equal elements keep their order.

A short line is sorted by counting: an element's place is the number of those before it. A long one is merged: runs of
1, 2, 4 ... positions, where an element's place is its own in its run and its rank in the run beside it.
"""

from __future__ import annotations

from math import prod

from helix.kernel import numeric as num
from helix.kernel.build import Builder
from helix.kernel.elementwise import check
from helix.kernel.ir import FLOATS, UnsupportedError
from helix.kernel.kept import kernel
from helix.kernel.layout import coalesce, coordinates_of, size_scalars
from helix.kernel.order import Lines, plan_lines
from helix.kernel.plan import Plan, launch
from helix.kernel.registry import template

_COUNTED = 256  # the longest line that is sorted by counting, in n steps an element


def before(a, b, descending=False):
    """Does a stand strictly before b?"""
    if a.dtype == "bool":
        return a & ~b if descending else b & ~a
    less = (lambda x, y: (x < y) | (num.isnan(y) & ~num.isnan(x))) if a.dtype in FLOATS else (lambda x, y: x < y)
    return less(b, a) if descending else less(a, b)


def _place(f, base, own, value, descending):
    """The number of elements of the line that stand before element `own`."""
    k = f.k
    count = k.variable(0, k.index_dtype)
    with k.range(0, f.n) as j:
        other = f.read("x", base, j)
        earlier = before(other, value, descending) | (~before(value, other, descending) & (j < own))
        count.set(count.get() + earlier.to(k.index_dtype))
    return count.get()


@kernel
def _sort_kernel(op, operands, rank, descending, group, index):
    f = Lines(op, operands, rank, group, index)
    with f.k.items(f.lines * f.n) as i:
        line, own = i // f.n, i % f.n
        base = f.base(line)
        value = f.read("x", base, own)
        place = _place(f, base, own, value, descending)
        f.write("y", base, place, value)
        f.write("places", base, place, own.to("i64"))
    return f.k.finish()


@kernel
def _first_kernel(op, operands, rank, group, index):
    """Line by line, each position to itself."""
    f = Lines(op + "_begin", operands, rank, group, index)
    with f.k.items(f.lines * f.n) as i:
        f.memory["order"][i] = i % f.n
    return f.k.finish()


def _search(k, low, high, goes_on):
    """The first place of [low, high) for which goes_on does not hold."""
    start, stop = k.variable(low), k.variable(high)
    with k.loop():
        a, b = start.get(), stop.get()
        k.leave_if(a >= b)
        middle = (a + b) // 2
        on = goes_on(middle)
        start.set(on.where(middle + 1, a))
        stop.set(on.where(b, middle))
    return start.get()


@kernel
def _merge_kernel(op, operands, rank, descending, group, index):
    """Neighbouring runs of `width` positions, sorted each, to one: from `order` to `merged`."""
    f = Lines(op + "_merge", operands, rank, group, index)
    k, width = f.k, f.k.scalar("width")
    order, merged = f.memory["order"], f.memory["merged"]
    with k.items(f.lines * f.n) as i:
        line, at = i // f.n, i % f.n
        base, start = f.base(line), i - i % f.n
        own = order[i]
        value = f.read("x", base, own)
        left = at // (2 * width) * (2 * width)
        middle = num.minimum(left + width, f.n)
        first = at < middle
        low, high = first.where(middle, left), first.where(num.minimum(middle + width, f.n), middle)

        def stands_before(j):
            other = f.read("x", base, order[start + j])
            return first.where(before(other, value, descending), ~before(value, other, descending))

        rank_beside = _search(k, low, high, stands_before) - low
        merged[start + left + (at - first.where(left, middle)) + rank_beside] = own
    return k.finish()


@kernel
def _last_kernel(op, operands, rank, group, index):
    f = Lines(op + "_end", operands, rank, group, index)
    with f.k.items(f.lines * f.n) as i:
        line, at = i // f.n, i % f.n
        base, own = f.base(line), f.memory["order"][i]
        f.write("y", base, at, f.read("x", base, own))
        f.write("places", base, at, own.to("i64"))
    return f.k.finish()


def _merged(call, target, x, y, places, axis, descending):
    n, size = x.shape[axis], 4 if call.index == "i32" else 8
    ways = [("temporary", 0), ("temporary", 1)]
    order = {"order": (ways[0], call.index, True)}
    launches = list(
        plan_lines(call, target, _first_kernel, {"x": (x, False)}, axis, apart=order, per_element=True).launches
    )
    width, now = 1, 0
    while width < n:
        order = {"order": (ways[now], call.index, False), "merged": (ways[1 - now], call.index, True)}
        launches += plan_lines(
            call, target, _merge_kernel, {"x": (x, False)}, axis, descending, apart=order, per_element=True,
            scalars={"width": width},
        ).launches  # fmt: skip
        width, now = 2 * width, 1 - now
    order = {"order": (ways[now], call.index, False)}
    operands = {"x": (x, False), "y": (y, True), "places": (places, True)}
    launches += plan_lines(call, target, _last_kernel, operands, axis, apart=order, per_element=True).launches
    return Plan(tuple(launches), (size * x.numel,) * 2)


@template("sort")
def sort(call, target):
    x, (y, places) = call.inputs[0], call.outputs
    axis = call.attributes["dim"] % max(len(x.shape), 1)
    descending = bool(call.attributes["descending"])
    if x.shape and x.shape[axis] > _COUNTED:
        return _merged(call, target, x, y, places, axis, descending)
    operands = {"x": (x, False), "y": (y, True), "places": (places, True)}
    return plan_lines(call, target, _sort_kernel, operands, axis, descending, per_element=True)


# ---- one of a line ----


@kernel
def _median_kernel(op, operands, rank, group, index):
    """The lower middle one; the first NaN where there is one."""
    f = Lines(op, operands, rank, group, index)
    k, floats = f.k, operands[0][1] in ("f16", "bf16", "f32", "f64")
    with k.items(f.lines * f.n) as i:
        line, own = i // f.n, i % f.n
        base = f.base(line)
        value = f.read("x", base, own)
        place = _place(f, base, own, value, False)
        chosen = place == (f.n - 1) // 2
        if floats:
            first = k.variable(f.n)
            with k.range(0, f.n) as j:
                first.set((num.isnan(f.read("x", base, j)) & (j < first.get())).where(j, first.get()))
            chosen = (first.get() < f.n).where(own == first.get(), chosen)
        with k.when(chosen):
            f.write("y", base, k.const(0, k.index_dtype), value)
            f.write("places", base, k.const(0, k.index_dtype), own.to("i64"))
    return k.finish()


@template("median")
def median(call, target):
    x, outs = call.inputs[0], call.outputs
    axis = call.attributes["dim"] % max(len(x.shape), 1)
    if x.shape and x.shape[axis] > 16 * _COUNTED:
        raise UnsupportedError("a long line")
    y, places = (
        t if len(t.shape) == len(x.shape) else type(t)(
            t.dtype, (*t.shape[:axis], 1, *t.shape[axis:]), (*t.strides[:axis], 0, *t.strides[axis:]), t.reference
        )
        for t in outs
    )  # fmt: skip
    operands = {"x": (x, False), "y": (y, True), "places": (places, True)}
    return plan_lines(call, target, _median_kernel, operands, axis, per_element=True)


# ---- searching ----


@kernel
def _search_kernel(dtypes, rank, right, group, index):
    k = Builder("searchsorted", (group, 1, 1), index)
    count, length = k.scalar("count"), k.scalar("length")
    sizes = [k.scalar(f"size{d}") for d in range(1, rank)]
    memory = {name: k.buffer(name, d, name == "y") for name, d in zip(("y", "x", "line"), dtypes)}
    at = {name: k.scalar(name + "_at") for name in memory}
    strides = {name: [k.scalar(f"{name}_stride{d}") for d in range(rank)] for name in memory}
    step = k.scalar("step")
    with k.items(count) as i:
        place = dict(at)
        for d, c in enumerate(coordinates_of(i, sizes)):
            place = {name: p + c * strides[name][d] for name, p in place.items()}
        value = memory["x"][place["x"]]

        def goes_on(j):
            other = memory["line"][place["line"] + j * step]
            return ~before(value, other) if right else before(other, value)

        found = _search(k, k.const(0, k.index_dtype), length, goes_on)
        memory["y"][place["y"]] = num.convert(found, "i32" if dtypes[0] == "i32" else "i64")
    return k.finish()


@template("searchsorted")
def searchsorted(call, target):
    line, x = call.inputs
    y = call.outputs[0]
    if y.numel == 0:
        return Plan()
    if x.host or line.host:
        raise UnsupportedError("single numbers")
    check(target, y.dtype, x.dtype, line.dtype)
    lead = (0,) * len(y.shape) if len(line.shape) == 1 else (*line.strides[:-1], 0)
    sizes, (of_y, of_x, of_line) = coalesce(y.shape, [y.strides, x.strides, lead])
    right = bool(call.attributes["right"]) or call.attributes.get("side") == "right"
    scalars = {"count": prod(y.shape), "length": line.shape[-1], "step": line.strides[-1]}
    scalars |= size_scalars(sizes)
    for name, own in (("y", of_y), ("x", of_x), ("line", of_line)):
        scalars |= {f"{name}_stride{d}": s for d, s in enumerate(own)}
    group = target.group(target.schedule.flat)
    kernel = _search_kernel((y.dtype, x.dtype, line.dtype), len(sizes), right, group, call.index)
    return Plan((launch(kernel, {"y": y, "x": x, "line": line}, scalars, target.grid(-(-y.numel // group))),))
