"""Programs of the op `fused`, which does many elementwise ops, and reductions, as one: written, and read.

The core's `fused.h` says how a program lies in numbers, and checks each before it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import _core
from .._core import dtype

FORMAT = 1
# The core's limits.
MOST_INPUTS, MOST_NUMBERS, MOST_STEPS, MOST_RESULTS = 32, 64, 96, 8
MOST_OPERANDS, MOST_ATTRIBUTES = 3, 4

_NONE, _BOOL, _INT, _FLOAT, _DTYPE, _STRING = 0, 1, 2, 3, 7, 8  # kinds of attributes, as backend.h numbers them
_BOOL_NUMBER, _INT_NUMBER, _FLOAT_NUMBER = 0, 1, 2

DIMS_AT: dict[str, int] = dict(_core.fused_ops())  # of each op: which attribute names the reduced axes, or -1
_CODES = {op: code for code, op in enumerate(DIMS_AT, 1)}
_OPS = list(DIMS_AT)
_DTYPES: list[Any] = sorted((v for v in vars(_core).values() if isinstance(v, dtype)), key=lambda d: d.code)
_RECORDS: dict[str, list[tuple[str, tuple[str, ...]]]] = {}


class Operand(NamedTuple):
    """What a step takes: "input", "number" or "step", counted each from 0; "none" for a tensor left out."""

    kind: str
    at: int = 0


ABSENT = Operand("none")


class Step(NamedTuple):
    """A call of an op. The reduced axes are not among the attributes, and None in their place; they are kept as 1."""

    op: str
    operands: tuple[Operand, ...]
    attributes: tuple[Any, ...] = ()


class Result(NamedTuple):
    """A step whose value the program gives; `dropped`: without the reduced axes."""

    step: int
    dropped: bool = False


class Program(NamedTuple):
    """A program: how many of the last axes it reduces over (below 0: of the first), its numbers, steps and results."""

    axes: int
    numbers: tuple[bool | int | float, ...]
    steps: tuple[Step, ...]
    results: tuple[Result, ...]


def encode(program: Program, inputs: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The attributes of a node that takes so many inputs: ints, and floats that they point into."""
    floats: list[float] = []
    ints = [FORMAT, program.axes, len(program.numbers)]
    for number in program.numbers:
        ints += _number(number, floats)
    ints.append(len(program.steps))
    first = {"input": 0, "number": inputs, "step": inputs + len(program.numbers), "none": -1}
    for step in program.steps:
        ints += [_CODES[step.op], len(step.operands), *[first[o.kind] + o.at for o in step.operands]]
        for (_, choices), attribute, at in zip(_attributes(step.op), step.attributes, range(99), strict=False):
            if at != DIMS_AT[step.op]:
                ints += _attribute(attribute, choices, floats)
    ints.append(len(program.results))
    for result in program.results:
        ints += [first["step"] + result.step, int(result.dropped)]
    return tuple(ints), tuple(floats)


def _place(value: float, floats: list[float]) -> int:
    floats.append(value)
    return len(floats) - 1


def _number(value: bool | int | float, floats: list[float]) -> list[int]:
    if isinstance(value, bool):
        return [_BOOL_NUMBER, int(value)]
    if isinstance(value, int):
        return [_INT_NUMBER, value]
    return [_FLOAT_NUMBER, _place(value, floats)]


def _attribute(value: Any, choices: tuple[str, ...], floats: list[float]) -> list[int]:
    if value is None:
        return [_NONE, 0]
    if isinstance(value, bool):
        return [_BOOL, int(value)]
    if isinstance(value, int):
        return [_INT, value]
    if isinstance(value, float):
        return [_FLOAT, _place(value, floats)]
    if isinstance(value, dtype):
        return [_DTYPE, value.code]
    return [_STRING, choices.index(value)]


def _attributes(op: str) -> list[tuple[str, tuple[str, ...]]]:
    """Name and choices of the record's attributes."""
    if not _RECORDS:
        for record in _core.ops():
            _RECORDS[record["name"]] = [
                (param["name"], tuple(param["choices"] or ()))
                for param in record["params"]
                if "Tensor" not in param["kind"]
            ]
    return _RECORDS[op]


def decode(ints: Sequence[int], floats: Sequence[float], inputs: int) -> Program:
    """The program that a node with so many inputs holds; it must be one that the core takes."""
    at = iter(ints[1:])
    axes = next(at)
    numbers = tuple([_read_number(next(at), next(at), floats) for _ in range(next(at))])
    first = inputs + len(numbers)

    def operand(register: int) -> Operand:
        if register < 0:
            return ABSENT
        if register < inputs:
            return Operand("input", register)
        return Operand("number", register - inputs) if register < first else Operand("step", register - first)

    steps = []
    for _ in range(next(at)):
        op = _OPS[next(at) - 1]
        operands = tuple([operand(next(at)) for _ in range(next(at))])
        attributes = [
            None if i == DIMS_AT[op] else _read_attribute(next(at), next(at), choices, floats)
            for i, (_, choices) in enumerate(_attributes(op))
        ]
        steps.append(Step(op, operands, tuple(attributes)))
    results = tuple([Result(next(at) - first, bool(next(at))) for _ in range(next(at))])
    return Program(axes, numbers, tuple(steps), results)


def reduced(frame: tuple[Any, ...], axes: int, kept: bool = True) -> tuple[Any, ...]:
    """The shape without so many of its last axes, or, below 0, of its first; they are 1 where they are kept."""
    ones = (1,) * abs(axes) if kept else ()
    return (*ones, *frame[-axes:]) if axes < 0 else (*frame[: len(frame) - axes], *ones)


def stretched(shapes: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """The shape to which shapes of numbers stretch."""
    rank = max(map(len, shapes), default=0)
    aligned = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple([next((size for size in sizes if size != 1), 1) for sizes in zip(*aligned, strict=True)])


def _read_number(kind: int, content: int, floats: Sequence[float]) -> bool | int | float:
    return floats[content] if kind == _FLOAT_NUMBER else content if kind == _INT_NUMBER else bool(content)


def _read_attribute(kind: int, content: int, choices: tuple[str, ...], floats: Sequence[float]) -> Any:
    if kind == _FLOAT:
        return floats[content]
    if kind == _DTYPE:
        return _DTYPES[content]
    if kind == _STRING:
        return choices[content]
    return {_NONE: None, _BOOL: bool(content), _INT: content}[kind]
