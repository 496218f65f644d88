"""Composites written by hand become the ops that helix has for them: products with bias and activation, softmax, norms,
activations, cross-entropy, attention. The results agree to some units of the last place.

What a composite computes on its way must be taken by nobody else: else it would be computed twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose, pi, sqrt
from typing import Any

from ... import _core
from ..ir import Graph, Node, Value
from .rewriter import Call, Rewriter, Rule, sweep

_ACTIVATIONS = {"relu": "relu", "silu": "silu", "tanh": "tanh", "sigmoid": "sigmoid"}
_HALVES_AND_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
_NEAR = 1e-6  # of constants, which float32 may have rounded


def run(graph: Graph) -> int:
    """Applies the rules until none fits."""
    patterns = Patterns(graph)
    rules: dict[str, list[Rule]] = {
        "add": [patterns.linear, patterns.shifted_norm, patterns.logsumexp],
        "mul": [patterns.silu, patterns.gelu, patterns.scaled_norm, patterns.layer_norm, patterns.rms_norm],
        "div": [patterns.softmax, patterns.layer_norm, patterns.rms_norm],
        "sub": [patterns.log_softmax, patterns.log_softmax_in_parts],
        "log": [patterns.log_of_softmax],
        "matmul": [patterns.attention],
        **{op: [patterns.linear_activation] for op in (*_ACTIVATIONS, "gelu")},
    }
    return sweep(graph, rules) + _cross_entropies(graph)


class Patterns:
    """The rules. Each looks from the last node of a composite back to its inputs."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.ends = {*graph.outputs, *[effect.value for effect in graph.effects]}

    # ---- words -----------------------------------------------------------------------------------------------

    def inner(self, value: Value | None, op: str, users: int = 1) -> Node | None:
        """The node of that op that makes a value which only the composite takes, so many times, with gradients or without as
        those that take it."""
        node = value.node if value is not None else None
        if value is None or node is None or node.op != op or value in self.ends or len(value.users) > users:
            return None
        alike = all((user.no_grad, user.device) == (node.no_grad, node.device) for user in value.users.counts)
        return node if alike else None

    def either(self, node: Node) -> Iterator[tuple[Value, Value]]:
        """The two inputs of a sum or product, both ways."""
        a, b = node.inputs[0], node.inputs[1]
        if a is None or b is None or (node.op == "add" and node.attributes != (1,)):
            return
        yield a, b
        yield b, a

    def times(self, value: Value | None, users: int = 1) -> Iterator[tuple[Value, Value]]:
        """The factors of a product, both ways."""
        node = self.inner(value, "mul", users)
        if node is not None:
            yield from self.either(node)

    def plus(self, value: Value | None, users: int = 1) -> Iterator[tuple[Value, Value]]:
        node = self.inner(value, "add", users)
        if node is not None:
            yield from self.either(node)

    # ---- products --------------------------------------------------------------------------------------------

    def linear(self, node: Node) -> Call | None:
        """x @ w + b, of a matrix w and a row b."""
        for product, bias in self.either(node):
            made = self.inner(product, "matmul")
            if made is None or bias.kind == "number":
                continue
            x, w = made.inputs[0], made.inputs[1]
            assert x is not None and w is not None
            if len(w.shape) != 2 or len(x.shape) < 2 or bias.shape != w.shape[1:] or not _alike(x, w, bias):
                continue
            turned = _turned(w, made)
            if turned is not None:
                return Call("linear", (x, turned, bias))
            if len(x.shape) == 2:
                return Call("addmm", (bias, x, w), (1, 1))
        return None

    def linear_activation(self, node: Node) -> Call | None:
        made = self.inner(node.inputs[0], "linear")
        if made is None or made.outputs[0].dtype.name != "float32":
            return None
        kind = _ACTIVATIONS.get(node.op) or {"none": "gelu", "tanh": "gelu_tanh"}[node.attributes[0]]
        return Call("linear_activation", made.inputs, (kind,))

    # ---- activations -----------------------------------------------------------------------------------------

    def silu(self, node: Node) -> Call | None:
        for x, gate in self.either(node):
            made = self.inner(gate, "sigmoid")
            if made is not None and made.inputs[0] is x and _is_float(x):
                return Call("silu", (x,))
        return None

    def gelu(self, node: Node) -> Call | None:
        """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), or with erf(x / sqrt 2)."""
        for x, kind in self._gated(node):
            if _is_float(x):
                return Call("gelu", (x,), (kind,))
        return None

    def _gated(self, node: Node) -> Iterator[tuple[Value, str]]:
        for half, gate in self.either(node):
            for x, number in self._half(half):
                if _is_number(number, 0.5):
                    yield from [(x, kind) for kind in self._gate(gate, x)]
            if _is_number(half, 0.5):
                for x, inner in self.times(gate):
                    yield from [(x, kind) for kind in self._gate(inner, x)]

    def _half(self, value: Value) -> Iterator[tuple[Value, Value]]:
        yield from self.times(value)

    def _gate(self, gate: Value, x: Value) -> Iterator[str]:
        for inner, one in self.plus(gate):
            if not _is_number(one, 1):
                continue
            erf, tanh = self.inner(inner, "erf"), self.inner(inner, "tanh")
            if erf is not None and self._scaled(erf.inputs[0], sqrt(0.5)) is x:
                yield "none"
            if tanh is not None and self._is_cubic(self._scaled(tanh.inputs[0], sqrt(2 / pi)), x):
                yield "tanh"

    def _scaled(self, value: Value | None, factor: float) -> Value | None:
        """What a value is this multiple of."""
        for x, number in self.times(value):
            if _is_number(number, factor):
                return x
        node = self.inner(value, "div")
        if node is not None and node.attributes == ("none",) and _is_number(node.inputs[1], 1 / factor):
            return node.inputs[0]
        return None

    def _is_cubic(self, value: Value | None, x: Value) -> bool:
        for first, rest in self.plus(value):
            cube = self._scaled(rest, 0.044715)
            if first is x and self._is_power(cube, x, 3):
                return True
        return False

    def _is_power(self, value: Value | None, x: Value, exponent: int) -> bool:
        node = self.inner(value, "pow")
        if node is not None:
            return node.inputs[0] is x and _is_number(node.inputs[1], exponent)
        square = self.inner(value, "square")
        if exponent == 2 and square is not None:
            return square.inputs[0] is x
        for a, b in self.times(value):
            if b is x and (a is x if exponent == 2 else self._is_power(a, x, exponent - 1)):
                return True
        return False

    # ---- softmax ---------------------------------------------------------------------------------------------

    def softmax(self, node: Node) -> Call | None:
        """exp(x - max) / sum."""
        total = self.inner(node.inputs[1], "sum")
        raised = self.inner(node.inputs[0], "exp", 2)
        if node.attributes != ("none",) or total is None or raised is None or total.inputs[0] is not raised.outputs[0]:
            return None
        x, dim = self._below_top(raised.inputs[0])
        return (
            Call("softmax", (x,), (dim, None)) if x is not None and _is_float(x) and _one_kept(total) == dim else None
        )

    def _below_top(self, value: Value | None, users: int = 1, tops: int = 1) -> tuple[Value | None, int]:
        """x and dim, where the value is x - max(x) over dim."""
        below = self.inner(value, "sub", users)
        x = below.inputs[0] if below is not None and below.attributes == (1,) else None
        dim = self._top(below.inputs[1], x, tops) if below is not None and x is not None else None
        return (None, 0) if dim is None else (x, dim)

    def _top(self, value: Value | None, x: Value, users: int) -> int | None:
        """Over which axis a value is the maximum of x. It may stop gradients: there they add up to nothing."""
        node = value.node if value is not None else None
        if node is not None and node.op == "permute" and node.no_grad and not _moves(node):
            value, users = node.inputs[0], 1
            node = value.node if value is not None else None
        if value is None or node is None or node.op != "amax" or node.inputs[0] is not x:
            return None
        return _one_kept(node) if value not in self.ends and len(value.users) <= users else None

    def _log_of_sum(self, value: Value | None) -> tuple[Value | None, int]:
        """y and dim, where the value is log(sum(exp(y)))."""
        logarithm = self.inner(value, "log")
        total = self.inner(logarithm.inputs[0], "sum") if logarithm is not None else None
        raised = self.inner(total.inputs[0], "exp") if total is not None else None
        dim = _one_kept(total) if total is not None else None
        return (None, 0) if raised is None or dim is None else (raised.inputs[0], dim)

    def logsumexp(self, node: Node) -> Call | None:
        """log(sum(exp(x - max))) + max."""
        for logarithm, top in self.either(node):
            below, dim = self._log_of_sum(logarithm)
            x, over = self._below_top(below, 1, 2) if below is not None else (None, 0)
            if x is not None and over == dim and self._top(top, x, 2) == dim and _is_float(x):
                return Call("logsumexp", (x,), ((dim,), True))
        return None

    def log_softmax_in_parts(self, node: Node) -> Call | None:
        """x - max - log(sum(exp(x - max)))."""
        below, dim = self._log_of_sum(node.inputs[1])
        if below is None or below is not node.inputs[0] or node.attributes != (1,):
            return None
        x, over = self._below_top(below, 2)
        return Call("log_softmax", (x,), (dim, None)) if x is not None and over == dim and _is_float(x) else None

    def log_of_softmax(self, node: Node) -> Call | None:
        """It is finite where a probability is too small for its dtype."""
        made = self.inner(node.inputs[0], "softmax")
        if made is None or made.inputs[0] is None or not _is_float(made.inputs[0]) or made.attributes[1] is not None:
            return None
        return Call("log_softmax", made.inputs, made.attributes)

    def log_softmax(self, node: Node) -> Call | None:
        """x - logsumexp(x)."""
        x, total = node.inputs[0], self.inner(node.inputs[1], "logsumexp")
        dim = _one_kept(total) if total is not None else None
        if (
            x is None
            or total is None
            or dim is None
            or total.inputs[0] is not x
            or node.attributes != (1,)
            or not _is_float(x)
        ):
            return None
        return Call("log_softmax", (x,), (dim, None))

    # ---- norms -----------------------------------------------------------------------------------------------

    def rms_norm(self, node: Node) -> Call | None:
        """x rsqrt(mean(x^2) + eps), over the last axis."""
        for x, root in self._over_root(node):
            for mean, eps in self.plus(root):
                made = self.inner(mean, "mean")
                number = _positive(eps)
                squares = made is not None and _is_last(made, x) and self._is_power(made.inputs[0], x, 2)
                if squares and number is not None and _is_float(x):
                    return Call("rms_norm", (x, None), (x.shape[-1:], number))
        return None

    def _over_root(self, node: Node) -> Iterator[tuple[Value, Value]]:
        """x and y, where the node makes x / sqrt(y)."""
        if node.op == "div":
            root = self.inner(node.inputs[1], "sqrt")
            if root is not None and node.attributes == ("none",) and node.inputs[0] is not None:
                yield node.inputs[0], root.inputs[0]  # type: ignore[misc]
            return
        for x, factor in self.either(node):
            root = self.inner(factor, "rsqrt")
            if root is not None:
                yield x, root.inputs[0]  # type: ignore[misc]

    def layer_norm(self, node: Node) -> Call | None:
        """(x - mean) / sqrt(var + eps), over the last axis."""
        for centered, spread in self._over_root(node):
            found = self._centered(centered, spread)
            if found is not None and _is_float(found[0]):
                x, eps = found
                return Call("layer_norm", (x, None, None), (x.shape[-1:], eps))
        return None

    def scaled_norm(self, node: Node) -> Call | None:
        """A norm times a row."""
        for normed, weight in self.either(node):
            made = self.inner(normed, "rms_norm") or self.inner(normed, "layer_norm")
            if made is not None and all(value is None for value in made.inputs[1:]) and _is_row(weight, normed):
                return Call(made.op, (made.inputs[0], weight, *made.inputs[2:]), made.attributes)
        return None

    def shifted_norm(self, node: Node) -> Call | None:
        """A layer norm times a row, and another row."""
        for normed, bias in self.either(node):
            made = self.inner(normed, "layer_norm")
            if made is not None and made.inputs[1] is not None and made.inputs[2] is None and _is_row(bias, normed):
                return Call("layer_norm", (*made.inputs[:2], bias), made.attributes)
        return None

    def _centered(self, value: Value | None, spread: Value | None) -> tuple[Value, float] | None:
        """x and eps, where the value is x - mean(x), and the spread var(x) + eps."""
        node = self.inner(value, "sub", 3)
        x = node.inputs[0] if node is not None and node.attributes == (1,) else None
        mean = self.inner(node.inputs[1], "mean", 2) if node is not None else None
        if x is None or mean is None or mean.inputs[0] is not x or not _is_last(mean, x):
            return None
        for var, eps in self.plus(spread):
            number = _positive(eps)
            if number is not None and self._is_variance(var, x, node.outputs[0]):  # type: ignore[union-attr]
                return x, number
        return None

    def _is_variance(self, value: Value, x: Value, centered: Value) -> bool:
        var = self.inner(value, "var")
        if var is not None:
            return (
                var.inputs[0] is x
                and var.attributes[2] is True
                and var.attributes[3] == 0
                and _dims(var) == (len(x.shape) - 1,)
            )
        mean = self.inner(value, "mean")
        return mean is not None and _is_last(mean, centered) and self._is_power(mean.inputs[0], centered, 2)

    # ---- attention -------------------------------------------------------------------------------------------

    def attention(self, node: Node) -> Call | None:
        """softmax(scale q k^T + mask) v."""
        weights, value = self.inner(node.inputs[0], "softmax"), node.inputs[1]
        if (
            weights is None
            or value is None
            or weights.attributes != (len(value.shape) - 1, None)
            or len(value.shape) < 3
        ):
            return None
        scores, mask = self._masked(weights.inputs[0])
        product, scale = self._product(scores)
        key = _turned(product.inputs[1], product) if product is not None else None
        query = product.inputs[0] if product is not None else None
        if product is None or query is None or key is None or not _is_attention(query, key, value):
            return None
        if weights.outputs[0].shape != product.outputs[0].shape:
            return None  # a mask to which the scores stretch
        return Call("scaled_dot_product_attention", (query, key, value, mask, None), (0.0, False, scale, False))

    def _masked(self, value: Value | None) -> tuple[Value | None, Value | None]:
        for scores, mask in self.plus(value):
            computed = scores.node is not None and scores.node.op in ("matmul", "mul", "div")
            if computed and mask.kind != "number" and _alike(scores, mask):
                return scores, mask
        chosen = self.inner(value, "where")
        if chosen is not None and _is_number(chosen.inputs[2], float("-inf")):
            return chosen.inputs[1], chosen.inputs[0]
        if chosen is not None and _is_number(chosen.inputs[1], float("-inf")):
            return chosen.inputs[2], self._not(chosen.inputs[0])
        filled = self.inner(value, "masked_fill")
        if filled is not None and _is_number(filled.inputs[2], float("-inf")):
            return filled.inputs[0], self._not(filled.inputs[1])
        return value, None

    def _not(self, mask: Value | None) -> Value | None:
        """The mask that lets through what this one does not; it is made where there is none."""
        node = mask.node if mask is not None else None
        if mask is None:
            return None
        if node is not None and node.op == "logical_not" and node.inputs[0].dtype is mask.dtype:  # type: ignore[union-attr]
            return node.inputs[0]
        for user in mask.users.counts:
            if user.op == "logical_not":
                return user.outputs[0]
        first = min(mask.users.counts, key=lambda user: user.order)
        made = Node("logical_not", (mask,), (), 0, first.place, first.no_grad, first.device)
        self.graph.insert(made, self.graph.position(first))
        return made.gives((mask.shape, mask.dtype))[0]

    def _product(self, value: Value | None) -> tuple[Node | None, float]:
        for product, number in self.times(value):
            if number.kind == "number" and isinstance(number.source, (int, float)):
                return self.inner(product, "matmul"), float(number.source)
        quotient = self.inner(value, "div")
        if quotient is not None and quotient.attributes == ("none",):
            number = quotient.inputs[1]  # type: ignore[assignment]
            if number.kind == "number" and isinstance(number.source, (int, float)) and number.source:
                return self.inner(quotient.inputs[0], "matmul"), 1 / float(number.source)
        return self.inner(value, "matmul"), 1.0


