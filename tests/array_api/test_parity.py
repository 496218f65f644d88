"""helix.array_api beside array_api_strict: the same calls give the same dtypes, shapes and values."""

from __future__ import annotations

import inspect
import math

import array_api_strict
import numpy as np
import pytest

from helix import array_api

from .samples import FAMILIES, Type, calls, elementwise

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of infinities

NAMES = [name for name in array_api_strict.__all__ if not name.startswith("_") and "flags" not in name.lower()]
EXTENSIONS = [f"{part}.{name}" for part in ("fft", "linalg") for name in getattr(array_api_strict, part).__all__]
UNSEEN = {  # what no table of calls can hold, and the test that has it instead
    "can_cast", "empty", "empty_like", "finfo", "from_dlpack", "iinfo", "isdtype", "result_type", "Device",
    "linalg.eig", "linalg.eigh", "linalg.eigvals", "linalg.qr", "linalg.svd",
}  # fmt: skip


def found(namespace, name):
    for part in name.split("."):
        namespace = getattr(namespace, part)
    return namespace


def given(namespace, value):
    if isinstance(value, np.ndarray):
        return namespace.asarray(value)
    if isinstance(value, Type):
        return getattr(namespace, value.name)
    return type(value)(given(namespace, v) for v in value) if type(value) in (tuple, list) else value


def result(namespace, call):
    keywords = {name: given(namespace, value) for name, value in call.keywords.items()}
    return found(namespace, call.name)(*(given(namespace, value) for value in call.args), **keywords)


def check(got, wanted, call):
    if isinstance(wanted, tuple) and not hasattr(wanted, "dtype"):
        assert len(got) == len(wanted), call
        assert getattr(got, "_fields", None) == getattr(wanted, "_fields", None), call
        return [check(g, w, call) for g, w in zip(got, wanted)]
    if not isinstance(wanted, array_api_strict._array_object.Array):
        assert got == wanted, call
        return None
    assert isinstance(got, array_api.Array), call
    assert got.dtype.name == str(wanted.dtype).rpartition(".")[2], f"{call} {got.dtype}"
    assert got.shape == wanted.shape, f"{call} {got.shape}"
    got, wanted = np.asarray(got), np.asarray(wanted)
    tolerance = {"float32": 2e-5, "complex64": 2e-5, "float64": 1e-12, "complex128": 1e-12}.get(str(wanted.dtype), 0)
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance, err_msg=str(call))
    if got.dtype.kind == "f":
        zero = wanted == 0
        if call.name in ("abs", "ceil", "floor", "round", "trunc", "copysign", "multiply", "negative", "sign", "sqrt"):
            assert (np.signbit(got[zero]) == np.signbit(wanted[zero])).all(), call
    return None


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_calls(family):
    for call in calls(family):
        check(result(array_api, call), result(array_api_strict, call), call)


def test_every_function_is_called():
    seen = {call.name for family in FAMILIES for call in calls(family)}
    functions = {name for name in (*NAMES, *EXTENSIONS) if callable(found(array_api_strict, name))}
    types = {name for name in NAMES if isinstance(found(array_api_strict, name), array_api_strict._dtypes.DType)}
    assert functions - types - seen - UNSEEN == set()


def test_a_wrong_value_is_seen():
    call = next(call for call in calls(elementwise) if call.name == "abs")
    with pytest.raises(AssertionError):
        check(array_api.add(result(array_api, call), 1), result(array_api_strict, call), call)


def kind_and_default(parameter):
    default = parameter.default
    return parameter.kind, None if "Undef" in type(default).__name__ else default


@pytest.mark.parametrize("name", sorted({*NAMES, *EXTENSIONS} - {"Device"}))
def test_names_and_signatures(name):
    mine, theirs = found(array_api, name), found(array_api_strict, name)
    if not inspect.isfunction(theirs):
        assert isinstance(mine, float) == isinstance(theirs, float)
        return
    mine, theirs = inspect.signature(mine).parameters, inspect.signature(theirs).parameters
    assert list(mine) == list(theirs)
    for parameter in mine:
        if name == "from_dlpack":
            assert mine[parameter].kind == theirs[parameter].kind
            continue
        assert kind_and_default(mine[parameter]) == kind_and_default(theirs[parameter]), parameter


def test_constants():
    assert (array_api.e, array_api.pi, array_api.inf, array_api.newaxis) == (math.e, math.pi, math.inf, None)
    assert math.isnan(array_api.nan)


DTYPES = [name for name in NAMES if isinstance(found(array_api_strict, name), array_api_strict._dtypes.DType)]


@pytest.mark.parametrize("first", DTYPES)
def test_promotion_and_casts(first):
    """Of two dtypes, as dtypes, arrays and operators, in every combination; refused where array_api_strict refuses."""
    for second in DTYPES:
        mine, theirs = ([getattr(xp, name) for name in (first, second)] for xp in (array_api, array_api_strict))
        assert array_api.can_cast(*mine) == array_api_strict.can_cast(*theirs)
        try:
            wanted = str(array_api_strict.result_type(*theirs)).rpartition(".")[2]
        except TypeError:
            for refuse in (
                array_api.result_type,
                lambda a, b: array_api.equal(array_api.ones(2, dtype=a), array_api.ones(2, dtype=b)),
            ):
                with pytest.raises(TypeError):
                    refuse(*mine)
            continue
        assert array_api.result_type(*mine).name == wanted
        for shapes in ((2, ()), ((), 2), ((), ())):
            x1, x2 = (array_api.ones(shape, dtype=dtype) for shape, dtype in zip(shapes, mine))
            assert array_api.where(array_api.asarray(True), x1, x2).dtype.name == wanted
            assert (x1 == x2).dtype is array_api.bool
            if wanted != "bool":
                assert (x1 + x2).dtype.name == wanted


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", [True, 3, 2.5, 1j, 300])
def test_python_numbers_beside_arrays(dtype, number):
    try:
        x = array_api_strict.ones(2, dtype=getattr(array_api_strict, dtype))
        wanted = array_api_strict.equal(x, number)
        kind = str(array_api_strict.result_type(x, number)).rpartition(".")[2]
    except (TypeError, OverflowError) as error:
        with pytest.raises(type(error)):
            array_api.equal(array_api.ones(2, dtype=getattr(array_api, dtype)), number)
        return
    x = array_api.ones(2, dtype=getattr(array_api, dtype))
    assert np.asarray(array_api.equal(x, number)).tolist() == np.asarray(wanted).tolist()
    assert array_api.result_type(x, number).name == kind


@pytest.mark.parametrize("name", [name for name in NAMES if name in {c.name for c in calls(elementwise)}])
def test_categories(name):
    """A function takes an array of a dtype exactly where array_api_strict's does."""
    for dtype in DTYPES:
        refused = []
        for xp in (array_api_strict, array_api):
            x = xp.ones(2, dtype=getattr(xp, dtype))
            try:
                getattr(xp, name)(*[x] * (2 if len(inspect.signature(getattr(xp, name)).parameters) == 2 else 1))
                refused.append(False)
            except TypeError:
                refused.append(True)
        assert refused[0] == refused[1], dtype
