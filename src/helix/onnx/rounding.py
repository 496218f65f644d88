"""How far rounding alone may move the results of a graph.

The graph is run once in float64, which is taken to be exact, and several times in its own dtypes while every number that a node
takes is moved by a few units in its last place. An element may differ from the exact one by as much as it did in those runs: that
is the error of the parts it is made of, seen through all nodes after them, whatever cancels. (Monte Carlo arithmetic: D. S. Parker,
UCLA CSD-970002, 1997.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import helix

from .._core import OpCall, Tensor
from ..autograd import no_grad
from ..errors import HelixError
from ..graph.executor import Program, Step
from ..graph.ir import Graph, Node, Value
from ..graph.symbols import Sizes, at
from ..precision import restored_autocast

RUNS = 8  # moved runs, of which a right model rarely needs more than three
MOVED = {"float16": 2, "bfloat16": 2}  # units in the last place; 16 of the other dtypes
SHARE = 0.25  # of their allowances that the elements of a result may use on the whole: the root mean square
REFERENCE = 2.0**-26  # of onnx's reference, whose erf is good to 1.5e-7
_WIDE = {"float16": helix.float64, "bfloat16": helix.float64, "float32": helix.float64, "complex64": helix.complex128}
_HALVES = {"complex64": "float32", "complex128": "float64"}


class Rounding:
    """The exact values of a graph, and by how much rounding may move each of their elements.

    `exact[i]` and `allowed[i]` are arrays for the i-th of `values`, two for a complex one.
    """

    def __init__(
        self, graph: Graph, sizes: Sizes, leaves: list[Tensor], values: list[Value], least: float = 0.0
    ) -> None:
        self.graph, self.sizes, self.leaves, self.values = graph, sizes, leaves, values
        self.least, self.runs = least, 0
        self.exact = self._observed(Exact(graph, sizes), True)
        kinds = [_real(value) for value in values for _ in range(1 + value.dtype.is_complex)]
        self.allowed = [_least(array, kind, least) for array, kind in zip(self.exact, kinds, strict=True)]

    def explains(self, found: list[Any]) -> list[bool]:
        """Of each array, whether rounding may have made it of the exact one."""
        while True:
            outside = [self._outside(i, array) for i, array in enumerate(found)]
            if self.runs == RUNS or not any(outside):
                return [not out for out in outside]
            self._run()

    def _outside(self, i: int, array: Any) -> bool:
        """Of many elements the one that moved least by chance did so by size^(1/RUNS) times less than it may."""
        used = self.used(i, array)
        within = bool((used <= used.size ** (1 / RUNS)).all())
        return not within or (bool(used.size) and not np.square(used).mean() <= max(SHARE**2, 1 / used.size))

    def used(self, i: int, array: Any) -> Any:
        """Of each element's allowance, the part that its difference takes."""
        exact, allowed = self.exact[i], self.allowed[i]
        if exact.dtype.kind != "f":
            return np.where(array == exact, 0.0, np.where(allowed > 0, 0.5, np.inf))
        with np.errstate(invalid="ignore", over="ignore"):
            off = np.nan_to_num(np.abs(array.astype(np.float64) - exact), nan=np.inf)
            same = (array == exact) | (np.isnan(array) & np.isnan(exact)) | np.isinf(allowed)
            return np.where(same, 0.0, off / allowed)

    def _run(self) -> None:
        """One more moved run, which allows what it does."""
        self.runs += 1
        for i, array in enumerate(self._observed(Moved(self.graph, self.sizes, self.runs, self.least), False)):
            exact = self.exact[i]
            with np.errstate(invalid="ignore", over="ignore"):
                if exact.dtype.kind == "f":
                    array = array.astype(np.float64)
                    gone = np.isfinite(array) != np.isfinite(exact)
                    off = np.where(gone, np.inf, np.nan_to_num(np.abs(array - exact), nan=0.0))
                else:
                    off = (array != exact).astype(np.float64)
            self.allowed[i] = np.maximum(self.allowed[i], off)

    def _observed(self, program: Program, wide: bool) -> list[Any]:
        keys = {id(value) for value in self.values}
        last = {slot for key, slot in program.slots.items() if key in keys}
        for step in program.steps:
            step.free = tuple(slot for slot in step.free if slot not in last)
        slots = program.start.copy()
        for slot, leaf in zip(program.inputs, self.leaves, strict=True):
            slots[slot] = _widened(leaf) if wide else leaf
        for slot, value in program.captured:
            slots[slot] = _widened(value.source) if wide else value.source
        with no_grad(), restored_autocast((None, None)):
            for step in program.steps:
                program.step(step, slots, 0, 0, False)
            return [part for value in self.values for part in arrays(slots[program._taken(value, self.sizes)])]


