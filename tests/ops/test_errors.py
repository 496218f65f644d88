"""What wrong calls say: the exception, the number, the op's name and the facts, before anything is changed."""

from __future__ import annotations

import re
from typing import Any

import pytest

import helix

from .cases import each_sample
from .records import PUBLIC
from .sample import Error, Sample, T
from .samples import SAMPLES
from .values import convert, draw, function_of, map_tensors, numpy_arguments, seed_of, to_helix

LONGEST = 6  # lines
ABOUT_AN_ARGUMENT = re.compile(r"HX(10|110[12]|13|140[134])")


def raise_from(op: str, args: Any, kwargs: Any) -> TypeError:
    """The TypeError; where the op itself raised it (and not Python, for a function written in Python) to the standard."""
    with pytest.raises(TypeError) as caught:
        function_of(op)(*args, **kwargs)
    if isinstance(caught.value, helix.errors.HelixError):
        check_message(op, caught.value)
    return caught.value


def check_message(op: str, error: helix.errors.HelixError) -> None:
    """The standard: number, then the op as it was called, then the facts; few lines and no internals."""
    text = str(error)
    assert re.match(rf"HX\d{{4}} (.*\.)?{re.escape(op)}_?: .", text), text
    assert text.count("\n") < LONGEST, text
    assert not re.search(r"0x[0-9a-f]{6,}|\.[ch]\b:|\.pyx|(^|\s)/[a-z]+/", text), text
    assert helix.errors.explain(error.code)
    if ABOUT_AN_ARGUMENT.match(text):
        facts = (error.argument, error.expected, error.got, error.axis)
        assert any(fact is not None for fact in facts), f"nothing for a program to read beside the text: {text}"


def check_error(op: str, wanted: Error) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    drawn = map_tensors(wanted.args, lambda spec: to_helix(draw(spec, "float32", rng)))
    args = convert(drawn, to_helix, helix)
    kwargs = {k: convert(v, to_helix, helix) for k, v in wanted.kwargs.items()}
    with pytest.raises(getattr(helix.errors, wanted.exception)) as caught:
        function_of(op)(*args, **kwargs)
    assert caught.value.code == f"HX{wanted.number}", str(caught.value)
    check_message(op, caught.value)
    for part in wanted.parts:
        assert part in str(caught.value), f"{part!r} is not in {caught.value}"


@each_sample(lambda s: bool(s.errors))
def test_stated_errors(sample: Sample) -> None:
    for wanted in sample.errors:
        check_error(sample.op, wanted)


@pytest.mark.parametrize("op", sorted(PUBLIC))
def test_wrong_arguments(op: str) -> None:
    """Every op refuses an unknown keyword, too many arguments and text in the place of a tensor."""
    sample = next(s for s in SAMPLES if s.op == op)
    args = convert(numpy_arguments(sample, sample.dtypes[0]), to_helix, helix)
    unknown = raise_from(op, args, {"no_such_parameter": 1})
    assert "no_such_parameter" in str(unknown)
    raise_from(op, (*args, *[None] * 30), {})
    for i, a in enumerate(sample.args):
        if isinstance(a, T):
            raise_from(op, (*args[:i], "text", *args[i + 1 :]), {})
            break


@each_sample(lambda s: len(s.args) > 1 and all(isinstance(a, T) for a in s.args[:2]))
def test_other_shapes(sample: Sample) -> None:
    """Shapes that may not fit: a result, or an error that names the op and a size that was given."""
    import numpy as np

    arrays = list(numpy_arguments(sample, "float32" if "float32" in sample.dtypes else sample.dtypes[0]))
    for shape in [(17, 19), (23,), (2, 3, 5, 7, 11)]:
        rng = np.random.default_rng(seed_of(sample))
        spec = sample.args[1]
        arrays[1] = draw(T(**{**spec.__dict__, "shape": shape}), sample.dtypes[0], rng)
        try:
            function_of(sample.op)(*convert(tuple(arrays), to_helix, helix), **sample.kwargs)
        except helix.errors.HelixError as error:
            check_message(sample.op, error)
            assert re.search(r"\d", str(error).partition(": ")[2]), str(error)


def test_a_vague_message_is_seen() -> None:
    with pytest.raises(AssertionError):
        check_message("add", helix.errors.ShapeError("shapes do not fit", op="add", code="HX1003"))


def test_a_message_without_attributes_is_seen() -> None:
    text = "HX1003 add: cannot stretch (2,) and (3,) to one shape"
    check_message("add", helix.errors.ShapeError(text, op="add", code="HX1003", got=(3,)))
    with pytest.raises(AssertionError):
        check_message("add", helix.errors.ShapeError(text, op="add", code="HX1003"))
