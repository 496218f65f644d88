"""Functions that are compiled for all sizes of marked dimensions: traced once, and made ready for each size from the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .._core import Tensor
from ..autograd import enable_grad, no_grad
from ..errors import ArgumentError, ShapeError
from ..nn.module import Module
from ..precision import restored_autocast
from .executor import interpret
from .polymorphic import trace_symbolic
from .spec import Spec
from .symbols import Dim, Expr, Sizes
from .tracer import active
from .tracing import _dims_of, _name
from .tree import Tree, flatten


def specs_of(dynamic: Any) -> list[Spec]:
    """The specs of the tensors among the arguments.

    Raises ArgumentError (HX1103) for anything else, and where no size is a dimension; TraceError (HX1702) where a run could not
    tell the size of a dimension.
    """
    specs = flatten(dynamic if isinstance(dynamic, (tuple, list)) else (dynamic,))[0]
    if not all(isinstance(spec, Spec) for spec in specs) or not _dims_of(specs):
        raise ArgumentError(
            "HX1103 compile: dynamic must be a Spec for each tensor among the arguments, with a Dim in one of them, "
            f"got {dynamic!r}",
            code="HX1103",
            argument="dynamic",
        )
    return specs


def fits(specs: Sequence[Spec], leaves: Sequence[Tensor]) -> bool:
    """Are the tensors what was marked, in all but the sizes of dimensions?"""
    return len(specs) == len(leaves) and all(
        spec.dtype is leaf.dtype
        and len(spec.shape) == len(leaf.shape)
        and all(isinstance(size, Expr) or size == got for size, got in zip(spec.shape, leaf.shape, strict=True))
        for spec, leaf in zip(specs, leaves, strict=True)
    )


class Dynamic:
    """One function, traced for all sizes. `modules` are those that it called, `noted` what else it looked at."""

    def __init__(
        self, function: Callable[..., Any], specs: Sequence[Spec], leaves: Sequence[Tensor], tree: Tree, grad: bool
    ) -> None:
        self.modules: list[Module] = []
        self.noted: list[tuple[object, str]] = []
        wanted = [grad and leaf.requires_grad for leaf in leaves]

        def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            for placeholder, asked in zip(flatten((args, kwargs))[0], wanted, strict=True):
                if asked:
                    placeholder.requires_grad_()
            with enable_grad() if grad else no_grad():
                result = function(*args, **kwargs)
            tracer = active()
            assert tracer is not None
            self.modules, self.noted = tracer.held, tracer.noted
            return result

        placed = [Spec(spec.shape, spec.dtype, leaf.device) for spec, leaf in zip(specs, leaves, strict=True)]
        dims: dict[str, Dim] = _dims_of(placed)
        self.graph = trace_symbolic(call, placed, tree, dims)
        self.graph.name = _name(function)

    def sizes(self, leaves: list[Tensor]) -> Sizes | None:
        """What the dimensions are for these tensors; None where the function does something else for them."""
        try:
            return self.graph.executor().sizes(leaves)
        except ShapeError:
            return None

    def at(self, sizes: Sizes) -> Callable[..., Any]:
        """The function for these sizes, without its Python."""

        def function(*args: Any, **kwargs: Any) -> Any:
            with restored_autocast((None, None)):
                results = interpret(self.graph, flatten((args, kwargs))[0], sizes)
            return self.graph.out_tree.fill(iter(results))

        function.__name__ = self.graph.name
        return function
