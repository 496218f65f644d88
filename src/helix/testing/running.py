"""One op case: the same call on the device and on the CPU in float64, and what differs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy

import helix
from helix.errors import HelixError

from .arguments import LAYOUTS, array_of, make, widened
from .case import Case, NoCase, Target
from .samples import REAL, Sample, function, records, samples
from .tolerance import bounds, compare

DTYPES = {
    "core": ("float32", "int64"),
    "train": ("float32", "float16", "bfloat16", "float64", "int32", "int64", "bool"),
    "full": tuple(helix.dtypes.TYPES),
}
SEED = 1234


def flat(result: Any) -> list[helix.Tensor]:
    if isinstance(result, helix.Tensor):
        return [result]
    return [x for part in result for x in flat(part)] if isinstance(result, list | tuple) else []


def tensors(arguments: Any) -> list[helix.Tensor]:
    return flat(list(arguments.values()) if isinstance(arguments, dict) else arguments)


def call(sample: Sample, dtype: str, layout: str, place: Callable, device: str) -> list[helix.Tensor]:
    """The results; for an op that writes its arguments, the arguments."""
    seed, named = f"{sample.op}{sample.label}", sample.named
    given = make([*sample.arguments, *named.values()], dtype, layout, place, seed)
    plain, keyed = given[: len(sample.arguments)], dict(zip(named, given[len(sample.arguments) :], strict=True))
    flags = records()[sample.op]["flags"]
    if "creates" in flags:
        keyed["device"] = device
        if dtype not in ("float32", "int64"):
            keyed["dtype"] = getattr(helix, dtype)
    helix.manual_seed(SEED)
    result = function(sample.op)(*plain, **keyed)
    return flat(result) if "mutates" not in flags else tensors([plain, list(keyed.values())])


def reference(sample: Sample, dtype: str, layout: str) -> list[numpy.ndarray]:
    """The CPU's results, computed in float64 where the result is not a matter of bits."""
    exact = sample.same or "creates" in records()[sample.op]["flags"]
    try:
        return [array_of(x) for x in call(sample, dtype, layout, _same if exact else widened, "cpu")]
    except (HelixError, TypeError, ValueError) as error:
        raise NoCase(str(error)) from error


def _same(x: helix.Tensor) -> helix.Tensor:
    return x


def check(sample: Sample, dtype: str, layout: str, target: Target) -> None:
    """Runs the call on the device; raises where its results are not the CPU's."""
    own = [x.dtype for x in _own_dtypes(sample, dtype, layout)]
    wanted = reference(sample, dtype, layout)
    given: list[tuple[helix.Tensor, helix.Tensor]] = []

    def place(x: helix.Tensor) -> helix.Tensor:
        given.append((x, x.to(target.name)))
        return given[-1][1]

    with helix.no_grad():
        got = call(sample, dtype, layout, place, target.name)
    if layout == "contiguous" and "mutates" not in records()[sample.op]["flags"]:
        for number, (here, there) in enumerate(given):
            same = array_of(here).tobytes() == array_of(there).tobytes()
            assert same, f"argument {number + 1} is changed by the call"
    assert len(got) == len(wanted), f"{len(got)} results, not {len(wanted)}"
    for number, (there, right, kind) in enumerate(zip(got, wanted, own, strict=True)):
        where = f"result {number + 1}: " if len(got) > 1 else ""
        assert there.dtype == kind, f"{where}the dtype is {there.dtype}, not {kind}"
        tolerance = (0.0, 0.0) if sample.same else bounds(sample.op, there.dtype.name, sample.length)
        if there.dtype.is_floating_point and right.dtype == numpy.float64 and there.dtype != helix.float64:
            with numpy.errstate(over="ignore"):  # what the dtype cannot hold is infinite in it
                right = array_of(helix.from_numpy(right).to(there.dtype)).astype(numpy.float64)
        problem = compare(array_of(there), right, tolerance)
        assert not problem, where + problem


def check_in_place(sample: Sample, target: Target) -> None:
    """Into a tensor with gaps that is also the first argument: what stands in the gaps stays."""
    wanted = array_of(_in_place(sample, widened, "cpu"))
    got = array_of(_in_place(sample, lambda x: x.to(target.name), target.name))
    problem = compare(got, wanted, bounds(sample.op, "float32", sample.length))
    assert not problem, problem


def _in_place(sample: Sample, place: Callable, device: str) -> helix.Tensor:
    """The memory of the first argument, with its gaps, after the call."""
    memory: list[helix.Tensor] = []

    def kept(x: helix.Tensor) -> helix.Tensor:
        memory.append(place(x))
        return memory[-1]

    first, *others = make(sample.arguments, "float32", "strided", kept, f"{sample.op}{sample.label}")
    with helix.no_grad():
        try:
            getattr(first, f"{sample.op}_")(*others)
        except (HelixError, TypeError, ValueError) as error:
            if device == "cpu":
                raise NoCase(str(error)) from error
            raise
    return memory[0]


def _own_dtypes(sample: Sample, dtype: str, layout: str) -> list[helix.Tensor]:
    """The CPU's results in the dtype under test: what dtypes the results must have."""
    try:
        return call(sample, dtype, layout, _same, "cpu")
    except (HelixError, TypeError, ValueError) as error:
        raise NoCase(str(error)) from error


def _case(stage: str, sample: Sample, dtype: str, layout: str) -> Case:
    name = "/".join(filter(None, (sample.op, sample.label, dtype, layout)))
    return Case(stage, name, lambda target: check(sample, dtype, layout, target), sample.op)


def op_cases(stage: str, op: str, target: Target) -> Iterator[Case]:
    """Each call in every dtype of the profile; in every layout for float32 (profile full: for all); the first in place."""
    calls = samples(op)
    if calls and "inplace" in records()[op]["flags"] and not calls[0].named and "float32" in (calls[0].dtypes or REAL):
        yield Case(stage, f"{op}/in place", functools.partial(check_in_place, calls[0]), op)
    for sample in calls:
        for number, dtype in enumerate(d for d in DTYPES[target.profile] if not sample.dtypes or d in sample.dtypes):
            yield _case(stage, sample, dtype, "contiguous")
            if sample.plain or not tensors_in(sample) or (number and target.profile != "full"):
                continue
            for layout in LAYOUTS:
                if layout != "contiguous":
                    yield _case(stage, sample, dtype, layout)
        if sample.dtypes and not set(DTYPES[target.profile]) & set(sample.dtypes):
            yield _case(stage, sample, sample.dtypes[0], "contiguous")


def tensors_in(sample: Sample) -> bool:
    from .arguments import T

    def found(value: Any) -> bool:
        return isinstance(value, T) or (isinstance(value, list | tuple) and any(map(found, value)))

    return found(list(sample.arguments)) or found(list(sample.named.values()))
