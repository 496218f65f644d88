"""Ops that work element by element, creation, and casts."""

from __future__ import annotations

from typing import Any

import helix

from ...graph.ir import Node
from .edge import Edge
from .table import writes
from .writer import Writer

# helix op -> operator that means the same for floating types
_SAME = {
    "abs": "Abs", "sqrt": "Sqrt", "exp": "Exp", "log": "Log", "sin": "Sin", "cos": "Cos",
    "asin": "Asin", "atan": "Atan", "tanh": "Tanh", "erf": "Erf", "floor": "Floor", "ceil": "Ceil", "sigmoid": "Sigmoid",
    "reciprocal": "Reciprocal",
}  # fmt: skip
_WHOLE = ("abs",)  # also of integers
# runtimes have kernels of these for float32 alone; in float64 their parts are exact
_SINGLE = {
    "tan": "Tan",
    "acos": "Acos",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "asinh": "Asinh",
    "acosh": "Acosh",
    "softsign": "Softsign",
}


def _is_single(node: Node) -> bool:
    return node.outputs[0].dtype.name != "float64"


def _same(name: str, operator: str) -> None:
    whole = name in _WHOLE

    @writes(name)
    def handler(w: Writer, x: Edge, *_: Any) -> Edge:
        if not whole and not w.dtype.startswith(("float", "bfloat")):
            return x.to(w.dtype)  # floor of an integer
        return w.emit(operator, [x.to(w.dtype)], {})


@writes("neg")
def neg(w: Writer, x: Edge) -> Edge:
    return w.Sub(w.constant(0, x.dtype), x) if x.dtype.startswith("uint") else w.Neg(x)


@writes("sign")
def sign(w: Writer, x: Edge) -> Edge:
    """0 for NaN, of which runtimes make NaN."""
    x = x.to(w.dtype)
    made = w.Sign(x)
    return w.Where(w.IsNaN(x), w.constant(0, x.dtype), made) if x.floating else made


@writes("relu")
def relu(w: Writer, x: Edge) -> Edge:
    return w.Relu(x) if x.floating else w.Max(x, 0)


for _name, _operator in _SAME.items():
    _same(_name, _operator)
for _name, _operator in _SINGLE.items():
    writes(_name, when=_is_single)(lambda w, x, operator=_operator: w.emit(operator, [x.to(w.dtype)], {}))


@writes("round")
def round_(w: Writer, x: Edge, decimals: int) -> Edge:
    if not x.floating:
        return x
    if not decimals:
        return w.Round(x)
    scale = 10.0 ** abs(decimals)
    return w.Round(x * scale) / scale if decimals > 0 else w.Round(x / scale) * scale


# ---- two tensors -------------------------------------------------------------------------------------------


def both(w: Writer, a: Edge, b: Edge, dtype: str) -> tuple[Edge, Edge]:
    return a.to(dtype), b.to(dtype)


def promoted(w: Writer, a: Edge, b: Edge) -> tuple[Edge, Edge]:
    """Of the dtype in which the op's own rule compares them."""
    assert w.node is not None
    x, y = w.node.inputs[:2]
    assert x is not None and y is not None
    tensors = [value for value in (x, y) if value.kind != "number"]
    dtype = tensors[0].dtype if len(tensors) == 1 else helix.promote_types(x.dtype, y.dtype)
    if len(tensors) == 1:
        number = y if tensors[0] is x else x
        if number.dtype.is_floating_point and not dtype.is_floating_point:
            dtype = helix.get_default_dtype()
    return both(w, a, b, dtype.name)


@writes("add", "sub")
def add(w: Writer, a: Edge, b: Edge, alpha: Any) -> Edge:
    assert w.node is not None
    a, b = both(w, a, b, w.dtype)
    if alpha is not None and alpha != 1:
        b = b * alpha
    if w.dtype == "bool":
        return w.Or(a, b)
    return a + b if w.node.op == "add" else a - b


@writes("mul")
def mul(w: Writer, a: Edge, b: Edge) -> Edge:
    a, b = both(w, a, b, w.dtype)
    return w.And(a, b) if w.dtype == "bool" else a * b


@writes("div")
def div(w: Writer, a: Edge, b: Edge, rounding: str | None) -> Edge:
    a, b = both(w, a, b, w.dtype)
    if a.floating:
        if rounding == "floor":
            return floored(w, a, b)
        return truncated(w, a / b) if rounding == "trunc" else a / b
    quotient = a / b
    if rounding != "floor":
        return quotient
    rest = a - quotient * b
    off = w.And(w.Not(w.Equal(rest, 0)), w.Xor(w.Less(rest, 0), w.Less(b, 0)))
    return quotient - off.to(w.dtype)


def floored(w: Writer, a: Edge, b: Edge) -> Edge:
    """The quotient rounded down, exact where the quotient itself rounds up to a whole number."""
    rest = w.Mod(a, b, fmod=1)
    whole = (a - rest) / b
    off = w.And(w.Not(w.Equal(rest, 0)), w.Xor(w.Less(rest, 0), w.Less(b, 0)))
    return w.Where(w.Equal(b, 0), a / b, w.Round(whole - off.to(a.dtype)))


