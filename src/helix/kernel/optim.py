"""Optimizer steps: one launch a parameter, all its state in one pass."""

from __future__ import annotations

from helix.kernel import numeric as num
from helix.kernel.build import Builder
from helix.kernel.elementwise import check, stored
from helix.kernel.ir import WIDE, UnsupportedError
from helix.kernel.kept import kernel
from helix.kernel.layout import Operand, coalesce, coordinates_of, layout_of, size_scalars, stride_scalars
from helix.kernel.plan import Derived, Plan, launch
from helix.kernel.registry import template


def _sgd(p, scalars, fixed):
    g = scalars["sign"] * p[1] + scalars["decay"] * p[0]
    if len(p) == 2:
        return {0: p[0] - scalars["lr"] * g}
    b = scalars["momentum"] * p[2] + scalars["fresh"] * g
    step = g + scalars["momentum"] * b if fixed else b
    return {0: p[0] - scalars["lr"] * step, 2: b}


def _adam(p, scalars, fixed):
    g = scalars["sign"] * p[1] + scalars["decay"] * p[0]
    m = p[2] + scalars["rest1"] * (g - p[2])
    v = scalars["beta2"] * p[3] + scalars["rest2"] * g * g
    written, peak = {2: m, 3: v}, v
    if len(p) > 4:
        peak = (p[4] > v).where(p[4], v)
        written[4] = peak
    root = v.builder.call("sqrt", peak) * scalars["scale"] + scalars["eps"]
    return written | {0: scalars["keep"] * p[0] - scalars["size"] * m / root}


def _root(x):
    return x.builder.call("sqrt", x)


def _averages(p, g, c):
    m = p[2] + c[0] * (g - p[2])
    return m, c[1] * p[3] + c[2] * g * g


def _adamax(p, old, g, c, factor):
    m = p[2] + c[0] * (g - p[2])
    decayed, size = c[1] * p[3], g.builder.call("abs", g) + c[2]
    u = ((decayed > size) | (decayed != decayed)).where(decayed, size)
    return {0: old - c[3] * m / u, 2: m, 3: u}


def _nadam(p, old, g, c, factor):
    m, v = _averages(p, g, c)
    return {0: old - (c[5] * g + c[6] * m) / (_root(v) * c[4] + c[3]), 2: m, 3: v}


def _radam(p, old, g, c, factor):
    m, v = _averages(p, g, c)
    below = (c[5] != 0.0).where(1.0, _root(v) + c[3])
    return {0: old - c[4] * m / below, 2: m, 3: v}


def _adagrad(p, old, g, c, factor):
    v = p[2] + g * g
    return {0: old - c[1] * g / (_root(v) + c[0]), 2: v}


def _adadelta(p, old, g, c, factor):
    v = c[0] * p[2] + c[1] * g * g
    step = _root(p[3] + c[2]) / _root(v + c[2]) * g
    return {0: old - c[3] * step, 2: v, 3: c[0] * p[3] + c[1] * step * step}


def _rmsprop(centred, moving):
    def step(p, old, g, c, factor):
        v = c[0] * p[2] + c[1] * g * g
        written, spread, last = {2: v}, v, len(p) - 1
        if centred:
            written[3] = p[3] + c[1] * (g - p[3])
            spread = v - written[3] * written[3]
        move = g / (_root(spread) + c[2])
        if moving:
            move = written[last] = c[4] * p[last] + move
        return written | {0: old - c[3] * move}

    return step


def _asgd(p, old, g, c, factor):
    new = old - c[0] * g
    return {0: new, 2: (c[1] == 1.0).where(new, p[2] + c[1] * (new - p[2]))}


def _rprop(p, old, g, c, factor):
    agree = g * p[2]
    step = p[3] * (agree > 0.0).where(c[1], (agree < 0.0).where(c[0], 1.0))
    step = (step < c[2]).where(c[2], (step > c[3]).where(c[3], step))
    move = (agree < 0.0).where(0.0, g)
    return {0: old - (move > 0.0).where(step, (move < 0.0).where(-step, move)), 2: move, 3: step}


def _lion(p, old, g, c, factor):
    u = c[0] * p[2] + c[1] * g
    return {0: old - (u > 0.0).where(c[4], (u < 0.0).where(-c[4], u)), 2: c[2] * p[2] + c[3] * g}


def _lamb(p, old, g, c, factor):
    m, v = _averages(p, g, c)
    return {2: m, 3: v, 4: m * c[4] / (_root(v) * c[5] + c[3]) + c[6] * p[0]}


def _average(p, old, g, c, factor):
    return {0: old + c[0] * (g - old)}


def _trust(p, old, g, c, factor):
    move = c[0] * (factor * g)
    if len(p) == 2:
        return {0: old - move}
    move = c[1] * p[2] + move
    return {0: old - move, 2: move}


# What a rule does, and how many lists of states it has.
_RULES = {
    "adamax": (_adamax, 2), "nadam": (_nadam, 2), "radam": (_radam, 2), "adagrad": (_adagrad, 1),
    "adadelta": (_adadelta, 2), "rmsprop": (_rmsprop(False, False), 1), "rmsprop_momentum": (_rmsprop(False, True), 2),
    "rmsprop_centred": (_rmsprop(True, False), 2), "rmsprop_centred_momentum": (_rmsprop(True, True), 3),
    "asgd": (_asgd, 1), "rprop": (_rprop, 2), "lion": (_lion, 1), "lamb": (_lamb, 3), "average": (_average, 0),
    "trust": (_trust, 0), "trust_momentum": (_trust, 1),
}  # fmt: skip
_NUMBERS = ("sign", "decay", "keep", *(f"c{i}" for i in range(7)))


