"""Results against a reference in float64, for every dtype of a sample and in ten memory layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import helix

from .cases import each_sample
from .sample import Sample
from .samples import SAMPLES
from .values import (
    LAYOUTS,
    as_list,
    assert_close,
    assert_same_bits,
    call_helix,
    call_torch,
    convert,
    dtype_name,
    equal_rows,
    numpy_arguments,
    reference,
    resized,
    to_helix,
    tolerance,
)


def check_forward(sample: Sample, dtype: str) -> None:
    arrays = numpy_arguments(sample, dtype)
    got, wanted = as_list(call_helix(sample, arrays)), reference(sample, arrays)
    assert len(got) >= len(wanted)
    rtol, atol = tolerance(sample, dtype)
    for i, (result, truth) in enumerate(zip(got, wanted, strict=False)):
        if truth is not None:
            assert_close(result, truth, rtol, atol, f"{sample.op} {dtype} output {i}")


def check_result_dtype(sample: Sample, dtype: str) -> None:
    """torch computes in the dtype under test too: its result dtypes are ours."""
    arrays = numpy_arguments(sample, dtype)
    try:
        wanted = as_list(call_torch(sample, arrays))
    except (RuntimeError, TypeError, ValueError, NotImplementedError, IndexError):
        return
    for ours, theirs in zip(as_list(call_helix(sample, arrays)), wanted, strict=False):
        assert dtype_name(ours) == dtype_name(theirs), f"{sample.op} on {dtype}"


@each_sample()
def test_against_reference(sample: Sample) -> None:
    for dtype in sample.dtypes:
        check_forward(sample, dtype)


@each_sample(lambda sample: sample.ref is None)
def test_result_dtype_is_torchs(sample: Sample) -> None:
    for dtype in sample.dtypes:
        check_result_dtype(sample, dtype)


def layout_arrays(sample: Sample, dtype: str, layout: str) -> Any:
    arrays = numpy_arguments(sample, dtype)
    return convert(arrays, equal_rows, np) if layout == "stride 0" else arrays


def check_layout(sample: Sample, dtype: str, layout: str) -> None:
    """A layout changes nothing: the same bits where no sum is reordered, else within the tolerance."""
    arrays = layout_arrays(sample, dtype, layout)
    plain = as_list(call_helix(sample, arrays))
    other = as_list(call_helix(sample, arrays, LAYOUTS[layout]))
    rtol, atol = tolerance(sample, dtype)
    for got, wanted in zip(other, plain, strict=True):
        assert_close(got, wanted, rtol, atol, f"{sample.op} {dtype}, {layout}")


@each_sample(lambda sample: sample.layouts)
def test_layouts(sample: Sample) -> None:
    for dtype in sample.dtypes:
        for layout in LAYOUTS:
            check_layout(sample, dtype, layout)


def check_resized(sample: Sample, dtype: str, args: tuple[Any, ...]) -> None:
    """Empty and zero-dimensional inputs: the reference's result, or an error of helix."""
    arrays = numpy_arguments(sample, dtype, args)
    try:
        got = as_list(call_helix(sample, arrays))
    except helix.errors.HelixError:
        return
    try:
        wanted = reference(sample, arrays)
    except Exception:
        return
    for result, truth in zip(got, wanted, strict=False):
        if truth is not None and getattr(truth, "ndim", None) is not None:
            assert_close(result, truth, *tolerance(sample, dtype), f"{sample.op} {dtype}, resized to {args}")


@each_sample(lambda sample: sample.layouts)
def test_empty_and_zero_dimensional(sample: Sample) -> None:
    for axis, size in [(0, 0), (1, 0), (2, 0), (0, None)]:
        args = resized(sample, axis, size)
        if args is not None:
            check_resized(sample, sample.dtypes[0], args)


# ---- the checks themselves -------------------------------------------------------------------------------------


def test_a_wrong_result_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    import tests.ops.values as values

    sample = next(s for s in SAMPLES if s.op == "add")
    right = values.function_of("add")
    monkeypatch.setattr(values, "function_of", lambda op: lambda *a, **k: right(*a, **k) + 1e-3)
    with pytest.raises(AssertionError):
        check_forward(sample, "float64")


def test_an_op_that_ignores_strides_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    import tests.ops.values as values

    sample = next(s for s in SAMPLES if s.op == "exp" and "float32" in s.dtypes)
    right = values.function_of("exp")

    def reads_memory_in_order(x: helix.Tensor) -> helix.Tensor:
        return right(x.as_strided(x.shape, to_helix(np.empty(x.shape)).stride(), 0))

    monkeypatch.setattr(values, "function_of", lambda op: reads_memory_in_order)
    with pytest.raises(AssertionError):
        check_layout(sample, "float32", "step 2")
    check_layout(sample, "float32", "misaligned")


def test_same_bits_tells_apart() -> None:
    with pytest.raises(AssertionError):
        assert_same_bits(np.float32([1.0]), np.float32([1.0000001]), "")


def test_memory_that_is_not_aligned_is_refused() -> None:
    odd = np.frombuffer(bytearray(41), np.uint8)[1:].view(np.float32)
    with pytest.raises(helix.errors.ParameterError, match="aligned"):
        helix.from_numpy(odd)
