"""Constant tensors and ranges."""

from __future__ import annotations

from helix.kernel import numeric as num
from helix.kernel.build import Builder
from helix.kernel.elementwise import check, stored
from helix.kernel.ir import SIZES, WIDE, UnsupportedError
from helix.kernel.kept import kernel
from helix.kernel.layout import Operand, carrier, coalesce, coordinates_of, layout_of, size_scalars, stride_scalars
from helix.kernel.plan import Derived, Number, Plan, Tensor, launch
from helix.kernel.registry import template


@kernel
def _fill_kernel(dtype, scalar, layout, rank, group, index):
    k = Builder("fill", (group, 1, 1), index)
    n = k.scalar("n")
    sizes = [k.scalar(f"size{d}") for d in range(1, rank)]
    y = Operand(k, "y", dtype, layout, rank, written=True)
    value = k.scalar("value", scalar)
    with k.items(n) as i:
        y.write(num.convert(value, WIDE[dtype]), i, coordinates_of(i, sizes) if layout == "strided" else ())
    return k.finish()


def fill(call, target, value):
    y = call.outputs[0]
    if y.numel == 0:
        return Plan()
    if y.dtype in ("c64", "c128", "f64") and isinstance(value, (int, float)) and value == 0:
        words = SIZES[y.dtype] // 8  # nothing but zero bits
        shape, strides = (*y.shape, words), (*(s * words for s in y.strides), 1)
        y = Tensor(carrier("f64"), shape, strides, y.reference)
    check(target, y.dtype)
    scalar = "u32" if y.dtype == "bool" else WIDE[y.dtype]
    if y.dtype == "bool":
        value = Derived((value,), lambda v: int(v != 0)) if isinstance(value, Number) else int(value != 0)
    sizes, (strides,) = coalesce(y.shape, [y.strides])
    layout = layout_of(sizes, strides) if y.numel > 1 else "dense"
    group = target.group(target.schedule.flat)
    kernel = _fill_kernel(y.dtype, scalar, layout, len(sizes), group, call.index)
    scalars = {"n": y.numel, "value": value} | size_scalars(sizes) | stride_scalars("y", layout, strides)
    return Plan((launch(kernel, {"y": y}, scalars, target.grid(-(-y.numel // group))),))


@template("full", "fill", "full_like", "new_full")
def full(call, target):
    value = call.attributes["fill_value" if "fill_value" in call.attributes else "value"]
    return fill(call, target, int(value) if isinstance(value, bool) else value)


@template("zeros", "zero", "zeros_like", "new_zeros")
def zeros(call, target):
    return fill(call, target, 0)


@template("ones", "ones_like", "new_ones")
def ones(call, target):
    return fill(call, target, 1)


@template("empty", "empty_like", "new_empty")
def empty(call, target):
    return Plan()


@kernel
def _series_kernel(dtype, wide, group, index):
    k = Builder("arange", (group, 1, 1), index)
    n = k.scalar("n")
    y = Operand(k, "y", dtype, "dense", 1, written=True)
    start, step = k.scalar("start", wide), k.scalar("step", wide)
    with k.items(n) as i:
        place = i.to("i64") if wide == "i64" else i.to(wide)
        y.write(stored(num.add(start, num.mul(place, step)), dtype), i)
    return k.finish()


@template("arange")
def arange(call, target):
    y = call.outputs[0]
    if y.numel == 0:
        return Plan()
    check(target, y.dtype)
    start, _, step, *_ = call.attributes.values()
    if y.strides != (1,) and y.numel > 1:
        raise UnsupportedError("a range into a strided tensor")
    real = any(isinstance(v, Number) and not v.whole for v in (start, step))
    wide = ("f64" if "f64" in target.arithmetic else "f32") if real else "i64"
    group = target.group(target.schedule.flat)
    kernel = _series_kernel(y.dtype, wide, group, call.index)
    scalars = {"n": y.numel, "start": start, "step": step}
    return Plan((launch(kernel, {"y": y}, scalars, target.grid(-(-y.numel // group))),))
