"""softmax and cross-entropy, forward and backward, on the row template."""

from __future__ import annotations

import math

from helix.kernel import numeric as num
from helix.kernel.along import body, plan_along, whole
from helix.kernel.ir import UnsupportedError
from helix.kernel.polynomials import call as function
from helix.kernel.registry import template


def _top_and_total(r, name="x"):
    """The largest element of a row, and the sum of exponentials below it: one exponential an element."""
    least = r.k.const(-math.inf, r.wide)
    (top,) = r.reduce((least,), lambda a, b: (num.maximum(a[0], b[0]),), lambda j: (r.read(name, j),))

    def part(j):
        x = r.read(name, j)
        return (x == top).where(r.k.const(1.0, r.wide), function("exp", x - top))

    (total,) = r.sum(part)
    return top, total


@body("softmax")
def _softmax(r):
    top, total = _top_and_total(r)
    with r.each() as j:
        r.write("y", function("exp", r.read("x", j) - top) / total, j)


@body("log_softmax")
def _log_softmax(r):
    top, total = _top_and_total(r)
    log_total = function("log", total)
    with r.each() as j:
        r.write("y", (r.read("x", j) - top) - log_total, j)


@body("softmax_backward")
def _softmax_backward(r):
    (total,) = r.sum(lambda j: r.read("g", j) * r.read("x", j))
    with r.each() as j:
        r.write("y", r.read("x", j) * (r.read("g", j) - total), j)


@body("log_softmax_backward")
def _log_softmax_backward(r):
    (total,) = r.sum(lambda j: r.read("g", j))
    with r.each() as j:
        r.write("y", r.read("g", j) - function("exp", r.read("x", j)) * total, j)


@template("softmax", "log_softmax")
def softmax(call, target):
    x, y = call.inputs[0], call.outputs[0]
    return _along_dim(call, target, x.shape, {"x": whole(x), "y": whole(y, True)})


@template("softmax_backward", "log_softmax_backward")
def softmax_backward(call, target):
    g, x = call.inputs
    return _along_dim(call, target, x.shape, {"g": whole(g), "x": whole(x), "y": whole(call.outputs[0], True)})


def _along_dim(call, target, shape, operands):
    if not shape:
        raise UnsupportedError("a single number has no axis")
    return plan_along(call, target, call.op, shape, [call.attributes["dim"] % len(shape)], operands)


# ---- cross-entropy: rows along the classes ----


def _share(r, j, target, counted):
    """How much the log-probability of class j counts."""
    a = r.a
    share = (j.to("i64") == target).where(r.k.const(1.0, r.wide), r.k.const(0.0, r.wide))
    smoothing = a.number("label_smoothing")
    share = share * (1.0 - smoothing) + smoothing / r.count()
    if r.has("weight"):
        share = share * r.read("weight", j)
    return counted.where(share, r.k.const(0.0, r.wide))


def _target(r):
    target = r.read("labels")
    return target, target != r.a.fixed("ignore_index")


@body("native_cross_entropy", checks=True)
def _cross_entropy(r):
    target, counted = _target(r)
    label, classes = target.to("i64"), r.n.to("i64")
    with r.k.when(counted & ((label < 0) | (label >= classes)) & (r.k.local_id() == 0)):
        r.faults.note(label, classes, r.k.const(-2, "i32"))
    top, total = _top_and_total(r)
    log_total = top + function("log", total)
    zero = r.k.const(0.0, r.wide)

    def part(j):
        share = _share(r, j, target, counted)
        return (share == 0.0).where(zero, share * (log_total - r.read("x", j)))

    def plain(j):
        one = r.read("weight", j) if r.has("weight") else r.k.const(1.0, r.wide)
        return ((j.to("i64") == target) & counted).where(one, zero)

    loss, scale = r.sum(part, plain)
    r.write("loss", loss)
    r.write("log_sum", log_total)
    r.write("scale", scale)


@body("cross_entropy_backward")
def _cross_entropy_backward(r):
    target, counted = _target(r)
    gradient, log_total = r.read("g"), r.read("log_sum")
    (all_shares,) = r.sum(lambda j: _share(r, j, target, counted))
    with r.each() as j:
        slope = function("exp", r.read("x", j) - log_total) * all_shares - _share(r, j, target, counted)
        r.write("y", gradient * slope, j)


def _class_axis(x):
    return 1 if len(x.shape) > 1 else 0


def _without_classes(tensor, axis, written=False):
    """A value a row: no stride along the classes."""
    return tensor, (*tensor.strides[:axis], 0, *tensor.strides[axis:]), written


def _classes(weight, x, axis):
    return weight, tuple(weight.strides[0] if d == axis else 0 for d in range(len(x.shape))), False


@template("native_cross_entropy")
def cross_entropy(call, target):
    x, labels, weight = call.inputs
    axis = _class_axis(x)
    operands = {"x": whole(x), "labels": _without_classes(labels, axis)}
    if weight is not None:
        operands["weight"] = _classes(weight, x, axis)
    for name, y in zip(("loss", "log_sum", "scale"), call.outputs):
        operands[name] = _without_classes(y, axis, True)
    if math.prod(x.shape) == 0 and call.outputs[0].numel:
        raise UnsupportedError("rows without classes")
    return plan_along(call, target, call.op, x.shape, [axis], operands)


@template("cross_entropy_backward")
def cross_entropy_backward(call, target):
    g, x, labels, log_total, weight = call.inputs
    axis = _class_axis(x)
    operands = {"x": whole(x), "g": _without_classes(g, axis), "labels": _without_classes(labels, axis)}
    operands["log_sum"] = _without_classes(log_total, axis)
    if weight is not None:
        operands["weight"] = _classes(weight, x, axis)
    operands["y"] = whole(call.outputs[0], True)
    return plan_along(call, target, call.op, x.shape, [axis], operands)