def _rule(p, scalars, name):
    g = scalars["sign"] * p[1] + scalars["decay"] * p[0]
    c = [scalars[f"c{i}"] for i in range(7)]
    return _RULES[name][0](p, scalars["keep"] * p[0], g, c, scalars.get("factor"))


_STEPS = {
    "rule_step": (_rule, _NUMBERS, (0, 2, 3, 4)),
    "trust_step": (_rule, _NUMBERS, (0, 2)),
    "sgd_step": (_sgd, ("lr", "decay", "sign", "momentum", "fresh"), (0, 2)),
    "adam_step": (
        _adam, ("size", "scale", "keep", "decay", "sign", "rest1", "beta2", "rest2", "eps"), (0, 2, 3, 4),
    ),
    "scale_list": (lambda p, scalars, fixed: {0: p[0] * scalars["factor"]}, (), (0,)),
}  # fmt: skip


@kernel
def _kernel(op, dtypes, layouts, rank, fixed, factor, group, index):
    body, names, writes = _STEPS[op]
    k = Builder(op, (group, 1, 1), index)
    n = k.scalar("n")
    sizes = [k.scalar(f"size{d}") for d in range(1, rank)]
    wide = WIDE[dtypes[0]]
    parts = [Operand(k, f"p{i}", d, layouts[i], rank, i in writes) for i, d in enumerate(dtypes)]
    scalars = {name: k.scalar(name, wide) for name in names}
    if factor:
        source, place = k.buffer("factor", factor), k.scalar("factor_at") + k.scalar("factor_number")
        scalars["factor"] = num.convert(source[place], wide)
    with k.items(n) as i:
        coordinates = coordinates_of(i, sizes) if "strided" in layouts else ()
        values = [num.convert(p.read(i, coordinates), wide) for p in parts]
        for number, value in body(values, scalars, fixed).items():
            parts[number].write(stored(value, dtypes[number]), i, coordinates)
    return k.finish()


def _launches(call, target, lists, scalars, fixed, factor=None):
    """One launch for each parameter; `lists` are its tensors, group by group. A factor of several numbers has one for
    each parameter."""
    found = []
    for number, parts in enumerate(zip(*lists)):
        if parts[0].numel == 0:
            continue
        check(target, *(p.dtype for p in parts))
        sizes, strides = coalesce(parts[0].shape, [p.strides for p in parts])
        layouts = tuple(layout_of(sizes, s) if parts[0].numel > 1 else "dense" for s in strides)
        group = target.group(target.schedule.flat)
        kernel = _kernel(
            call.op,
            tuple(p.dtype for p in parts),
            layouts,
            len(sizes),
            fixed,
            factor and factor.dtype,
            group,
            call.index,
        )
        tensors = {f"p{i}": p for i, p in enumerate(parts)} | ({"factor": factor} if factor else {})
        named = scalars | {"n": parts[0].numel} | size_scalars(sizes)
        if factor:
            named["factor_number"] = number * factor.strides[0] if factor.shape else 0
        for i, layout in enumerate(layouts):
            named |= stride_scalars(f"p{i}", layout, strides[i])
        found.append(launch(kernel, tensors, named, target.grid(-(-parts[0].numel // group))))
    return Plan(tuple(found))


def _groups(tensors, count):
    size = len(tensors) // count
    return [tensors[i * size : (i + 1) * size] for i in range(count)]


def _difference(number):
    return Derived((number,), lambda x: 1.0 - x)


@template("sgd_step")
def sgd(call, target):
    a = call.attributes
    scalars = {"lr": a["lr"], "decay": a["weight_decay"], "momentum": a["momentum"]}
    scalars |= {"fresh": _difference(a["dampening"]), "sign": -1.0 if a["maximize"] else 1.0}
    return _launches(call, target, _groups(call.inputs, 2 if a["momentum"].zero else 3), scalars, a["nesterov"])


@template("adam_step")
def adam(call, target):
    a = call.attributes
    lr, decay, step = a["lr"], a["weight_decay"], a["step"]
    scalars = {
        "size": Derived((lr, a["beta1"], step), lambda lr, beta, n: lr / (1.0 - beta**n)),
        "scale": Derived((a["beta2"], step), lambda beta, n: (1.0 - beta**n) ** -0.5),
        "keep": Derived((lr, decay), lambda lr, decay: 1.0 - lr * decay) if a["decoupled"] else 1.0,
        "decay": 0.0 if a["decoupled"] else decay,
        "sign": -1.0 if a["maximize"] else 1.0,
        "rest1": _difference(a["beta1"]), "beta2": a["beta2"], "rest2": _difference(a["beta2"]), "eps": a["eps"],
    }  # fmt: skip
    return _launches(call, target, _groups(call.inputs, 5 if a["amsgrad"] else 4), scalars, False)


def _rule_numbers(call):
    return {name: call.attributes[name] for name in _NUMBERS}


@template("rule_step")
def rule(call, target):
    lists = _groups(call.inputs, 2 + _RULES[call.attributes["rule"]][1])
    return _launches(call, target, lists, _rule_numbers(call), call.attributes["rule"])


@template("trust_step")
def trust(call, target):
    factors, *tensors = call.inputs
    if factors.host:
        raise UnsupportedError("a factor on the host")
    lists = _groups(tensors, 2 + _RULES[call.attributes["rule"]][1])
    return _launches(call, target, lists, _rule_numbers(call), call.attributes["rule"], factors)


@template("scale_list")
def scale(call, target):
    factor, *tensors = call.inputs
    if factor.host:
        raise UnsupportedError("a factor on the host")
    return _launches(call, target, [tensors], {}, False, factor)