def arrays(tensor: Tensor) -> list[Any]:
    """The tensor as NumPy arrays: a complex one is two; bfloat16, which NumPy has not, is float32."""
    array = tensor.detach().numpy()
    if array.dtype.kind == "c":
        return [array.real, array.imag]
    return [array.astype(np.float32) if array.dtype.name == "bfloat16" else array]


def _real(value: Value) -> str:
    return _HALVES.get(value.dtype.name, value.dtype.name)


def _unit(kind: str, least: float) -> float:
    """The relative distance by which numbers of a dtype are moved."""
    if kind == "bfloat16":
        return MOVED[kind] * 2.0**-7
    return max(MOVED.get(kind, 16) * float(np.finfo(kind).eps), 16 * least)


def _least(exact: Any, kind: str, least: float) -> Any:
    """What every element may be off by: its own last places, or where it is close to 0 those of the least normal number."""
    if exact.dtype.kind != "f":
        return np.zeros(np.shape(exact))
    tiny = float(np.finfo("float32" if kind == "bfloat16" else kind).tiny)
    with np.errstate(over="ignore"):
        return np.asarray(np.maximum(np.nan_to_num(np.abs(exact), posinf=0.0), tiny) * _unit(kind, least))


# ---- the graph in float64 ----------------------------------------------------------------------------------


def _widened(tensor: Tensor) -> Tensor:
    kind = _WIDE.get(tensor.dtype.name)
    return tensor if kind is None else tensor.detach().to(kind)


class Exact(Program):
    """Runs a graph with all floating numbers in float64; what overflows in the graph's own dtype does here too."""

    def _step(self, node: Node, sizes: Sizes) -> Step:
        step = super()._step(node, sizes)
        plain = step.call
        if not node.graphs and node.op != "transfer":
            attributes = tuple([_wide_attribute(at(a, sizes)) for a in node.attributes])
            step.call = _fallible(OpCall(node.op, attributes, node.list_length, node.device), plain, node)
        return step

    def run(self, leaves: list[Tensor], *rest: Any) -> list[Tensor]:
        return super().run([_widened(leaf) for leaf in leaves], *rest)


def _wide_attribute(attribute: Any) -> Any:
    return _WIDE.get(attribute.name, attribute) if isinstance(attribute, helix.dtype) else attribute


def _fallible(wide: Any, plain: Callable[..., Any], node: Node) -> Callable[..., Any]:
    """The op in float64; as it is where it has no float64."""

    def call(inputs: list[Any], seed: int, first: int) -> list[Tensor]:
        try:
            made = wide(inputs, seed, first)
        except HelixError:
            narrow = [x if v is None or x is None or x.dtype is v.dtype or v.kind == "number" else x.to(v.dtype)
                      for x, v in zip(inputs, node.inputs, strict=True)]  # fmt: skip
            made = plain(narrow, seed, first)
        return [_limited(x, value.dtype.name) for x, value in zip(made, node.outputs, strict=False)]

    return call


def _limited(x: Tensor, kind: str) -> Tensor:
    x = _widened(x)
    if kind not in ("float16", "float32", "bfloat16") or not x.numel():
        return x
    most = float(np.finfo("float16").max) if kind == "float16" else float(np.finfo("float32").max)
    if not float(x.abs().amax()) > most:
        return x
    return helix.where(x.abs() > most, x.sign() * helix.inf, x)


# ---- the graph with every number moved ---------------------------------------------------------------------

# Ops that only say where elements stand.
_MOVES = frozenset(
    [
        "view",
        "reshape",
        "view_as",
        "reshape_as",
        "permute",
        "transpose",
        "t",
        "movedim",
        "expand",
        "expand_as",
        "squeeze",
        "unsqueeze",
        "slice",
        "narrow",
        "select",
        "flip",
        "cat",
        "stack",
        "clone",
        "contiguous",
        "index_select",
        "gather",
        "embedding",
        "as_strided",
        "view_of_base",
        "exchange_part",
        "tril",
        "triu",
        "diagonal",
        "unfold",
        "constant_pad",
        "border_pad",
        "where",
        "masked_fill",
        "split",
        "chunk",
    ]
)
# Ops that runtimes compute to an absolute precision: as good as 1 is, as the argument is, or as the whole row is.
_OF_ONE = frozenset(("sigmoid", "log_softmax", "linear_activation"))
_OF_ARGUMENT = frozenset(("gelu", "silu"))
_OF_ROW = frozenset(("fft_c2c", "fft_r2c", "fft_c2r"))
_LONG = 64  # terms of a sum
_SUMS = frozenset(("sum", "mean", "avg_pool", "adaptive_avg_pool"))


