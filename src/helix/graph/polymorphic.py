"""Dimensions: a function is traced at several sizes, and what changes between the traces is written as expressions of them.

With n dimensions there are 2^n traces at all pairs of two sizes, from which the expressions come; one at other sizes, which
must agree; and one a dimension at its least size, as size 1 is often special: where it is, only sizes from the first one on
that is not are allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from itertools import product
from typing import Any

from .._core import Tensor
from ..dtypes import finfo
from ..errors import HelixError, TraceError
from .ir import Graph, Node, Value
from .spec import Spec
from .symbols import Dim, Expr, Sizes, Unknown, at, fit
from .tracing import located, trace_once
from .tree import Tree

MOST = 4
# For each dimension the two sizes to learn from and one to check at, before its bounds: unlike each other.
_SIZES = ((5, 8, 29), (7, 12, 37), (11, 18, 43), (13, 22, 53))
_questions: ContextVar[list[bool] | None] = ContextVar("questions", default=None)


def same_for_all_sizes() -> bool:
    """Must the ops be the same ones at all sizes? For functions that have a form for each size, and a slower one for any.

    They are asked for the one for any only after a trace for all sizes has found others to differ.
    """
    questions = _questions.get()
    if questions is None:
        return False
    questions.append(True)
    return questions[0]


def trace_symbolic(function: Callable[..., Any], specs: Sequence[Spec], tree: Tree, dims: dict[str, Dim]) -> Graph:
    if len(dims) > MOST:
        raise TraceError(f"HX1702 a graph has at most {MOST} dimensions, got {', '.join(dims)}", code="HX1702")
    questions = [False]
    token = _questions.set(questions)
    try:
        return _merged(function, specs, tree, dims)
    except TraceError:
        if len(questions) == 1:
            raise
        questions[0] = True
        return _merged(function, specs, tree, dims)
    finally:
        _questions.reset(token)


def _merged(function: Callable[..., Any], specs: Sequence[Spec], tree: Tree, dims: dict[str, Dim]) -> Graph:
    names = list(dims)
    choices = [_choose(dim, _SIZES[i]) for i, dim in enumerate(dims.values())]
    points: list[Sizes] = [
        dict(zip(names, sizes, strict=True)) for sizes in product(*[choice[:2] for choice in choices])
    ]
    points.append(dict(zip(names, [choice[2] for choice in choices], strict=True)))
    graphs: list[Graph] = []
    for point in points:
        try:
            graphs.append(trace_once(function, specs, tree, point))
        except HelixError as error:
            changed = [name for name in names if graphs and point[name] != points[0][name]]
            if not changed:
                error.add_note(f"traced with {', '.join(f'{name} = {size}' for name, size in point.items())}")
                raise
            raise located(error, " or ".join(changed)) from error
    base = graphs[0]
    _Merge(graphs, points, names).run()
    for value, spec in zip(base.given, specs, strict=True):
        value.shape = tuple([Expr(dict(size.terms)) if isinstance(size, Expr) else size for size in spec.shape])
    base.dims = tuple([_least(function, specs, tree, dim, points[0], base) for dim in dims.values()])
    return base


def _choose(dim: Dim, wanted: tuple[int, int, int]) -> list[int]:
    step = dim.multiple_of
    least = -(-max(dim.min, 1) // step)
    found = [(size + max(0, least - 1)) * step for size in wanted]
    if dim.max is not None and found[2] > dim.max:
        room = [k * step for k in range(max(least, 1), dim.max // step + 1)]
        if len(room) < 3:
            raise TraceError(
                f"HX1702 dimension {dim.name} has {len(room)} sizes, three are needed; trace for each of them",
                code="HX1702",
            )
        found = [room[-2], room[-1], room[(len(room) - 2) // 2]]
    return found


def _least(function: Any, specs: Sequence[Spec], tree: Tree, dim: Dim, point: Sizes, graph: Graph) -> Dim:
    """The dimension from the size on at which the function does what the graph does: 1 is often special, and so are sizes
    below a constant of the program."""
    step = dim.multiple_of
    first = -(-max(dim.min, 1) // step) * step
    for size in range(first, point[dim.name], step):
        sizes = {**point, dim.name: size}
        try:
            same = _agrees(graph, trace_once(function, specs, tree, sizes), sizes)
        except Exception:  # whatever the function raises, it does something else for this size
            same = False
        if same:
            return dim if size == first else Dim(dim.name, size, dim.max, step)
    return Dim(dim.name, point[dim.name], dim.max, step)


def _agrees(graph: Graph, other: Graph, sizes: Sizes) -> bool:
    """Is the other graph what the first one says of these sizes? Copies do not count: memory that has to be put in order for
    other sizes often is in order for one of 1."""
    mine_all, theirs_all = [[node for node in one.nodes if not _is_copy(node)] for one in (graph, other)]
    if len(mine_all) != len(theirs_all) or graph.out_tree != other.out_tree:
        return False
    pairs = {id(theirs): mine for mine, theirs in zip(graph.inputs, other.inputs, strict=True)}

    def same(a: Value | None, b: Value | None) -> bool:
        a, b = _copied(a), _copied(b)
        if a is None or b is None or a.kind != b.kind:
            return a is b
        if a.kind == "number":
            return _close(at(a.source, sizes), b.source, _precision(a.dtype))
        if a.kind in ("parameter", "buffer", "constant"):
            return _same_tensor(a.source, b.source)
        return pairs.get(id(b)) is a

    for mine, theirs in zip(mine_all, theirs_all, strict=True):
        if _form(mine) != _form(theirs) or not all(map(same, mine.inputs, theirs.inputs)):
            return False
        if not _close(at(mine.attributes, sizes), theirs.attributes, 1e-15):
            return False
        if not all(_agrees(a, b, sizes) for a, b in zip(mine.graphs, theirs.graphs, strict=True)):
            return False
        if not all(_fits(a.shape, b.shape, sizes) for a, b in zip(mine.outputs, theirs.outputs, strict=True)):
            return False
        pairs.update(zip(map(id, theirs.outputs), mine.outputs, strict=True))
    return (
        len(graph.outputs) == len(other.outputs)
        and all(map(same, graph.outputs, other.outputs))
        and [e.kind for e in graph.effects] == [e.kind for e in other.effects]
        and all(
            same(a.target, b.target) and same(a.value, b.value)
            for a, b in zip(graph.effects, other.effects, strict=True)
        )
    )


def _is_copy(node: Node) -> bool:
    return node.op == "clone" and not node.no_grad


def _copied(value: Value | None) -> Value | None:
    """What a value is a copy of."""
    while value is not None and value.node is not None and _is_copy(value.node):
        value = value.node.inputs[0]
    return value


def _form(node: Node) -> tuple[Any, ...]:
    return node.op, node.list_length, node.no_grad, len(node.inputs), len(node.outputs), len(node.graphs)


def _close(a: Any, b: Any, precision: float) -> bool:
    if type(a) is tuple and type(b) is tuple:
        return len(a) == len(b) and all(_close(x, y, precision) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, (int, float)):
        return a == b or abs(a - b) <= precision * abs(b) or (a != a and b != b)
    return bool(a == b)


def _precision(dtype: Any) -> float:
    """By how much of its size a number may differ that was rounded to this dtype."""
    return 4 * float(finfo(dtype).eps) if dtype.is_floating_point else 0.0


def _fits(shape: tuple[int | Expr, ...], size: tuple[int, ...], sizes: Sizes) -> bool:
    known = [(a, b) for a, b in zip(shape, size) if not isinstance(a, Unknown)]
    return len(shape) == len(size) and all(at(a, sizes) == b for a, b in known)


class _Merge:
    """Writes into the first of several graphs what changes between them."""

    def __init__(self, graphs: list[Graph], points: Sequence[Sizes], names: Sequence[str]) -> None:
        self.graphs, self.points, self.names = graphs, points, names
        self.pairs: list[dict[int, Value]] = [{} for _ in graphs]  # value of graph k -> value of the first
        self.done: set[int] = set()
        self.fits: dict[tuple[Any, ...], Any] = {}

    def run(self) -> None:
        first = self.graphs[0]
        for k, graph in enumerate(self.graphs):
            for mine, theirs in zip(first.inputs, graph.inputs, strict=True):
                self.pairs[k][id(theirs)] = mine
        for i in range(max(len(graph.nodes) for graph in self.graphs)):
            if any(i >= len(graph.nodes) for graph in self.graphs):
                self.refuse(
                    next(g.nodes[i] for g in self.graphs if i < len(g.nodes)), "only some sizes come to this step"
                )
            self.node([graph.nodes[i] for graph in self.graphs])
        for values in zip(*[graph.inputs for graph in self.graphs], strict=True):
            self.shape(values)
        ends = [[*graph.outputs, *[effect.value for effect in graph.effects]] for graph in self.graphs]
        if len({len(end) for end in ends}) > 1 or len({graph.out_tree for graph in self.graphs}) > 1:
            raise TraceError(
                f"HX1702 {first.name} returns something else for other sizes of {self.which()}: {first.out_tree} and "
                f"{next((g.out_tree for g in self.graphs if g.out_tree != first.out_tree), first.out_tree)}",
                code="HX1702",
            )
        for row in zip(*ends, strict=True):
            self.taken(row, None)

    def fit(self, row: Sequence[Any], precision: float = 1e-15) -> Any | None:
        key = (type(row[0]), tuple(row), precision)
        if key not in self.fits:
            self.fits[key] = fit(row, self.points, self.names, precision)
        return self.fits[key]

    def which(self) -> str:
        return " or ".join(self.names)

    def refuse(self, node: Node | None, what: str) -> None:
        where = f" at {node.where}" if node is not None and node.where else ""
        raise TraceError(
            f"HX1702 dimension {self.which()} is fixed by the traced function{where}: {what}. Choose with helix.where or "
            "helix.cond, compute with tensors, give the dimension multiple_of= where a size is rounded, or pass a size instead",
            code="HX1702",
            argument=self.which(),
        )

    def node(self, nodes: list[Node]) -> None:
        first = nodes[0]
        if any(node.op != first.op or len(node.inputs) != len(first.inputs) for node in nodes):
            other = next(node for node in nodes if node.op != first.op or len(node.inputs) != len(first.inputs))
            self.refuse(first, f"it calls {first.op} for some sizes, and {other.op} for others")
        for values in zip(*[node.inputs for node in nodes], strict=True):
            self.taken(values, first)
        if len({node.list_length for node in nodes}) > 1:
            self.refuse(first, f"{first.op} takes a list whose length changes with the size")
        first.attributes = tuple(
            [self.attribute(row, first) for row in zip(*[n.attributes for n in nodes], strict=True)]
        )
        for bodies in zip(*[node.graphs for node in nodes], strict=True):
            _Merge(list(bodies), self.points, self.names).run()
        for values in zip(*[node.outputs for node in nodes], strict=True):
            self.shape(values)
            for k, value in enumerate(values):
                self.pairs[k][id(value)] = values[0]

    def attribute(self, row: tuple[Any, ...], node: Node) -> Any:
        first = row[0]
        if all(type(a) is type(first) and a == first for a in row):
            return first
        if type(first) is tuple and all(type(a) is tuple and len(a) == len(first) for a in row):
            return tuple([self.attribute(part, node) for part in zip(*row, strict=True)])
        made = self.fit(row)
        if made is None:
            self.refuse(node, f"an argument of {node.op} changes from {first!r} to {next(a for a in row if a != first)!r}, which is no "
                        "sum of products of dimensions")  # fmt: skip
        return made

    def taken(self, values: Sequence[Value | None], node: Node | None) -> None:
        """Checks that the same value is taken in all graphs."""
        first = values[0]
        if all(value is None for value in values):
            return
        kinds = {None if value is None else value.kind for value in values}
        if first is None or len(kinds) > 1:
            self.refuse(node, "other values are taken for other sizes")
        elif first.kind == "number":
            if id(first) not in self.done:
                self.done.add(id(first))
                first.source = self.number([v.source for v in values if v is not None], first.dtype, node)
        elif first.kind in ("parameter", "buffer", "constant"):
            if not all(value is not None and _same_tensor(first.source, value.source) for value in values):
                self.refuse(
                    node, f"the tensor {first!r}, which is made of Python values, changes with the size; make it of ops"
                )
        elif not all(self.pairs[k].get(id(value)) is first for k, value in enumerate(values)):
            self.refuse(node, "other values are taken for other sizes")

    def number(self, row: Sequence[Any], dtype: Any, node: Node | None) -> Any:
        made = self.fit(row, _precision(dtype))
        if made is None:
            self.refuse(node, f"a number in it changes from {row[0]!r} to {next(a for a in row if a != row[0])!r}, which is no sum of "
                        "products of dimensions nor one divided by one")  # fmt: skip
        return made

    def shape(self, values: Sequence[Value]) -> None:
        shapes = [value.shape for value in values]
        if any(len(shape) != len(shapes[0]) for shape in shapes):
            self.refuse(values[0].node, f"the number of axes of {values[0]!r} changes")
        made = []
        for row in zip(*shapes, strict=True):
            found = self.fit(row)
            made.append(Unknown() if found is None else found)
        values[0].shape = tuple(made)


def _same_tensor(a: Tensor, b: Tensor) -> bool:
    if a is b:
        return True
    return a.shape == b.shape and a.dtype is b.dtype and bool((a.isnan() & b.isnan() | (a == b)).all())
