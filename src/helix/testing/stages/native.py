"""t4_native: what a backend claims to have a kernel for is right, and it claims no call that it does not understand."""

from __future__ import annotations

from collections.abc import Iterator

import helix

from ..arguments import array_of
from ..case import Case, NoCase, NotOffered, Target
from ..running import call, op_cases
from ..samples import records, samples
from ..slots import ASK, NO, Slots


def refuses_unknown_attributes(op: str, target: Target) -> None:
    slots = Slots(target.name)
    answer = slots.support(op)
    if answer.verdict != ASK:
        raise NoCase("it is not asked")
    slots.need("op_check")
    inputs = sum(p["kind"] == "Tensor" for p in records()[op]["params"])
    verdict = slots.check_unknown_attribute(op, inputs)
    assert verdict == NO, "op_check says yes to a call with an attribute that it cannot know"


def repeats_itself(op: str, target: Target) -> None:
    """The same call gives the same bits, where the backend says so."""
    answer, calls = Slots(target.name).support(op), samples(op)
    if not answer.deterministic:
        raise NotOffered("it says that its bits may differ")
    if not calls:
        raise NoCase("no sample")
    first = None
    for _ in range(3):
        with helix.no_grad():
            results = call(calls[0], "float32", "contiguous", lambda x: x.to(target.name), target.name)
        bits = [array_of(x).tobytes() for x in results]
        assert first in (None, bits), "the same call gives other bits"
        first = bits


def cases(target: Target) -> Iterator[Case]:
    for op in Slots(target.name).claims():
        yield Case("t4_native", f"{op}/unknown attribute", _bound(refuses_unknown_attributes, op), op)
        yield Case("t4_native", f"{op}/same bits", _bound(repeats_itself, op), op)
        if "primitive" not in records()[op]["flags"]:
            yield from op_cases("t4_native", op, target)
    if target.profile == "full":
        yield from _composites(target)


def _composites(target: Target) -> Iterator[Case]:
    """Those without a native kernel: rendered or taken apart."""
    claimed = Slots(target.name).claims()
    for op, record in records().items():
        if not record["flags"] & {"primitive", "view"} and op not in claimed:
            yield from op_cases("t4_native", op, target)


def _bound(check, op: str):
    return lambda target: check(op, target)