def truncated(w: Writer, x: Edge) -> Edge:
    return w.Where(w.Less(x, 0), w.Ceil(x), w.Floor(x))


@writes("trunc")
def trunc(w: Writer, x: Edge) -> Edge:
    return truncated(w, x) if x.floating else x


@writes("remainder", "fmod")
def remainder(w: Writer, a: Edge, b: Edge) -> Edge:
    assert w.node is not None
    a, b = both(w, a, b, w.dtype)
    if w.node.op == "fmod":
        return w.Mod(a, b, fmod=1)
    if not a.floating:
        return w.Mod(a, b, fmod=0)
    rest = w.Mod(a, b, fmod=1)
    other = w.And(w.Not(w.Equal(rest, 0)), w.Xor(w.Less(rest, 0), w.Less(b, 0)))
    return w.Where(other, rest + b, rest)


@writes("pow")
def power(w: Writer, a: Edge, b: Edge) -> Edge:
    kind = (
        w.dtype
        if w.dtype in ("float16", "float32", "float64", "bfloat16", "int64")
        else "int32"
        if "8" in w.dtype or "16" in w.dtype
        else "int64"
    )
    return w.Pow(*both(w, a, b, kind))


@writes("maximum", "minimum")
def extreme(w: Writer, a: Edge, b: Edge) -> Edge:
    assert w.node is not None
    a, b = both(w, a, b, w.dtype)
    larger = w.node.op == "maximum"
    if w.dtype == "bool":
        return w.Or(a, b) if larger else w.And(a, b)
    return w.Max(a, b) if larger else w.Min(a, b)


_COMPARED = {"eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"}


@writes("eq", "lt", "le", "gt", "ge", "ne")
def compared(w: Writer, a: Edge, b: Edge) -> Edge:
    assert w.node is not None
    a, b = promoted(w, a, b)
    if w.node.op == "ne":
        return w.Not(w.Equal(a, b))
    if a.dtype == "bool" and w.node.op != "eq":
        a, b = a.to("uint8"), b.to("uint8")
    return w.emit(_COMPARED[w.node.op], [a, b], {})


def truth(w: Writer, x: Edge) -> Edge:
    return x if x.dtype == "bool" else w.Not(w.Equal(x, 0))


@writes("logical_and", "logical_or", "logical_xor")
def logical(w: Writer, a: Edge, b: Edge) -> Edge:
    assert w.node is not None
    operator = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor"}[w.node.op]
    return w.emit(operator, [truth(w, a), truth(w, b)], {})


@writes("logical_not")
def logical_not(w: Writer, x: Edge) -> Edge:
    return w.Not(truth(w, x))


@writes("bitwise_and", "bitwise_or", "bitwise_xor")
def bitwise(w: Writer, a: Edge, b: Edge) -> Edge:
    assert w.node is not None
    name = {"bitwise_and": "And", "bitwise_or": "Or", "bitwise_xor": "Xor"}[w.node.op]
    a, b = both(w, a, b, w.dtype)
    return w.emit(name if w.dtype == "bool" else f"Bitwise{name}", [a, b], {})


@writes("bitwise_not")
def bitwise_not(w: Writer, x: Edge) -> Edge:
    return w.Not(x) if x.dtype == "bool" else w.BitwiseNot(x)


@writes("bitwise_left_shift", "bitwise_right_shift")
def shift(w: Writer, a: Edge, b: Edge) -> Edge:
    """Products with powers of two, and quotients rounded down; a shift by all bits or more leaves 0, or the sign."""
    assert w.node is not None
    a, b = both(w, a.to(w.dtype), b.to(w.dtype), "int64")
    bits = 8 * w.out[0].dtype.itemsize
    far = w.Or(w.Less(b, 0), w.GreaterOrEqual(b, min(bits, 63)))
    scale = w.Pow(w.constant(2, "int64"), w.Where(far, w.constant(0, "int64"), b))
    if w.node.op == "bitwise_left_shift":
        return w.Where(far, w.constant(0, "int64"), a * scale).to(w.dtype)
    end = w.Where(w.Less(a, 0), w.constant(-1, "int64"), w.constant(0, "int64"))
    return w.Where(far, end, (a - w.Mod(a, scale, fmod=0)) / scale).to(w.dtype)


@writes("where")
def where(w: Writer, condition: Edge, a: Edge, b: Edge) -> Edge:
    a, b = both(w, a, b, w.dtype)
    if w.dtype == "bool":
        condition = truth(w, condition)
        return w.Or(w.And(condition, a), w.And(w.Not(condition), b))
    return w.Where(truth(w, condition), a, b)


@writes("atan2")
def atan2(w: Writer, y: Edge, x: Edge) -> Edge:
    return angle_of(w, *both(w, y, x, w.dtype))


