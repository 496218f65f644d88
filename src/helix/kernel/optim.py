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


_STEPS = {
    "sgd_step": (_sgd, ("lr", "decay", "sign", "momentum", "fresh"), (0, 2)),
    "adam_step": (
        _adam, ("size", "scale", "keep", "decay", "sign", "rest1", "beta2", "rest2", "eps"), (0, 2, 3, 4),
    ),
    "scale_list": (lambda p, scalars, fixed: {0: p[0] * scalars["factor"]}, ("factor",), (0,)),
}  # fmt: skip


@kernel
def _kernel(op, dtypes, layouts, rank, fixed, factor, group, index):
    body, names, writes = _STEPS[op]
    k = Builder(op, (group, 1, 1), index)
    n = k.scalar("n")
    sizes = [k.scalar(f"size{d}") for d in range(1, rank)]
    wide = WIDE[dtypes[0]]
    parts = [Operand(k, f"p{i}", d, layouts[i], rank, i in writes) for i, d in enumerate(dtypes)]
    if factor:
        source, place = k.buffer("factor", factor), k.scalar("factor_at")
        scalars = {"factor": num.convert(source[place], wide)}
    else:
        scalars = {name: k.scalar(name, wide) for name in names}
    with k.items(n) as i:
        coordinates = coordinates_of(i, sizes) if "strided" in layouts else ()
        values = [num.convert(p.read(i, coordinates), wide) for p in parts]
        for number, value in body(values, scalars, fixed).items():
            parts[number].write(stored(value, dtypes[number]), i, coordinates)
    return k.finish()


def _launches(call, target, lists, scalars, fixed, factor=None):
    """One launch for each parameter; `lists` are its tensors, group by group."""
    found = []
    for parts in zip(*lists):
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


@template("scale_list")
def scale(call, target):
    factor, *tensors = call.inputs
    if factor.host:
        raise UnsupportedError("a factor on the host")
    return _launches(call, target, [tensors], {}, False, factor)
