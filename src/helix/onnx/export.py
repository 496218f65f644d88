"""helix.onnx.export: a module or graph as an ONNX model, which is run beside helix before it is kept."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from .._core import Tensor
from ..autograd import no_grad
from ..data.extras import needed
from ..errors import ParameterError
from ..graph.ir import Graph
from ..graph.spec import Spec
from ..graph.symbols import Dim
from ..graph.tracing import _leaf_names, input_names, trace
from ..graph.tree import Tree, flatten
from ..nn.module import Module
from .module import OnnxModule
from .parts import taken_apart
from .writing.faults import refused

OPSET = 20  # what is written unless another is asked for: runtimes since 2024 read it
OLDEST = 18
LARGE = 1_900_000_000  # bytes of weights from which they go to a file beside the model: a protobuf ends at 2 GB


@dataclass(frozen=True)
class Exported:
    """What was written, and how it was checked."""

    path: Path
    opset: int
    nodes: int
    operators: dict[str, int]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    external: Path | None  # the file of the weights, where it is one of its own
    checked: str  # what ran the model beside helix; "" if nothing did
    error: float  # the largest difference, as a part of the largest element of its result

    def __str__(self) -> str:
        told = f"checked with {self.checked}, largest difference {self.error:.1e}" if self.checked else "not checked"
        return f"{self.path}: {self.nodes} nodes, opset {self.opset}; {told}"


def export(
    model: Module | Graph | Callable[..., Any],
    path: str | os.PathLike[str],
    args: Any = None,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic: Mapping[str, Mapping[int, str | Dim]] | None = None,
    opset: int = OPSET,
    check: bool = True,
    external_data: bool | None = None,
    tolerance: float | None = None,
    training: bool = False,
) -> Exported:
    """Writes a module, a function or a graph as an ONNX model (operators of the standard alone), and checks it.

    args: as for `helix.trace`: a tensor or `Spec` for each argument, in a tuple or list where there are several; sizes that are
        `Dim("B")` stay open in the model, under that name. Not for a graph, which has its own.
    input_names, output_names: one for each tensor; by default the names of parameters, and "output" or "output.0", …; those of the
        file where the model was read from one.
    dynamic: {input name: {axis: name}}: the same as dimensions in args.
    opset: of the standard, from 18. check: the model is checked by onnx, run by onnxruntime (by onnx's reference where that is not
        installed, or has no kernel) on random inputs at two sizes of each dimension, and compared with the graph in float64.
    external_data: weights in a file of their own beside the model; by default where they take 1.9 GB or more.
    tolerance: largest difference to the module, as a part of the largest element of a result; by default what rounding explains,
        element by element. training: trace in the mode the module is in, in place of eval mode.

    The file appears under its name when all is done, and not at all where something fails.

    Raises MissingExtraError (HX2201) without the package onnx; UnsupportedOpError (HX4030) for what ONNX cannot express, with op,
    module and line; ExportError (HX4031) where the model computes something else, with the first node that does; what
    `helix.trace` raises.

    Example:
        >>> from helix.graph import Dim, Spec
        >>> model = helix.nn.Sequential(helix.nn.Linear(4, 8), helix.nn.ReLU())
        >>> done = helix.onnx.export(model, path, Spec((Dim("B"), 4)))  # doctest: +SKIP
    """
    onnx = needed("onnx", "onnx", "helix.onnx.export")
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST <= opset <= newest:
        raise ParameterError(
            f"HX1403 helix.onnx.export: opset must be {OLDEST} to {newest}, got {opset}.", op="export", code="HX1403",
            argument="opset", got=opset,
        )  # fmt: skip
    if tolerance is not None and not (isinstance(tolerance, (int, float)) and tolerance >= 0):
        raise ParameterError(
            f"HX1403 helix.onnx.export: tolerance must be a number of 0 or more, or None, got {tolerance!r}.", op="export",
            code="HX1403", argument="tolerance", got=tolerance,
        )  # fmt: skip
    graph, given = _graph_of(model, args, dynamic, training)
    ins, outs = [value.name for value in graph.inputs], _output_names(graph)
    if isinstance(model, OnnxModule):  # what was read keeps its names
        ins, outs = model.input_names, model.output_names
    ins, outs = _names(input_names, ins, "input_names"), _names(output_names, outs, "output_names")
    if graph.effects:
        effect = graph.effects[0]
        raise refused(
            f"{graph.name} cannot be exported: it writes {effect.target!r} in place, and an ONNX model keeps no state; "
            "export in eval mode, or return the new value"
        )
    from .writing.model import model_of

    written = model_of(taken_apart(graph.copy()), opset, ins, outs)
    target = Path(path)
    with _workplace(target) as room:
        external = _store(onnx, written.proto, room / target.name, external_data)
        told, error = "", 0.0
        if check:
            from .checking import compared

            told, error = compared(
                onnx, room / target.name, written, _runner(model, graph, training), graph, given, tolerance
            )
        if external is not None:
            os.replace(external, target.parent / external.name)
        os.replace(room / target.name, target)
    counts: dict[str, int] = {}
    for node in written.proto.graph.node:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return Exported(
        target, opset, len(written.proto.graph.node), counts, tuple(written.inputs), tuple(written.outputs),
        None if external is None else target.parent / external.name, told, error,
    )  # fmt: skip


# ---- the graph ---------------------------------------------------------------------------------------------


def _graph_of(model: Any, args: Any, dynamic: Any, training: bool) -> tuple[Graph, list[Any]]:
    """The graph, and what was given for its inputs: tensors or specs."""
    if isinstance(model, Graph):
        if args is not None or dynamic:
            raise ParameterError(
                "HX1403 helix.onnx.export: a graph has its own inputs and dimensions; args and dynamic are for modules.",
                op="export", code="HX1403", argument="args",
            )  # fmt: skip
        return model, [Spec(value.shape, value.dtype) for value in model.inputs]
    if args is None:
        raise ParameterError(
            "HX1403 helix.onnx.export: args must hold a tensor or Spec for each argument of the model.",
            op="export", code="HX1403", argument="args",
        )  # fmt: skip
    specs = tuple(args) if isinstance(args, (tuple, list)) and not hasattr(args, "_fields") else (args,)
    leaves, tree = flatten(specs)
    opened = _opened(leaves, input_names(model, tree), dynamic or {})
    with evaluated(model, training), ungraded(model):
        return trace(model if isinstance(model, Module) else _quiet(model), *tree.fill(iter(opened))), leaves


def _quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function without gradients, for which some ops are recorded as their parts."""

    @wraps(function)
    def run(*args: Any) -> Any:
        with no_grad():
            return function(*args)

    return run


