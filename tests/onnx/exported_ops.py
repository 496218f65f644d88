"""Every sample of every op, exported and run beside helix: what `test_export_ops.py` checks and the table of docs/onnx.md is made of."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import helix
from helix.errors import HelixError, TraceError, UnsupportedOpError
from helix.onnx.checking import difference
from helix.onnx.parts import taken_apart
from helix.onnx.writing.model import model_of
from tests.ops.records import RECORDS
from tests.ops.sample import Sample
from tests.ops.values import as_list, call_helix, leaves, numpy_arguments

LIMITS = {"float32": 3e-5, "complex64": 3e-5, "float64": 1e-9, "complex128": 1e-9, "float16": 1e-2, "bfloat16": 3e-2}


def parts(array: Any) -> list[Any]:
    array = np.asarray(array)
    return [array.real, array.imag] if array.dtype.kind == "c" else [array]


def graph_of(sample: Sample, arrays: tuple[Any, ...]) -> helix.graph.Graph:
    def function(*given: helix.Tensor) -> Any:
        rest = iter(given)
        made = call_helix(sample, arrays, lambda _: next(rest))
        return [r for r in as_list(made) if isinstance(r, helix.Tensor)]

    return helix.trace(function, *[helix.tensor(array) for array in leaves(arrays, np.ndarray)])


def outcome(sample: Sample, dtype: str, opset: int = 20) -> tuple[str, str]:
    """("ok", ""), ("refused", why), ("untraceable", why), ("no kernel", why) or ("differs", how)."""
    import onnx
    import onnxruntime

    if dtype == "bfloat16":
        return "no kernel", "NumPy has no bfloat16 that onnxruntime takes"
    arrays = numpy_arguments(sample, dtype)
    given = [np.asarray(array) for array in leaves(arrays, np.ndarray)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            graph = graph_of(sample, arrays)
        except (TraceError, HelixError, TypeError) as error:
            return "untraceable", str(error)
        if graph.effects:
            return "refused", "it writes in place"
        try:
            written = model_of(
                taken_apart(graph.copy()),
                opset,
                [v.name for v in graph.inputs],
                [f"out{i}" for i in range(len(graph.outputs))],
            )
        except UnsupportedOpError as error:
            return "refused", str(error)
        onnx.checker.check_model(written.proto, full_check=True)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(
                written.proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            if "NOT_IMPLEMENTED" in str(error):
                return "no kernel", str(error)
            raise
        feeds = dict(zip(written.inputs, [p for array in given for p in parts(array)], strict=True))
        found = session.run(written.outputs, feeds)
        expected = [p for r in graph(*[helix.tensor(a) for a in given]) for p in parts(r.numpy())]
    for a, b in zip(expected, found, strict=True):
        off = difference(a, b)
        if not off <= LIMITS.get(a.dtype.name, 0.0):
            return "differs", f"{off:.1e} {a.dtype}{a.shape} {b.dtype}{b.shape}"
    return "ok", ""


def is_public(op: str) -> bool:
    return op in RECORDS and "internal" not in RECORDS[op]["flags"]
