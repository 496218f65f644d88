"""Random programs of the op `fused`, and their steps done one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

import helix
from helix import _core
from helix._core import OpCall, wrapped_number
from helix.errors import HelixError
from helix.graph.fused import ABSENT, DIMS_AT, Operand, Program, Result, Step, encode, reduced

FRAMES = (
    (),
    (1,),
    (7,),
    (4097,),
    (0,),
    (3, 0),
    (0, 3),
    (5, 1),
    (40, 33),
    (3, 700),
    (2, 3, 65),
    (4, 1, 3, 5),
    (19, 6, 2),
)
DTYPES = ("float32",) * 4 + ("float64", "float16", "bfloat16", "int32", "int64", "uint8", "bool", "complex64")
ATTRIBUTES = {
    "number": (1, 2, -0.5, True),
    "float": (0.5, 2.0, -1.0),
    "int": (0, 1),
    "float | None": (None, 0.25),
    "bool": (True, False),
    "dtype": (helix.float32, helix.float64, helix.float16, helix.int32, helix.uint8, helix.bool),
    "dtype | None": (None, helix.float64),
}
# What the CPU does without tiles, where it is float32.
COMMON = [
    "add",
    "sub",
    "mul",
    "div",
    "maximum",
    "minimum",
    "neg",
    "abs",
    "square",
    "reciprocal",
    "sqrt",
    "rsqrt",
    "relu",
    "exp",
    "log",
    "tanh",
    "sigmoid",
    "silu",
    "erf",
]
RECORDS = {record["name"]: record for record in _core.ops()}
OPS = list(DIMS_AT)


def run_apart(program: Program, inputs: list[helix.Tensor]) -> list[helix.Tensor]:
    """The results, each step an op of its own."""
    made: list[helix.Tensor] = []
    for step in program.steps:
        made.append(run_step(program, step, inputs, made))
    results = [made[r.step] for r in program.results]
    return [
        x.reshape(reduced(tuple(x.shape), program.axes, kept=False)) if r.dropped else x
        for x, r in zip(results, program.results, strict=True)
    ]


def reduced_axes(program: Program, x: helix.Tensor) -> tuple[int, ...]:
    return tuple(range(-program.axes) if program.axes < 0 else range(x.ndim - program.axes, x.ndim))


def run_step(program: Program, step: Step, inputs: list, made: list) -> helix.Tensor:
    def value(o: Operand) -> Any:
        if o.kind == "number":
            return number(program, o)
        return None if o == ABSENT else (inputs if o.kind == "input" else made)[o.at]

    operands = [value(o) for o in step.operands]
    attributes = list(step.attributes)
    if DIMS_AT[step.op] >= 0:
        attributes[DIMS_AT[step.op]] = reduced_axes(program, operands[0])
    return OpCall(step.op, tuple(attributes), 0)(operands)[0]


def number(program: Program, o: Operand) -> helix.Tensor:
    value = program.numbers[o.at]
    made: helix.Tensor = wrapped_number(value, {bool: helix.bool, int: helix.int64, float: helix.float64}[type(value)])
    return made


def needs_casts(program: Program, step: Step, inputs: list, made: list) -> bool:
    """Would the op take an operand in another dtype? A program says so by a step of its own."""
    types = [(inputs if o.kind == "input" else made)[o.at].dtype for o in step.operands if o.kind in ("input", "step")]
    trace = _core.Trace()
    with trace:
        tensors = [trace.input((2,), kind) for kind in types]
        found = iter(tensors)
        given = [next(found) if o.kind in ("input", "step") else None for o in step.operands]
        given = [number(program, o) if o.kind == "number" else g for o, g in zip(step.operands, given, strict=True)]
        attributes = list(step.attributes)
        if DIMS_AT[step.op] >= 0:
            attributes[DIMS_AT[step.op]] = (0,)
        OpCall(step.op, tuple(attributes), 0)(given)
    return any(
        call[0] == "cast" and call[1][0] < len(types) for call in trace.calls()[: -1 if step.op == "cast" else None]
    )


def run_fused(program: Program, inputs: list[helix.Tensor]) -> list[helix.Tensor]:
    return OpCall("fused", encode(program, len(inputs)), len(inputs))(inputs)


def random_case(number: int) -> tuple[Program, list[helix.Tensor]]:
    """A program that can run, and inputs of it: stretched, turned, of many dtypes. Every other one is mostly common ops."""
    rng = np.random.default_rng(number)
    common = number % 2 == 1
    frame = FRAMES[int(rng.integers(len(FRAMES)))]
    axes = int(rng.integers(0, len(frame) + 1)) if rng.random() < 0.5 else 0
    inputs = [_input(frame, rng, i == 0, common) for i in range(int(rng.integers(1, 5)))]
    program = Program(axes, (2.0, 0.5, 3, True, -1.5), (), ())
    program, made = _grown(program, inputs, int(rng.integers(2, 14)), rng, common)
    return program._replace(results=_results(frame, axes, made, rng)), inputs


LEADING_FRAMES = (
    ((100, 40), 1),
    ((9, 16), 1),
    ((300, 700), 1),
    ((7, 5, 48), 2),
    ((6, 11, 3, 20), 1),
    ((33, 5), 1),
    ((1, 64), 1),
    ((64, 1), 1),
    ((0, 20), 1),
    ((50, 0), 1),
    ((37, 129), 2),
    ((150, 1001), 2),
    ((5000,), 1),
    ((270001,), 1),
    ((4, 3, 17), 3),
)
REDUCTIONS = ("sum", "sum", "mean", "amax", "amin", "prod", "nansum", "all", "any", "logsumexp")


def leading_case(number: int) -> tuple[Program, list[helix.Tensor]]:
    """A program that reduces over its first axes, with steps before and behind; inputs like those of `random_case`."""
    rng = np.random.default_rng(number)
    common = number % 2 == 1
    frame, count = LEADING_FRAMES[int(rng.integers(len(LEADING_FRAMES)))]
    inputs = [_input(frame, rng, i == 0, common) for i in range(int(rng.integers(1, 4)))]
    program, made = _grown(Program(0, (2.0, 0.5, 3, True, -1.5), (), ()), inputs, int(rng.integers(1, 6)), rng, common)
    program = program._replace(axes=-count)
    whole = [i for i, x in enumerate(made) if tuple(x.shape) == frame]
    ends: list[int] = []
    for _ in range(int(rng.integers(1, 4)) if whole else 0):
        op = REDUCTIONS[int(rng.integers(len(REDUCTIONS)))]
        rest = {"sum": (None,), "mean": (None,), "prod": (None,), "nansum": (None,)}.get(op, ())
        step = Step(op, (Operand("step", whole[int(rng.integers(len(whole)))]),), (None, True, *rest))
        program = _with(program, step, inputs, made) or program
        if program.steps[-1] is step:
            ends.append(len(made) - 1)
    for _ in range(int(rng.integers(0, 4)) if ends else 0):
        one, other = (Operand("step", ends[int(rng.integers(len(ends)))]) for _ in range(2))
        op = ("exp", "sqrt", "add", "mul", "sub")[int(rng.integers(5))]
        operands = (one,) if op in ("exp", "sqrt") else (one, other if rng.random() < 0.5 else Operand("number", 1))
        step = Step(op, operands, (1,) if op in ("add", "sub") else ())
        program = _with(program, step, inputs, made) or program
        if program.steps[-1] is step:
            ends.append(len(made) - 1)
    shown = [Result(i, bool(rng.random() < 0.5)) for i in ends if i == ends[-1] or rng.random() < 0.4]
    shown += [Result(i) for i in whole if rng.random() < 0.4]
    return program._replace(results=tuple(shown[:8]) if ends else ()), inputs


def _with(program: Program, step: Step, inputs: list, made: list) -> Program | None:
    """The program with one more step, if it can be done."""
    try:
        value = run_step(program, step, inputs, made)
    except HelixError:
        return None
    if needs_casts(program, step, inputs, made):
        return None
    made.append(value)
    return program._replace(steps=(*program.steps, step))


def _grown(
    program: Program, inputs: list, count: int, rng: np.random.Generator, common: bool
) -> tuple[Program, list[helix.Tensor]]:
    """The program with some random steps more, and their values."""
    made: list[helix.Tensor] = []
    for _ in range(count):
        for _ in range(8):
            step = _step(program, inputs, made, rng, common)
            if step is None or (DIMS_AT[step.op] >= 0 and _rank(step, inputs, made) < program.axes):
                continue
            longer = _with(program, step, inputs, made)
            if longer is not None:
                program = longer
                break
    return program, made


def _input(frame: tuple, rng: np.random.Generator, whole: bool, common: bool) -> helix.Tensor:
    shape = [n if whole or rng.random() < 0.6 else 1 for n in frame]
    shape = shape[0 if whole else int(rng.integers(0, len(shape) + 1)) :]
    x = helix.tensor(rng.uniform(-2, 2, [2 * n for n in shape]).astype(np.float32))
    for d in range(len(shape)):
        kind = int(rng.integers(3))
        half = shape[d]
        x = x.narrow(d, 0, half) if kind else x.narrow(d, half, half)
        if kind == 2:
            x = x.flip(d)
    x = x if common else x.to(getattr(helix, DTYPES[int(rng.integers(len(DTYPES)))]))
    layout = int(rng.integers(4))
    if layout == 0 and len(shape) > 1:
        return x.transpose(0, -1).contiguous().transpose(0, -1)
    if layout == 1:
        wide = helix.zeros([2 * n for n in shape], dtype=x.dtype)
        part = wide[tuple(slice(None, None, 2) for _ in shape)] if shape else wide
        part.copy_(x)
        return part
    return x if layout == 2 else x.contiguous()


def _step(program: Program, inputs: list, made: list, rng: np.random.Generator, common: bool) -> Step | None:
    op = OPS[int(rng.integers(len(OPS)))]
    if (DIMS_AT[op] >= 0 and not program.axes) or rng.random() < 0.2:
        op = ("add", "mul", "sub", "maximum", "cast", "exp")[int(rng.integers(6))]
    if common and rng.random() < 0.8:
        op = COMMON[int(rng.integers(len(COMMON)))]
    params = RECORDS[op]["params"]
    known = [Operand("input", i) for i in range(len(inputs))] + [Operand("step", i) for i in range(len(made))]
    tensors = [*inputs, *made]
    first = int(rng.integers(len(known)))
    operands: list[Operand] = []
    attributes: list[Any] = []
    for param in params:
        if "Tensor" in param["kind"]:
            alike = [o for o, t in zip(known, tensors, strict=True) if t.dtype is tensors[first].dtype]
            if not operands and op != "where":
                operands.append(known[first])
            elif not operands:
                truths = [o for o, t in zip(known, tensors, strict=True) if t.dtype is helix.bool]
                operands.append(truths[0] if truths else known[first])
            elif rng.random() < 0.4:
                operands.append(Operand("number", int(rng.integers(len(program.numbers)))))
            elif "None" in param["kind"] and rng.random() < 0.3:
                operands.append(ABSENT)
            else:
                operands.append(alike[int(rng.integers(len(alike)))])
        elif len(attributes) == DIMS_AT[op]:
            attributes.append(None)
        elif param["name"] == "keepdim":
            attributes.append(True)
        else:
            choices = param["choices"] or ATTRIBUTES.get(param["kind"], ())
            if not choices:
                return None
            attributes.append(choices[int(rng.integers(len(choices)))])
    return Step(op, tuple(operands), tuple(attributes))


def _rank(step: Step, inputs: list, made: list) -> int:
    o = step.operands[0]
    return (inputs if o.kind == "input" else made)[o.at].ndim


def _results(frame: tuple, axes: int, made: list, rng: np.random.Generator) -> tuple[Result, ...]:
    kept = (*frame[: len(frame) - axes], *[1] * axes)
    fit = [i for i, x in enumerate(made) if (1,) * (len(frame) - x.ndim) + tuple(x.shape) in (frame, kept)]
    chosen = sorted({fit[-1], *[i for i in fit if rng.random() < 0.3]})[-8:] if fit else []
    return tuple(
        [
            Result(
                i,
                bool(
                    axes
                    and made[i].ndim >= axes
                    and rng.random() < 0.5
                    and tuple(made[i].shape[made[i].ndim - axes :]) == (1,) * axes
                ),
            )
            for i in chosen
        ]
    )


def without_dead(program: Program) -> Program:
    """The program without the steps that no result needs, each of which would be a kernel to compile."""
    needed = {result.step for result in program.results}
    for at in reversed(range(len(program.steps))):
        if at in needed:
            needed |= {o.at for o in program.steps[at].operands if o.kind == "step"}
    place = {old: new for new, old in enumerate(sorted(needed))}
    steps = [
        step._replace(operands=tuple([o._replace(at=place[o.at]) if o.kind == "step" else o for o in step.operands]))
        for at, step in enumerate(program.steps)
        if at in needed
    ]
    results = [result._replace(step=place[result.step]) for result in program.results]
    return program._replace(steps=tuple(steps), results=tuple(results))


def same_bits(a: helix.Tensor, b: helix.Tensor) -> bool:
    x, y = (t.to(helix.float32 if t.dtype is helix.bfloat16 else t.dtype).numpy() for t in (a, b))
    if a.dtype is not b.dtype or x.shape != y.shape or not np.array_equal(x, y, equal_nan=x.dtype.kind in "fc"):
        return False
    signs = [np.signbit(v.real) & (v == v) for v in (x, y)] if x.dtype.kind in "fc" else []
    return not signs or bool(np.array_equal(*signs))
