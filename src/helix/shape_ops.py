"""Functions with several results, or with several ways to be called: parts of a tensor, grids, positions.

A record has a fixed number of results, so these are written with ops here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from helix import _core
from helix._core import Tensor
from helix.errors import IndexRangeError, ParameterError, ShapeError

_narrow, _select, _expand, _argwhere = (_core.op_named(name) for name in ("narrow", "select", "expand", "argwhere"))
_index_put, _index_put_ = _core.op_named("index_put"), _core.op_named("index_put_")


def _fail(error, number, op, text):
    raise error(f"HX{number} {op}: {text}", op=op, code=f"HX{number}")


def _axis(name, dim, ndim):
    """dim as 0..ndim-1."""
    if not -ndim <= dim < ndim:
        reach = f"valid {-ndim}..{ndim - 1}" if ndim else "a 0-dimensional tensor has no axis"
        _fail(IndexRangeError, 1302, name, f"axis {dim} is out of range ({reach}).")
    return dim + ndim if dim < 0 else dim


def _cut(input, dim, bounds):
    """The parts of an axis between neighbouring bounds."""
    return tuple(_narrow(input, dim, start, stop - start) for start, stop in zip(bounds, bounds[1:]))


def split(input: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """The parts of an axis, as views: each of a size (the last may be smaller), or of the given sizes.

    Example:
        >>> [part.tolist() for part in helix.arange(5).split(2)]
        [[0, 1], [2, 3], [4]]
        >>> [part.tolist() for part in helix.arange(5).split([1, 4])]
        [[0], [1, 2, 3, 4]]
    """
    dim = _axis("split", dim, input.ndim)
    size, sizes = input.shape[dim], split_size_or_sections
    if isinstance(sizes, int):
        if sizes < 0 or (sizes == 0 and size):
            _fail(ParameterError, 1403, "split", f"the size of a part is {sizes} and must be positive.")
        return _cut(input, dim, [*range(0, size, sizes), size] if size else [0, 0])
    bounds = [0]
    for part in sizes:
        bounds.append(bounds[-1] + part)
    if bounds[-1] != size or any(part < 0 for part in sizes):
        _fail(ShapeError, 1002, "split", f"sections {tuple(sizes)} do not add up to {size}, the size of axis {dim}.")
    return _cut(input, dim, bounds)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` parts of equal size (the last may be smaller) of an axis, as views.

    Example:
        >>> [part.tolist() for part in helix.arange(5).chunk(2)]
        [[0, 1, 2], [3, 4]]
    """
    dim = _axis("chunk", dim, input.ndim)
    if chunks < 1:
        _fail(ParameterError, 1403, "chunk", f"chunks is {chunks} and must be positive.")
    size = input.shape[dim]
    return split(input, max(1, -(-size // chunks)), dim) if size else (input,) * chunks


def tensor_split(input: Tensor, indices_or_sections: int | Sequence[int] | Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of an axis, as views: a number of nearly equal ones, or cut at the given positions.

    Example:
        >>> [part.tolist() for part in helix.arange(5).tensor_split(3)]
        [[0, 1], [2, 3], [4]]
        >>> [part.tolist() for part in helix.arange(5).tensor_split((1, 3))]
        [[0], [1, 2], [3, 4]]
    """
    dim = _axis("tensor_split", dim, input.ndim)
    size, cuts = input.shape[dim], indices_or_sections
    if isinstance(cuts, Tensor):
        cuts = cuts.tolist()
    if isinstance(cuts, int):
        if cuts < 1:
            _fail(ParameterError, 1403, "tensor_split", f"{cuts} parts are asked for, and at least 1 is needed.")
        small, large = divmod(size, cuts)
        return _cut(input, dim, [part * small + min(part, large) for part in range(cuts + 1)])
    starts = [0, *(_position(cut, size) for cut in cuts)]
    stops = [*starts[1:], size]
    return tuple(_narrow(input, dim, start, max(0, stop - start)) for start, stop in zip(starts, stops))


def _position(cut, size):
    """A border of a slice as a position in 0..size."""
    return min(max(cut + size if cut < 0 else cut, 0), size)


def hsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """tensor_split along axis 1, or axis 0 of a vector.

    Example:
        >>> [part.tolist() for part in helix.hsplit(helix.arange(4), 2)]
        [[0, 1], [2, 3]]
    """
    return tensor_split(input, indices_or_sections, 0 if input.ndim == 1 else 1)


def vsplit(input: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """tensor_split along axis 0.

    Example:
        >>> [part.tolist() for part in helix.vsplit(helix.tensor([[1], [2]]), 2)]
        [[[1]], [[2]]]
    """
    return tensor_split(input, indices_or_sections, 0)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices of an axis, as views without it.

    Example:
        >>> [part.tolist() for part in helix.tensor([[1, 2], [3, 4]]).unbind(1)]
        [[1, 3], [2, 4]]
    """
    dim = _axis("unbind", dim, input.ndim)
    return tuple(_select(input, dim, i) for i in range(input.shape[dim]))


def broadcast_shapes(*shapes: int | Sequence[int]) -> tuple[int, ...]:
    """The shape that all shapes are stretched to.

    Example:
        >>> helix.broadcast_shapes((3, 1), (2,))
        (3, 2)
    """
    given = [(shape,) if isinstance(shape, int) else tuple(shape) for shape in shapes]
    result = [1] * max(map(len, given), default=0)
    for shape in given:
        for axis, size in enumerate(shape, len(result) - len(shape)):
            if size != 1 and result[axis] not in (1, size):
                _fail(
                    ShapeError,
                    1003,
                    "broadcast_shapes",
                    f"cannot stretch {', '.join(map(str, given))} to one shape: axis {axis - len(result)} has {result[axis]} and {size}.",
                )
            if size != 1:
                result[axis] = size
    return tuple(result)


def broadcast_tensors(*tensors: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    """All tensors stretched to one shape, as views.

    Example:
        >>> a, b = helix.broadcast_tensors(helix.tensor([1, 2]), helix.tensor([[3]]))
        >>> b.tolist()
        [[3, 3]]
    """
    tensors = _several(tensors)
    shape = broadcast_shapes(*(t.shape for t in tensors))
    return tuple(_expand(t, shape) for t in tensors)


def _several(tensors: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """Tensors given one by one, or as one list."""
    return tuple(tensors[0]) if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else tensors


def meshgrid(*tensors: Tensor | Sequence[Tensor], indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinate grids of vectors, as views: grid i holds tensor i along axis i.

    indexing: "ij" for matrix order, "xy" for the order of NumPy, in which the first two axes change places.

    Example:
        >>> rows, columns = helix.meshgrid(helix.tensor([1, 2]), helix.tensor([3, 4]))
        >>> rows.tolist(), columns.tolist()
        ([[1, 1], [2, 2]], [[3, 4], [3, 4]])
    """
    tensors = _several(tensors)
    if indexing not in ("ij", "xy"):
        _fail(ParameterError, 1403, "meshgrid", f"indexing must be 'ij' or 'xy', got {indexing!r}.")
    for t in tensors:
        if t.ndim > 1:
            _fail(ShapeError, 1001, "meshgrid", f"takes vectors and numbers, got shape {tuple(t.shape)}.")
    shape = [t.numel() for t in tensors]
    places = list(range(len(tensors)))
    if indexing == "xy" and len(tensors) > 1:
        places[:2] = 1, 0
        shape[:2] = shape[1], shape[0]
    return tuple(
        _expand(t.reshape([-1 if i == place else 1 for i in range(len(shape))]), shape)
        for t, place in zip(tensors, places)
    )


def cartesian_prod(*tensors: Tensor | Sequence[Tensor]) -> Tensor:
    """All combinations of the elements of vectors, one row each.

    Example:
        >>> helix.cartesian_prod(helix.tensor([1, 2]), helix.tensor([3])).tolist()
        [[1, 3], [2, 3]]
    """
    tensors = _several(tensors)
    if len(tensors) == 1:
        return tensors[0].clone()
    return _core.op_named("stack")([grid.reshape(-1) for grid in meshgrid(*tensors)], 1)


def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with the given matrices on its diagonal and zeros elsewhere.

    Example:
        >>> helix.block_diag(helix.tensor([[1, 2]]), helix.tensor([[3]])).tolist()
        [[1, 2, 0], [0, 0, 3]]
    """
    blocks = [_core.op_named("atleast_2d")(t) for t in _several(tensors)]
    width, left, rows = sum(block.shape[1] for block in blocks), 0, []
    for block in blocks:
        rows.append(_core.op_named("pad")(block, (left, width - left - block.shape[1])))
        left += block.shape[1]
    return _core.op_named("cat")(rows)


def _at_least(rank):
    name = f"atleast_{rank}d"
    plain = _core.op_named(name)

    def atleast(*tensors: Tensor | Sequence[Tensor], **keywords: Any) -> Any:
        if len(tensors) == 1 and not isinstance(tensors[0], list | tuple):
            return plain(tensors[0], **keywords)
        return tuple(plain(t, **keywords) for t in _several(tensors)) if tensors else plain(**keywords)

    atleast.__name__ = atleast.__qualname__ = name
    atleast.__doc__ = f"""A view with {rank} or more axes, of size 1 where the tensor has none. Several tensors, or a list of them,
    give a tuple.

    Example:
        >>> helix.{name}(helix.tensor(3)).ndim
        {rank}
    """
    return atleast


atleast_1d, atleast_2d, atleast_3d = (_at_least(rank) for rank in (1, 2, 3))


def nonzero(input: Tensor, *, as_tuple: bool = False, out: Tensor | None = None) -> Any:
    """The positions of the elements that are not zero: one row each, or with as_tuple one vector for each axis.

    Example:
        >>> helix.tensor([[0, 1], [2, 0]]).nonzero().tolist()
        [[0, 1], [1, 0]]
        >>> [axis.tolist() for axis in helix.tensor([[0, 1], [2, 0]]).nonzero(as_tuple=True)]
        [[0, 1], [1, 0]]
    """
    if not as_tuple:
        return _argwhere(input) if out is None else _argwhere(input, out=out)
    return unbind(_argwhere(input if input.ndim else input.reshape(1)), 1)


def index_put(input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of the input with `values` written, or added, at input[indices]; `indices` is a tuple of tensors.

    Example:
        >>> x = helix.zeros(3)
        >>> x.index_put((helix.tensor([0, 0]),), helix.tensor(1.0), accumulate=True).tolist()
        [2.0, 0.0, 0.0]
    """
    return _index_put(input, values, list(indices), accumulate)


def index_put_(input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    """Writes or adds `values` at input[indices] in place."""
    return _index_put_(input, values, list(indices), accumulate)


METHODS = {f.__name__: f for f in (split, chunk, tensor_split, hsplit, vsplit, unbind, nonzero, index_put, index_put_)}
FUNCTIONS = {
    f.__name__: f
    for f in (
        split,
        chunk,
        tensor_split,
        hsplit,
        vsplit,
        unbind,
        nonzero,
        index_put,
        atleast_1d,
        atleast_2d,
        atleast_3d,
        block_diag,
        broadcast_shapes,
        broadcast_tensors,
        cartesian_prod,
        meshgrid,
    )
}
FUNCTIONS["unstack"] = unbind
_core.add_methods(METHODS)
