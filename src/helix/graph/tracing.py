"""helix.trace: a function, or a module, as a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .._core import Tensor
from ..errors import HelixError, TraceError
from ..nn.module import Module
from .around import Required
from .ir import Gradient, Graph
from .spec import Spec
from .symbols import Dim, Expr, Sizes, at
from .tracer import Tracer, tensors_of
from .tree import Tree, flatten


def trace(function: Callable[..., Any], *specs: Any) -> Graph:
    """The graph of what `function` does with inputs like these, recorded on shapes alone: nothing is computed.

    function: any callable, or a module; parameters and buffers of modules that it calls keep their dotted names.
    specs: for each argument a tensor or `Spec(shape, dtype)`, or dicts, lists, tuples, named tuples and dataclasses of them;
        what is no tensor (numbers, None, text) is part of the graph. Sizes may be `Dim("B")`: the function is traced at
        several sizes, and what changes with them must be a sum of products of dimensions.

    Tensors that the function takes from outside are captured, not copied. Writes in place become new values; what is written
    of captured tensors (running statistics) and inputs is written back at the end of each run. Random ops take streams of
    the generator that a run is given, in the order of the trace: the numbers are those of the function itself.

    Raises TraceError (HX1702) where values are needed (bool, item, numpy), where a shape depends on values, and where the
    function does something else for other sizes of a dimension; the message names the line.

    Example:
        >>> graph = helix.trace(lambda x: x.relu() * 2, helix.graph.Spec((2, 3)))
        >>> [(node.op, node.outputs[0].shape) for node in graph.nodes]
        [('relu', (2, 3)), ('mul', (2, 3))]
        >>> graph(helix.tensor([[-1.0, 0.0, 1.0], [2.0, -2.0, 3.0]])).tolist()
        [[0.0, 0.0, 2.0], [4.0, 0.0, 6.0]]
    """
    leaves, tree = flatten(specs)
    given = [_as_spec(leaf) for leaf in leaves]
    dims = _dims_of(given)
    if not dims:
        return trace_once(function, given, tree, {})
    from .polymorphic import trace_symbolic

    return trace_symbolic(function, given, tree, dims)


def trace_once(function: Callable[..., Any], specs: Sequence[Spec], tree: Tree, sizes: Sizes) -> Graph:
    """The graph for these sizes. A `Derived` function brings the names of its inputs."""
    tracer = Tracer()
    if isinstance(function, Module):
        tracer.name(function)
    with tracer:
        inputs = [tracer.input(at(spec.shape, sizes), spec.dtype, spec.device) for spec in specs]
        result = function(*tree.fill(iter(inputs)))
        tracer.outputs(_checked(tensors_of(result), function))
        out_tree = flatten(result)[1]
    names = function.names if isinstance(function, Derived) else input_names(function, tree)
    graph, _ = tracer.graph(names, name=_name(function))
    graph.in_tree, graph.out_tree = tree, out_tree
    if any(effect.kind != "write" for effect in graph.effects):
        graph.around = (*graph.around, Required(_leaves(graph)))
    return graph


def _leaves(graph: Graph) -> list[tuple[str, Tensor]]:
    """The captured tensors that may require a gradient, with their names."""
    taken = [value for value in graph.captured if not (isinstance(value, Gradient) or value.fixed)]
    return [(value.name, value.source) for value in taken if value.source.is_leaf and value.dtype.is_floating_point]


class Derived:
    """A function that is made of a graph, with the graph's names."""

    def __init__(self, graph: Graph, function: Callable[[list[Tensor]], Any]) -> None:
        self.names = [value.name for value in graph.given]
        self.function = function
        self.__name__ = graph.name

    def __call__(self, *args: Any) -> Any:
        return self.function(flatten(args)[0])


def trace_derived(graph: Graph, function: Callable[[list[Tensor]], Any]) -> Graph:
    """The graph of a function of a graph's inputs, with the graph's dimensions."""
    specs = [Spec(value.shape, value.dtype) for value in graph.given]
    derived = Derived(graph, function)
    if not graph.dims:
        return trace_once(derived, specs, graph.in_tree, {})
    from .polymorphic import trace_symbolic

    return trace_symbolic(derived, specs, graph.in_tree, {dim.name: dim for dim in graph.dims})


def _checked(tensors: list[Tensor], function: Any) -> list[Tensor]:
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise TraceError(f"HX1702 {_name(function)} returned {tensor!r}, which is no tensor", code="HX1702")
    return tensors


def _as_spec(leaf: Any) -> Spec:
    return leaf if isinstance(leaf, Spec) else Spec(leaf.shape, leaf.dtype, leaf.device)


def _dims_of(specs: Iterable[Spec]) -> dict[str, Dim]:
    """The dimensions by name. Every one must stand alone somewhere, so that a run can tell its size."""
    dims: dict[str, Dim] = {}
    names: set[str] = set()
    for spec in specs:
        for size in spec.shape:
            if isinstance(size, Expr):
                names |= size.names
            if isinstance(size, Dim):
                before = dims.setdefault(size.name, size)
                if (before.min, before.max, before.multiple_of) != (size.min, size.max, size.multiple_of):
                    raise TraceError(f"HX1702 two dimensions named {size.name} have different bounds", code="HX1702")
    for name in sorted(names - set(dims)):
        raise TraceError(
            f"HX1702 no input has dimension {name} by itself, so that no run could tell its size", code="HX1702"
        )
    return dims


def _name(function: Any) -> str:
    name = (
        type(function).__name__
        if isinstance(function, Module)
        else getattr(function, "__name__", type(function).__name__)
    )
    return "lambda" if name == "<lambda>" else str(name)


def input_names(function: Any, tree: Tree) -> list[str]:
    """The leaves' names: parameter of the function, then keys and positions."""
    from inspect import Parameter, signature

    try:
        parameters = list(signature(function.forward if isinstance(function, Module) else function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    found: list[str] = []
    for i, part in enumerate(tree.parts):
        plain = i < len(parameters) and parameters[i].kind in (
            Parameter.POSITIONAL_ONLY,
            Parameter.POSITIONAL_OR_KEYWORD,
        )
        _leaf_names(part, parameters[i].name if plain else f"input{i}", found)
    return found


def _leaf_names(tree: Tree, prefix: str, found: list[str]) -> None:
    if tree.cls is Tensor:
        found.append(prefix)
    for i, part in enumerate(tree.parts):
        _leaf_names(part, f"{prefix}.{tree.keys[i] if tree.keys else i}", found)


def located(error: HelixError, dim: str) -> TraceError:
    """The error of a dimension that is fixed: another size of it failed."""
    where = getattr(error, "traced_at", "")
    return TraceError(
        f"HX1702 dimension {dim} is fixed by the traced function: with another size it fails"
        f"{f' at {where}' if where else ''}, saying: {error}. Take sizes from the shapes of tensors, or pass the size itself "
        f"instead of {dim}",
        code="HX1702",
        argument=dim,
    )
