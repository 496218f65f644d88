"""Algebra: ops that change nothing, undo each other, or have a simpler form. All rules hold bit for bit, for NaN, infinities and
zeros of either sign; complex numbers, for which few of them do, are left alone."""

from __future__ import annotations

from math import copysign, frexp

from ..ir import Graph, Node, Value
from .rewriter import Call, Rule, is_real, number_of, sweep

# f(f(x)) is x.
_UNDO = frozenset({"neg", "logical_not", "bitwise_not"})
# f(f(x)) is f(x).
_SETTLE = frozenset({"abs", "relu", "floor", "ceil", "trunc", "sign"})
# f(-x) is f(x), and f(|x|) too.
_EVEN = frozenset({"abs", "square"})
# f(x, x) is x.
_AGREE = frozenset({"maximum", "minimum", "fmax", "fmin", "bitwise_and", "bitwise_or"})
# Never -0.0, so that adding 0.0 changes nothing.
_POSITIVE = frozenset({"abs", "square", "exp", "sigmoid", "softmax"})

# Which dtypes hold all values of which.
_HELD = {
    "bool": {"uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16", "bfloat16", "float32", "float64"},
    "uint8": {"int16", "int32", "int64", "uint16", "uint32", "uint64", "float16", "bfloat16", "float32", "float64"},
    "int8": {"int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"},
    "int16": {"int32", "int64", "float32", "float64"},
    "uint16": {"int32", "int64", "uint32", "uint64", "float32", "float64"},
    "int32": {"int64", "float64"},
    "uint32": {"int64", "uint64", "float64"},
    "float16": {"float32", "float64"},
    "bfloat16": {"float32", "float64"},
    "float32": {"float64"},
}  # fmt: skip


def run(graph: Graph) -> int:
    """Applies the rules below until none fits."""
    return sweep(graph, RULES)


# ---- one input ---------------------------------------------------------------------------------------------


def _inner(node: Node, at: int = 0) -> Node | None:
    value = node.inputs[at]
    return None if value is None else value.node


def _undone(node: Node) -> Value | None:
    inner = _inner(node)
    return inner.inputs[0] if inner is not None and inner.op == node.op else None


def _settled(node: Node) -> Value | None:
    inner = _inner(node)
    return inner.outputs[0] if inner is not None and inner.op == node.op and is_real(node.outputs[0]) else None


def _even(node: Node) -> Call | None:
    inner = _inner(node)
    if inner is None or inner.op not in ("neg", "abs"):
        return None
    x = inner.outputs[0]
    real = all(value is not None and is_real(value) for value in (*inner.inputs, x))
    return Call(node.op, inner.inputs, node.attributes) if real and not x.dtype.name.startswith("u") else None


def _cast(node: Node) -> Value | Call | None:
    """A cast of a cast to a dtype that holds all values."""
    inner = _inner(node)
    if inner is None or inner.op != "cast" or inner.inputs[0] is None:
        return None
    x = inner.inputs[0]
    first, middle, last = x.dtype, inner.outputs[0].dtype, node.outputs[0].dtype
    if middle.name not in _HELD.get(first.name, ()):
        return None
    if last is first:
        return x
    alike = first.is_floating_point == middle.is_floating_point and first.name != "bool"
    return Call("cast", (x,), (last,)) if alike or last.name in _HELD[first.name] | {"bool"} else None


# ---- two inputs --------------------------------------------------------------------------------------------


def _is(value: Value | None, wanted: float) -> bool:
    """Is the value this number everywhere, sign of zero included?"""
    found = number_of(value)
    return found is not None and found == wanted and copysign(1, found) == copysign(1, wanted)


def _plain(node: Node) -> bool:
    """Of real numbers, and without a factor or rounding of its own?"""
    return is_real(node.outputs[0]) and node.attributes in ((), (1,), ("none",))


def _nothing_added(node: Node) -> Value | None:
    a, b = node.inputs
    if not _plain(node):
        return None
    whole = not node.outputs[0].dtype.is_floating_point
    for kept, other in ((a, b), (b, a)):
        positive = kept is not None and kept.node is not None and kept.node.op in _POSITIVE
        if _is(other, -0.0) or ((whole or positive) and number_of(other) == 0):
            return kept
    return None


