"""A graph of one sample, run for a batch of samples: by rules for families of ops, and sample by sample for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _core
from .._core import OpCall, Tensor, op_named
from ..autograd import enable_grad, no_grad
from ..errors import ArgumentError, TraceError
from .executor import Program, Step
from .ir import Graph
from .spec import Spec
from .tracing import trace_once
from .tree import flatten

# A value with the samples along its first axis, or one that all share.
Many = tuple[Tensor, bool]

_FLAGS: dict[str, set[str]] = {}


def _flags(op: str) -> set[str]:
    if not _FLAGS:
        _FLAGS.update({record["name"]: record["flags"] for record in _core.ops()})
    return _FLAGS.get(op, set())


def batched(function: Callable[..., Any], in_dims: Any, out_dims: int) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        dims = list(in_dims) if isinstance(in_dims, (tuple, list)) else [in_dims] * len(args)
        if len(dims) != len(args) or not all(isinstance(x, Tensor) for x in args):
            raise ArgumentError(
                f"HX1103 vmap: {len(dims)} in_dims for {len(args)} arguments, which must be tensors",
                code="HX1103",
                argument="in_dims",
            )
        rows = [(x, False) if d is None else (x.movedim(d, 0), True) for x, d in zip(args, dims, strict=True)]
        lengths = {x.shape[0] for x, many in rows if many}
        if len(lengths) != 1:
            raise ArgumentError(
                f"HX1103 vmap: the axes have {sorted(lengths) or 'no'} lengths, one is needed", code="HX1103"
            )
        (length,) = lengths
        specs = [Spec(x.shape[1:] if many else x.shape, x.dtype) for x, many in rows]
        graph = trace_once(function, specs, flatten(tuple(args))[1], {})
        writes = bool(graph.effects) or any(node.writes for node in graph.nodes)
        if writes or graph.draws:
            what = "writes tensors from outside of it" if writes else "draws random numbers"
            raise TraceError(f"HX1702 vmap: the function {what}, which samples cannot share", code="HX1702")
        results = _run(graph, rows, int(length))
        return graph.out_tree.fill(iter([r.movedim(0, out_dims) for r in results]))

    return run


def _run(graph: Graph, rows: list[Many], length: int) -> list[Tensor]:
    program = Program(graph, {})
    slots: list[Any] = [None if x is None else (x, False) for x in program.start]
    for slot, row in zip(program.inputs, rows, strict=True):
        slots[slot] = row
    for slot, value in program.captured:
        slots[slot] = (value.source, False)
    for step in program.steps:
        with no_grad() if step.no_grad or not _core.is_grad_enabled() else enable_grad():
            for slot, made in zip(step.outs, _step(step, [slots[slot] for slot in step.ins], length), strict=True):
                slots[slot] = made
    return [_spread(slots[slot], length) for slot in program.outputs]


def _step(step: Step, inputs: list[Many | None], length: int) -> list[Many]:
    if not any(x is not None and x[1] for x in inputs):
        return [(made, False) for made in step.call([None if x is None else x[0] for x in inputs], 0, 0)]
    rule = _RULES.get(step.node.op)
    made = None
    if rule is not None:
        made = rule(step, inputs)
    elif _is_elementwise(step):
        made = _elementwise(step, inputs)
    return [(made, True)] if made is not None else _one_by_one(step, inputs, length)


def _is_elementwise(step: Step) -> bool:
    op = step.node.op
    if op in _BROADCAST:
        return True
    return "alias_ok" in _flags(op) and op not in _PLACED and len(step.outs) == 1 and not step.node.list_length


def _spread(x: Many, length: int) -> Tensor:
    return x[0] if x[1] else x[0].unsqueeze(0).expand((length, *x[0].shape))


def _one_by_one(step: Step, inputs: list[Many | None], length: int) -> list[Many]:
    """Every sample by itself, and the results stacked."""
    stack = op_named("stack")
    made = [step.call([None if x is None else x[0][i] if x[1] else x[0] for x in inputs], 0, 0) for i in range(length)]
    if not made:
        raise ArgumentError(f"HX1103 vmap: {step.node.op} of no samples has no shape", code="HX1103")
    return [(stack(list(column), 0), True) for column in zip(*made, strict=True)]


# ---- rules: the result of a step with its samples in front, or None ------------------------------------------


def _elementwise(step: Step, inputs: list[Many | None]) -> Tensor:
    """Inputs of fewer axes get ones behind the axis of the samples."""
    rank = max(x[0].ndim - x[1] for x in inputs if x is not None)
    given = [None if x is None else _ranked(x[0], rank) if x[1] else x[0] for x in inputs]
    return step.call(given, 0, 0)[0]


def _ranked(x: Tensor, rank: int) -> Tensor:
    return x.reshape((x.shape[0], *[1] * (rank + 1 - x.ndim), *x.shape[1:]))


def _axes(position: int) -> Callable[[Step, list[Many | None]], Tensor | None]:
    """Attribute `position` names axes of the only input, as numbers from 0 on."""

    def rule(step: Step, inputs: list[Many | None]) -> Tensor | None:
        x = inputs[0]
        if x is None or any(other is not None for other in inputs[1:]):
            return None
        rank, given = x[0].ndim - 1, step.node.attributes
        axes = given[position]
        if rank == 0 or axes == ():
            return None
        if isinstance(axes, tuple):
            moved: Any = tuple([a % rank + 1 for a in axes])
        elif isinstance(axes, int):
            moved = axes % rank + 1
        else:
            return None
        return _again(step, [x[0]], (*given[:position], moved, *given[position + 1 :]))

    return rule


def _again(step: Step, inputs: list[Tensor | None], attributes: tuple) -> Tensor:
    call: Any = OpCall(step.node.op, attributes, step.node.list_length, step.node.device)
    made: list[Tensor] = call(inputs)
    return made[0]


def _transpose(step: Step, inputs: list[Many | None]) -> Tensor:
    (x, _), (a, b) = inputs[0], step.node.attributes  # type: ignore[misc]
    rank = x.ndim - 1
    return _again(step, [x], (a % rank + 1, b % rank + 1)) if rank else x


def _permute(step: Step, inputs: list[Many | None]) -> Tensor:
    (x, _), (order,) = inputs[0], step.node.attributes  # type: ignore[misc]
    return _again(step, [x], ((0, *[axis % (x.ndim - 1) + 1 for axis in order]),))


def _reshape(step: Step, inputs: list[Many | None]) -> Tensor:
    x: Tensor = inputs[0][0]  # type: ignore[index]
    return x.reshape((x.shape[0], *step.node.outputs[0].shape))


def _expand(step: Step, inputs: list[Many | None]) -> Tensor:
    x: Tensor = inputs[0][0]  # type: ignore[index]
    shape = step.node.outputs[0].shape
    return _ranked(x, len(shape)).expand((x.shape[0], *shape))


def _matmul(step: Step, inputs: list[Many | None]) -> Tensor | None:
    """Matrices are multiplied in batches; a vector on either side is one by one unless its partner is shared."""
    (a, many_a), (b, many_b) = inputs  # type: ignore[misc]
    if a.ndim - many_a < 2 or b.ndim - many_b < 2:
        return None
    rank = max(a.ndim - many_a, b.ndim - many_b)
    return step.call([_ranked(a, rank) if many_a else a, _ranked(b, rank) if many_b else b], 0, 0)[0]


def _linear(step: Step, inputs: list[Many | None]) -> Tensor | None:
    """Of many inputs and one weight."""
    if inputs[0] is None or any(x is not None and x[1] for x in inputs[1:]):
        return None
    return step.call([None if x is None else x[0] for x in inputs], 0, 0)[0]


# Element by element, though no result may take an input's place; and the other way about.
_BROADCAST = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "where", "logical_and", "logical_or", "logical_xor", "logical_not",
                        "isnan", "isinf", "isfinite", "cast"})  # fmt: skip
_PLACED = frozenset({"index_put", "index_add", "index_copy", "index_fill", "scatter", "scatter_add", "scatter_reduce", "copy", "fill",
                     "zero", "masked_fill"})  # fmt: skip
_REDUCTIONS = ("sum", "mean", "amax", "amin", "prod", "logsumexp", "softmax", "log_softmax", "cumsum", "cumprod", "flip", "select",
               "narrow", "slice", "squeeze", "any", "all")  # fmt: skip
_RULES: dict[str, Callable[[Step, list[Many | None]], Tensor | None]] = {
    **{op: _axes(0) for op in _REDUCTIONS},
    "transpose": _transpose,
    "permute": _permute,
    "reshape": _reshape,
    "view": _reshape,
    "unsqueeze": _reshape,
    "expand": _expand,
    "matmul": _matmul,
    "linear": _linear,
}
