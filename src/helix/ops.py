"""Functions whose meaning depends on how they are called, so that one record cannot say it. They call ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, overload

from helix import _core
from helix._core import Tensor
from helix.errors import ArgumentError
from helix.written import into

if TYPE_CHECKING:
    from helix._core import DType

if TYPE_CHECKING:
    from helix.graph import Graph

_op = _core.op_named


def _tensor(name, input):
    if isinstance(input, Tensor):
        return input
    raise ArgumentError(f"HX1103 {name}: input must be a tensor, got {type(input).__name__}.", op=name, code="HX1103")


def _extreme(name, input, dim, keepdim, axis, keepdims, out):
    """max and min: of everything, along a dimension, or of two tensors."""
    if axis is not None or keepdims is not None:
        if (axis is not None and dim is not None) or (keepdims is not None and keepdim):
            raise ArgumentError(
                f"HX1103 {name}: dim and axis (keepdim and keepdims) are the same parameter.", op=name, code="HX1103"
            )
        dim, keepdim = dim if axis is None else axis, keepdim or bool(keepdims)
    if isinstance(dim, Tensor):
        return _op(name + "imum")(input, dim, **({} if out is None else {"out": out}))
    if dim is None:
        return into(name, out, _op("a" + name)(input, (), keepdim) if keepdim else _op("a" + name)(input))
    found = _op(name)(input, dim, keepdim)
    return found if out is None else type(found)(into(name, place, part) for place, part in zip(out, found))


def max(
    input: Tensor,
    dim: int | Tensor | None = None,
    keepdim: bool = False,
    *,
    other: Tensor | None = None,
    out: Any = None,
    axis: int | None = None,
    keepdims: bool | None = None,
) -> Any:
    """The largest element; with `dim`, the largest along it as (values, indices); `max(a, b)` is `maximum(a, b)`.

    NaN counts as the largest. `max` over no elements is an error.

    Example:
        >>> helix.max(helix.tensor([[1, 5], [7, 2]]), 1).values.tolist()
        [5, 7]
    """
    return _extreme("max", input, dim if other is None else other, keepdim, axis, keepdims, out)


def min(
    input: Tensor,
    dim: int | Tensor | None = None,
    keepdim: bool = False,
    *,
    other: Tensor | None = None,
    out: Any = None,
    axis: int | None = None,
    keepdims: bool | None = None,
) -> Any:
    """The smallest element; with `dim`, the smallest along it as (values, indices); `min(a, b)` is `minimum(a, b)`.

    NaN is handed on. `min` over no elements is an error.

    Example:
        >>> helix.min(helix.tensor([[1, 5], [7, 2]])).item()
        1
    """
    return _extreme("min", input, dim if other is None else other, keepdim, axis, keepdims, out)


def median(
    input: Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    axis: int | None = None,
    keepdims: bool | None = None,
    out: Any = None,
) -> Any:
    """The lower of the two middle elements; with `dim`, along it as (values, indices). NaN where there is a NaN.

    Example:
        >>> helix.median(helix.tensor([4., 1., 3., 2.])).item()
        2.0
    """
    dim, keepdim = dim if axis is None else axis, keepdim or bool(keepdims)
    if dim is None:
        return into("median", out, _op("median")(_tensor("median", input).reshape(-1), 0)[0])
    found = _op("median")(input, dim, keepdim)
    return found if out is None else type(found)(into("median", place, part) for place, part in zip(out, found))


def norm(
    input: Tensor,
    p: float | str = "fro",
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    out: Tensor | None = None,
    dtype: DType | None = None,
    *,
    axis: int | None = None,
    keepdims: bool | None = None,
) -> Tensor:
    """The p-norm over the given axes; "fro" (and 2) is the Euclidean or Frobenius norm.

    p: any number, inf for the largest |x|, -inf for the smallest, 0 for the count of elements that are not zero; "nuc"
    for the sum of the singular values of matrices, which lie in the two axes dim.

    Example:
        >>> helix.norm(helix.tensor([[3., 0.], [0., 4.]])).item()
        5.0
    """
    dim, keepdim = dim if axis is None else axis, keepdim or bool(keepdims)
    if p == "nuc":
        from helix.linalg import matrix_norm

        pair = (-2, -1) if dim is None else dim
        return into("norm", out, matrix_norm(input, "nuc", pair, keepdim, dtype=dtype))
    return into("norm", out, _op("norm")(input, 2 if p is None or p == "fro" else p, dim, keepdim, dtype))


def equal(input: Tensor, other: Tensor) -> bool:
    """True when both have the same shape and all elements are equal.

    Example:
        >>> helix.equal(helix.tensor([1, 2]), helix.tensor([1, 2]))
        True
    """
    return _tensor("equal", input).shape == _tensor("equal", other).shape and bool(_op("all")(input == other))


def is_tensor(obj: object) -> bool:
    """True for a Tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """True when the dtype is a floating one."""
    return _tensor("is_floating_point", input).is_floating_point()


def is_complex(input: Tensor) -> bool:
    """True when the dtype is complex."""
    return _tensor("is_complex", input).is_complex()


def numel(input: Tensor) -> int:
    """How many elements there are."""
    return _tensor("numel", input).numel()


def polygamma(self: Tensor, n: int) -> Tensor:
    """The n-th derivative of digamma, as helix.polygamma."""
    return _op("polygamma")(n, self)


def polygamma_(self: Tensor, n: int) -> Tensor:
    """polygamma in place."""
    return self.copy_(polygamma(self, n))


METHODS = {
    "polygamma": polygamma,
    "polygamma_": polygamma_,
    "max": max,
    "min": min,
    "median": median,
    "norm": norm,
    "equal": equal,
}


@overload
def trace(input: Tensor, *, out: Tensor | None = None) -> Tensor: ...
@overload
def trace(input: Callable[..., Any], *specs: Any) -> Graph: ...
def trace(input: Any, *specs: Any, out: Tensor | None = None) -> Any:
    """The sum of a matrix's diagonal; or, of a function or module, its graph for inputs like `specs` (`helix.graph.trace`).

    Example:
        >>> helix.trace(helix.tensor([[1, 2], [3, 4]])).item()
        5
        >>> helix.trace(lambda x: x.relu(), helix.graph.Spec((2, 3)))
        <graph lambda: 1 inputs, 1 nodes, 1 outputs>
    """
    if callable(input) and not isinstance(input, Tensor):
        from helix.graph import trace as trace_function

        return trace_function(input, *specs)
    if specs:
        raise ArgumentError("HX1103 trace: a matrix takes no further arguments.", op="trace", code="HX1103")
    return _op("trace")(input, **({} if out is None else {"out": out}))


FUNCTIONS = {
    f.__name__: f for f in (max, min, median, norm, equal, is_tensor, is_floating_point, is_complex, numel, trace)
}
_core.add_methods(METHODS)


def __getattr__(name):
    """Every op by its name, also those that extensions registered: `helix.ops.mine_swish`."""
    return _op(name)
