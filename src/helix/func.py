"""Transforms of functions: gradients, products with Jacobians, Jacobians, Hessians, batches. As in `torch.func`.

A function is any callable of tensors, or a `helix.graph.Graph`. What a transform returns can be transformed again, differentiated
and traced: `helix.trace(helix.func.hessian(f), spec)` is a graph.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import helix
from helix import autograd
from helix._core import Tensor, is_grad_enabled, op_named
from helix.errors import ArgumentError, GradientError, ParameterError

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "hvp",
    "jacfwd",
    "jacrev",
    "jvp",
    "value_and_grad",
    "vjp",
    "vmap",
]

Function = Callable[..., Any]


def grad(function: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """The function that returns the gradient of `function`, whose result is one number, by the arguments `argnums`.

    Gradients have the structure of the argument: a tensor, or dicts, lists and tuples of tensors. With `has_aux`, `function`
    returns (number, anything), and the result is (gradient, anything). Of a graph it is a graph (`helix.graph.grad`).

    Raises GradientError (HX1505) for a result that is no single number.

    Example:
        >>> helix.func.grad(lambda x: (x ** 3).sum())(helix.tensor([1.0, 2.0])).tolist()
        [3.0, 12.0]
    """
    both = value_and_grad(function, argnums, has_aux)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def value_and_grad(function: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """As `grad`, but the result is (value, gradient); with `has_aux` ((value, anything), gradient).

    Example:
        >>> value, slope = helix.func.value_and_grad(lambda x: (x ** 2).sum())(helix.tensor([3.0]))
        >>> value.item(), slope.item()
        (9.0, 6.0)
    """
    function = _callable(function)

    def both(*args: Any, **kwargs: Any) -> Any:
        with _recording():
            places = argnums if isinstance(argnums, tuple) else (argnums,)
            given, leaves, trees = _fresh(args, places)
            result = function(*given, **kwargs)
            value = result[0] if has_aux else result
            if not isinstance(value, Tensor) or value.numel() != 1:
                shape = value.shape if isinstance(value, Tensor) else type(value).__name__
                raise GradientError(f"HX1505 grad: the function must return one number, got {shape}", code="HX1505")
            found = iter(_gradients([value], leaves, [op_named("ones_like")(value)]))
        made = tuple([tree.fill(found) for tree in trees])
        gradient = made if isinstance(argnums, tuple) else made[0]
        value = _outside(value, leaves)
        if not has_aux:
            return value, gradient
        others, tree = _flatten(result[1])
        return (value, tree.fill(iter([_outside(other, leaves) for other in others]))), gradient

    return both


def grad_and_value(function: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """(gradient, value): torch's order; with `has_aux` (gradient, (value, anything)).

    Example:
        >>> slope, value = helix.func.grad_and_value(lambda x: (x ** 2).sum())(helix.tensor([3.0]))
        >>> value.item(), slope.item()
        (9.0, 6.0)
    """
    both = value_and_grad(function, argnums, has_aux)

    def turned(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return gradient, value

    return turned


def vjp(function: Function, *primals: Any) -> tuple[Any, Function]:
    """(result, pull): `pull(cotangents)` is the product of the cotangents, of the result's structure, with the Jacobian: a tuple
    with one entry for each primal.

    Example:
        >>> result, pull = helix.func.vjp(lambda x: x.sin(), helix.tensor([0.0, 0.0]))
        >>> pull(helix.tensor([2.0, 3.0]))[0].tolist()
        [2.0, 3.0]
    """
    function = _callable(function)
    with _recording():
        given, leaves, trees = _fresh(primals, tuple(range(len(primals))))
        result = function(*given)
    outputs, out_tree = _flatten(result)

    def pull(cotangents: Any) -> tuple:
        seeds, tree = _flatten(cotangents)
        if tree != out_tree:
            raise ArgumentError(
                f"HX1103 vjp: cotangents must be {out_tree}, got {tree}", code="HX1103", argument="cotangents"
            )
        with _recording():
            found = iter(_gradients(outputs, leaves, seeds))
        return tuple([tree.fill(found) for tree in trees])

    return out_tree.fill(iter([_outside(output, leaves) for output in outputs])), pull


def jvp(function: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """(result, product of the Jacobian with the tangents), by differentiating a vjp, which is linear, once more.

    Raises GradientError (HX1503) for ops without a second derivative.

    Example:
        >>> helix.func.jvp(lambda x: x ** 2, (helix.tensor([3.0]),), (helix.tensor([1.0]),))[1].tolist()
        [6.0]
    """
    function = _callable(function)
    with _recording():
        given, leaves, _ = _fresh(tuple(primals), tuple(range(len(primals))))
        along, tree = _flatten(tuple(tangents))
        if tree != _flatten(tuple(primals))[1]:
            raise ArgumentError(
                "HX1103 jvp: tangents must have the structure of primals", code="HX1103", argument="tangents"
            )
        outputs, out_tree = _flatten(function(*given))
        zeros, empty = op_named("zeros_like"), [op_named("zeros_like")(output) for output in outputs]
        smooth = [i for i, output in enumerate(outputs) if output.requires_grad]
        if smooth:
            seeds = [zeros(outputs[i]).requires_grad_() for i in smooth]
            pulled = autograd.grad([outputs[i] for i in smooth], leaves, seeds, create_graph=True, allow_unused=True)
            pairs = [(g, t) for g, t in zip(pulled, along, strict=True) if g is not None and g.requires_grad]
            if pairs:
                found = _gradients([g for g, _ in pairs], seeds, [t for _, t in pairs], leaves)
                for i, tangent in zip(smooth, found, strict=True):
                    empty[i] = tangent
    return out_tree.fill(iter([_outside(output, leaves) for output in outputs])), out_tree.fill(iter(empty))


def jacrev(function: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The Jacobian by one backward pass for each element of the result: of shape (*result, *argument), for each tensor of the
    result; of a tuple of arguments a tuple of Jacobians.

    Example:
        >>> helix.func.jacrev(lambda x: x ** 2)(helix.tensor([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """
    function = _callable(function)

    def jacobian(*args: Any) -> Any:
        places = _places(args, argnums, "jacrev")
        with _recording():
            given, leaves, _ = _fresh(args, places)
            outputs, tree = _flatten(function(*given))
            made = [tuple([_rows(output, leaf) for leaf in leaves]) for output in outputs]
            return tree.fill(iter(made if isinstance(argnums, tuple) else [rows[0] for rows in made]))

    return jacobian