def angle_of(w: Writer, y: Edge, x: Edge) -> Edge:
    """The angle of the point (x, y); ONNX has the arctangent of a quotient alone."""
    zero, pi = w.constant(0, x.dtype), 3.141592653589793
    low, left = negative(w, y), negative(w, x)
    side = w.Where(low, w.constant(-pi, x.dtype), w.constant(pi, x.dtype))
    quotient = y / w.Where(w.Equal(x, 0), zero, x)  # of -0 too it has the sign of y
    angle = w.Atan(quotient) + w.Where(w.Less(x, 0), side, zero)
    # where both are infinite, or zero, the quotient is not a number
    angle = w.Where(w.And(w.IsInf(x), w.IsInf(y)), w.Where(left, side * 0.75, side * 0.25), angle)
    none = w.Where(low, w.constant(-0.0, x.dtype), zero)
    return w.Where(w.And(w.Equal(x, 0), w.Equal(y, 0)), w.Where(left, side, none), angle)


def negative(w: Writer, x: Edge) -> Edge:
    """Has it a minus sign? True of -0 too, whose reciprocal is minus infinity."""
    return w.Less(w.Where(w.Equal(x, 0), w.Reciprocal(x), x), 0)


@writes("signbit")
def signbit(w: Writer, x: Edge) -> Edge:
    return negative(w, x) if x.floating else w.Less(x, 0)


@writes("isnan", "isinf", "isposinf", "isneginf", "isfinite")
def kind(w: Writer, x: Edge) -> Edge:
    assert w.node is not None
    op = w.node.op
    if not x.floating:
        no = w.Not(w.Equal(x, x)) if x.dtype != "bool" else w.Xor(x, x)
        return w.Not(no) if op == "isfinite" else no
    if op == "isnan":
        return w.IsNaN(x)
    if op == "isfinite":
        return w.Not(w.Or(w.IsNaN(x), w.IsInf(x)))
    return w.IsInf(x, detect_negative=int(op != "isposinf"), detect_positive=int(op != "isneginf"))


# ---- activations -------------------------------------------------------------------------------------------


@writes("leaky_relu", when=_is_single)
def leaky_relu(w: Writer, x: Edge, slope: float) -> Edge:
    return w.LeakyRelu(x, alpha=slope)


@writes("gelu", when=_is_single)
def gelu(w: Writer, x: Edge, approximate: str) -> Edge:
    if w.opset >= 20:
        return w.Gelu(x, approximate=approximate)
    if approximate == "tanh":
        return x * (w.Tanh((x + x * x * x * 0.044715) * 0.7978845608028654) + 1) * 0.5
    return x * (w.Erf(x * 0.7071067811865476) + 1) * 0.5


@writes("softplus", when=lambda node: _is_single(node) and node.attributes[0] == 1)
def softplus(w: Writer, x: Edge, beta: float, threshold: float) -> Edge:
    return w.Where(w.Greater(x, threshold), x, w.Softplus(x))


@writes("silu")
def silu(w: Writer, x: Edge) -> Edge:
    return x * w.Sigmoid(x)


@writes("clamp")
def clamp(w: Writer, x: Edge, low: Edge | None, high: Edge | None) -> Edge:
    x = x.to(w.dtype)
    if low is not None:
        x = w.Max(x, low.to(w.dtype))
    return x if high is None else w.Min(x, high.to(w.dtype))


# ---- casts and creation ------------------------------------------------------------------------------------


@writes("cast")
def cast(w: Writer, x: Edge, dtype: Any) -> Edge:
    return truth(w, x) if dtype.name == "bool" else x.to(dtype.name)


@writes("clone", "contiguous", "positive", "conj", "conj_physical", "real")
def as_it_is(w: Writer, x: Edge, *_: Any) -> Edge:
    return x


def filled(w: Writer, size: Any, value: Any, dtype: str) -> Edge:
    return w.Expand(w.constant(value, dtype), list(size)) if len(size) else w.constant(value, dtype)


@writes("full")
def full(w: Writer, size: tuple[Any, ...], value: Any, dtype: Any) -> Edge:
    return filled(w, size, value, w.dtype)


@writes("zeros", "ones", "empty")
def zeros(w: Writer, size: tuple[Any, ...], dtype: Any) -> Edge:
    assert w.node is not None
    return filled(w, size, int(w.node.op == "ones"), w.dtype)


@writes("full_like", "fill")
def full_like(w: Writer, x: Edge, value: Any, *_: Any) -> Edge:
    return filled(w, w.sizes.shape(x), value, w.dtype)


@writes("zeros_like", "ones_like", "empty_like", "zero")
def zeros_like(w: Writer, x: Edge, *_: Any) -> Edge:
    assert w.node is not None
    return filled(w, w.sizes.shape(x), int(w.node.op == "ones_like"), w.dtype)


@writes("arange")
def arange(w: Writer, start: Any, end: Any, step: Any, dtype: Any) -> Edge:
    if end is None:
        start, end = 0, start
    count = w.sizes.one(w.sizes.of(Edge(w, "", w.dtype, w.out[0].shape), 0))
    whole = w.Range(w.constant(0, "int64"), w.Squeeze(count, [0]), w.constant(1, "int64"))
    kind = w.dtype if w.dtype in ("float64", "int64") else "float64" if "float" in w.dtype else "int64"
    return (whole.to(kind) * w.operand(step, kind) + w.operand(start, kind)).to(w.dtype)
