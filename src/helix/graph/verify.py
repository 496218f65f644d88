"""Whether a graph that came from outside is sound: its ops, run on shapes alone, give the shapes and dtypes that it says."""

from __future__ import annotations

from typing import Any

from .._core import OpCall, Tensor, wrapped_number
from .ir import Graph, Node, Value
from .schema import broken
from .streams import plain
from .symbols import Expr, Sizes, Unknown, at
from .tracer import Tracer

_SIZES = (5, 7, 11, 13)


def verify(graph: Graph) -> None:
    """Raises FormatError (HX4010), or what the ops' records raise, unless every node gives what it says."""
    sizes: dict[str, int] = {}
    for dim, size in zip(graph.dims, _SIZES, strict=False):
        step = dim.multiple_of
        wanted = -(-max(size, dim.min) // step) * step
        sizes[dim.name] = wanted if dim.max is None or wanted <= dim.max else dim.max // step * step
        dim.check(sizes[dim.name])
    if len(graph.dims) > len(_SIZES):
        raise broken(f"it has {len(graph.dims)} dimensions")
    for value in graph.inputs:
        if any(isinstance(size, Unknown) for size in value.shape):
            raise broken(f"{value!r} has a size that nothing tells")
    _told(graph)
    _verify(graph, sizes)


def _told(graph: Graph) -> None:
    """Every dimension stands in an input in a way that a run can tell it."""
    for dim in graph.dims:
        known = [s for v in graph.inputs for s in v.shape if isinstance(s, Expr) and s.names == {dim.name}]
        if not any(s.divisor is None and s.at({dim.name: 1}) != s.at({dim.name: 0}) for s in known):
            raise broken(f"no input tells dimension {dim.name}")


def _verify(graph: Graph, sizes: Sizes) -> None:
    tracer = Tracer()
    with tracer:
        tensors: dict[int, Tensor] = {}
        for value in (*graph.inputs, *graph.captured):
            tensors[id(value)] = tracer.input(_sizes(value.shape, sizes), value.dtype, _device_of(value))
        for node in graph.nodes:
            if node.graphs or node.op in _CONTROL:
                shapes = _control(node, tensors, sizes)
                made = [
                    tracer.input(shape, v.dtype, node.device) for shape, v in zip(shapes, node.outputs, strict=True)
                ]
            else:
                made = _call(node, tensors, sizes)
            if len(made) != len(node.outputs):
                raise broken(f"{node.op} gives {len(made)} results, the file has {len(node.outputs)}")
            for value, tensor in zip(node.outputs, made, strict=True):
                _require(node, value, tensor, sizes)
                tensors[id(value)] = tensor


def _device_of(value: Value) -> Any:
    """Where a captured tensor lies; of an input, where it is taken first."""
    if value.kind != "input":
        return value.source.device
    return next((node.device for node in value.users if node.device is not None and node.op not in _CONTROL), None)


def _sizes(shape: tuple[Any, ...], sizes: Sizes) -> tuple[int, ...]:
    found = at(shape, sizes)
    if any(size < 0 for size in found):
        raise broken(f"a size of {shape} is {min(found)}")
    return tuple(found)


def _tensor(value: Value, tensors: dict[int, Tensor], sizes: Sizes) -> Tensor:
    if value.kind == "number":
        made: Tensor = wrapped_number(at(value.source, sizes), value.dtype)
        return made
    return tensors[id(value)]


def _call(node: Node, tensors: dict[int, Tensor], sizes: Sizes) -> list[Tensor]:
    given: list[Tensor | None] = [None if v is None else _tensor(v, tensors, sizes) for v in node.inputs]
    attributes = tuple([at(a, sizes) for a in node.attributes])
    call: Any = OpCall(node.op, attributes, node.list_length, node.device)
    for i in node.writes:
        if given[i] is not None:
            given[i] = given[i].clone()  # type: ignore[union-attr]
    made: list[Tensor] = call(given)
    return [given[i] for i in node.writes] if node.writes else made  # type: ignore[misc]


def _require(node: Node, value: Value, tensor: Tensor, sizes: Sizes) -> None:
    known = len(value.shape) == len(tensor.shape) and all(
        isinstance(size, Unknown) or at(size, sizes) == found
        for size, found in zip(value.shape, tensor.shape, strict=True)
    )
    if not known or value.dtype is not tensor.dtype:
        raise broken(
            f"{node.op} gives {tensor.dtype.name}{list(tensor.shape)}, the file has "
            f"{value.dtype.name}{[str(size)[:40] for size in value.shape]}"
        )


# ---- control flow ------------------------------------------------------------------------------------------

Spec = tuple[tuple[int, ...], Any]


def _control(node: Node, tensors: dict[int, Tensor], sizes: Sizes) -> list[tuple[int, ...]]:
    """Checks that bodies take and give what the node does; the shapes of the node's results."""
    if any(value is None for value in node.inputs):
        raise broken(f"{node.op} takes an absent tensor")
    given: list[Spec] = []
    for value in node.inputs:
        tensor = _tensor(value, tensors, sizes)  # type: ignore[arg-type]
        given.append((tensor.shape, tensor.dtype))
    for body in node.graphs:
        if body.effects or body.dims or not 0 <= body.draws < 1 << 31:
            raise broken(f"a body of {node.op} writes, or has dimensions of its own")
        _verify(body, sizes)
    shapes = _CONTROL[node.op](node, given, sizes)
    found = [(shape, value.dtype) for shape, value in zip(shapes, node.outputs, strict=False)]
    if len(shapes) != len(node.outputs) or any(
        not isinstance(size, Unknown) and at(size, sizes) != made
        for value, (shape, _) in zip(node.outputs, found, strict=True)
        for size, made in zip(value.shape, shape, strict=True)
    ):
        raise broken(f"the results of {node.op} are not those of its bodies")
    return shapes


def _ins(graph: Graph, sizes: Sizes) -> list[Spec]:
    return [(_sizes(value.shape, sizes), value.dtype) for value in graph.inputs]


def _outs(graph: Graph, sizes: Sizes) -> list[Spec]:
    return [(_sizes(value.shape, sizes), value.dtype) for value in graph.outputs]


def _same(node: Node, one: Any, other: Any, what: str) -> None:
    if list(one) != list(other):
        raise broken(f"{what} of {node.op} do not fit")


def _counts(node: Node, *counts: Any) -> None:
    if any(type(count) is not int or not 0 <= count <= len(node.inputs) for count in counts):
        raise broken(f"{node.op} cannot have {str(node.attributes)[:80]}")


def _split(node: Node, given: list[Spec]) -> list[list[Spec]]:
    """What each of the two bodies of a choice or loop takes: the operands, and its own of those from outside."""
    match plain(node.attributes):
        case (int(count), tuple(one), tuple(other), *bound) if len(node.graphs) == 2 and _bounded(node, bound):
            pass
        case _:
            raise broken(f"{node.op} has two bodies, and cannot have {str(node.attributes)[:80]}")
    _counts(node, count, *one, *other)
    if count > len(given) or any(i >= len(given) for i in (*one, *other)):
        raise broken(f"{node.op} takes {len(given)} tensors")
    return [[*given[:count], *[given[i] for i in own]] for own in (one, other)]


def _bounded(node: Node, bound: list[Any]) -> bool:
    """A loop may have a bound, a choice has none."""
    return not bound or (
        node.op == "while_loop" and len(bound) == 1 and type(bound[0]) is int and 1 <= bound[0] < 1 << 63
    )


def _cond(node: Node, given: list[Spec], sizes: Sizes) -> list[tuple[int, ...]]:
    if not given or given[0][0] != ():
        raise broken("the condition of a choice is one number")
    for body, taken in zip(node.graphs, _split(node, given[1:]), strict=True):
        _same(node, taken, _ins(body, sizes), "operands")
        _same(node, _outs(body, sizes), _outs(node.graphs[0], sizes), "results")
    return _matched(node, _outs(node.graphs[0], sizes))


def _scan(node: Node, given: list[Spec], sizes: Sizes) -> list[tuple[int, ...]]:
    attributes = plain(node.attributes)
    if len(attributes) != 3 or len(node.graphs) != 1 or type(attributes[2]) is not bool:
        raise broken("a scan has one body")
    n, rows, _ = attributes
    _counts(node, n, rows)
    lengths = {shape[0] if shape else -1 for shape, _ in given[n : n + rows]}
    if len(lengths) != 1 or -1 in lengths or n + rows > len(given):
        raise broken("a scan goes along rows of one number")
    taken = [*given[:n], *[(shape[1:], kind) for shape, kind in given[n : n + rows]], *given[n + rows :]]
    outs = _outs(node.graphs[0], sizes)
    _same(node, taken, _ins(node.graphs[0], sizes), "operands")
    _same(node, given[:n], outs[:n], "carries")
    (length,) = lengths
    return _matched(node, outs[:n] + [((length, *shape), kind) for shape, kind in outs[n:]])


def _while(node: Node, given: list[Spec], sizes: Sizes) -> list[tuple[int, ...]]:
    for body, taken in zip(node.graphs, _split(node, given), strict=True):
        _same(node, taken, _ins(body, sizes), "operands")
    test = _outs(node.graphs[0], sizes)
    if len(test) != 1 or any(size != 1 for size in test[0][0]):
        raise broken("the condition of a loop is one number")
    _same(node, given[: node.attributes[0]], _outs(node.graphs[1], sizes), "results")
    return _matched(node, _outs(node.graphs[1], sizes))


def _function(node: Node, given: list[Spec], sizes: Sizes) -> list[tuple[int, ...]]:
    match plain(node.attributes):
        case (str(), int(count), tuple(followed), tuple(targets), str()) if len(node.graphs) == 2:
            _counts(node, *targets)
            outs = _outs(node.graphs[0], sizes)
            results = outs[:count]
            if not 0 <= count <= len(outs) or any(type(i) is not int or not 0 <= i < count for i in followed):
                raise broken(f"function has no {count} results")
            _same(node, given, _ins(node.graphs[0], sizes), "arguments")
            _same(node, [*given, *results, *results, *outs[count:]], _ins(node.graphs[1], sizes), "gradients")
            if any(i >= len(given) for i in targets):
                raise broken("function has a gradient for no argument")
            _same(node, [given[i] for i in targets], _outs(node.graphs[1], sizes), "gradients")
            return _matched(node, outs)
    raise broken(f"function cannot have {str(node.attributes)[:80]}")


def _transfer(node: Node, given: list[Spec], sizes: Sizes) -> list[tuple[int, ...]]:
    if len(given) != 1 or node.attributes or node.graphs or node.device is None:
        raise broken("a transfer takes one tensor to a device")
    return _matched(node, given)


def _matched(node: Node, made: list[Spec]) -> list[tuple[int, ...]]:
    _same(node, [v.dtype for v in node.outputs], [kind for _, kind in made], "dtypes")
    _same(node, [len(v.shape) for v in node.outputs], [len(shape) for shape, _ in made], "axes")
    return [shape for shape, _ in made]


_CONTROL = {"cond": _cond, "scan": _scan, "while_loop": _while, "function": _function, "transfer": _transfer}
