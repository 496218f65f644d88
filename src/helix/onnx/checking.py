"""Running a written model beside helix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import helix

from .._core import Tensor
from ..graph.ir import Graph, Value
from ..graph.symbols import Dim, at
from .rounding import REFERENCE, Rounding, arrays
from .writing.faults import differs

_STEPS = 64  # of views and casts between an input and the table it points into


def compared(
    onnx: Any, path: Path, written: Any, run: Callable[[list[Tensor]], list[Tensor]], graph: Graph, given: list[Any],
    tolerance: float | None,
) -> tuple[str, float]:  # fmt: skip
    """What ran the model, and the largest difference.

    Raises ExportError (HX4031) where the checker refuses it, a runtime fails, or a result differs by more than rounding explains, or the
    tolerance where one is given.
    """
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # of several kinds, all about the model
        raise differs(f"onnx's checker refuses the model: {_first_line(error)}") from error
    session, told = opened(onnx, path)
    least = REFERENCE if told.startswith("onnx.reference") else 0.0
    worst = 0.0
    for turn, sizes in enumerate(_sizes(graph.dims)):
        values = [_value(value, leaf, sizes, turn) for value, leaf in zip(graph.inputs, given, strict=True)]
        leaves = [helix.tensor(value) for value in values]
        ours = [part for tensor in run(leaves) for part in arrays(tensor)]
        try:
            theirs = session(dict(zip(written.inputs, _split(values), strict=True)), written.outputs)
        except Exception as error:
            raise differs(f"{told} fails with the model at {_told(sizes)}: {_first_line(error)}") from error
        wrong = _wrong(written, sizes, leaves, ours, theirs, tolerance, least)
        if wrong is not None:
            i, how = wrong
            where = first_difference(onnx, path, written, sizes, leaves, tolerance, least)
            raise differs(f"{told} computes another {written.outputs[i]} than helix at {_told(sizes)}: {how}{where}")
        worst = max([worst, *[difference(a, b) for a, b in zip(ours, theirs, strict=True)]])
    return told, worst


def _wrong(
    written: Any, sizes: dict[str, int], leaves: list[Tensor], ours: list[Any], theirs: list[Any], tolerance: float | None,
    least: float,
) -> tuple[int, str] | None:  # fmt: skip
    """The first result that differs by more than rounding explains, or than the tolerance, and how."""
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            return i, f"it is {b.dtype.name}{list(b.shape)} in place of {a.dtype.name}{list(a.shape)}"
        off = difference(a, b)
        if tolerance is not None and not off <= tolerance:
            return i, f"it differs by {off:.1e} of the largest element, allowed are {tolerance:.1e}"
    if tolerance is not None:
        return None
    bounds = Rounding(written.graph, sizes, leaves, list(written.graph.outputs), least)
    for who, found in (("", theirs), ("the module itself, which its graph does not repeat: ", ours)):
        right = bounds.explains(found)
        if not all(right):
            i = right.index(False)
            return i, who + _beyond(bounds, i, found[i])
    return None


def _beyond(bounds: Rounding, i: int, found: Any) -> str:
    used = bounds.used(i, found)
    at = np.unravel_index(int(np.argmax(used)), used.shape)
    place = f"element {[int(k) for k in at]}" if used.ndim else "it"
    many = int((used > 1).sum())
    rest = (
        f"{many} of {used.size} elements are beyond that"
        if many
        else "too many elements differ by a large part of that"
    )
    return (
        f"{place} is {found[at]:.9g}, where float64 gives {bounds.exact[i][at]:.9g} and rounding explains a difference of "
        f"{bounds.allowed[i][at]:.1e}; {rest}"
    )


def opened(onnx: Any, path: Path) -> tuple[Callable[[dict[str, Any], list[str]], Any], str]:
    """What runs the model, and its name."""
    path = _without_bfloat16(onnx, path)
    reason = "onnxruntime is not installed"
    try:
        import onnxruntime
    except ImportError:
        pass
    else:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            return lambda feeds, names: session.run(names, feeds), f"onnxruntime {onnxruntime.__version__}"
        except Exception as error:
            if "ValidateOpset" in str(error):
                reason = f"onnxruntime {onnxruntime.__version__} does not know this operator set yet"
            elif "NOT_IMPLEMENTED" in str(error):
                reason = f"onnxruntime {onnxruntime.__version__} has no kernel for a dtype in it"
            else:
                raise differs(f"onnxruntime cannot read the model: {_first_line(error)}") from error
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(str(path))
    return lambda feeds, names: evaluator.run(names, feeds), f"onnx.reference, as {reason}"


def _without_bfloat16(onnx: Any, path: Path) -> Path:
    """NumPy has no bfloat16 that runtimes take: a model beside the first one, whose inputs and outputs are float32 instead."""
    proto = onnx.load(str(path), load_external_data=False)
    narrow, wide = onnx.TensorProto.BFLOAT16, onnx.TensorProto.FLOAT
    ends = [value for value in (*proto.graph.input, *proto.graph.output) if value.type.tensor_type.elem_type == narrow]
    if not ends:
        return path
    nodes = list(proto.graph.node)
    for value in proto.graph.input:
        if value in ends:
            nodes.insert(0, onnx.helper.make_node("Cast", [value.name], [f"{value.name}:narrow"], to=narrow))
    renamed = {value.name: f"{value.name}:narrow" for value in ends}
    for node in nodes[sum(value in ends for value in proto.graph.input) :]:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for value in proto.graph.output:
        if value in ends:
            nodes.append(onnx.helper.make_node("Cast", [renamed[value.name]], [value.name], to=wide))
    for value in ends:
        value.type.tensor_type.elem_type = wide
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    made = path.with_name("wide-" + path.name)
    onnx.save_model(proto, made)
    return made


def _split(values: list[Any]) -> list[Any]:
    return [
        part
        for value in values
        for part in ([value.real, value.imag] if value.dtype.kind == "c" else [_widened(value)])
    ]


def _widened(array: Any) -> Any:
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def difference(a: Any, b: Any) -> float:
    """The largest difference as a part of the largest finite element; infinite where shapes, or what is not finite, differ."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    if a.dtype.kind in "biu":
        return 0.0 if bool((a == b).all()) else float("inf")
    a, b = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(a)
    if not (np.array_equal(finite, np.isfinite(b)) and np.array_equal(a[~finite], b[~finite], equal_nan=True)):
        return float("inf")
    if not finite.any():
        return 0.0
    off, size = np.abs(a[finite] - b[finite]).max(), np.abs(a[finite]).max()
    return float(off / size) if size else float(off)


