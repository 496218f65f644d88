"""The errors that follow from an op's record, stated exactly: exception, number, words of the message and its facts.

What only some ops refuse is said in the samples (`errors=`) and in the tables of `refused.py`, which also say what no
call of an op can get wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import helix

from .records import PUBLIC
from .refused import REFUSED, REFUSED_DTYPE_OF, REFUSED_FACTOR, REFUSED_RANK, REFUSED_SECOND, REFUSED_VALUES
from .sample import Sample, T
from .samples import SAMPLES
from .values import as_list, convert, function_of, map_tensors, numpy_arguments, to_helix

FAR, ODD = 99, (13, 17)  # an axis and a shape that fit nowhere
SHAPES, DTYPES = range(1001, 1100), (1101, 1102)


@dataclass(frozen=True)
class Refusal:
    """A call that must fail, and what its error must hold. facts: attributes of the exception."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    exception: str
    number: int
    parts: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)


def kinds_of(exception: str, number: int) -> set[str]:
    """A size that no shape can have is both: of a shape, and a wrong value."""
    if exception == "ArgumentError":
        return set()
    kind = "shape" if number in SHAPES else "dtype" if number in DTYPES else "value"
    return {kind, "shape"} if exception == "ShapeError" else {kind}


def first_sample(op: str) -> Sample:
    return next(s for s in SAMPLES if s.op == op)


def ready(sample: Sample, dtype: str | None = None) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args = convert(numpy_arguments(sample, dtype or sample.dtypes[0]), to_helix, helix)
    return args, {k: convert(v, to_helix, helix) for k, v in sample.kwargs.items()}


def out_refusals(op: str) -> Iterator[Refusal]:
    """out= of another shape, and of a dtype that cannot hold the result."""
    args, kwargs = ready(first_sample(op))
    results = as_list(function_of(op)(*args, **kwargs))
    if "out" not in PUBLIC[op]["flags"] or len(results) != 1:
        return
    shape, dtype = tuple(results[0].shape), results[0].dtype
    wrong = {**kwargs, "out": helix.zeros(ODD, dtype=dtype)}
    facts = {"argument": "out", "expected": shape, "got": ODD}
    yield Refusal(args, wrong, "ShapeError", 1006, (str(shape), str(ODD), "out"), facts)
    if dtype != helix.bool and "creates" not in PUBLIC[op]["flags"]:  # these take the dtype of out
        wrong = {**kwargs, "out": helix.zeros(shape, dtype=helix.bool)}
        facts = {"argument": "out", "expected": dtype.name, "got": "bool"}
        yield Refusal(args, wrong, "DTypeError", 1102, (dtype.name, "bool", "out"), facts)


def axis_refusals(op: str) -> Iterator[Refusal]:
    """An axis far outside: of the parameter `dim` where it is one int or a list of them."""
    args, kwargs = ready(first_sample(op))
    names = [p["name"] for p in PUBLIC[op]["params"]]
    if "dim" not in names:
        return
    at = names.index("dim")
    given = (*args[:at], FAR, *args[at + 1 :]) if at < len(args) else args
    wrong = kwargs if at < len(args) else {**kwargs, "dim": FAR}
    facts = {"argument": "dim", "got": FAR, "axis": FAR}
    yield Refusal(given, wrong, "IndexRangeError", 1302, (f"axis {FAR}", "out of range", "valid"), facts)


def choice_refusals(op: str) -> Iterator[Refusal]:
    """Text that is none of the choices of a parameter."""
    args, kwargs = ready(first_sample(op))
    names = [p["name"] for p in PUBLIC[op]["params"]]
    for p in PUBLIC[op]["params"]:
        at = names.index(p["name"])
        if not p.get("choices"):
            continue
        given = (*args[:at], "nonsense", *args[at + 1 :]) if at < len(args) else args
        wrong = kwargs if at < len(args) else {**kwargs, p["name"]: "nonsense"}
        facts = {"argument": p["name"], "got": "nonsense"}
        yield Refusal(given, wrong, "ParameterError", 1403, (p["name"], "'nonsense'", "one of"), facts)


