"""The forms `name_` and `out=`: the same numbers, written where they belong and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import helix

from .cases import each_sample
from .records import has
from .sample import Sample, T
from .values import (
    as_list,
    assert_same_bits,
    call_helix,
    convert,
    differentiable,
    dtype_name,
    function_of,
    numpy_arguments,
    seed_of,
    to_helix,
)


def has_inplace(sample: Sample) -> bool:
    return has(sample.op, "inplace") and bool(sample.args) and isinstance(sample.args[0], T)


def has_out(sample: Sample) -> bool:
    return has(sample.op, "out") and sample.op not in ("empty", "empty_like", "new_empty")  # what the memory held


def fits(result: Any, target: np.ndarray) -> bool:
    return tuple(result.shape) == target.shape and helix.can_cast(result.dtype, to_helix(target).dtype)


def inplace_of(sample: Sample) -> Callable[..., Any]:
    return function_of(sample.op + "_")


def call_inplace(
    sample: Sample, inplace: Callable[..., Any], target: helix.Tensor, arrays: tuple[Any, ...]
) -> helix.Tensor:
    kwargs = {k: convert(v, to_helix, helix) for k, v in sample.kwargs.items()}
    helix.manual_seed(seed_of(sample))
    return inplace(target, *convert(arrays[1:], to_helix, helix), **kwargs)


def check_numbers(sample: Sample, inplace: Callable[..., Any]) -> None:
    for dtype in sample.dtypes:
        arrays = numpy_arguments(sample, dtype)
        result = as_list(call_helix(sample, arrays))[0]
        if not fits(result, arrays[0]):
            continue
        target = to_helix(arrays[0])
        version = target._version
        returned = call_inplace(sample, inplace, target, arrays)
        assert returned is target, f"{sample.op}_ returns another tensor"
        assert target._version > version, f"{sample.op}_ does not count its write"
        assert_same_bits(target, result.to(target.dtype), f"{sample.op}_ {dtype}")


def check_view(sample: Sample, inplace: Callable[..., Any]) -> None:
    dtype = sample.dtypes[0]
    arrays = numpy_arguments(sample, dtype)
    result = as_list(call_helix(sample, arrays))[0]
    if arrays[0].ndim == 0 or not fits(result, arrays[0]):
        return
    doubled = np.repeat(arrays[0], 2, axis=-1)
    base = to_helix(doubled)
    call_inplace(sample, inplace, base[..., ::2], arrays)
    assert_same_bits(base[..., ::2], result.to(base.dtype), f"{sample.op}_ on a view")
    assert_same_bits(base[..., 1::2], doubled[..., 1::2], f"{sample.op}_ beside the view")


def check_out(sample: Sample, function: Callable[..., Any]) -> None:
    for dtype in sample.dtypes:
        arrays = numpy_arguments(sample, dtype)
        results = as_list(call_helix(sample, arrays))
        if len(results) != 1:
            return
        target = helix.empty(tuple(results[0].shape), dtype=results[0].dtype)
        kwargs = {k: convert(v, to_helix, helix) for k, v in sample.kwargs.items()}
        helix.manual_seed(seed_of(sample))
        returned = function(*convert(arrays, to_helix, helix), **kwargs, out=target)
        assert returned is target, f"{sample.op} returns another tensor than out"
        assert_same_bits(target, results[0], f"{sample.op} out=, {dtype}")


@each_sample(has_inplace)
def test_inplace_writes_the_same_numbers(sample: Sample) -> None:
    check_numbers(sample, inplace_of(sample))


@each_sample(has_inplace)
def test_inplace_on_a_view_writes_the_view_only(sample: Sample) -> None:
    check_view(sample, inplace_of(sample))


@each_sample(lambda s: has_inplace(s) and s.grad)
def test_a_leaf_that_requires_grad_is_refused(sample: Sample) -> None:
    dtype = next((d for d in sample.dtypes if differentiable(d)), None)
    if dtype is None:
        return
    arrays = numpy_arguments(sample, dtype)
    if not differentiable(str(arrays[0].dtype)) or not fits(as_list(call_helix(sample, arrays))[0], arrays[0]):
        return
    leaf = to_helix(arrays[0], requires_grad=True)
    with pytest.raises(helix.errors.GradientError) as caught:
        call_inplace(sample, inplace_of(sample), leaf, arrays)
    assert caught.value.code == "HX1504"
    assert_same_bits(leaf, arrays[0], "the leaf after the refusal")


@each_sample(has_out)
def test_out_is_written_and_returned(sample: Sample) -> None:
    check_out(sample, function_of(sample.op))


def test_overlap_is_handled() -> None:
    """A shifted view of its own memory as operand: as if the operand had been copied first."""
    for shift in (1, 3):
        x = helix.arange(20, dtype=helix.float32)
        wanted = x[:-shift].numpy().copy() + x[shift:].numpy()
        x[shift:].add_(x[:-shift])
        np.testing.assert_array_equal(x[shift:].numpy(), wanted)
        assert dtype_name(x) == "float32"


# ---- controls: planted faults that the checks must see ----

SUM = Sample("add", (T((3, 4)), T((3, 4))), dtypes=("float32",))


def other_numbers(target: helix.Tensor, other: helix.Tensor) -> helix.Tensor:
    return target.add_(other * 2)


def another_tensor(target: helix.Tensor, other: helix.Tensor) -> helix.Tensor:
    return target.add_(other).clone()


def uncounted(target: helix.Tensor, other: helix.Tensor) -> helix.Tensor:
    target.numpy()[...] += other.numpy()
    return target


def beside(target: helix.Tensor, other: helix.Tensor) -> helix.Tensor:
    target.as_strided(target.shape, target.stride(), target.storage_offset() + 1).zero_()
    return target.add_(other)


def ignores_out(input: helix.Tensor, other: helix.Tensor, out: helix.Tensor) -> helix.Tensor:
    return input + other


def half_of_out(input: helix.Tensor, other: helix.Tensor, out: helix.Tensor) -> helix.Tensor:
    helix.add(input[:2], other[:2], out=out[:2])
    out[2:].zero_()
    return out


@pytest.mark.parametrize(
    ("check", "planted", "what"),
    [
        (check_numbers, other_numbers, "add_ float32"),
        (check_numbers, another_tensor, "another tensor"),
        (check_numbers, uncounted, "count its write"),
        (check_view, other_numbers, "on a view"),
        (check_view, beside, "beside the view"),
        (check_out, ignores_out, "than out"),
        (check_out, half_of_out, "add out="),
    ],
)
def test_planted_faults_are_seen(check: Any, planted: Any, what: str) -> None:
    check(SUM, inplace_of(SUM) if check is not check_out else helix.add)
    with pytest.raises(AssertionError, match=what):
        check(SUM, planted)
