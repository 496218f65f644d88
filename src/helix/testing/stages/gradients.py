"""t5_autograd: gradients on the device are those of the CPU in float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy

import helix
from helix.errors import HelixError

from ..arguments import array_of, make, tensor_of, widened
from ..case import Case, NoCase, Target
from ..running import SEED, flat
from ..samples import Sample, function, records, samples
from ..tolerance import bounds, compare

FACTOR = 16  # a gradient is several ops, one after the other


def gradients(sample: Sample, device: str) -> list[helix.Tensor]:
    """Gradients of a weighted sum of the results, for each floating input."""
    there = device != "cpu"
    place = (lambda x: x.to(device)) if there else widened
    given = make([*sample.arguments, *sample.named.values()], "float32", "contiguous", place, sample.op + sample.label)
    leaves = [x.requires_grad_() for x in flat(given) if x.dtype.is_floating_point]
    plain = given[: len(sample.arguments)]
    helix.manual_seed(SEED)
    results = [
        r
        for r in flat(function(sample.op)(*plain, **dict(zip(sample.named, given[len(plain) :], strict=True))))
        if r.requires_grad
    ]
    if not leaves or not results:
        raise NoCase("nothing to differentiate")
    helix.autograd.backward(results, [_weights(r, device) for r in results])
    return [x.grad for x in leaves if x.grad is not None]


def _weights(result: helix.Tensor, device: str) -> helix.Tensor:
    drawn = numpy.random.default_rng(5).uniform(0.5, 1.5, tuple(result.shape)).astype(numpy.float32)
    return tensor_of(drawn).to(result.dtype).to(device)


def check(sample: Sample, target: Target) -> None:
    try:
        wanted = [array_of(g) for g in gradients(sample, "cpu")]
    except (HelixError, TypeError, ValueError) as error:
        raise NoCase(str(error)) from error
    got = gradients(sample, target.name)
    assert len(got) == len(wanted), f"{len(got)} gradients, not {len(wanted)}"
    relative, absolute = bounds(sample.op, "float32", sample.length)
    tolerance = (max(FACTOR * relative, 1e-5), max(FACTOR * absolute, 1e-5))
    for number, (there, right) in enumerate(zip(got, wanted, strict=True)):
        problem = compare(array_of(there), right, tolerance)
        assert not problem, f"gradient {number + 1}: {problem}"


def cases(target: Target) -> Iterator[Case]:
    for op, record in records().items():
        flags = record["flags"]
        if not record["has_vjp"] or flags & {"non_diff", "mutates", "creates", "random"}:
            continue
        listed = [s for s in samples(op) if s.label != "empty" and (not s.dtypes or "float32" in s.dtypes)]
        for sample in listed if target.profile == "full" else listed[:1]:
            name = "/".join(filter(None, (op, sample.label)))
            yield Case("t5_autograd", name, lambda target, sample=sample: check(sample, target), op)  # type: ignore[misc]
