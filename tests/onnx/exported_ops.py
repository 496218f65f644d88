"""Every sample of every op, exported and run beside helix: what `test_export_ops.py` checks and the table of docs/onnx.md is made of."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import helix
from helix.errors import HelixError, TraceError, UnsupportedOpError
from helix.onnx.parts import taken_apart
from helix.onnx.rounding import Rounding
from helix.onnx.writing.model import model_of
from tests.ops.records import RECORDS
from tests.ops.sample import Sample
from tests.ops.values import as_list, call_helix, leaves, numpy_arguments


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
        tensors = [helix.tensor(a) for a in given]
        expected = [p for r in graph(*tensors) for p in parts(r.numpy())]
        bounds = Rounding(written.graph, {}, tensors, list(written.graph.outputs))
        for a, b in zip(expected, found, strict=True):
            if (a.shape, a.dtype) != (b.shape, b.dtype):
                return "differs", f"{b.dtype}{b.shape} in place of {a.dtype}{a.shape}"
        for who, made in (("onnxruntime", found), ("helix", expected)):
            right = bounds.explains(made)
            if not all(right):
                i = right.index(False)
                used = bounds.used(i, made[i])
                return (
                    "differs",
                    f"{who}: {(used > 1).sum()} of {used.size} elements, {used.max():.1e} times what is allowed",
                )
    return "ok", ""


def is_public(op: str) -> bool:
    return op in RECORDS and "internal" not in RECORDS[op]["flags"]