def dtype_refusals(op: str) -> Iterator[Refusal]:
    """All tensors of a dtype that the op is not defined for."""
    for dtype, ops in REFUSED.items():
        if op in ops.split():
            args, kwargs = in_dtype(first_sample(op), dtype)
            got = 0.5 if (dtype, op) in REFUSED_FACTOR else dtype
            yield Refusal(args, kwargs, "DTypeError", 1101, (dtype,), {"got": got})


def in_dtype(sample: Sample, dtype: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The sample's call with every tensor that is under test (and not an index or a mask) of this dtype."""

    def zeros(spec: T) -> Any:
        return helix.zeros(spec.shape, dtype=getattr(helix, spec.dtype or dtype))

    return convert(map_tensors(sample.args, zeros), to_helix, helix), ready(sample)[1]


def second_refusals(op: str) -> Iterator[Refusal]:
    """The second tensor in a shape that does not fit the first."""
    for (number, argument), ops in REFUSED_SECOND.items():
        if op in ops.split():
            yield spoiled_shape(op, 1, ODD, number, argument, "17")


def rank_refusals(op: str) -> Iterator[Refusal]:
    """The first tensor with no axes, or with nine."""
    for shape, table in REFUSED_RANK.items():
        for (number, argument), ops in table.items():
            if op in ops.split():
                yield spoiled_shape(op, 0, shape, number, argument, str(shape)[:8])


def spoiled_shape(op: str, which: int, shape: tuple[int, ...], number: int, argument: str, part: str) -> Refusal:
    """The sample's call with zeros of this shape for one of its tensors."""
    args, kwargs = ready(first_sample(op))
    at = [i for i, a in enumerate(args) if isinstance(a, helix.Tensor)][which]
    given = (*args[:at], helix.zeros(shape, dtype=args[at].dtype), *args[at + 1 :])
    about = PUBLIC[op]["params"][at]["name"] if argument == "own" else argument or None
    return Refusal(given, kwargs, "ShapeError", number, (part,), {"argument": about})


def dtype_of_refusals(op: str) -> Iterator[Refusal]:
    """One tensor of a dtype that its place is not made for."""
    for ops, name, dtype in REFUSED_DTYPE_OF:
        if op in ops.split():
            args, kwargs = ready(first_sample(op))
            at = [p["name"] for p in PUBLIC[op]["params"]].index(name)
            given = (*args[:at], helix.zeros(args[at].shape, dtype=getattr(helix, dtype)), *args[at + 1 :])
            yield Refusal(given, kwargs, "DTypeError", 1101, (dtype, name), {"argument": name, "got": dtype})


def value_refusals(op: str) -> Iterator[Refusal]:
    """A parameter outside its domain."""
    for ops, name, wrong_value, exception, number, parts, *facts in REFUSED_VALUES:
        if op in ops.split():
            value = map_tensors(wrong_value, filled)
            args, kwargs = ready(first_sample(op))
            at = [p["name"] for p in PUBLIC[op]["params"]].index(name)
            spread = name == "size" and all(isinstance(a, int) for a in args)  # zeros(2, 3)
            given = (value,) if spread else (*args[:at], value, *args[at + 1 :]) if at < len(args) else args
            wrong = kwargs if spread or at < len(args) else {**kwargs, name: value}
            yield Refusal(given, wrong, exception, number, parts, *(facts or [{"argument": name}]))


def filled(spec: T) -> helix.Tensor:
    return helix.full(spec.shape, spec.low, dtype=getattr(helix, spec.dtype or "float32"))


def text_refusals(op: str) -> Iterator[Refusal]:
    """Text where a tensor belongs."""
    args, kwargs = ready(first_sample(op))
    for p, (i, a) in zip(PUBLIC[op]["params"], enumerate(args), strict=False):
        if p["kind"] == "Tensor" and isinstance(a, helix.Tensor):
            given = (*args[:i], "text", *args[i + 1 :])
            facts = {"argument": p["name"], "expected": "a tensor or a number"}
            yield Refusal(given, kwargs, "ArgumentError", 1103, (p["name"], "'text' (str)"), facts)


def refusals(op: str) -> list[Refusal]:
    rules = (
        out_refusals,
        second_refusals,
        rank_refusals,
        axis_refusals,
        choice_refusals,
        dtype_refusals,
        dtype_of_refusals,
        value_refusals,
        text_refusals,
    )
    return [refusal for rule in rules for refusal in rule(op)]
