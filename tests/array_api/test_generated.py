"""helix.array_api beside array_api_strict on arrays that hypothesis draws: indexing, broadcasting, axes."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import array_api_strict
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import array_api
from hypothesis.extra import numpy as arrays

from helix import array_api as xp

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # hypothesis knows the standard of 2024.12
    drawn = array_api.make_strategies_namespace(xp, api_version="2024.12")

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of means over nothing
fixed = settings(
    derandomize=True, max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def values(dtype: st.SearchStrategy, shape: st.SearchStrategy = SHAPES) -> st.SearchStrategy[np.ndarray]:
    return arrays.arrays(dtype, shape, elements=st.integers(0, 100))


NUMBERS = values(st.sampled_from(["int8", "uint16", "int64", "float32", "float64"]))


def same(got, wanted) -> None:
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert got.dtype == wanted.dtype and got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def both(call: Callable, *given: np.ndarray) -> None:
    """The same from both namespaces, or an error from both."""
    try:
        wanted = call(array_api_strict, *(array_api_strict.asarray(x) for x in given))
    except (ValueError, TypeError, IndexError):
        with pytest.raises((ValueError, TypeError, IndexError)):
            call(xp, *(xp.asarray(x) for x in given))
        return
    same(call(xp, *(xp.asarray(x) for x in given)), wanted)


@fixed
@given(st.data())
def test_reading_and_writing_by_index(data):
    shape = data.draw(SHAPES)
    x = data.draw(drawn.arrays(data.draw(drawn.scalar_dtypes()), shape))
    key = data.draw(drawn.indices(shape, allow_newaxis=True))
    wanted = np.array(x.numpy())
    np.testing.assert_array_equal(x[key].numpy(), wanted[key])
    wanted[key] = 1
    x[key] = 1
    np.testing.assert_array_equal(x.numpy(), wanted)


@fixed
@given(NUMBERS, st.data())
def test_integer_arrays_as_indices(x, data):
    if x.ndim == 0 or 0 in x.shape:
        return
    shape = data.draw(arrays.array_shapes(max_dims=2, max_side=3))
    picked = [data.draw(arrays.arrays(np.int64, shape, elements=st.integers(-n, n - 1))) for n in x.shape]
    same(xp.asarray(x)[tuple(xp.asarray(p) for p in picked)], x[tuple(picked)])
    both(lambda m, x, i: m.take(x, m.reshape(i, (-1,)), axis=0), x, picked[0])


@fixed
@given(NUMBERS, NUMBERS)
def test_two_arrays(x1, x2):
    """Any shapes, any dtypes: stretched and promoted alike, or refused alike."""
    for name in ("add", "multiply", "less", "maximum", "hypot", "bitwise_or"):
        both(lambda m, a, b, name=name: getattr(m, name)(a, b), x1, x2)
    for operate in (lambda a, b: a - b, lambda a, b: a == b, lambda a, b: a >= b):
        if x1.dtype.kind == x2.dtype.kind:
            both(lambda m, a, b, operate=operate: operate(a, b), x1, x2)
    both(lambda m, a, b: m.concat([a, b]), x1, x2)
    if x1.dtype.kind == x2.dtype.kind:  # array_api_strict's matmul takes other kinds too
        both(lambda m, a, b: m.matmul(a, b), x1, x2)


@fixed
@given(NUMBERS, st.data())
def test_axes(x, data):
    axis = data.draw(st.none() | st.integers(-5, 4) | st.tuples(st.integers(-4, 3), st.integers(-4, 3)))
    axis = axis if x.ndim else None  # NumPy takes axis 0 of an array without dimensions
    keepdims = data.draw(st.booleans())
    for name in ("sum", "max", "all", "count_nonzero", "mean", "flip"):
        options = {"axis": axis} | ({} if name == "flip" else {"keepdims": keepdims})
        both(lambda m, x, name=name, options=options: getattr(m, name)(x, **options), x)
    if not isinstance(axis, tuple) and x.ndim:
        one = -1 if axis is None else axis
        for name in ("sort", "cumulative_sum", "diff", "roll"):
            options = {"shift": 1} if name == "roll" else {}
            both(lambda m, x, name=name, options=options: getattr(m, name)(x, axis=one, **options), x)
        both(lambda m, x: m.expand_dims(x, axis=one), x)
        both(lambda m, x: m.squeeze(x, axis=one), x)
        both(lambda m, x: m.argmax(x, axis=axis, keepdims=keepdims), x)
    order = tuple(data.draw(st.permutations(range(x.ndim))))
    both(lambda m, x: m.reshape(m.permute_dims(x, order), (-1,)) if x.size else m.permute_dims(x, order), x)
    both(lambda m, x: m.unique_counts(x).counts, x)
