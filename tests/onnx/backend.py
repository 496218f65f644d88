"""The node tests that the onnx package ships: each is a model of one operator, inputs, and the outputs to be had.

python -m tests.onnx.backend [--op NAME] [--device sim]      prints what does not pass
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy
import onnx
from onnx import AttributeProto, TensorProto

import helix
import helix.onnx
from helix.onnx.types import CODES

PLAIN = frozenset(CODES.values())
# Where a test cannot be passed: what the standard leaves open, or what is no computation on numbers.
REASONS = {
    "test_training_dropout": "expects the numbers of NumPy's random generator",
    "test_bernoulli": "expects the numbers of NumPy's random generator",
    "test_dft": "float32 gives up to 2e-6 where float64 gives 0, and 1e-7 is asked for",
    "test_basic_deform_conv_with_padding": "float32 gives 2.4e-7 where float64 gives 0, and 1e-7 is asked for",
    "test_attention_4d_causal_fp16": "float16 differs in the last bit of 2 elements of 192, and 1e-3 is asked for",
    "test_image_decoder": "decodes image files, through Pillow; helix.data does that",
}


@dataclass
class Outcome:
    """What became of one test. `error` is empty where it passed."""

    name: str
    op: str
    error: str = ""

    @property
    def passed(self) -> bool:
        return not self.error


def cases() -> list[Any]:
    """All node tests."""
    with warnings.catch_warnings(), numpy.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        return list(load_model_tests(kind="node"))


def is_plain(case: Any) -> bool:
    """Does it use element types that helix has, and no domain of its own?"""
    return all(code in PLAIN for code in _types(case.model.graph)) and "ai.onnx.ml" not in {
        entry.domain for entry in case.model.opset_import
    }


def _types(graph: Any) -> Iterator[int]:
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield from _elements(value.type)
    for tensor in graph.initializer:
        yield tensor.data_type
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t.data_type
            elif attribute.type == AttributeProto.GRAPH:
                yield from _types(attribute.g)
            elif attribute.type in (AttributeProto.STRINGS,) and node.op_type == "Constant":
                yield TensorProto.STRING
            elif attribute.name in ("to", "output_dtype", "dtype") and attribute.i:
                yield attribute.i


def _elements(proto: Any) -> Iterator[int]:
    kind = proto.WhichOneof("value")
    if kind == "tensor_type":
        if proto.tensor_type.elem_type:
            yield proto.tensor_type.elem_type
    elif kind in ("sequence_type", "optional_type"):
        yield from _elements(getattr(proto, kind).elem_type)


def op_of(case: Any) -> str:
    """The operator that a test is about; one that is expanded into its definition begins its names with it."""
    if "_expanded" in case.name:
        for node in case.model.graph.node:
            for name in (*node.input, *node.output):
                if "_expanded_function_" in name:
                    return str(name.split("_", 1)[0]) + " (as defined)"
        return str(case.model.graph.node[0].op_type) + " (as defined)"
    return str(case.model.graph.node[0].op_type)


def attempt(case: Any) -> Outcome:
    """Runs a test, and compares as onnx's own runner does."""
    outcome = Outcome(case.name, op_of(case))
    try:
        model = helix.onnx.load(case.model.SerializeToString())
        for inputs, outputs in case.data_sets:
            made = model.run([_array(x) for x in inputs])
            _compare(made, [_array(x) for x in outputs], case.rtol, case.atol)
    except Exception as error:
        outcome.error = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return outcome


def _array(value: Any) -> Any:
    return onnx.numpy_helper.to_array(value) if isinstance(value, TensorProto) else value


def _compare(made: list[Any], wanted: list[Any], rtol: float, atol: float) -> None:
    assert len(made) == len(wanted), f"{len(made)} outputs, {len(wanted)} expected"
    for got, expected in zip(made, wanted, strict=True):
        if isinstance(expected, (list, tuple)):
            assert isinstance(got, list), f"got {type(got).__name__}, expected a list"
            _compare(got, list(expected), rtol, atol)
        elif expected is None:
            assert got is None
        else:
            expected = numpy.asarray(expected)
            assert got.shape == expected.shape, f"shape {got.shape}, expected {expected.shape}"
            assert got.dtype == expected.dtype, f"dtype {got.dtype}, expected {expected.dtype}"
            if got.dtype.name == "bfloat16":
                got, expected, rtol = got.astype(numpy.float32), expected.astype(numpy.float32), max(rtol, 2**-6)
            numpy.testing.assert_allclose(got, expected, rtol, atol)


def elsewhere(case: Any, device: str) -> str:
    """What goes wrong where the test's inputs lie on a device."""
    model = helix.onnx.load(case.model.SerializeToString())
    inputs, outputs = case.data_sets[0]
    if any(port.kind != "tensor" for port in (*model.inputs, *model.outputs)):
        return ""
    try:
        made = model(*[helix.tensor(_array(x)).to(device) for x in inputs])
        _compare(
            [x.cpu().numpy() for x in (made if isinstance(made, tuple) else (made,))],
            [_array(x) for x in outputs],
            case.rtol,
            case.atol,
        )
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def traced(case: Any) -> str:
    """What goes wrong where the test's model is run as a graph; inputs that tell shapes are given as constants."""
    model = helix.onnx.load(case.model.SerializeToString())
    inputs, outputs = case.data_sets[0]
    if any(port.kind != "tensor" for port in (*model.inputs, *model.outputs)):
        return "HX1702 sequences cannot go into a graph"
    given = {port.name: _array(x) for port, x in zip(model.inputs, inputs)}
    constants = {
        name: given[name]
        for step in model.program.steps
        for i, name in enumerate(step.inputs)
        if name in given and ((step.handler is None and given[name].ndim < 2 and given[name].dtype.kind == "i") or (step.handler and i in step.handler.static))
    }  # fmt: skip
    try:
        graph = model.trace({name: x.shape for name, x in given.items()}, constants)
        made = graph(*[helix.tensor(x) for name, x in given.items() if name not in constants])
        _compare(
            [x.numpy() for x in (made if isinstance(made, tuple) else (made,))],
            [_array(x) for x in outputs],
            case.rtol,
            case.atol,
        )
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def reason(outcome: Outcome) -> str:
    """Why a test does not pass."""
    return next((text for start, text in REASONS.items() if outcome.name.startswith(start)), outcome.error)


def outcomes(chosen: list[Any]) -> list[Outcome]:
    with warnings.catch_warnings(), numpy.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return [attempt(case) for case in chosen]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--op")
    parser.add_argument("--device", help="run those that pass there too")
    options = parser.parse_args()
    start = time.process_time()
    every = cases()
    plain = [case for case in every if is_plain(case) and options.op in (None, op_of(case), case.name)]
    middle = time.process_time()
    found = outcomes(plain)
    for outcome in found:
        if not outcome.passed:
            print(f"{outcome.name} [{outcome.op}]: {reason(outcome)}")
    if options.device:
        helix.set_fallback("host")
        for case, outcome in zip(plain, found, strict=True):
            outcome.error = outcome.error or elsewhere(case, options.device)
            if outcome.error and reason(outcome) not in REASONS.values():
                print(f"{outcome.name} on {options.device}: {outcome.error}")
    passed = sum(outcome.passed for outcome in found)
    print(
        f"{passed} of {len(found)} passed ({len(every)} in all); {middle - start:.1f} s to make, {time.process_time() - middle:.1f} s to run"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
