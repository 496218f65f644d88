"""Damaged ONNX files: typed errors, in bounded time and memory; what still loads, runs or refuses.

python -m tests.onnx.mutations --times 10000
"""

from __future__ import annotations

import os
import random
import resource
import sys
import tempfile
import time
from typing import Any

import numpy
import onnx
from onnx import ModelProto

import helix.onnx
from helix.errors import HelixError

from ..mutations import bytes_changed, options, outcomes
from .models import MODELS, inputs_of

SECONDS = 4.0  # of processor time for a file of some kilobytes, run included
LIMITS = helix.onnx.Limits(value_elements=1 << 20, steps=20_000, initializer_elements=1 << 24)
NUMBERS = (0, 1, -1, 2, 3, 7, 100, 1 << 16, 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 63))
TEXTS = ("", "x", "y", "w", "../../etc/passwd", "/etc/passwd", "a" * 70000, "\0", "__class__", "ai.onnx.ml", "SAME_UPPER", "reflect", "é" * 9)  # fmt: skip


def samples(wide: bool) -> list[tuple[ModelProto, dict[str, Any]]]:
    """The models of the tests, one whose data lies in another file, and if wide a spread of the node tests; with their inputs."""

    made = [make() for make in MODELS.values()]
    outside = MODELS["perceptron"]()
    for tensor in outside.graph.initializer:
        onnx.external_data_helper.set_external_data(tensor, "data.bin", 0, len(tensor.raw_data))
        tensor.ClearField("raw_data")
    found = [(model, inputs_of(model)) for model in (*made, outside)]
    if not wide:
        return found
    from . import backend

    for case in [case for case in backend.cases() if backend.is_plain(case)][::9]:
        found.append((case.model, dict(zip([port.name for port in case.model.graph.input], case.data_sets[0][0]))))
    return found


def messages(message: Any, found: list[Any]) -> list[Any]:
    """A message and all those within it."""
    found.append(message)
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for part in value if _repeated(message, field) else [value]:
                messages(part, found)
    return found


def _repeated(message: Any, field: Any) -> bool:
    return hasattr(getattr(message, field.name), "add") or hasattr(getattr(message, field.name), "append")


def altered(model: ModelProto, rng: random.Random) -> bytes:
    """The model with one to three places changed."""
    model = type(model).FromString(model.SerializeToString())
    for _ in range(rng.randint(1, 3)):
        message = rng.choice(messages(model, []))
        fields = [field for field, _ in message.ListFields()]
        if not fields:
            continue
        field = rng.choice(fields)
        try:
            change(message, field, rng)
        except (TypeError, ValueError, OverflowError):
            continue
    return bytes(model.SerializeToString())


def change(message: Any, field: Any, rng: random.Random) -> None:
    name = field.name
    if _repeated(message, field):
        values = getattr(message, name)
        i = rng.randrange(len(values))
        kind = rng.randrange(4)
        if kind == 0:
            del values[i]
        elif kind == 1 and field.type == field.TYPE_MESSAGE:
            values.add().CopyFrom(values[rng.randrange(len(values))])
        elif kind == 1:
            values.append(values[rng.randrange(len(values))])
        elif field.type != field.TYPE_MESSAGE:
            values[i] = replacement(field, values[i], rng)
        return
    if rng.random() < 0.15:
        message.ClearField(name)
    elif field.type == field.TYPE_ENUM:
        setattr(message, name, rng.choice([value.number for value in field.enum_type.values]))
    elif field.type != field.TYPE_MESSAGE:
        setattr(message, name, replacement(field, getattr(message, name), rng))


def replacement(field: Any, value: Any, rng: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice([*NUMBERS, value + 1, value - 1, rng.randrange(30)])
    if isinstance(value, float):
        return rng.choice([0.0, -1.0, 1e30, float("nan"), float("inf"), value * 2])
    text = rng.choice(TEXTS)
    if isinstance(value, bytes):
        cut = value[: rng.randrange(len(value) + 1)]
        return rng.choice([cut, value + value, text.encode(), b"\xff\xfe"])
    return text


def attempt(raw: bytes, folder: str, inputs: dict[str, Any]) -> str:
    """Loads a model, runs it, again by a plan, and traces it; "traced", or the error's code. Anything but a HelixError is raised."""
    start = time.process_time()
    try:
        model = helix.onnx.load(raw, folder=folder, limits=LIMITS)
        result = "loaded"
        given = {port.name: inputs.get(port.name, numpy.zeros(1, numpy.float32)) for port in model.inputs}
        first = model.run(given)
        result = "ran"
        for _ in range(2):  # by a plan
            again = model.run(given)
            if not any(step.op == "Dropout" for step in model.program.steps):  # drawn anew
                require_same(first, again)
        result = "planned" if model.plans.possible else result
        if all(port.kind == "tensor" for port in model.inputs):
            model.trace({name: x.shape for name, x in given.items()})
            result = "traced"
    except HelixError as error:
        result = str(error.code)
        assert error.code and str(error), "an error without number or text"
    if time.process_time() - start > SECONDS:
        raise AssertionError(f"{time.process_time() - start:.1f} s for a file of {len(raw)} bytes")
    return result


def require_same(first: list[Any], again: list[Any]) -> None:
    """Numbers of a plan may differ in the last places, and where huge ones cancel or overflow."""
    for a, b in zip(first, again, strict=True):
        if not isinstance(a, numpy.ndarray):
            continue
        assert (a.shape, a.dtype) == (b.shape, b.dtype), f"{a.dtype}{a.shape}, by a plan {b.dtype}{b.shape}"
        sane = numpy.isfinite(a) & (abs(a) < 1e4)
        assert numpy.allclose(a[sane], b[sane], 1e-3, 1e-3), f"{a} became {b}"


def run(first: int, count: int, wide: bool = False) -> dict[str, int]:
    """How often each outcome came."""
    models = samples(wide)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "data.bin"), "wb") as file:
            file.write(bytes(4096))

        def attempt_one(rng: random.Random) -> str:
            model, inputs = rng.choice(models)
            damage = rng.random()
            raw = bytes_changed(model.SerializeToString(), rng) if damage < 0.25 else altered(model, rng)
            return attempt(raw, folder, inputs)

        return outcomes(attempt_one, first, count)


def main() -> int:
    given = options(__doc__)
    start = time.process_time()
    found = run(given.first, given.times, wide=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(dict(sorted(found.items())), f"{time.process_time() - start:.0f} s of processor time, {peak} MB at most")
    return 0


if __name__ == "__main__":
    sys.exit(main())
