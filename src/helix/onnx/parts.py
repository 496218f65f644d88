"""Taking ops apart that ONNX has no operator for, until all that is left has one.

An op's parts are those of its record, which devices without a kernel for it compute too; a few, whose parts depend on sizes,
are scans here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import helix

from .._core import Draw, OpCall, Tensor
from ..graph.control import scan, while_loop
from ..graph.executor import Program, Step
from ..graph.ir import Graph, Node
from ..graph.records import CONTROL
from ..graph.symbols import Sizes, at
from ..graph.tracing import trace_derived
from . import gammas, matrices
from .writing.faults import unwritable
from .writing.table import ending, handler_of

ROUNDS = 16
Pair = tuple[Tensor, Tensor]


def taken_apart(graph: Graph) -> Graph:
    """A graph of ops that all have an operator, or a few.

    Raises UnsupportedOpError (HX4030) that names op, module and line of the first one that has none.
    """
    for _ in range(ROUNDS):
        found = _others(graph)
        if not found:
            return graph
        for node in found:
            _require_parts(node)
        again = trace_derived(graph, partial(_interpreted, graph))
        again.out_tree = graph.out_tree
        graph = again
    raise unwritable(found[0], "its parts are made of itself")


def _others(graph: Graph) -> list[Node]:
    """The nodes that cannot be written as they stand, those in bodies too."""
    graph.prune()
    found = []
    with ending(graph.outputs):
        for node in graph.nodes:
            if handler_of(node) is None:
                found.append(node)
            for body in node.graphs if node.op != "function" else ():
                found += _others(body)
    return found


def _require_parts(node: Node) -> None:
    if node.op in CONTROL or node.op in OWN:
        return
    record = _records()[node.op]
    if any(type(attribute) is Draw for attribute in node.attributes):
        raise unwritable(node, "it draws random numbers; export a model in eval mode, or pass the numbers in")
    if not record["has_decomposition"]:
        raise unwritable(node, "ONNX has no operator for it" + (
            " for complex tensors" if any(v is not None and v.dtype.is_complex for v in (*node.inputs, *node.outputs)) else ""
        ))  # fmt: skip


def _records() -> dict[str, Any]:
    if not _KNOWN:
        _KNOWN.update({record["name"]: record for record in helix._core.ops()})
    return _KNOWN


_KNOWN: dict[str, Any] = {}


def _interpreted(graph: Graph, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    return tuple(Apart(graph, graph.executor().sizes(leaves)).run(leaves, 0, 0))


class Apart(Program):
    """Runs the parts of what cannot be written, and all else as it is."""

    def __init__(self, graph: Graph, sizes: Sizes) -> None:
        with ending(graph.outputs):
            super().__init__(graph, sizes)

    def _step(self, node: Node, sizes: Sizes) -> Step:
        ins = tuple([self._taken(value, sizes) for value in node.inputs])
        call: Any = None
        if node.op == "function":
            call = Apart(node.graphs[0], sizes).run
        elif handler_of(node) is None and not node.graphs:
            attributes = tuple([at(a, sizes) for a in node.attributes])
            own = OWN.get(node.op)
            if own is not None and (sizes or node.op not in FIXED):
                call = lambda inputs, seed, first: list(own(*inputs, *attributes))  # noqa: E731
            else:
                call = OpCall(node.op, attributes, node.list_length, node.device, parts=True)
        if call is None:
            return super()._step(node, sizes)
        return Step(node, call, ins, tuple([self._slot(value, None) for value in node.outputs]))


# ---- parts of our own: functions of an op's tensors, then its attributes -----------------------------------


def _selective_scan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Any, z: Any, bias: Any, softplus: bool
) -> tuple[Tensor, ...]:
    """x = exp(delta A) x + delta u B and y = C x, step by step; (batch, channels, length) and (batch, groups, states, length)."""
    dtype = helix.float64 if u.dtype is helix.float64 else helix.float32
    batch, channels, _ = u.shape
    each = channels // B.shape[1]
    wide = [t.to(dtype).permute(2, 0, 1).unsqueeze(-1) for t in (u, delta)]
    step = wide[1] if bias is None else wide[1] + bias.reshape(channels, 1)
    step = helix.nn.functional.softplus(step) if softplus else step
    rows = [t.to(dtype).permute(3, 0, 1, 2).repeat_interleave(each, 2) if each > 1 else t.to(dtype).permute(3, 0, 1, 2)
            for t in (B, C)]  # fmt: skip

    def body(x: Tensor, now: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        pace, fed, b, c = now
        x = (pace * A).exp() * x + fed * b
        return x, (x * c).sum(-1)

    start = helix.zeros(batch, channels, A.shape[1], dtype=dtype)
    last, ys = scan(body, start, (step, step * wide[0], *rows))
    y = ys.permute(1, 2, 0)
    y = y if D is None else y + u.to(dtype) * D.reshape(channels, 1)
    y = y if z is None else y * helix.nn.functional.silu(z.to(dtype))
    return y.to(u.dtype), last, last


def _recurrence(
    gates: Tensor,
    weight: Tensor,
    bias: Any,
    hidden: Tensor,
    cell: Any,
    lengths: Any,
    kind: int,
    reverse: bool,
    keep: bool,
) -> tuple[Tensor, ...]:
    """One direction of a recurrent layer, with rows that end early."""
    F = helix.nn.functional
    times = helix.arange(gates.shape[0])

    def body(carry: tuple[Tensor, ...], now: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        sums, time = now
        old = carry[0]
        given = F.linear(old, weight, bias)
        fresh: tuple[Tensor, ...]
        if kind == 2:
            i, f, g, o = (sums + given).chunk(4, -1)
            new = f.sigmoid() * carry[1] + i.sigmoid() * g.tanh()
            fresh = (o.sigmoid() * new.tanh(), new)
        elif kind == 3:
            (a, b, c), (p, q, r) = sums.chunk(3, -1), given.chunk(3, -1)
            n = (c + (a + p).sigmoid() * r).tanh()
            fresh = (n + (b + q).sigmoid() * (old - n),)
        else:
            fresh = ((sums + given).tanh() if kind == 0 else (sums + given).relu(),)
        if lengths is not None:
            going = (lengths > time).unsqueeze(-1)
            fresh = tuple(helix.where(going, a, b) for a, b in zip(fresh, carry, strict=True))
        return fresh, fresh

    start: tuple[Tensor, ...] = (hidden,) if cell is None else (hidden, cell)
    _, found = scan(body, start, (gates, times), reverse)
    return found[0], found[-1], found[0]


def _fft_conv(u: Tensor, k: Tensor, D: Any) -> tuple[Tensor]:
    """Causal convolution by transforms of length u + k, which is a sum of dimensions as a power of two is not."""
    length, taps = u.shape[-1], k.shape[-1]
    n = length + taps
    spectrum = helix.fft.rfft(u, n) * helix.fft.rfft(k, n)
    y = helix.fft.irfft(spectrum, n).narrow(-1, 0, length)
    return (y if D is None else y + u * D.unsqueeze(-1),)


def _running(name: str) -> Callable[..., tuple[Tensor, ...]]:
    """A running product along an axis, or a running extreme with its place."""

    def extreme(x: Tensor, dim: int) -> tuple[Tensor, ...]:
        rows = x.movedim(dim, 0)

        def body(carry: Pair, now: Pair) -> tuple[Pair, Pair]:
            (best, place), (row, time) = carry, now
            newer = row >= best if name == "cummax" else row <= best
            newer = (newer & (best == best)) | (row != row) | (time == 0)
            found = (helix.where(newer, row, best), helix.where(newer, time, place))
            return found, found

        places = helix.zeros(rows.shape[1:], dtype=helix.int64)
        _, (values, at) = scan(body, (rows[0], places), (rows, helix.arange(rows.shape[0])))
        return values.movedim(0, dim), at.movedim(0, dim)

    def product(x: Tensor, dim: int, dtype: Any) -> tuple[Tensor, ...]:
        rows = (x if dtype is None else x.to(dtype)).movedim(dim, 0)
        _, found = scan(lambda c, row: (c * row, c * row), helix.ones(rows.shape[1:], dtype=rows.dtype), rows)
        return (found.movedim(0, dim),)

    return product if name == "cumprod" else extreme


def _gcd(a: Tensor, b: Tensor) -> tuple[Tensor]:
    """Euclid's algorithm, for all pairs until the last one is done."""
    one, other = helix.broadcast_tensors(a, b)

    def step(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        done = y == 0
        return helix.where(done, x, y), helix.where(done, y, x.remainder(helix.where(done, 1, y)))

    found, _ = while_loop(lambda x, y: (y != 0).any(), step, one.abs(), other.abs())
    return (found,)


def _entropy(x: Tensor) -> tuple[Tensor]:
    """-x log(x), 0 at 0, minus infinity below."""
    return (helix.where(x == 0, 0.0, helix.where(x < 0, -helix.inf, -x * x.log())),)


FIXED = frozenset({"native_fft_conv"})  # whose own parts are better where sizes are known
OWN: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "native_selective_scan": _selective_scan,
    "recurrence": _recurrence,
    "cummax": _running("cummax"),
    "cummin": _running("cummin"),
    "cumprod": _running("cumprod"),
    "gcd": _gcd,
    "special_entr": _entropy,
    "special_ndtr": lambda x: (helix.erfc(x * -(0.5**0.5)) * 0.5,),
    "native_fft_conv": _fft_conv,  # no scan, but open in its length
    **matrices.OWN,
    **gammas.OWN,
}
