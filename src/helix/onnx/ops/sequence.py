"""Sequences, which are lists here, and optional values, where None stands for none."""

from __future__ import annotations

from typing import Any

import helix

from ..._core import Tensor
from ..table import op
from .common import axis_of, ints
from .shape import _split

Sequence = list[Any]


@op("SequenceConstruct")
def sequence_construct(*xs: Tensor) -> Sequence:
    return list(xs)


@op("SequenceEmpty")
def sequence_empty(*, dtype: int = 1) -> Sequence:
    return []


def _place(sequence: Sequence, position: Tensor | None, most: int) -> int:
    at = -1 if position is None else ints(position)[0]
    if not -len(sequence) <= at < most:
        raise ValueError(f"position {at} in a sequence of {len(sequence)}")
    return at + len(sequence) if at < 0 else at


@op("SequenceAt", static=(1,))
def sequence_at(sequence: Sequence, position: Tensor) -> Any:
    return sequence[_place(sequence, position, len(sequence))]


@op("SequenceInsert", static=(2,))
def sequence_insert(call: Any, sequence: Sequence, x: Tensor, position: Tensor | None = None) -> Sequence:
    at = len(sequence) if position is None else _place(sequence, position, len(sequence) + 1)
    call.require(len(sequence) + 1)
    return [*sequence[:at], x, *sequence[at:]]


@op("SequenceErase", static=(1,))
def sequence_erase(sequence: Sequence, position: Tensor | None = None) -> Sequence:
    at = _place(sequence, position, len(sequence))
    return [*sequence[:at], *sequence[at + 1 :]]


@op("SequenceLength", sizes=True)
def sequence_length(call: Any, sequence: Sequence) -> Tensor:
    return helix.tensor(len(sequence), dtype=helix.int64, device=call.run.device)


@op("SplitToSequence", static=(1,))
def split_to_sequence(
    call: Any, x: Tensor, split: Tensor | None = None, *, axis: int = 0, keepdims: int = 1
) -> Sequence:
    axis = axis_of(axis, x.ndim)
    total = x.shape[axis]
    if split is None:
        call.run.tick(total)
        parts = _split(x, [1] * total, axis)
        return list(parts) if keepdims else [part.squeeze(axis) for part in parts]
    sizes = ints(split)
    if split.ndim == 0:
        if sizes[0] < 1:
            raise ValueError(f"parts of {sizes[0]}")
        call.run.tick(total // sizes[0])
        sizes = [min(sizes[0], total - at) for at in range(0, total, sizes[0])]
    return list(_split(x, sizes, axis))


@op("ConcatFromSequence")
def concat_from_sequence(call: Any, sequence: Sequence, *, axis: int, new_axis: int = 0) -> Tensor:
    call.require(sum(x.numel() for x in sequence))
    return helix.stack(sequence, axis) if new_axis else helix.cat(sequence, axis)


@op("SequenceMap")
def sequence_map(call: Any, sequence: Sequence, *others: Any, body: Any) -> tuple[Sequence, ...]:
    columns: list[Sequence] = [[] for _ in body.outputs]
    for i, x in enumerate(sequence):
        call.run.tick()
        given = [other[i] if isinstance(other, list) else other for other in others]
        for column, value in zip(columns, call.body(body, [x, *given]), strict=True):
            column.append(value)
    return tuple(columns)


@op("Optional")
def optional(x: Any = None, *, type: Any = None) -> Any:
    return x


@op("OptionalHasElement", sizes=True)
def optional_has_element(call: Any, x: Any = None) -> Tensor:
    return helix.tensor(x is not None, device=call.run.device)


@op("OptionalGetElement")
def optional_get_element(x: Any) -> Any:
    if x is None:
        raise ValueError("the optional value is none")
    return x