class Moved(Program):
    """Runs a graph with every floating number that a node takes multiplied by 1 plus a random few units in the last place."""

    def __init__(self, graph: Graph, sizes: Sizes, seed: int = 0, least: float = 0.0) -> None:
        self.draw, self.least, self.at = np.random.default_rng(seed), least, sizes
        super().__init__(graph, sizes)

    def _step(self, node: Node, sizes: Sizes) -> Step:
        step = super()._step(node, sizes)
        if node.op not in _MOVES:
            step.call = self._moving(step.call, node)
        return step

    def _moving(self, plain: Callable[..., Any], node: Node) -> Callable[..., Any]:
        def call(inputs: list[Any], seed: int, first: int) -> list[Tensor]:
            more = _factor(node, inputs, self.at)
            taken = [x if i in node.writes or v is None or v.kind == "number" else self.moved(x, more)
                     for i, (x, v) in enumerate(zip(inputs, node.inputs, strict=True))]  # fmt: skip
            made = list(plain(taken, seed, first))
            about = _about(node, inputs, made[0], self.least > 0) if made else None
            if made and node.op in _SUMS:
                about = _partial_sums(node.op, inputs[0], made[0], lambda x: plain([x, *inputs[1:]], seed, first)[0])
            if about is not None:
                made[0] = made[0] + (self.moved(about, more) - about)
            return made

        return call

    def moved(self, x: Any, more: float = 1.0) -> Any:
        if x is None or not (x.is_floating_point() or x.is_complex()):
            return x
        kind = _HALVES.get(x.dtype.name, x.dtype.name)
        by = _unit(kind, self.least) * more * (2 * self.draw.random(x.shape) - 1)
        if x.is_complex():
            by = by + 1j * _unit(kind, self.least) * more * (2 * self.draw.random(x.shape) - 1)
        return x * helix.tensor(1 + by).to(x.dtype).to(x.device)


def _about(node: Node, inputs: list[Any], made: Any, coarse: bool) -> Any:
    """What the first result is as precise as, where that is not itself."""
    if node.op in _OF_ONE or (coarse and node.op == "erf"):
        return helix.ones_like(made)
    if node.op in _OF_ARGUMENT:
        return inputs[0]
    if node.op in _OF_ROW:
        axes = node.attributes[0]
        size = made.abs().square().mean(axes, True).sqrt().expand(made.shape)
        return helix.complex(size, size) if made.is_complex() else size
    return None


def _partial_sums(op: str, x: Tensor, made: Tensor, summed: Callable[[Tensor], Tensor]) -> Tensor | None:
    """What a long sum is as precise as where its n terms are added one after the other: its partial sums, which are as large as the
    sum or as a random walk of the terms, are rounded n times, which together is √n/6 last places; twelve times that is allowed."""
    n = x.numel() // max(made.numel(), 1)
    if n <= _LONG or made.dtype.name not in ("float32", "float64"):  # the half types are summed in float32
        return None
    walk = summed(x.to(helix.float64).square()).sqrt() / (1.0 if op == "sum" else n**0.5)
    return (made.abs() + walk.to(made.dtype)) * (n / _LONG) ** 0.5


def _factor(node: Node, inputs: list[Any], sizes: Sizes) -> float:
    """How many times worse than sums runtimes compute an op."""
    shape = inputs[0].shape if inputs and inputs[0] is not None else ()
    if node.op.startswith("conv") and inputs[1] is not None and inputs[1].shape[2:] == (3, 3):
        return 4.0  # computed from sums of neighbours (Winograd), which are larger than what they cancel to
    if node.op == "resample":  # places within the image are rounded
        return float(max(shape))
    if node.op in ("cumsum", "softmax", "log_softmax") and shape:  # summed one after the other
        return max(1.0, shape[node.attributes[0]] ** 0.5 / 8)
    if (
        node.op in _OF_ROW
    ):  # lengths that are no power of two are made of longer transforms, with angles in single precision
        axes = node.attributes[0]
        lengths = [shape[axis] for axis in (axes if isinstance(axes, tuple) else (axes,))]
        if node.op == "fft_c2r":
            lengths[-1] = at(node.attributes[1], sizes)
        longest = max((n for n in lengths if n & (n - 1)), default=0)
        return max(4.0, longest / 4) if longest else 1.0
    return 1.0