@contextmanager
def ungraded(model: Any) -> Iterator[None]:
    """The same for the parameters of a module, whose names a trace finds only where it calls the module itself."""
    parameters = [p for p in model.parameters() if p.requires_grad] if isinstance(model, Module) else []
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def _opened(leaves: list[Any], names: list[str], dynamic: Mapping[str, Mapping[int, str | Dim]]) -> list[Any]:
    """The arguments, with dimensions where `dynamic` says so."""
    for name in dynamic:
        if name not in names:
            raise ParameterError(
                f"HX1403 helix.onnx.export: dynamic names the input {name!r}; there are {', '.join(names)}.",
                op="export", code="HX1403", argument="dynamic",
            )  # fmt: skip
    found = []
    for leaf, name in zip(leaves, names, strict=True):
        if name in dynamic:
            shape = list(leaf.shape)
            for axis, dim in dynamic[name].items():
                shape[axis] = dim if isinstance(dim, Dim) else Dim(dim)
            leaf = Spec(shape, leaf.dtype, leaf.device)
        found.append(leaf)
    return found


@contextmanager
def evaluated(model: Any, training: bool) -> Iterator[None]:
    """The model in eval mode; afterwards each of its modules is as it was."""
    if training or not isinstance(model, Module):
        yield
        return
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in before:
            module.training = mode


def _runner(model: Any, graph: Graph, training: bool) -> Callable[[list[Tensor]], list[Tensor]]:
    """What the model is compared with: the module itself, run eagerly."""

    def run(leaves: list[Tensor]) -> list[Tensor]:
        with no_grad(), evaluated(model, training):
            return flatten(model(*graph.in_tree.fill(iter(leaves))))[0]

    return run


def _output_names(graph: Graph) -> list[str]:
    found: list[str] = []
    _leaf_names(graph.out_tree if graph.out_tree.leaves else Tree(tuple), "output", found)
    return found


def _names(given: Sequence[str] | None, default: list[str], argument: str) -> list[str]:
    names = default if given is None else list(given)
    if len(names) != len(default) or len(set(names)) != len(names) or not all(names):
        raise ParameterError(
            f"HX1403 helix.onnx.export: {argument} must be {len(default)} different names, got {names}.",
            op="export", code="HX1403", argument=argument, got=names,
        )  # fmt: skip
    return names


# ---- the file ----------------------------------------------------------------------------------------------


@contextmanager
def _workplace(target: Path) -> Iterator[Path]:
    """A folder beside the target, gone afterwards: what is moved from it appears at once and whole."""
    room = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _store(onnx: Any, proto: Any, path: Path, external: bool | None) -> Path | None:
    """Writes the model, and where asked or needed its weights to a file beside it."""
    large = sum(len(tensor.raw_data) for tensor in proto.graph.initializer) > LARGE
    if external is False and large:
        raise ParameterError(
            "HX1403 helix.onnx.export: an ONNX file ends at 2 GB; the weights need a file of their own.",
            op="export", code="HX1403", argument="external_data",
        )  # fmt: skip
    apart = large if external is None else external
    beside = path.with_name(path.name + ".data") if apart else None
    if beside is None:
        onnx.save_model(proto, path)
    else:
        onnx.save_model(proto, path, save_as_external_data=True, location=beside.name, size_threshold=1024)
    made = [path, *([beside] if beside is not None and beside.exists() else [])]
    for file in made:
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
    return beside if len(made) > 1 else None
