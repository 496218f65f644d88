"""Errors: what is raised, what it says, and what documents it."""

import inspect
import pickle
import re

import pytest

import helix
from helix import errors


def test_every_class_is_also_a_builtin():
    classes = [
        c
        for _, c in inspect.getmembers(errors, inspect.isclass)
        if issubclass(c, errors.HelixError) and c is not errors.HelixError
    ]
    assert len(classes) >= 18
    for cls in classes:
        assert any(
            base.__module__ == "builtins" and base is not Exception
            for base in cls.__mro__[1:]
            if base not in (object, BaseException)
        )
        assert cls.__doc__
        error = pickle.loads(pickle.dumps(cls("HX1002 add: text", op="add", code="HX1002")))
        assert (type(error), str(error), error.op, error.code) == (cls, "HX1002 add: text", "add", "HX1002")


CASES = [
    (lambda: helix.ones(2, 3) + helix.ones(2), errors.ShapeError, "HX1003", "add"),
    (lambda: helix.ones(2).reshape(3), errors.ShapeError, "HX1005", "reshape"),
    (lambda: helix.ones(2)[2], errors.IndexRangeError, "HX1301", "index"),
    (lambda: helix.sum(helix.ones(2), 3), errors.IndexRangeError, "HX1302", "sum"),
    (lambda: helix.add(helix.ones(1)), errors.ArgumentError, "HX1103", "add"),
    (lambda: helix.add(1, 2, 3), errors.ArgumentError, "HX1103", "add"),
    (lambda: helix.sum(helix.ones(1), dims=1), errors.ArgumentError, "HX1103", "sum"),
    (lambda: helix.sum(helix.ones(1), dim=0, axis=0), errors.ArgumentError, "HX1103", "sum"),
    (lambda: helix.sum(helix.ones(1), 0, dim=0), errors.ArgumentError, "HX1103", "sum"),
    (lambda: helix.sum(helix.ones(1), dim="a"), errors.ArgumentError, "HX1103", "sum"),
    (lambda: helix.sum(helix.ones(1), dim=1.5), errors.ArgumentError, "HX1103", "sum"),
    (lambda: helix.sum(helix.ones(1), dim=2**70), errors.SizeOverflowError, "HX1401", None),
    (lambda: helix.sum("a"), errors.ArgumentError, "HX1103", "sum"),
    (lambda: helix.sum(None), errors.ArgumentError, "HX1103", "sum"),
    (lambda: helix.zeros(-1), errors.ShapeError, None, "zeros"),
    (lambda: helix.zeros(2**40, 2**40), errors.SizeOverflowError, "HX1401", "zeros"),
    (lambda: helix.zeros(2, dtype="nosuch"), errors.ArgumentError, "HX1103", None),
    (lambda: helix.zeros(2, device="nosuch"), errors.DeviceError, "HX5001", None),
    (lambda: helix.add(helix.ones(2), 1, out=helix.ones(3)), errors.ShapeError, "HX1006", "add"),
    (lambda: helix.add(helix.ones(2), 1, out=3), errors.ArgumentError, "HX1103", "add"),
    (lambda: helix.ones(2, dtype=helix.int32).add_(1.5), errors.DTypeError, "HX1102", "add"),
    (lambda: helix.tensor([[1], [2, 3]]), errors.ShapeError, "HX1002", "tensor"),
]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_faults(number):
    call, cls, code, op = CASES[number]
    with pytest.raises(cls) as caught:
        call()
    error = caught.value
    assert re.match(r"HX\d{4} ", str(error)) and str(error).startswith(error.code)
    assert "\n\n" not in str(error) and len(str(error)) < 800
    if code:
        assert error.code == code
    if op:
        assert error.op.rstrip("_") == op and op in str(error)


def test_near_names_are_suggested():
    with pytest.raises(errors.ArgumentError, match="Did you mean keepdim"):
        helix.sum(helix.ones(1), keepdin=True)
    with pytest.raises(errors.ArgumentError, match=r"sum\(input"):
        helix.sum()
    with pytest.raises(AttributeError):
        helix.nosuch
    with pytest.raises(AttributeError):
        helix._core.nosuch


def test_numbers_are_documented():
    codes = errors.codes()
    assert {"HX1002", "HX1103", "HX1501", "HX2003"} <= set(codes)
    for code in codes:
        assert errors.explain(code).startswith(code) and len(errors.explain(code)) > 40
    assert errors.explain(1003) == errors.explain("hx1003")
    with pytest.raises(errors.ShapeError) as caught:
        helix.ones(2) + helix.ones(3)
    assert errors.explain(caught.value) == errors.explain("HX1003")
    for bad in ("HX9999", "what", None):
        with pytest.raises(errors.ParameterError):
            errors.explain(bad)


def test_an_error_leaves_nothing_behind():
    x = helix.ones(2)
    for _ in range(3):
        with pytest.raises(errors.ShapeError):
            x + helix.ones(3)
        assert (x + 1).tolist() == [2, 2]
    before = helix.memory_stats()["live_tensors"]
    for call, cls, _, _ in CASES:
        with pytest.raises(cls):
            call()
    assert helix.memory_stats()["live_tensors"] == before


def test_other_spellings_of_parameters():
    x = helix.ones(2, 3)
    assert helix.sum(x, axis=1).tolist() == helix.sum(x, dim=1).tolist() == [3, 3]
    assert helix.sum(x, axis=0, keepdims=True).shape == (1, 3) and helix.add(x1=x, x2=1).shape == (2, 3)
    assert helix.zeros(shape=(2,)).shape == helix.zeros(size=(2,)).shape == (2,)
    assert x.permute(1, 0).shape == x.permute((1, 0)).shape == x.permute(dims=[1, 0]).shape == (3, 2)


def test_functions_describe_themselves():
    assert helix.add.__name__ == "add" and helix.add.__doc__.startswith("add(input, other")
    assert list(inspect.signature(helix.add).parameters)[:2] == ["input", "other"]
    assert helix.Tensor.add is helix.add and helix.ones(1).add.__self__.tolist() == [1]
    assert "in-place" in helix.Tensor.add_.__doc__.lower() and callable(helix.add)
    x = helix.ones(2)
    assert x.add(1, out=x) is x and x.tolist() == [2, 2]