# ---- inputs ------------------------------------------------------------------------------------------------


def _sizes(dims: tuple[Dim, ...]) -> list[dict[str, int]]:
    """Two sizes for each dimension, where there are two."""
    if not dims:
        return [{}]
    found: list[dict[str, int]] = []
    for wanted in (3, 6):
        sizes = {}
        for i, dim in enumerate(dims):
            step = dim.multiple_of
            size = -(-max(wanted + i, dim.min + (wanted == 6)) // step) * step
            sizes[dim.name] = size if dim.max is None or size <= dim.max else dim.max // step * step
        found.append(sizes)
    return found if found[0] != found[1] else found[:1]


def _told(sizes: dict[str, int]) -> str:
    return ", ".join(f"{name} = {size}" for name, size in sizes.items()) or "the traced sizes"


def _value(value: Value, leaf: Any, sizes: dict[str, int], seed: int) -> Any:
    """A tensor that was given is used at its own sizes; else numbers are drawn."""
    shape = at(value.shape, sizes)
    if isinstance(leaf, Tensor) and leaf.shape == shape:
        return np.array(leaf.detach().numpy())
    rng = np.random.default_rng(seed)
    kind = value.dtype
    if kind.is_floating_point or kind.is_complex:
        made = rng.standard_normal(shape)
        made = made + 1j * rng.standard_normal(shape) if kind.is_complex else made
        return np.asarray(helix.tensor(made).to(kind).numpy())
    if kind.name == "bool":
        return np.asarray(rng.integers(0, 2, shape).astype(bool))
    return np.asarray(rng.integers(0, _bound(value), shape).astype(kind.name))


def _bound(value: Value) -> int:
    """Numbers below it are places in every table that the input points into."""
    least, waiting, seen = 100, [value], 0
    while waiting and seen < _STEPS:
        seen += 1
        now = waiting.pop()
        for node in now.users:
            table = None
            if node.op == "embedding" and node.inputs[0] is now:
                table = node.inputs[1].shape[0]  # type: ignore[union-attr]
            elif node.op in ("index_select", "gather", "scatter", "scatter_add") and node.inputs[1] is now:
                table = node.inputs[0].shape[node.attributes[0]]  # type: ignore[union-attr]
            elif node.op in (
                "cast",
                "reshape",
                "view",
                "unsqueeze",
                "squeeze",
                "expand",
                "transpose",
                "slice",
                "clone",
            ):
                waiting += node.outputs
            if isinstance(table, int):
                least = min(least, table)
            elif table is not None:
                least = min(least, 2)
    return max(least, 1)


# ---- where they part ---------------------------------------------------------------------------------------


def first_difference(
    onnx: Any, path: Path, written: Any, sizes: dict[str, int], leaves: list[Tensor], tolerance: float | None, least: float
) -> str:  # fmt: skip
    """Of the nodes that were written, the first whose result differs, for a message."""
    graph = written.graph
    known = {name for node in written.proto.graph.node for name in node.output}
    pairs = [
        (node, value, written.names[id(value)])
        for node in graph.nodes
        for value in node.outputs
        if written.names.get(id(value)) in known and not value.dtype.is_complex
    ]
    if not pairs:
        return ""
    proto = onnx.load(str(path), load_external_data=False)
    have = {output.name for output in proto.graph.output}
    for *_, name in pairs:
        if name not in have:
            have.add(name)
            proto.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    wide = path.with_name("all-" + path.name)
    onnx.save_model(proto, wide)
    try:
        session, _ = opened(onnx, wide)
        feeds = dict(zip(written.inputs, _split([leaf.numpy() for leaf in leaves]), strict=True))
        found = session(feeds, [name for _, _, name in pairs])
    except Exception:
        return ""
    bounds = Rounding(graph, sizes, leaves, [value for _, value, _ in pairs], least)
    if tolerance is None:
        right = [a.shape == b.shape for a, b in zip(bounds.exact, found, strict=True)]
        right = bounds.explains(found) if all(right) else right
    else:
        right = [difference(a.astype(b.dtype), b) <= tolerance for a, b in zip(bounds.exact, found, strict=True)]
    if all(right):
        return ""
    node, _, name = pairs[right.index(False)]
    return f". The first node that differs is {node.op}{f', made at {node.where}' if node.where else ''} ({name})"


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:400] if str(error).strip() else type(error).__name__
