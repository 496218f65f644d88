"""A graph of one sample, run for a batch of samples: by rules for families of ops, and sample by sample for the rest."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from .. import _core
from .._core import Draw, OpCall, Tensor, op_named
from ..autograd import enable_grad, no_grad
from ..errors import ArgumentError, TraceError
from .executor import Program, Step, draw
from .ir import Graph
from .spec import Spec
from .streams import drawing
from .tracing import trace_once
from .tree import Tree, flatten

# A value with the samples along its first axis, or one that all share.
Many = tuple[Tensor, bool]

_FLAGS: dict[str, set[str]] = {}


def _flags(op: str) -> set[str]:
    if not _FLAGS:
        _FLAGS.update({record["name"]: record["flags"] for record in _core.ops()})
    return _FLAGS.get(op, set())


class Batch(NamedTuple):
    """What a batch has in common: its samples, and where their random streams begin. Each of `apart` samples has streams of its
    own, so many of them."""

    length: int
    seed: int = 0
    first: int = 0
    apart: int = 0


RANDOMNESS = ("error", "same", "different")


def batched(
    function: Callable[..., Any], in_dims: Any, out_dims: Any, randomness: str, chunk_size: int | None
) -> Callable[..., Any]:
    if randomness not in RANDOMNESS:
        raise _refused("randomness", f"must be one of {', '.join(RANDOMNESS)}, got {randomness!r}")
    if chunk_size is not None and (type(chunk_size) is not int or chunk_size < 1):
        raise _refused("chunk_size", f"must be None or at least 1, got {chunk_size!r}")

    def run(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = flatten(args)
        dims: list[int | None] = []
        _matched(tree, in_dims, "in_dims", dims, top=True)
        rows = [_row(x, d) for x, d in zip(leaves, dims, strict=True)]
        lengths = {x.shape[0] for x, many in rows if many}
        if len(lengths) != 1:
            raise ArgumentError(
                f"HX1103 vmap: the axes have {sorted(lengths) or 'no'} lengths, one is needed", code="HX1103"
            )
        (length,) = lengths
        specs = [Spec(x.shape[1:] if many else x.shape, x.dtype, x.device) for x, many in rows]
        called = partial(function, **kwargs) if kwargs else function
        graph = trace_once(called, specs, tree, {})
        _require_own(graph, randomness)
        wanted: list[int | None] = []
        _matched(graph.out_tree, out_dims, "out_dims", wanted)
        results = _in_chunks(graph, rows, int(length), randomness, chunk_size or max(int(length), 1))
        return graph.out_tree.fill(iter([_result(r, d, int(length)) for r, d in zip(results, wanted, strict=True)]))

    return run


def _refused(argument: str, text: str) -> ArgumentError:
    return ArgumentError(f"HX1103 vmap: {argument} {text}", code="HX1103", argument=argument)


def _matched(tree: Tree, dims: Any, what: str, found: list[int | None], top: bool = False) -> None:
    """The axis of each tensor: an int or None stands for all that is below it, a container for its parts."""
    if tree.cls is Tensor and (dims is None or type(dims) is int):
        found.append(dims)
        return
    if tree.cls is None:
        if what == "in_dims" and dims is not None:
            raise _refused(what, f"must be None for {tree.value!r}, which is no tensor, got {dims!r}")
        return
    if dims is None or type(dims) is int:
        for part in tree.parts:
            _matched(part, dims, what, found)
        return
    is_list = isinstance(dims, (tuple, list)) and isinstance(tree.cls, type) and issubclass(tree.cls, (tuple, list))
    if is_list and len(dims) == len(tree.parts) and (top or isinstance(dims, tuple) == issubclass(tree.cls, tuple)):
        for part, dim in zip(tree.parts, dims, strict=True):
            _matched(part, dim, what, found)
    elif isinstance(dims, dict) and tree.keys and set(dims) == set(tree.keys):
        for key, part in zip(tree.keys, tree.parts, strict=True):
            _matched(part, dims[key], what, found)
    else:
        raise _refused(what, f"{dims!r} does not fit {tree}")


def _row(x: Tensor, dim: int | None) -> Many:
    if dim is None:
        return x, False
    if not -x.ndim <= dim < x.ndim:
        raise _refused("in_dims", f"names axis {dim} of a tensor of shape {x.shape}, which has {x.ndim} axes")
    return x.movedim(dim, 0), True


def _require_own(graph: Graph, randomness: str) -> None:
    writes = bool(graph.effects) or any(node.writes for node in graph.nodes)
    if writes or (drawing(graph) and randomness == "error"):
        what = "writes tensors from outside of it, which samples cannot share"
        if not writes:
            what = "draws random numbers; say randomness='same' or 'different'"
        raise TraceError(f"HX1702 vmap: the function {what}", code="HX1702")


def _result(x: Many, dim: int | None, length: int) -> Tensor:
    if dim is None:
        if x[1]:
            raise _refused("out_dims", "is None for a result that differs from sample to sample")
        return x[0]
    made = _spread(x, length)
    if not -made.ndim <= dim < made.ndim:
        raise _refused("out_dims", f"names axis {dim} of results of shape {made.shape}")
    return made.movedim(0, dim)


def _in_chunks(graph: Graph, rows: list[Many], length: int, randomness: str, size: int) -> list[Many]:
    """So many samples at a time."""
    each = graph.draws if randomness == "different" else 0
    streams = each * length if each else graph.draws
    seed, first = (0, _core.trace_draws(streams)) if _core.tracing() else draw(streams)
    if size >= length:
        return _run(graph, rows, Batch(length, seed, first, each))
    made = []
    for begin in range(0, length, size):
        many = min(size, length - begin)
        chunk = [(x.narrow(0, begin, many) if batch else x, batch) for x, batch in rows]
        made.append(_run(graph, chunk, Batch(many, seed, first + each * begin, each)))
    cat = op_named("cat")
    columns = zip(*made, strict=True)
    return [(cat([x for x, _ in column], 0), True) if column[0][1] else column[0] for column in columns]


def _run(graph: Graph, rows: list[Many], batch: Batch) -> list[Many]:
    program = Program(graph, {})
    slots: list[Any] = [None if x is None else (x, False) for x in program.start]
    for slot, row in zip(program.inputs, rows, strict=True):
        slots[slot] = row
    for slot, value in program.captured:
        slots[slot] = (value.source, False)
    for step in program.steps:
        with no_grad() if step.no_grad or not _core.is_grad_enabled() else enable_grad():
            for slot, made in zip(step.outs, _step(step, [slots[slot] for slot in step.ins], batch), strict=True):
                slots[slot] = made
    return [slots[slot] for slot in program.outputs]


def _step(step: Step, inputs: list[Many | None], batch: Batch) -> list[Many]:
    draws = any(type(attribute) is Draw for attribute in step.node.attributes)
    many = any(x is not None and x[1] for x in inputs)
    if draws and (many or batch.apart):
        return _one_by_one(step, inputs, batch)
    if not many:
        given = [None if x is None else x[0] for x in inputs]
        return [(made, False) for made in step.call(given, batch.seed, batch.first)]
    rule = _RULES.get(step.node.op)
    made = None
    if rule is not None:
        made = rule(step, inputs)
    elif _is_elementwise(step):
        made = _elementwise(step, inputs)
    return [(made, True)] if made is not None else _one_by_one(step, inputs, batch)


def _is_elementwise(step: Step) -> bool:
    op = step.node.op
    if op in _BROADCAST:
        return True
    return "alias_ok" in _flags(op) and op not in _PLACED and len(step.outs) == 1 and not step.node.list_length


def _spread(x: Many, length: int) -> Tensor:
    return x[0] if x[1] else x[0].unsqueeze(0).expand((length, *x[0].shape))


def _one_by_one(step: Step, inputs: list[Many | None], batch: Batch) -> list[Many]:
    """Every sample by itself, and the results stacked."""
    stack = op_named("stack")
    made = []
    for i in range(batch.length):
        given = [None if x is None else x[0][i] if x[1] else x[0] for x in inputs]
        made.append(step.call(given, batch.seed, batch.first + i * batch.apart))
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


def _again(step: Step, inputs: list[Tensor | None], attributes: tuple[Any, ...]) -> Tensor:
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
