"""Pooling: maxima with their places, averages, and the gradients of both. One item an element of the result."""

from __future__ import annotations

from math import prod

from helix.kernel import numeric as num
from helix.kernel.build import Builder
from helix.kernel.create import zeros
from helix.kernel.elementwise import check, stored
from helix.kernel.index import write_at
from helix.kernel.ir import WIDE, UnsupportedError
from helix.kernel.kept import kernel
from helix.kernel.layout import coordinates_of
from helix.kernel.plan import Plan, launch
from helix.kernel.reductions import extreme
from helix.kernel.registry import template


class _Windows:
    """The declarations of a pooling kernel: `lead` axes that are kept, then `rank` spatial ones."""

    def __init__(self, op, dtypes, lead, rank, adaptive, group, index):
        k = self.k = Builder(op, (group, 1, 1), index)
        self.lead, self.rank, self.adaptive = lead, rank, adaptive
        self.n = k.scalar("n")
        self.leads = [k.scalar(f"lead{d}") for d in range(1, lead)]
        self.inner, self.outer = ([k.scalar(f"{name}{d}") for d in range(rank)] for name in ("inner", "outer"))
        if not adaptive:
            names = ("kernel", "stride", "padding", "dilation")
            self.kernel, self.stride, self.padding, self.dilation = (
                [k.scalar(f"{name}{d}") for d in range(rank)] for name in names
            )
        self.x, self.y = k.buffer("x", dtypes[0]), k.buffer("y", dtypes[1], written=True)
        self.at = {name: k.scalar(f"{name}_at") for name in ("x", "y")}
        self.strides = {name: [k.scalar(f"{name}_stride{d}") for d in range(lead + rank)] for name in ("x", "y")}

    def place(self, name, coordinates, base=None):
        place = self.at[name] if base is None else base
        strides = self.strides[name] if base is None else self.strides[name][self.lead :]
        for c, s in zip(coordinates, strides):
            place = place + c * s
        return place

    def base(self, name, leads):
        place = self.at[name]
        for c, s in zip(leads, self.strides[name]):
            place = place + c * s
        return place

    def split(self, i, sizes):
        """Coordinates along the kept axes and along the spatial ones."""
        all_ = coordinates_of(i, [*self.leads, *sizes])
        return all_[: self.lead], all_[self.lead :]

    def bounds(self, d, o):
        """First position, end and step of window o along axis d, inside the input."""
        if self.adaptive:
            start = o * self.inner[d] // self.outer[d]
            return start, ((o + 1) * self.inner[d] + self.outer[d] - 1) // self.outer[d], self.k.const(1, o.dtype)
        start, step = o * self.stride[d] - self.padding[d], self.dilation[d]
        stop = start + (self.kernel[d] - 1) * step + 1
        short = (start < 0).where((step - 1 - start) // step * step, 0)
        return start + short, (stop > self.inner[d]).where(self.inner[d], stop), step

    def holding(self, d, p):
        """First and end of the windows along axis d that hold position p, of those without dilation."""
        inner, outer = self.inner[d], self.outer[d]
        if self.adaptive:
            return p * outer // inner, ((p + 1) * outer + inner - 1) // inner
        reach = p + self.padding[d]
        low, end = reach - self.kernel[d] + 1, reach // self.stride[d] + 1
        first = (low > 0).where((low + self.stride[d] - 1) // self.stride[d], 0)
        return first, (end < outer).where(end, outer)

    def each(self, window, visit, d=0, found=()):
        """Visits every position of a window inside the input."""
        if d == self.rank:
            visit(found)
            return
        start, stop, step = self.bounds(d, window[d])
        with self.k.range(start, stop, step) as i:
            self.each(window, visit, d + 1, (*found, i))


@kernel
def _max_kernel(dtypes, lead, rank, adaptive, indices, group, index):
    f = _Windows("max_pool", dtypes, lead, rank, adaptive, group, index)
    k, wide = f.k, WIDE[dtypes[0]]
    if indices:
        where, where_at = k.buffer("places", "i32", written=True), k.scalar("places_at")
        where_strides = [k.scalar(f"places_stride{d}") for d in range(lead + rank)]
    with k.items(f.n) as i:
        leads, window = f.split(i, f.outer)
        base = f.base("x", leads)
        best, place = k.variable(k.const(extreme(wide, False), wide)), k.variable(k.const(-1, k.index_dtype))

        def visit(position):
            value = f.x[f.place("x", position, base)]
            flat = position[0]
            for p, size in zip(position[1:], f.inner[1:]):
                flat = flat * size + p
            top = best.get()
            more = (value > top) | num.isnan(value) if wide in ("f32", "f64") else value > top
            more = more | (place.get() < 0)
            best.set(more.where(value, top))
            place.set(more.where(flat, place.get()))

        f.each(window, visit)
        f.y[f.place("y", [*leads, *window])] = stored(best.get(), dtypes[1])
        if indices:
            at = where_at
            for c, s in zip([*leads, *window], where_strides):
                at = at + c * s
            where[at] = place.get().to("i32")
    return k.finish()


def _average_divisor(f, window, include_pad, fixed, wide):
    if fixed is not None:
        return f.k.const(fixed, wide)
    count = None
    for d, o in enumerate(window):
        start, stop, _ = f.bounds(d, o)
        if include_pad and not f.adaptive:
            start = o * f.stride[d] - f.padding[d]
            stop, limit = start + f.kernel[d], f.inner[d] + f.padding[d]
            stop = (stop < limit).where(stop, limit)
        count = stop - start if count is None else count * (stop - start)
    return count.to(wide)


@kernel
def _average_kernel(dtypes, lead, rank, adaptive, include_pad, fixed, group, index):
    f = _Windows("avg_pool", dtypes, lead, rank, adaptive, group, index)
    k, wide = f.k, WIDE[dtypes[1]]
    with k.items(f.n) as i:
        leads, window = f.split(i, f.outer)
        base, total = f.base("x", leads), k.variable(k.const(0, wide))

        def visit(position):
            total.set(num.add(total.get(), num.convert(f.x[f.place("x", position, base)], wide)))

        f.each(window, visit)
        value = total.get() / _average_divisor(f, window, include_pad, fixed, wide)
        f.y[f.place("y", [*leads, *window])] = stored(value, dtypes[1])
    return k.finish()


@kernel
def _average_backward_kernel(dtypes, lead, rank, adaptive, include_pad, fixed, group, index):
    """x is the gradient of the result, y of the input: every position collects from the windows that hold it."""
    f = _Windows("avg_pool_backward", dtypes, lead, rank, adaptive, group, index)
    k, wide = f.k, WIDE[dtypes[1]]
    with k.items(f.n) as i:
        leads, place = f.split(i, f.inner)
        base, total = f.base("x", leads), k.variable(k.const(0, wide))

        def collect(d, found):
            if d == rank:
                gradient = num.convert(f.x[f.place("x", found, base)], wide)
                total.set(total.get() + gradient / _average_divisor(f, found, include_pad, fixed, wide))
                return
            with k.range(*f.holding(d, place[d])) as o:
                collect(d + 1, (*found, o))

        collect(0, ())
        f.y[f.place("y", [*leads, *place])] = stored(total.get(), dtypes[1])
    return k.finish()


def _scalars(x, y, lead, inner, outer, attributes, adaptive):
    scalars = {"n": y.numel} | {f"lead{d}": y.shape[d] for d in range(1, lead)}
    scalars |= {f"inner{d}": s for d, s in enumerate(inner)} | {f"outer{d}": s for d, s in enumerate(outer)}
    if not adaptive:
        ones = (1,) * len(inner)
        for name, key in (
            ("kernel", "kernel_size"),
            ("stride", "stride"),
            ("padding", "padding"),
            ("dilation", "dilation"),
        ):
            scalars |= {f"{name}{d}": v for d, v in enumerate(attributes.get(key) or ones)}
    for name, t in (("x", x), ("y", y)):
        scalars |= {f"{name}_stride{d}": s for d, s in enumerate(t.strides)}
    return scalars


def _ready(target, x, y):
    check(target, x.dtype, y.dtype)
    return target.group(128)


@template("max_pool", "adaptive_max_pool")
def max_pool(call, target):
    x, y = call.inputs[0], call.outputs[0]
    if y.numel == 0:
        return Plan()
    adaptive, group = call.op.startswith("adaptive"), _ready(target, x, y)
    rank = len(call.attributes["output_size" if adaptive else "kernel_size"])
    lead = len(x.shape) - rank
    scalars = _scalars(x, y, lead, x.shape[lead:], y.shape[lead:], call.attributes, adaptive)
    tensors, places = {"x": x, "y": y}, len(call.outputs) > 1
    if places:
        tensors["places"] = call.outputs[1]
        scalars |= {f"places_stride{d}": s for d, s in enumerate(call.outputs[1].strides)}
    kernel = _max_kernel((x.dtype, y.dtype), lead, rank, adaptive, places, group, call.index)
    return Plan((launch(kernel, tensors, scalars, target.grid(-(-y.numel // group))),))


def _divisor(call):
    a = call.attributes
    return bool(a.get("count_include_pad")), a.get("divisor_override")


@template("avg_pool", "adaptive_avg_pool")
def avg_pool(call, target):
    x, y = call.inputs[0], call.outputs[0]
    if y.numel == 0:
        return Plan()
    adaptive, group = call.op.startswith("adaptive"), _ready(target, x, y)
    if WIDE[y.dtype] not in ("f32", "f64"):
        raise UnsupportedError("means of integers")
    rank = len(call.attributes["output_size" if adaptive else "kernel_size"])
    lead = len(x.shape) - rank
    scalars = _scalars(x, y, lead, x.shape[lead:], y.shape[lead:], call.attributes, adaptive)
    kernel = _average_kernel((x.dtype, y.dtype), lead, rank, adaptive, *_divisor(call), group, call.index)
    return Plan((launch(kernel, {"x": x, "y": y}, scalars, target.grid(-(-y.numel // group))),))


@template("avg_pool_backward", "adaptive_avg_pool_backward")
def avg_pool_backward(call, target):
    g, y = call.inputs[0], call.outputs[0]
    if y.numel == 0:
        return Plan()
    adaptive, group, rank = call.op.startswith("adaptive"), _ready(target, g, y), len(call.attributes["size"])
    lead = len(y.shape) - rank
    scalars = _scalars(g, y, lead, y.shape[lead:], g.shape[lead:], call.attributes, adaptive)
    kernel = _average_backward_kernel((g.dtype, y.dtype), lead, rank, adaptive, *_divisor(call), group, call.index)
    return Plan((launch(kernel, {"x": g, "y": y}, scalars, target.grid(-(-y.numel // group))),))


@template("max_pool_backward")
def max_pool_backward(call, target):
    """Gradients added at the places that the maxima came from, a plane an item."""
    g, places = call.inputs
    y = call.outputs[0]
    rank = len(call.attributes["size"])
    lead, plane = len(y.shape) - rank, prod(call.attributes["size"])
    spatial = y.strides[lead:]
    dense = all(spatial[d] == prod(y.shape[lead + d + 1 :]) for d in range(rank))
    if not dense or y.dtype not in ("f32", "f64"):
        raise UnsupportedError("planes with gaps, or sums that are kept in halves")
    strides = {"shape": g.shape, "y": (*y.strides[:lead], *(0,) * rank), "v": g.strides, 0: places.strides}
    written = write_at(
        call,
        target,
        y,
        g,
        "add",
        list(range(lead)),
        list(range(lead, len(g.shape))),
        strides,
        [places],
        [(lead, plane, 1)],
        False,
    )
    return Plan((*zeros(call, target).launches, *written))