def jacfwd(function: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The Jacobian by one `jvp` for each element of the argument: of the same shape as jacrev's.

    Example:
        >>> helix.func.jacfwd(lambda x: x ** 2)(helix.tensor([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """
    function = _callable(function)

    def jacobian(*args: Any) -> Any:
        places = _places(args, argnums, "jacfwd")
        found = [_columns(function, args, place) for place in places]
        if not isinstance(argnums, tuple):
            return found[0][1].fill(iter(found[0][0]))
        return found[0][1].fill(iter(list(zip(*[tensors for tensors, _ in found], strict=True))))

    return jacobian


def hessian(function: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The second derivatives of a function of one number as result: of shape (*argument, *argument); of a tuple of arguments a
    tuple of tuples.

    Example:
        >>> helix.func.hessian(lambda x: (x ** 3).sum())(helix.tensor([1.0, 2.0])).tolist()
        [[6.0, 0.0], [0.0, 12.0]]
    """
    return jacrev(grad(function, argnums), argnums)


def hvp(function: Function, primals: Sequence[Any], vectors: Sequence[Any]) -> tuple[Any, tuple]:
    """(result, product of the Hessian with the vectors, one for each primal), without the Hessian.

    Example:
        >>> value, product = helix.func.hvp(lambda x: (x ** 3).sum(), (helix.tensor([1.0, 2.0]),), (helix.ones(2),))
        >>> product[0].tolist()
        [6.0, 12.0]
    """
    function = _callable(function)
    places = tuple(range(len(primals)))
    value, _ = vjp(function, *primals)
    along, given = _flatten(tuple(vectors))
    if given != _flatten(tuple(primals))[1]:
        raise ArgumentError(
            f"HX1103 hvp: vectors must have the structure of primals, got {given}", code="HX1103", argument="vectors"
        )

    def slope(*args: Any) -> Tensor:
        gradients = _flatten(grad(function, places)(*args))[0]
        total = sum((g * v).sum() for g, v in zip(gradients, along, strict=True))
        return total if isinstance(total, Tensor) else helix.zeros(())

    return value, grad(slope, places)(*primals)


def functional_call(
    module: Any,
    parameters: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = (),
    kwargs: Any = None,
    *,
    tie_weights: bool = True,
) -> Any:
    """`module(*args, **kwargs)` with other tensors in the place of its parameters and buffers of these dotted names.

    tie_weights: where the module holds one tensor under several names, all of them stand for the tensor that is given for one.

    The module is as before afterwards.

    Raises ParameterError (HX1403) for a name that the module does not have, and for two tensors that are given for one.

    Example:
        >>> layer = helix.nn.Linear(2, 1, bias=False)
        >>> helix.func.functional_call(layer, {"weight": helix.ones(1, 2)}, helix.tensor([3.0, 4.0])).item()
        7.0
    """
    merged: dict[str, Tensor] = {}
    for one in [parameters] if isinstance(parameters, Mapping) else parameters:
        merged |= one
    given = args if isinstance(args, tuple) else (args,)
    exchanged = _exchanged(module, merged, tie_weights)
    before = [owner.__dict__[name] for owner, name, _ in exchanged]
    try:
        for owner, name, tensor in exchanged:
            owner.__dict__[name] = tensor
        return module(*given, **(kwargs or {}))
    finally:
        for (owner, name, _), tensor in zip(exchanged, before, strict=True):
            owner.__dict__[name] = tensor


def _exchanged(module: Any, given: Mapping[str, Tensor], tie: bool) -> list[tuple[Any, str, Tensor]]:
    """Which module holds which of its tensors as another one."""
    owners = []
    for name, tensor in given.items():
        path, _, last = name.rpartition(".")
        owner = module.get_submodule(path)
        if last not in owner._parameters and last not in owner._buffers:
            raise _refused_call(f"{type(module).__name__} has no parameter or buffer {name!r}")
        owners.append((owner, last, tensor))
    if not tie:
        return owners
    fresh: dict[int, Tensor] = {}
    for owner, name, tensor in owners:
        held = owner.__dict__[name]
        if held is not None and fresh.setdefault(id(held), tensor) is not tensor:
            raise _refused_call(f"two tensors are given for {name!r}, which the module holds under several names")
    for owner in module.modules():
        for name in (*owner._parameters, *owner._buffers):
            if id(owner.__dict__[name]) in fresh:
                owners.append((owner, name, fresh[id(owner.__dict__[name])]))
    return list({(id(owner), name): (owner, name, tensor) for owner, name, tensor in owners}.values())


def _refused_call(text: str) -> ParameterError:
    return ParameterError(f"HX1403 functional_call: {text}", code="HX1403", argument="parameters")


def vmap(
    function: Function, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: int | None = None
) -> Function:
    """`function`, made for one sample, for a batch of them: as if called for each, and the results stacked.

    in_dims: for each argument the axis along which samples lie, or None for what all share; an int or None for all of them, or for
        all tensors in a container; a container of the argument's structure names them one by one. Keyword arguments are shared.
    out_dims: where the axis stands in the results, in the same way; None for a result that does not depend on the sample.
    randomness: "error"; "same": all samples draw the same numbers; "different": each draws its own.
    chunk_size: how many samples are computed at a time; None for all.

    The function is traced for one sample; ops that work element by element, products and reductions then run on the whole
    batch at once, other ops once for each sample.

    Raises ArgumentError (HX1103) for axes that are not there, of unequal length, or that do not fit the structure; TraceError
    (HX1702) for random numbers unless allowed, and what `helix.trace` raises for what it cannot trace.

    Example:
        >>> helix.func.vmap(lambda x, y: (x * y).sum())(helix.ones(3, 2), helix.arange(6.0).reshape(3, 2)).tolist()
        [1.0, 5.0, 9.0]
        >>> helix.func.vmap(lambda d: {"twice": d["x"] * d["by"]}, in_dims=({"x": 0, "by": None},))(
        ...     {"x": helix.arange(3), "by": helix.tensor(2)})["twice"].tolist()
        [0, 2, 4]
    """
    from helix.graph.batching import batched

    return batched(_callable(function), in_dims, out_dims, randomness, chunk_size)


# ---- parts -------------------------------------------------------------------------------------------------


def _callable(function: Function) -> Function:
    """A graph as a function that gradients are recorded through."""
    from helix.graph import Graph
    from helix.graph.executor import interpret

    if not isinstance(function, Graph):
        return function
    graph, runner = function, function.executor()

    def run(*args: Any) -> Any:
        leaves = _flatten(args)[0]
        return graph.out_tree.fill(iter(interpret(graph, leaves, runner.sizes(leaves))))

    return run


def _flatten(value: Any) -> Any:
    from helix.graph.tree import flatten

    return flatten(value)


@contextmanager
def _recording() -> Any:
    """Gradients are recorded inside, whatever the caller does."""
    callers = _local.callers
    callers.append(is_grad_enabled())
    try:
        with autograd.enable_grad():
            yield
    finally:
        callers.pop()


class _Local(threading.local):
    """Whether those who called, the outermost first, follow gradients: of each thread."""

    def __init__(self) -> None:
        self.callers: list[bool] = []


_local = _Local()


def _goes_on(outputs: Sequence[Tensor], ours: Sequence[Tensor]) -> bool:
    """Does the caller follow gradients, to leaves other than ours?"""
    callers = _local.callers
    if not (callers[0] if callers else is_grad_enabled()):
        return False
    mine = {id(leaf) for leaf in ours}
    waiting = [output.grad_fn for output in outputs if output.grad_fn is not None]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        if any(id(leaf) not in mine for leaf in node.variables):
            return True
        further = {n for n, _ in node.next_functions if n is not None} - seen
        seen |= further
        waiting += further
    return any(o.is_leaf and o.requires_grad and id(o) not in mine for o in outputs)


def _outside(value: Tensor, ours: Sequence[Tensor]) -> Tensor:
    return value if _goes_on([value], ours) else value.detach()


def _fresh(args: tuple, places: tuple[int, ...]) -> tuple[list[Any], list[Tensor], list[Any]]:
    """The arguments with tensors of their own to differentiate by, which keep the history that they have."""
    given = list(args)
    leaves: list[Tensor] = []
    trees = []
    for place in places:
        if not -len(args) <= place < len(args):
            raise ArgumentError(
                f"HX1103 argnums: there is no argument {place} of {len(args)}", code="HX1103", argument="argnums"
            )
        tensors, tree = _flatten(args[place])
        if tree.values():
            raise ArgumentError(
                f"HX1103 argument {place} holds {tree.values()[0]!r}, by which nothing can be differentiated: give a tensor",
                code="HX1103",
                argument="argnums",
                expected="tensors",
                got=repr(tree.values()[0]),
            )
        own = [t.view(t.shape) if t.requires_grad else t.detach().requires_grad_() for t in tensors]
        leaves += own
        trees.append(tree)
        given[place] = tree.fill(iter(own))
    return given, leaves, trees


def _gradients(
    outputs: Sequence[Tensor], leaves: Sequence[Tensor], seeds: Sequence[Tensor], ours: Sequence[Tensor] = ()
) -> list[Tensor]:
    """Gradients, with history where it leads to others' leaves; zeros where there is none."""
    zeros = op_named("zeros_like")
    smooth = [(o, s) for o, s in zip(outputs, seeds, strict=True) if o.requires_grad]
    if not smooth:
        return [zeros(leaf) for leaf in leaves]
    roots, along = [o for o, _ in smooth], [s for _, s in smooth]
    keep = _goes_on([*roots, *[s for s in along if s.requires_grad]], [*leaves, *ours])
    found = autograd.grad(roots, leaves, along, retain_graph=True, create_graph=keep, allow_unused=True)
    return [zeros(leaf) if g is None else g for leaf, g in zip(leaves, found, strict=True)]


def _places(args: tuple, argnums: int | tuple[int, ...], name: str) -> tuple[int, ...]:
    """The arguments to differentiate by, each one tensor, counted from the first."""
    places = argnums if isinstance(argnums, tuple) else (argnums,)
    for place in places:
        if not -len(args) <= place < len(args) or not isinstance(args[place], Tensor):
            raise ArgumentError(
                f"HX1103 {name}: there must be an argument {place} that is one tensor",
                code="HX1103",
                argument="argnums",
            )
    return tuple([place % len(args) for place in places])


def _columns(function: Function, args: tuple, place: int) -> tuple[list[Tensor], Any]:
    """The Jacobian by one argument, tensor by tensor of the result, and the result's tree."""
    x = args[place]
    if not x.numel():
        outputs, tree = _flatten(function(*args))
        return [helix.zeros((*o.shape, *x.shape), dtype=o.dtype, device=o.device) for o in outputs], tree
    basis = helix.eye(x.numel(), dtype=x.dtype, device=x.device).reshape((x.numel(), *x.shape))
    columns = []
    for i in range(x.numel()):
        along = jvp(lambda x: function(*args[:place], x, *args[place + 1 :]), (x,), (basis[i],))[1]
        column, tree = _flatten(along)
        columns.append(column)
    stacked = [helix.stack(list(column), -1) for column in zip(*columns, strict=True)]
    return [s.reshape((*s.shape[:-1], *x.shape)) for s in stacked], tree


def _rows(output: Tensor, leaf: Tensor) -> Tensor:
    basis = helix.eye(output.numel(), dtype=output.dtype, device=output.device)
    basis = basis.reshape((output.numel(), *output.shape))
    rows = [_gradients([output], [leaf], [basis[i]])[0] for i in range(output.numel())]
    if not rows:
        return helix.zeros((*output.shape, *leaf.shape), dtype=leaf.dtype, device=leaf.device)
    return helix.stack(rows, 0).reshape((*output.shape, *leaf.shape))
