"""Every public op refuses a wrong shape, a wrong dtype and a wrong index or value, each where it has such a thing.

The wrong calls are made from the op's samples by spoiling one argument at a time. An op passes a kind when one spoiled
call ends in an error of that kind whose message names the spoiled fact: the shape, the dtype, the value or the argument.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import helix

from .records import PUBLIC
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


def wrong_shapes(sample: Sample) -> Iterator[Call]:
    for args, kwargs in (*each_spoiled(sample, other_shapes), *tensors_for_numbers(sample)):
        yield args, kwargs, ("(",)
    args, kwargs = ready(sample)
    if "out" in PUBLIC[sample.op]["flags"]:
        yield args, {**kwargs, "out": helix.zeros(13, 17)}, ("(13, 17)",)
    for spoiled in wrong_numbers(sample):
        yield *spoiled[:2], ("(", "dimension", "size")


def wrong_dtypes(sample: Sample) -> Iterator[Call]:
    for args, kwargs in each_spoiled(sample, other_dtypes):
        yield args, kwargs, DTYPES
    args, kwargs = ready(sample)
    if "out" in PUBLIC[sample.op]["flags"]:
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
    "shape": (wrong_shapes, (helix.errors.ShapeError, helix.errors.IndexRangeError)),
    "dtype": (wrong_dtypes, (helix.errors.DTypeError, helix.errors.ArgumentError)),
    "value": (wrong_values, (ValueError, IndexError, OverflowError, MemoryError, helix.errors.ArgumentError)),
}


def takes_no_value(op: str) -> bool:
    """No parameter beside tensors: only an index tensor could hold a wrong value."""
    kinds = {p["kind"] for p in PUBLIC[op]["params"] if p["name"] not in ("dtype", "generator")}
    return kinds <= {"Tensor", "Tensor | None", "Sequence[Tensor]"}


ANY_TWO_SHAPES = {"isin": "both sides are read as sets", "kron": "every pair of shapes has a product"}
SIZES_ARE_VALUES = {"tril_indices", "triu_indices", "tile"}


def takes_any_shape(op: str) -> bool:
    """One tensor of any shape, nothing to lay it against, and no out=."""
    tensors = [p for p in PUBLIC[op]["params"] if "Tensor" in p["kind"]]
    alone = len(tensors) <= 1 and all(p["kind"] != "Sequence[Tensor]" for p in tensors)
    return op in ANY_TWO_SHAPES or op in SIZES_ARE_VALUES or (alone and "out" not in PUBLIC[op]["flags"])


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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("op", sorted(PUBLIC))
def test_refuses(op: str, kind: str) -> None:
    assert refuses(op, kind) or (kind == "value" and takes_no_value(op)) or (kind == "shape" and takes_any_shape(op))
