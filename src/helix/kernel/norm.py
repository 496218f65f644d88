"""layer_norm and rms_norm, batch_norm and group_norm, forward and backward.

All are one pair of bodies: what differs is which axes a row runs along, and along which of them the weights vary.
"""

from __future__ import annotations

from math import prod

from helix.kernel.along import along, body, plan_along, whole
from helix.kernel.build import Builder
from helix.kernel.elementwise import check, stored
from helix.kernel.ir import SIZES, WIDE, UnsupportedError
from helix.kernel.kept import kernel
from helix.kernel.layout import contiguous_strides
from helix.kernel.plan import Plan, launch
from helix.kernel.polynomials import call as function
from helix.kernel.registry import template


def _statistics(r, centered):
    """Mean and variance of a row in two passes; the second takes off what rounding left in the mean."""
    mean = r.k.const(0.0, r.wide)
    if centered:
        (total,) = r.sum(lambda j: r.read("x", j))
        mean = total / r.count()
        rest, squares = r.sum(lambda j: r.read("x", j) - mean, lambda j: _square(r.read("x", j) - mean))
        off = rest / r.count()
        return mean + off, squares / r.count() - off * off
    (squares,) = r.sum(lambda j: _square(r.read("x", j)))
    return mean, squares / r.count()


def _square(v):
    return v * v


def _apply(r, mean, scale):
    with r.each() as j:
        y = (r.read("x", j) - mean) * scale
        if r.has("weight"):
            y = y * r.read("weight", j)
        if r.has("bias"):
            y = y + r.read("bias", j)
        r.write("y", y, j)


def _forward(centered, keeps_variance):
    def forward(r):
        mean, variance = _statistics(r, centered)
        variance = (variance < 0.0).where(r.k.const(0.0, r.wide), variance)
        scale = 1.0 / function("sqrt", variance + r.a.number("eps"))
        _apply(r, mean, scale)
        if centered:
            r.write("mean", mean)
        r.write("spread", variance if keeps_variance else scale)

    return forward


body("native_layer_norm")(_forward(True, False))
body("native_rms_norm")(_forward(False, False))
body("batch_norm_forward")(_forward(True, True))
body("group_norm_forward")(_forward(True, True))


@body("batch_norm_apply")
def _batch_norm_apply(r):
    _apply(r, r.read("mean"), 1.0 / function("sqrt", r.read("spread") + r.a.number("eps")))


def _backward(centered, keeps_variance, sums=False):
    """dx = scale (gw - mean(gw) - xhat mean(gw xhat)), xhat without its mean for rms_norm."""

    def backward(r):
        spread = r.read("spread")
        scale = 1.0 / function("sqrt", spread + r.a.number("eps")) if keeps_variance else spread
        mean = r.read("mean") if centered else r.k.const(0.0, r.wide)

        def hat(j):
            return (r.read("x", j) - mean) * scale

        def weighted(j):
            return r.read("g", j) * r.read("weight", j) if r.has("weight") else r.read("g", j)

        g_sum, gx_sum = r.sum(weighted, lambda j: weighted(j) * hat(j))
        n = r.count()
        with r.each() as j:
            rest = weighted(j) - hat(j) * (gx_sum / n)
            if centered:
                rest = rest - g_sum / n
            r.write("y", rest * scale, j)
        if sums:
            plain, moved = r.sum(lambda j: r.read("g", j), lambda j: r.read("g", j) * hat(j))
            if r.has("weight_gradient"):
                r.write("weight_gradient", moved)
            if r.has("bias_gradient"):
                r.write("bias_gradient", plain)

    return backward


body("layer_norm_backward")(_backward(True, False))
body("rms_norm_backward")(_backward(False, False))
body("batch_norm_backward")(_backward(True, True, sums=True))


# ---- over the last axes ----


def _last_axes(call, x):
    count = len(call.attributes["normalized_shape"])
    return list(range(len(x.shape) - count, len(x.shape)))


def _of_elements(tensor, x, written=False):
    return tensor, (0,) * (len(x.shape) - len(tensor.shape)) + tensor.strides, written


