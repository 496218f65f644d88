"""Errors: what is raised, what it says, and what documents it."""

import inspect
import pathlib
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


ones = helix.ones
FACTS = [  # a call, and what its error says for tools: argument, expected, got, axis
    (lambda: helix.add(ones(2, 3), ones(2, 4)), "other", (2, 3), (2, 4), -1),
    (lambda: helix.where(ones(2) > 0, ones(2), ones(3)), None, (2,), (3,), -1),
    (lambda: helix.nn.functional.smooth_l1_loss(ones(3), ones(4)), None, (3,), (4,), -1),  # the sub inside stretches
    (lambda: ones(2, 3).sum(dim=5), "dim", "-2..1", 5, 5),
    (lambda: ones(2, 3).sum(dim=(0, -2)), "dim", None, (0, -2), 0),
    (lambda: ones(2, 3) @ ones(4, 5), "other", 3, 4, -2),
    (lambda: helix.nn.functional.linear(ones(2, 3), ones(4, 5)), "input", 5, 3, -1),
    (lambda: helix.nn.Linear(5, 4)(ones(2, 3)), "input", 5, 3, -1),
    (lambda: helix.add(ones(2), 1, out=ones(3)), "out", (2,), (3,), None),
    (lambda: helix.add(ones(2), 1.5, out=ones(2, dtype=helix.int8)), "out", "float32", "int8", None),
    (lambda: ones(2, dtype=helix.int8).add_(1.5), "input", "float32", "int8", None),
    (lambda: helix.index_select(ones(3), 0, ones(1)), "index", None, "float32", None),
    (lambda: helix.bitwise_and(ones(1), ones(1)), None, None, None, None),
    (lambda: ones(3)[4], None, "-3..2", 4, 0),
    (lambda: ones(2, 3).gather(1, helix.tensor([[9]])), "index", "-3..2", 9, 1),
    (lambda: helix.nn.functional.embedding(helix.tensor([7]), ones(3, 2)), "input", "0..2", 7, None),
    (lambda: helix.nn.functional.cross_entropy(ones(1, 3), helix.tensor([5])), "target", "0..2", 5, None),
    (lambda: helix.nn.functional.dropout(ones(2), 1.5), "p", "lie in [0, 1]", 1.5, None),
    (lambda: ones(2).reshape(3), "shape", "2 elements", (3,), None),
    (lambda: ones(2, 3, 4).t(), "input", "2 dimensions at most", (2, 3, 4), None),
    (lambda: helix.zeros(2, -1), "size", ">= 0", -1, 1),
    (lambda: helix.zeros(2**40, 2**40), None, None, (2**40, 2**40), None),
    (lambda: helix.zeros(2**45), None, None, "128.0 TiB", None),
    (lambda: helix.sum("a"), "input", "a tensor or a number", "'a' (str)", None),
    (lambda: helix.sum(ones(1), dim="a"), "dim", None, None, None),
    (lambda: helix.sum(), "input", None, None, None),
    (lambda: helix.sum(ones(1), dims=1), "dims", None, None, None),
    (lambda: helix.nn.functional.mse_loss(ones(1), ones(1), reduction="x"), "reduction", None, "x", None),
    (lambda: ones(2).backward(), None, None, None, None),
]


@pytest.mark.parametrize("number", range(len(FACTS)))
def test_facts(number):
    call, argument, expected, got, axis = FACTS[number]
    with pytest.raises(errors.HelixError) as caught:
        call()
    error = caught.value
    assert (error.argument, error.axis) == (argument, axis), error
    for fact, wanted in ((error.expected, expected), (error.got, got)):
        assert wanted is None or (fact == wanted and type(fact) is type(wanted)), error.facts
    if got is not None:
        assert isinstance(got, tuple) or str(got) in str(error)
    assert error.facts["op"] == error.op and error.facts["got"] == error.got
    again = pickle.loads(pickle.dumps(error))
    assert again.facts == error.facts and str(again) == str(error)


def test_facts_of_one_error_do_not_reach_the_next():
    for call in (lambda: ones(2, 3).gather(1, helix.tensor([[9]])), lambda: ones(2, 3).sum(dim=5)):
        with pytest.raises(errors.HelixError) as caught:
            call()
        assert caught.value.axis is not None
        with pytest.raises(errors.HelixError) as caught:
            ones(2).backward()
        assert set(caught.value.facts.values()) == {caught.value.op, caught.value.code, None}


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


def documented():
    """The paragraphs of docs/errors.md by number, their lines joined."""
    text = (pathlib.Path(__file__).parents[1] / "docs/errors.md").read_text()
    found = re.findall(r"^\*\*(HX\d{4})\*\*: (.*?)(?:\n\n|\Z)", text, re.M | re.S)
    return {code: " ".join(paragraph.split()) for code, paragraph in found}


def test_the_docs_have_a_paragraph_for_every_number():
    """The one that `helix explain` shows."""
    wanted = {code: " ".join(errors.explain(code).removeprefix(f"{code}: ").split()) for code in errors.codes()}
    assert documented() == wanted


def test_every_number_that_is_raised_is_documented():
    root = pathlib.Path(errors.__file__).parent
    raised = {f"HX{n}" for f in root.rglob("*.py") for n in re.findall(r"HX(\d{4})\b", f.read_text())}
    assert len(raised) > 20 and raised <= set(errors.codes()), raised - set(errors.codes())


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
