"""The gradient of a graph, as a graph."""

from __future__ import annotations

from collections.abc import Sequence

from .. import _core
from .._core import Tensor, untraced
from ..autograd import enable_grad
from ..errors import ArgumentError, GradientError
from .control_gradients import backward
from .executor import interpret
from .ir import Graph, Value
from .tracing import trace_derived


def grad(graph: Graph, wrt: str | Sequence[str] | None = None, value: bool = False) -> Graph:
    """The graph that computes the gradients of a graph's only output, one number, by running the records' gradient rules on
    shapes: it takes the same inputs, can be printed, changed, and differentiated again.

    wrt: names of inputs, parameters and other captured tensors; one name gives one gradient, several a tuple. All inputs of
        floating or complex dtype if None. Those without influence get zeros.
    value: the new graph returns (output, gradients).

    Raises GradientError (HX1505) where the graph has other outputs than one number; ArgumentError (HX1103) for an unknown name;
    what the gradient rules raise, such as GradientError (HX1503) where inputs have influence, but none that has a gradient.

    Example:
        >>> cube = helix.trace(lambda x: (x ** 3).sum(), helix.graph.Spec((2,)))
        >>> helix.graph.grad(cube, "x")(helix.tensor([1.0, 2.0])).tolist()
        [3.0, 12.0]
    """
    if len(graph.outputs) != 1 or graph.outputs[0].shape != ():
        raise GradientError(
            f"HX1505 {graph.name} must have one number as its only output, it has "
            f"{', '.join(map(repr, graph.outputs)) or 'none'}; sum it in the traced function",
            code="HX1505",
        )
    single = isinstance(wrt, str)
    targets = _targets(graph, [wrt] if isinstance(wrt, str) else wrt)
    touched = not _origins(graph.outputs[0]).isdisjoint(targets)
    runner = graph.executor()

    def derived(leaves: list[Tensor]) -> object:
        wanted = {id(v): leaf for v, leaf in zip(graph.inputs, leaves, strict=True)}
        captured = {}
        for target in targets:
            tensor = wanted.get(id(target))
            if tensor is None:
                wanted[id(target)] = captured[target.name] = _free(target.source)
            elif not tensor.requires_grad:
                tensor.requires_grad_()
        with enable_grad():
            result = interpret(graph, leaves, runner.sizes(leaves), captured)[0]
            free = [wanted[id(target)] for target in targets]
            found = backward([result], free) if touched else [None] * len(free)
        zeros = _core.op_named("zeros_like")
        made = tuple([zeros(tensor) if g is None else g for tensor, g in zip(free, found, strict=True)])
        answer = made[0] if single else made
        return (result, answer) if value else answer

    return trace_derived(graph, derived)


def _free(tensor: Tensor) -> Tensor:
    """A captured tensor, also one that is frozen or a buffer, so that it has a gradient."""
    if tensor.requires_grad:
        return tensor
    with untraced():
        return tensor.detach().requires_grad_()


def _origins(value: Value) -> set[Value]:
    """The inputs and captured tensors on which a value depends."""
    found, waiting = {value}, [value]
    while waiting:
        node = waiting.pop().node
        fresh = [v for v in node.inputs if v is not None and v not in found] if node is not None else []
        found.update(fresh)
        waiting += fresh
    return found


def _targets(graph: Graph, wrt: Sequence[str] | None) -> list[Value]:
    if wrt is None:
        return [v for v in graph.inputs if v.dtype.is_floating_point or v.dtype.is_complex]
    known = {v.name: v for v in (*graph.inputs, *graph.captured)}
    for name in wrt:
        if name not in known:
            raise ArgumentError(
                f"HX1103 {graph.name} has no input or captured tensor named {name!r}; it has {', '.join(known)}",
                code="HX1103",
                argument="wrt",
            )
    return [known[name] for name in wrt]