def _of_rows(tensor, axes, written=False):
    return tensor, tuple(0 if d in axes else s for d, s in enumerate(tensor.strides)), written


@template("native_layer_norm", "native_rms_norm")
def last_axes_norm(call, target):
    x, weight, *bias = call.inputs
    axes = _last_axes(call, x)
    operands = {"x": whole(x), "y": whole(call.outputs[0], True)}
    for name, t in (("weight", weight), ("bias", bias[0] if bias else None)):
        if t is not None:
            operands[name] = _of_elements(t, x)
    for name, t in zip(("mean", "spread") if bias else ("spread",), call.outputs[1:]):
        operands[name] = _of_rows(t, axes, True)
    if x.numel == 0 and call.outputs[1].numel:
        raise UnsupportedError("rows without elements")
    return plan_along(call, target, call.op, x.shape, axes, operands)


@template("layer_norm_backward", "rms_norm_backward")
def last_axes_backward(call, target):
    g, x, *statistics, weight = call.inputs
    if x.numel == 0:
        raise UnsupportedError("sums over no rows")
    axes = _last_axes(call, x)
    operands = {"x": whole(x), "g": whole(g), "y": whole(call.outputs[0], True)}
    for name, t in zip(("mean", "spread") if len(statistics) > 1 else ("spread",), statistics):
        operands[name] = _of_rows(t, axes)
    if weight is not None:
        operands["weight"] = _of_elements(weight, x)
    launches, temporaries = [along(call, target, call.op, x.shape, axes, operands)], ()
    if len(call.outputs) > 1:
        sums, temporaries = _weight_gradients(call, target, g, x, statistics, axes)
        launches += sums
    return Plan(tuple(launches), temporaries)


@kernel
def _column_pieces(dtypes, centered, biased, group, index):
    """Item (piece, column): sums of g xhat and of g over a piece of the rows. Rows and columns lie close together."""
    wide = WIDE[dtypes[0]]
    k = Builder("norm_columns", (group, 1, 1), index)
    g, x = k.buffer("g", dtypes[0]), k.buffer("x", dtypes[1])
    spread = k.buffer("spread", wide)
    mean = k.buffer("mean", wide) if centered else None
    names = ("g", "x", "spread", "mean")[: 4 if centered else 3]
    at = {name: k.scalar(f"{name}_at") for name in names}
    n, columns, count, size = k.scalar("n"), k.scalar("columns"), k.scalar("rows"), k.scalar("size")
    outs = [k.buffer(f"part{o}", wide, written=True) for o in range(2 if biased else 1)]
    zero = k.const(0.0, wide)
    with k.items(n) as i:
        piece, column = i // columns, i % columns
        moved, plain = k.variable(zero), k.variable(zero)
        start = piece * size
        with k.range(start, (start + size < count).where(start + size, count)) as row:
            place = row * columns + column
            gradient, value = g[at["g"] + place], x[at["x"] + place]
            hat = (value - mean[at["mean"] + row] if centered else value) * spread[at["spread"] + row]
            moved.set(moved.get() + gradient * hat)
            plain.set(plain.get() + gradient)
        outs[0][i] = moved.get()
        if biased:
            outs[1][i] = plain.get()
    return k.finish()


@kernel
def _column_sums(wide, dtypes, group, index):
    k = Builder("norm_column_sums", (group, 1, 1), index)
    columns, pieces = k.scalar("columns"), k.scalar("pieces")
    parts = [k.buffer(f"part{o}", wide) for o in range(len(dtypes))]
    outs = [k.buffer(f"y{o}", d, written=True) for o, d in enumerate(dtypes)]
    at = [k.scalar(f"y{o}_at") for o in range(len(dtypes))]
    with k.items(columns) as column:
        for part, out, place, dtype in zip(parts, outs, at, dtypes):
            total = k.variable(k.const(0.0, wide))
            with k.range(0, pieces) as p:
                total.set(total.get() + part[p * columns + column])
            out[place + column] = stored(total.get(), dtype)
    return k.finish()