# ---- cross-entropy, which has several results --------------------------------------------------------------------


def _cross_entropies(graph: Graph) -> int:
    """nll_terms of log_softmax."""
    patterns, changes = Patterns(graph), Rewriter(graph)
    for node in graph.find("nll_terms"):
        made = patterns.inner(node.inputs[0], "log_softmax")
        if made is None or made.attributes != (0 if len(made.outputs[0].shape) == 1 else 1, None):
            continue
        whole = Node(
            "native_cross_entropy",
            (made.inputs[0], *node.inputs[1:]),
            (*node.attributes, 0.0),
            0,
            node.place,
            node.no_grad,
            node.device,
        )
        loss, scale = node.outputs
        wide = loss.dtype if loss.dtype is _core.float64 else _core.float32
        whole.gives((loss.shape, loss.dtype), (loss.shape, wide), (scale.shape, wide))
        told = Node("cast", whole.outputs[2:], (scale.dtype,), 0, node.place, node.no_grad, node.device)
        (rounded,) = told.gives((scale.shape, scale.dtype))
        if changes.may(loss, whole.outputs[0]) and (not scale.users or changes.may(scale, rounded)):
            graph.insert(whole, graph.position(node))
            graph.insert(told, graph.position(node))
            changes.replace(loss, whole.outputs[0])
            changes.replace(scale, whole.outputs[2] if scale.dtype is wide else rounded)
    return changes.finish()