def _nothing_taken(node: Node) -> Value | None:
    return node.inputs[0] if _plain(node) and _is(node.inputs[1], 0.0) else None


def _times_one(node: Node) -> Value | None:
    a, b = node.inputs
    if not _plain(node):
        return None
    return a if number_of(b) == 1 else b if number_of(a) == 1 else None


def _by_one(node: Node) -> Value | None:
    return node.inputs[0] if _plain(node) and number_of(node.inputs[1]) == 1 else None


def _times_minus_one(node: Node) -> Call | None:
    if not _plain(node):
        return None
    for x, other in (node.inputs, node.inputs[::-1]):
        if number_of(other) == -1 and _alike(x, node):
            return Call("neg", (x,))
    return None


def _alike(value: Value | None, node: Node) -> bool:
    return value is not None and (value.shape, value.dtype) == (node.outputs[0].shape, node.outputs[0].dtype)


def _negated(value: Value | None) -> Value | None:
    """What is negated here."""
    return value.node.inputs[0] if value is not None and value.node is not None and value.node.op == "neg" else None


def _filled(node: Node) -> Call | None:
    """A number in the place of a tensor that is filled with it."""
    for i, value in enumerate(node.inputs):
        found, other = number_of(value), node.inputs[1 - i]
        if found is None or value is None or value.kind == "number" or other is None or not is_real(value):
            continue
        if value.dtype is node.outputs[0].dtype and _alike(other, node) and number_of(other) is None:
            number = Value("number", (), value.dtype, source=found)
            return Call(node.op, (number, other) if i == 0 else (other, number), node.attributes)
    return None


def _signs_of_sum(node: Node) -> Call | None:
    """x + -y is x - y; -x + y is y - x."""
    if not _plain(node):
        return None
    a, b = node.inputs
    if (y := _negated(b)) is not None:
        return Call("sub", (a, y), node.attributes)
    if (x := _negated(a)) is not None:
        return Call("sub", (b, x), node.attributes)
    return None


def _sign_of_difference(node: Node) -> Call | None:
    """x - -y is x + y."""
    y = _negated(node.inputs[1]) if _plain(node) else None
    return None if y is None else Call("add", (node.inputs[0], y), node.attributes)


def _signs_of_product(node: Node) -> Call | None:
    """-x * -y is x * y, and so for quotients."""
    a, b = map(_negated, node.inputs)
    return Call(node.op, (a, b), node.attributes) if a is not None and b is not None and _plain(node) else None


def _by_power_of_two(node: Node) -> Call | None:
    """A quotient by a power of two is a product."""
    other = node.inputs[1]
    if other is None or other.kind != "number" or node.attributes != ("none",) or not _alike(node.inputs[0], node):
        return None
    found = number_of(other)
    if not is_real(node.outputs[0]) or not found or not abs(found) < 2**14:
        return None
    fraction, exponent = frexp(found)
    if abs(fraction) != 0.5 or abs(exponent) > 14:
        return None
    return Call("mul", (node.inputs[0], Value("number", (), other.dtype, source=1 / found)))


def _power(node: Node) -> Value | Call | None:
    base, exponent = node.inputs
    if not _plain(node) or exponent is None or exponent.kind != "number" or not _alike(base, node):
        return None
    found = number_of(exponent)
    return base if found == 1 else Call("square", (base,)) if found == 2 else None


def _agreed(node: Node) -> Value | None:
    a, b = node.inputs
    return a if a is b and is_real(node.outputs[0]) else None


def _either_way(node: Node) -> Value | None:
    _, a, b = node.inputs
    return a if a is b else None


RULES: dict[str, tuple[Rule, ...]] = {
    "add": (_nothing_added, _signs_of_sum, _filled),
    "sub": (_nothing_taken, _sign_of_difference, _filled),
    "mul": (_times_one, _times_minus_one, _signs_of_product, _filled),
    "div": (_by_one, _signs_of_product, _by_power_of_two, _filled),
    "pow": (_power,),
    "where": (_either_way,),
    "cast": (_cast,),
    **dict.fromkeys(_UNDO, (_undone,)),
    **dict.fromkeys(_SETTLE, (_settled,)),
    **dict.fromkeys(_AGREE, (_agreed,)),
}
for _op in _EVEN:
    RULES[_op] = (*RULES.get(_op, ()), _even)
