"""Choices and loops. Outside of a trace they are Python's; in one a choice or length that is known is taken, others are kept."""

from __future__ import annotations

from typing import Any

import helix
from helix import graph as flow

from ..._core import Tensor
from ..table import op
from .common import axis_of, flat


def _known(call: Any, x: Tensor | None) -> bool:
    return x is None or not call.run.tracing or call.run.is_known(x)


def _truth(x: Tensor) -> bool:
    return bool(flat(x.tolist())[0])


@op("If", static=(0,))
def if_(call: Any, condition: Tensor, *, then_branch: Any, else_branch: Any) -> tuple[Any, ...]:
    if _known(call, condition):
        return tuple(call.body(then_branch if _truth(condition) else else_branch, []))
    made = flow.cond(condition, lambda: tuple(call.body(then_branch, [])), lambda: tuple(call.body(else_branch, [])))
    return tuple(made)


@op("Loop", static=(0, 1))
def loop(
    call: Any, most: Tensor | None = None, condition: Tensor | None = None, *carried: Any, body: Any
) -> tuple[Any, ...]:
    if not (_known(call, most) and _known(call, condition)):
        return _kept(call, most, condition, carried, body)
    limit = None if most is None else int(flat(most.tolist())[0])
    state: list[Any] = list(carried)
    rows: list[list[Tensor]] = [[] for _ in body.outputs[1 + len(carried) :]]
    going, count = condition is None or _truth(condition), 0
    while going and (limit is None or count < limit):
        call.run.tick()
        number = helix.tensor(count, dtype=helix.int64, device=call.run.device)
        truth = helix.tensor(True, device=call.run.device)
        call.run.know(number, False)
        call.run.know(truth, False)
        made = call.body(body, [number, truth, *state])
        if not _known(call, made[0]):
            return _kept(call, most, condition, carried, body)
        going, state = _truth(made[0]), made[1 : 1 + len(carried)]
        for row, value in zip(rows, made[1 + len(carried) :], strict=True):
            row.append(value)
        count += 1
    return (*state, *[_stacked(call, row, body, i + 1 + len(carried)) for i, row in enumerate(rows)])


def _stacked(call: Any, rows: list[Tensor], body: Any, index: int) -> Tensor:
    if rows:
        call.require(len(rows) * rows[0].numel())
        return helix.stack(rows)
    from ..types import dtype_of

    told = body.types[body.outputs[index]].tensor_type
    return helix.zeros(
        (0, *[dim.dim_value for dim in told.shape.dim]), dtype=dtype_of(told.elem_type or 1), device=call.run.device
    )


def _kept(
    call: Any, most: Tensor | None, condition: Tensor | None, carried: tuple[Any, ...], body: Any
) -> tuple[Any, ...]:
    """As a loop of the graph: what it carries must keep its shape, and nothing can be collected."""
    if call.run.planned:
        raise helix.errors.TraceError(
            "HX1702 a loop whose length depends on values is counted round by round", code="HX1702"
        )
    if len(body.outputs) != 1 + len(carried):
        raise helix.errors.TraceError(
            "HX1702 a loop whose length depends on values collects results, whose shape would depend on it",
            code="HX1702",
        )
    end = helix.full((), (1 << 62) if most is None else 0, dtype=helix.int64, device=call.run.device)
    end = end if most is None else most.reshape(()).to(helix.int64)
    start = (
        helix.full((), True, dtype=helix.bool, device=call.run.device)
        if condition is None
        else condition.reshape(()) & True
    )
    zero = helix.full((), 0, dtype=helix.int64, device=call.run.device)

    def test(now: tuple[Tensor, ...]) -> Tensor:
        return now[1] & (now[0] < end)

    def step(now: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        number, truth, *state = now
        made = call.body(body, [number, truth, *state])
        return (
            number + 1,
            made[0].reshape(()) & True,
            *[value * 1 if value is old else value for value, old in zip(made[1:], state)],
        )

    return flow.while_loop(test, step, (zero, start, *carried))[2:]


@op("Scan", since=9)
def scan(
    call: Any,
    *xs: Tensor,
    body: Any,
    num_scan_inputs: int,
    scan_input_axes: list[int] | None = None,
    scan_input_directions: list[int] | None = None,
    scan_output_axes: list[int] | None = None,
    scan_output_directions: list[int] | None = None,
) -> tuple[Tensor, ...]:
    if not 0 < num_scan_inputs <= len(xs):
        raise ValueError(f"{num_scan_inputs} of {len(xs)} inputs are scanned")
    n = len(xs) - num_scan_inputs
    outs = len(body.outputs) - n
    rows = list(xs[n:])
    for i in range(num_scan_inputs):
        axis = axis_of(scan_input_axes[i], rows[i].ndim) if scan_input_axes else 0
        rows[i] = rows[i].movedim(axis, 0)
        if scan_input_directions and scan_input_directions[i]:
            rows[i] = rows[i].flip(0)

    def step(carry: Any, row: Any) -> tuple[Any, Any]:
        call.run.tick()
        made = call.body(body, [*carry, *row])
        return tuple(made[:n]), tuple(made[n:])

    call.require(sum(row.numel() for row in rows))
    carry, stacked = flow.scan(step, tuple(xs[:n]), tuple(rows))
    made = list(stacked)
    for i in range(outs):
        if scan_output_directions and scan_output_directions[i]:
            made[i] = made[i].flip(0)
        if scan_output_axes:
            made[i] = made[i].movedim(0, axis_of(scan_output_axes[i], made[i].ndim))
    return (*carry, *made)


@op("Scan", since=8)
def scan_8(call: Any, lengths: Tensor | None, *xs: Tensor, body: Any, num_scan_inputs: int, directions: list[int] | None = None) -> tuple[Tensor, ...]:  # fmt: skip
    """Of a batch, each row for itself."""
    if lengths is not None:
        raise ValueError("sequence_lens is not supported; later versions have no such input")
    made = [
        scan(
            call,
            *[x.select(0, i) for x in xs],
            body=body,
            num_scan_inputs=num_scan_inputs,
            scan_input_directions=directions,
        )
        for i in range(xs[0].shape[0])
    ]
    return tuple([helix.stack(list(column)) for column in zip(*made, strict=True)])
