"""Tables in CSV files: numeric columns as inputs, one column as the target."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from .. import float32, float64, int64
from .. import tensor as make
from ..errors import ConfigError
from ..tensor import Tensor
from .dataset import TensorDataset, as_tensor

if TYPE_CHECKING:
    from .info import DataInfo


class Column(msgspec.Struct, frozen=True):
    """What a column of inputs is called, and what its numbers are scaled by."""

    name: str
    mean: float
    deviation: float


class Table(TensorDataset):
    """A table that was read: `columns` are its inputs, `target` is the name of the column of targets."""

    def __init__(self, inputs: Tensor, targets: Tensor, columns: Sequence[Column], target: str, **facts) -> None:
        super().__init__(inputs, targets, **facts)
        self.columns, self.target = tuple(columns), target


def read_csv(path: str | Path, target: str | None = None, like: DataInfo | None = None) -> Table:
    """Reads a CSV file with a header. `target` names the target column; by default the last.

    Inputs are scaled to mean 0 and deviation 1. A target of whole numbers or of words is a class; of fractions, a
    number to predict. `like` says what another table was read as: this one gets its columns, scaling, task and classes.
    """
    header, body = _lines(path, 2 if like is None else 1)
    name = like.target if like is not None else target if target is not None else header[-1]
    at = _place(path, header, name)
    words = [row[at] for row in body]
    if like is not None:
        inputs, targets = _inputs(path, header, body, like.columns), _targets_like(words, like)
        return Table(inputs, targets, like.columns, name, task=like.task, classes=like.classes)
    places = [i for i in range(len(header)) if i != at]
    values = _values(path, header, body, places)
    columns = _measured([header[i] for i in places], values)
    targets, classes = _targets(words)
    task = "classification" if classes else "regression"
    return Table(scaled(values, columns), targets, columns, name, task=task, classes=classes)


def read_inputs(path: str | Path, columns: Sequence[Column]) -> Tensor:
    """The inputs of a table, with or without targets, scaled as those of another."""
    header, body = _lines(path, 1)
    return _inputs(path, header, body, columns)


def scaled(values: Tensor, columns: Sequence[Column]) -> Tensor:
    """Rows as they stand in a table, (…, columns), in float32 and units of their columns' deviations from the means."""
    means, deviations = (make([getattr(c, name) for c in columns], dtype=float64) for name in ("mean", "deviation"))
    return ((values.to(float64) - means) / deviations).to(float32)


def _lines(path: str | Path, least: int) -> tuple[list[str], list[list[str]]]:
    """The header and the rows."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row]
    if len(rows) < 1 + least:
        needed = "two rows" if least == 2 else "one row"
        raise ValueError(f"{str(path)!r} needs a header and at least {needed}, it has {len(rows)} lines")
    header, body = rows[0], rows[1:]
    for number, row in enumerate(body, 2):
        if len(row) != len(header):
            raise ValueError(f"{str(path)!r} line {number}: {len(row)} columns where the header has {len(header)}")
    return header, body


def _place(path: str | Path, header: list[str], name: str) -> int:
    if name not in header:
        raise ValueError(f"{str(path)!r} has no column {name!r}; it has: {', '.join(header)}")
    if header.count(name) > 1:
        raise ValueError(f"{str(path)!r} has {header.count(name)} columns {name!r}; give each a name of its own")
    return header.index(name)


def _inputs(path: str | Path, header: list[str], body: list[list[str]], columns: Sequence[Column]) -> Tensor:
    """By the names of columns, in whatever order a file has them."""
    places = [_place(path, header, column.name) for column in columns]
    return scaled(_values(path, header, body, places), columns)


def _values(path: str | Path, header: list[str], body: list[list[str]], places: list[int]) -> Tensor:
    rows = [[_number(row[i], path, line, header[i]) for i in places] for line, row in enumerate(body, 2)]
    return make(rows, dtype=float64)


def _measured(names: list[str], values: Tensor) -> list[Column]:
    import numpy as np

    means, deviations = values.numpy().mean(0), values.numpy().std(0)
    return [
        Column(*facts)
        for facts in zip(names, means.tolist(), np.where(deviations > 0, deviations, 1.0).tolist(), strict=True)
    ]


def _number(text: str, path: str | Path, line: int, column: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{str(path)!r} line {line}: column {column!r} holds {text[:40]!r}, which is not a number")
    return number


def _numbers(words: list[str]) -> list[float] | None:
    try:
        return [float(word) for word in words]
    except ValueError:
        return None


def _targets(words: list[str]) -> tuple[Tensor, tuple[str, ...]]:
    """Numbers to predict, a row each, and no classes; or numbers of classes, and these."""
    numbers = _numbers(words)
    if numbers is not None and any(not number.is_integer() for number in numbers):
        return as_tensor(numbers).to(float32).reshape(-1, 1), ()
    classes = sorted(set(words), key=lambda w: (float(w), w) if numbers is not None else (0.0, w))
    return _coded(words, classes), tuple(classes)


def _targets_like(words: list[str], like: DataInfo) -> Tensor:
    if like.task == "regression":
        numbers = _numbers(words)
        if numbers is None:
            raise ConfigError(f"HX3105 data: the targets, {like.target!r}, are no numbers, which the run predicts.")
        return as_tensor(numbers).to(float32).reshape(-1, 1)
    unknown = sorted(set(words) - set(like.classes))
    if unknown:
        raise ConfigError(
            f"HX3105 data: {unknown[0]!r} is none of the classes that the run has learned: {', '.join(like.classes[:8])}."
        )
    return _coded(words, like.classes)


def _coded(words: list[str], classes: Sequence[str]) -> Tensor:
    index = {name: i for i, name in enumerate(classes)}
    return as_tensor([index[word] for word in words]).to(int64)
