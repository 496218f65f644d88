"""Every public op states its shape, dtype and value errors exactly, or says why it has none of a kind.

Stated are the samples' `errors=`, and what `refusals.py` makes of the records and of the tables in `refused.py`. An op
that is exempt from a kind must take all the wrong calls that are made from its samples by spoiling one argument at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import helix

from .records import PUBLIC
from .refusals import Refusal, first_sample, in_dtype, kinds_of, refusals
from .refused import EXEMPT, REASONS, REFUSED, REFUSED_RANK, REFUSED_SECOND
from .sample import Sample
from .samples import SAMPLES
from .test_errors import check_message
from .values import convert, function_of, numpy_arguments, to_helix

Call = tuple[tuple[Any, ...], dict[str, Any], tuple[str, ...]]  # arguments, keywords, what the message may name

DTYPES = ("bool", "int8", "uint8", "int64", "float16", "float32", "float64", "complex64")
NUMBERS = (10**6, -(10**6), 2**62, 0, -1, float("nan"), 1e9, -1e9, "nonsense")


def ready(sample: Sample) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args = convert(numpy_arguments(sample, sample.dtypes[0]), to_helix, helix)
    return args, {k: convert(v, to_helix, helix) for k, v in sample.kwargs.items()}


def replaced(value: Any, change: Any) -> Iterator[Any]:
    """`value` with one tensor in it changed, for each tensor and each of its changes."""
    if isinstance(value, helix.Tensor):
        yield from change(value)
    elif isinstance(value, list | tuple):
        for i, part in enumerate(value):
            for other in replaced(part, change):
                yield type(value)([*value[:i], other, *value[i + 1 :]])


def each_spoiled(sample: Sample, change: Any) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    args, kwargs = ready(sample)
    for i, a in enumerate(args):
        for other in replaced(a, change):
            yield (*args[:i], other, *args[i + 1 :]), kwargs
    for name, a in kwargs.items():
        for other in replaced(a, change):
            yield args, {**kwargs, name: other}


def other_shapes(t: helix.Tensor) -> Iterator[helix.Tensor]:
    for shape in (
        (*t.shape[:-1], (t.shape or (1,))[-1] + 2),
        (*(n + 3 for n in t.shape), 7),
        (3, 5, 7, 2, 3, 4),
        (),
        (11,),
    ):
        yield helix.zeros(shape, dtype=t.dtype)


def other_dtypes(t: helix.Tensor) -> Iterator[helix.Tensor]:
    for name in DTYPES:
        if name != t.dtype.name:
            yield helix.zeros(t.shape, dtype=getattr(helix, name))


def other_indices(t: helix.Tensor) -> Iterator[helix.Tensor]:
    if not t.dtype.is_floating_point and t.dtype != helix.bool and t.numel():
        for value in (10**6, -(10**6)):
            yield helix.full(t.shape, value, dtype=helix.int64)


def tensors_for_numbers(sample: Sample) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """A tensor of an odd shape where the sample gives a number for one."""
    args, kwargs = ready(sample)
    odd = helix.zeros(2, 13, 17)
    for p, (i, a) in zip(PUBLIC[sample.op]["params"], enumerate(args), strict=False):
        if p["kind"] == "Tensor" and not isinstance(a, helix.Tensor):
            yield (*args[:i], odd, *args[i + 1 :]), kwargs


def has_one_result(sample: Sample) -> bool:
    """Whether out= is one tensor, in all samples of the op."""
    first = first_sample(sample.op)
    args, kwargs = ready(first)
    return isinstance(function_of(first.op)(*args, **kwargs), helix.Tensor)


def wrong_shapes(sample: Sample) -> Iterator[Call]:
    for args, kwargs in (*each_spoiled(sample, other_shapes), *tensors_for_numbers(sample)):
        yield args, kwargs, ("(",)
    args, kwargs = ready(sample)
    if "out" in PUBLIC[sample.op]["flags"] and has_one_result(sample):
        yield args, {**kwargs, "out": helix.zeros(13, 17)}, ("(13, 17)",)
    for spoiled in wrong_numbers(sample):
        yield *spoiled[:2], ("(", "dimension", "size")


def wrong_dtypes(sample: Sample) -> Iterator[Call]:
    for args, kwargs in each_spoiled(sample, other_dtypes):
        yield args, kwargs, DTYPES
    args, kwargs = ready(sample)
    flags = PUBLIC[sample.op]["flags"]
    if "out" in flags and "creates" not in flags and has_one_result(sample):
        result = function_of(sample.op)(*args, **kwargs)
        for name in ("bool", "int8"):
            yield args, {**kwargs, "out": helix.zeros(result.shape, dtype=getattr(helix, name))}, (name,)
    names = [p["name"] for p in PUBLIC[sample.op]["params"]]
    for i in range(len(args)):
        yield (*args[:i], "text", *args[i + 1 :]), kwargs, (f"'{names[min(i, len(names) - 1)]}'", "text", "str")
    yield args, {**kwargs, "dtype": "nonsense"}, ("nonsense", "dtype")


def wrong_numbers(sample: Sample) -> Iterator[Call]:
    args, kwargs = ready(sample)
    for i, a in enumerate(args):
        if isinstance(a, helix.Tensor) or a is None or (isinstance(a, list) and a and isinstance(a[0], helix.Tensor)):
            continue
        for number in NUMBERS:
            yield (*args[:i], number, *args[i + 1 :]), kwargs, (str(number),)
            yield (*args[:i], (number, number, number), *args[i + 1 :]), kwargs, (str(number),)
    for p in PUBLIC[sample.op]["params"]:
        if p["kind"] in ("Tensor", "Tensor | None", "Sequence[Tensor]") or p["name"] in ("dtype", "generator"):
            continue
        position = [q["name"] for q in PUBLIC[sample.op]["params"]].index(p["name"])
        if position >= len(args):
            for number in NUMBERS:
                yield args, {**kwargs, p["name"]: number}, (str(number), p["name"])


def wrong_values(sample: Sample) -> Iterator[Call]:
    yield from wrong_numbers(sample)
    for args, kwargs in each_spoiled(sample, other_indices):
        yield args, kwargs, ("1000000",)


KINDS: dict[str, tuple[Any, tuple[type, ...]]] = {
    "shape": (wrong_shapes, (helix.errors.ShapeError,)),
    "dtype": (wrong_dtypes, (helix.errors.DTypeError,)),
    "value": (wrong_values, (helix.errors.ParameterError, IndexError, OverflowError, MemoryError)),
}


@pytest.fixture(autouse=True)
def small_memory() -> Iterator[None]:
    """A spoiled size is refused by the limit instead of filling the machine."""
    helix.set_memory_limit(256 << 20)
    yield
    helix.set_memory_limit(0)


def refuses(op: str, kind: str) -> bool:
    spoil, classes = KINDS[kind]
    for sample in (s for s in SAMPLES if s.op == op):
        for args, kwargs, facts in spoil(sample):
            try:
                function_of(op)(*args, **kwargs)
            except classes as error:
                if isinstance(error, helix.errors.HelixError) and any(fact in str(error) for fact in facts):
                    check_message(op, error)
                    return True
            except (helix.errors.HelixError, TypeError):
                continue
    return False


def stated(op: str) -> set[str]:
    found = [(r.exception, r.number) for r in refusals(op)]
    found += [(e.exception, e.number) for s in SAMPLES if s.op == op for e in s.errors]
    return {kind for exception, number in found for kind in kinds_of(exception, number)}


def check_refusal(op: str, wanted: Refusal) -> None:
    with pytest.raises(getattr(helix.errors, wanted.exception)) as caught:
        function_of(op)(*wanted.args, **wanted.kwargs)
    error = caught.value
    check_message(op, error)
    assert wanted.number == int(error.code[2:]), error
    for part in wanted.parts:
        assert part in str(error), f"{part!r} is not in {error}"
    for name, fact in wanted.facts.items():
        assert getattr(error, name) == fact, f"{name} is {getattr(error, name)!r}, not {fact!r}: {error}"


@pytest.mark.parametrize("op", sorted(PUBLIC))
def test_stated_refusals(op: str) -> None:
    """What the record and the tables say: exception, number, words and facts."""
    for wanted in refusals(op):
        check_refusal(op, wanted)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", sorted(PUBLIC))
def test_every_kind_is_stated_or_exempt(op: str, kind: str) -> None:
    """Stated exactly; or exempt, and then no spoiled call raises it."""
    exempt = [reason for (of, reason), ops in EXEMPT.items() if of == kind and op in ops.split()]
    assert (kind in stated(op)) != bool(exempt), f"{op}: {kind} error, exempt because {exempt}"
    assert not exempt or not refuses(op, kind), f"{op} is exempt from {kind} errors and raises one"


def test_the_tables_are_closed() -> None:
    assert {reason for _, reason in EXEMPT} <= REASONS and {kind for kind, _ in EXEMPT} <= set(KINDS)
    ranks = [ops for table in REFUSED_RANK.values() for ops in table.values()]
    tables = [*EXEMPT.values(), *REFUSED.values(), *ranks, *REFUSED_SECOND.values()]
    for table in tables:
        names = table.split()
        assert names == sorted(set(names)) and set(names) <= set(PUBLIC), set(names) - set(PUBLIC)


@pytest.mark.parametrize("dtype", REFUSED)
def test_the_dtypes_that_are_refused_are_all_said(dtype: str) -> None:
    found = []
    for op in sorted(PUBLIC):
        args, kwargs = in_dtype(first_sample(op), dtype)
        try:
            function_of(op)(*args, **kwargs)
        except helix.errors.HelixError as error:
            found += [op] if error.code == "HX1101" and dtype in str(error) else []
    assert found == REFUSED[dtype].split()


@pytest.mark.parametrize("change", [{"parts": ("(5, 7)",)}, {"number": 1002}, {"facts": {"argument": "other"}}])
def test_a_wrong_statement_is_seen(change: dict[str, Any]) -> None:
    wanted = next(iter(refusals("add")))
    check_refusal("add", wanted)
    with pytest.raises(AssertionError):
        check_refusal("add", replace(wanted, **change))