# ---- words ---------------------------------------------------------------------------------------------------------


def _is_number(value: Value | None, number: float) -> bool:
    if value is None or value.kind != "number" or not isinstance(value.source, (int, float)):
        return False
    return value.source == number or isclose(value.source, number, rel_tol=_NEAR)


def _positive(value: Value) -> float | None:
    if value.kind != "number" or not isinstance(value.source, (int, float)) or value.source < 0:
        return None
    return float(value.source)


def _is_float(value: Value) -> bool:
    return value.dtype.name in _HALVES_AND_FLOATS and value.kind != "number"


def _alike(*values: Value) -> bool:
    return _is_float(values[0]) and all(value.dtype is values[0].dtype for value in values)


def _dims(node: Node) -> tuple[Any, ...]:
    return tuple(node.attributes[0] or ())


def _one_kept(node: Node) -> int | None:
    """The one axis that a node reduces and keeps as 1."""
    dims = _dims(node)
    plain = len(dims) == 1 and node.attributes[1] is True and (len(node.attributes) < 3 or node.attributes[2] is None)
    return int(dims[0]) if plain else None


def _is_last(node: Node, x: Value) -> bool:
    return _one_kept(node) == len(x.shape) - 1


def _is_row(value: Value, x: Value) -> bool:
    return value.kind != "number" and len(value.shape) == 1 and value.shape == x.shape[-1:] and _alike(x, value)


def _moves(node: Node) -> bool:
    """Does a permutation move an axis?"""
    return tuple(node.attributes[0]) != tuple(range(len(node.outputs[0].shape)))


def _turned(value: Value | None, user: Node) -> Value | None:
    """Whose last two axes a value shows the other way round, with gradients as its user."""
    node = value.node if value is not None else None
    rank = len(value.shape) if value is not None else 0
    if node is None or rank < 2 or node.no_grad != user.no_grad:
        return None
    if node.op == "transpose" and sorted(a % rank for a in node.attributes) == [rank - 2, rank - 1]:
        return node.inputs[0]
    if node.op == "permute" and tuple(a % rank for a in node.attributes[0]) == (*range(rank - 2), rank - 1, rank - 2):
        return node.inputs[0]
    return None


def _is_attention(query: Value, key: Value, value: Value) -> bool:
    alike = _alike(query, key, value) and query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
    return alike and query.shape[-1] == key.shape[-1] and key.shape[-2] == value.shape[-2]