def _weight_gradients(call, target, g, x, statistics, axes):
    outs = call.outputs[1:]
    for t in (g, x, *statistics, *outs):
        if t.strides != contiguous_strides(t.shape):
            raise UnsupportedError("gradients of weights need contiguous operands")
    check(target, *(o.dtype for o in outs))
    columns = prod(x.shape[d] for d in axes)
    count = x.numel // columns
    pieces = max(1, min(count // 16, 128, 65536 // columns))
    centered, wide = len(statistics) > 1, WIDE[x.dtype]
    group = target.group(128)
    first = _column_pieces((g.dtype, x.dtype), centered, len(outs) > 1, group, call.index)
    second = _column_sums(wide, tuple(o.dtype for o in outs), group, call.index)
    tensors = {"g": g, "x": x, "spread": statistics[-1], "mean": statistics[0]}
    tensors |= {f"part{o}": ("temporary", o) for o in range(len(outs))} | {f"y{o}": t for o, t in enumerate(outs)}
    scalars = {"n": pieces * columns, "columns": columns, "rows": count, "size": -(-count // pieces), "pieces": pieces}
    return [
        launch(first, tensors, scalars, target.grid(-(-pieces * columns // group))),
        launch(second, tensors, scalars, target.grid(-(-columns // group))),
    ], (SIZES[wide] * pieces * columns,) * len(outs)


# ---- over the batch: a row is a channel ----


def _channel(tensor, rank, written=False):
    return tensor, tuple(tensor.strides[0] if d == 1 else 0 for d in range(rank)), written


def _batch_operands(x, named, written=()):
    rank = len(x.shape)
    return {name: _channel(t, rank, name in written) for name, t in named.items() if t is not None}


def _other_axes(x):
    return [d for d in range(len(x.shape)) if d != 1]


@template("batch_norm_forward")
def batch_norm_forward(call, target):
    x, weight, bias = call.inputs
    y, mean, variance = call.outputs
    operands = {"x": whole(x), "y": whole(y, True)}
    operands |= _batch_operands(
        x, {"weight": weight, "bias": bias, "mean": mean, "spread": variance}, ("mean", "spread")
    )
    return plan_along(call, target, call.op, x.shape, _other_axes(x), operands)


@template("batch_norm_apply")
def batch_norm_apply(call, target):
    x, mean, variance, weight, bias = call.inputs
    operands = {"x": whole(x), "y": whole(call.outputs[0], True)}
    operands |= _batch_operands(x, {"mean": mean, "spread": variance, "weight": weight, "bias": bias})
    return plan_along(call, target, call.op, x.shape, _other_axes(x), operands)


@template("batch_norm_backward")
def batch_norm_backward(call, target):
    g, x, weight, mean, variance = call.inputs
    operands = {"x": whole(x), "g": whole(g), "y": whole(call.outputs[0], True)}
    named = {"weight": weight, "mean": mean, "spread": variance}
    named |= dict(zip(("weight_gradient", "bias_gradient"), call.outputs[1:]))
    operands |= _batch_operands(x, named, ("weight_gradient", "bias_gradient"))
    if x.numel == 0:
        raise UnsupportedError("sums over no elements")
    return plan_along(call, target, call.op, x.shape, _other_axes(x), operands)


@template("group_norm_forward")
def group_norm_forward(call, target):
    """The channels seen as groups of channels."""
    x, weight, bias = call.inputs
    y, mean, variance = call.outputs
    groups = call.attributes["groups"]
    each = x.shape[1] // groups

    def grouped(t, written=False):
        return t, (t.strides[0], t.strides[1] * each, *t.strides[1:]), written

    rest = (0,) * (len(x.shape) - 1)
    operands = {"x": grouped(x), "y": grouped(y, True)}
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None:
            operands[name] = t, (0, t.strides[0] * each, t.strides[0], *rest[1:]), False
    operands |= {name: (t, (*t.strides, *rest), True) for name, t in (("mean", mean), ("spread", variance))}
    shape = (x.shape[0], groups, each, *x.shape[2:])
    return plan_along(call, target, call.op, shape, list(range(2, len(shape))), operands)
