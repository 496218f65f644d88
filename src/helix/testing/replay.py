"""Cases from a file that `record_ops` wrote: the same calls with other values, against the CPU."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy

import helix
from helix.errors import FormatError, HelixError

from .arguments import array_of, numpy_dtype, tensor_of, widened
from .case import Case, NoCase, Target
from .running import SEED, flat
from .samples import function, records
from .tolerance import bounds, compare

STAGE = "trace"


def cases(path: str) -> Iterator[Case]:
    try:
        with open(path, encoding="utf-8") as file:
            calls = json.load(file)["calls"]
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"HX2001 {path}: not a file of helix.testing.record_ops ({error}).", code="HX2001") from error
    for number, call in enumerate(calls):
        if call["op"] in records():
            yield Case(STAGE, f"{number}/{call['op']}", _bound(call, number), call["op"])


def _bound(call: dict[str, Any], number: int) -> Callable[[Target], None]:
    return lambda target: check(call, number, target)


def check(call: dict[str, Any], number: int, target: Target) -> None:
    random = "random" in records()[call["op"]]["flags"]
    try:
        wanted = [array_of(x) for x in run(call, number, "cpu", (lambda x: x) if random else widened)]
    except (HelixError, TypeError, ValueError) as error:
        raise NoCase(str(error)) from error
    with helix.no_grad():
        got = run(call, number, target.name, lambda x: x.to(target.name))
    length = max((_count(v) for v in call["inputs"]), default=1)
    for there, right in zip(got, wanted, strict=True):
        problem = compare(
            array_of(there), right, (0.0, 0.0) if random else bounds(call["op"], there.dtype.name, length)
        )
        assert not problem, problem


def _count(view: dict[str, Any] | None) -> int:
    return int(numpy.prod(view["shape"])) if view and "shape" in view else 1


def run(call: dict[str, Any], number: int, device: str, place: Callable) -> list[helix.Tensor]:
    dice = numpy.random.default_rng(number)
    given = [_input(view, dice, place) for view in call["inputs"]]
    record, named = records()[call["op"]], dict[str, Any]()
    lists = len(given) - sum(p["kind"] in ("Tensor", "Tensor | None") for p in record["params"])
    for p in record["params"]:
        if p["kind"] == "Sequence[Tensor]":
            named[p["name"]], given = given[:lists], given[lists:]
        elif p["kind"].startswith("Tensor"):
            named[p["name"]] = given.pop(0)
        elif call["attributes"].get(p["name"]) is not None:
            value = call["attributes"][p["name"]]
            named[p["name"]] = getattr(helix, value) if p["kind"].startswith("dtype") else value
    if "creates" in record["flags"]:
        named["device"] = device
    helix.manual_seed(SEED)
    result = flat(function(call["op"])(**named))
    return flat(list(named.values())) if "mutates" in record["flags"] else result


def _input(view: dict[str, Any] | None, dice: numpy.random.Generator, place: Callable) -> Any:
    """A tensor of that geometry; whole numbers are 0 or 1, which most ops take as indices too."""
    if view is None:
        return None
    if "value" in view:
        return view["value"]
    shape, strides, dtype = view["shape"], view["strides"], view["dtype"]
    last = sum((n - 1) * s for n, s in zip(shape, strides, strict=True) if n) if all(shape) else 0
    start = -sum((n - 1) * s for n, s in zip(shape, strides, strict=True) if s < 0 and n) if all(shape) else 0
    count = (
        max(start + max(last, 0) + sum((n - 1) * s for n, s in zip(shape, strides, strict=True) if s > 0), start) + 1
    )
    drawn = dice.uniform(0.1, 1.0, count) if "float" in dtype or "complex" in dtype else dice.integers(0, 2, count)
    memory = place(tensor_of(drawn.astype(numpy_dtype(dtype))))
    return memory.as_strided(shape, strides, start)
