"""Tables in CSV files: numeric columns as inputs, one column as the target."""

from __future__ import annotations

import csv
from pathlib import Path

from .. import float32, int64
from .dataset import TensorDataset, as_tensor


def read_csv(path: str | Path, target: str | None = None) -> TensorDataset:
    """Reads a CSV file with a header. `target` names the target column; by default the last.

    Inputs are scaled to mean 0 and deviation 1. A target of whole numbers or of words is a class; of fractions, a
    number to predict.
    """
    import numpy as np

    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row]
    if len(rows) < 3:
        raise ValueError(f"{str(path)!r} needs a header and at least two rows, it has {len(rows)} lines")
    header, body = rows[0], rows[1:]
    for number, row in enumerate(body, 2):
        if len(row) != len(header):
            raise ValueError(f"{str(path)!r} line {number}: {len(row)} columns where the header has {len(header)}")
    name = target if target is not None else header[-1]
    if name not in header:
        raise ValueError(f"{str(path)!r} has no column {name!r}; it has: {', '.join(header)}")
    at = header.index(name)
    inputs = np.array(
        [
            [_number(row[i], path, line, header[i]) for i in range(len(header)) if i != at]
            for line, row in enumerate(body, 2)
        ],
        dtype=np.float64,
    )
    deviation = inputs.std(0)
    inputs = (inputs - inputs.mean(0)) / np.where(deviation > 0, deviation, 1.0)
    return _with_target(as_tensor(inputs).to(float32), [row[at] for row in body])


def _number(text: str, path, line: int, column: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"{str(path)!r} line {line}: column {column!r} holds {text[:40]!r}, which is not a number"
        ) from None


def _with_target(inputs, words: list[str]) -> TensorDataset:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = None
    if numbers is not None and any(not number.is_integer() for number in numbers):
        return TensorDataset(inputs, as_tensor(numbers).to(float32).reshape(-1, 1), task="regression")
    classes = sorted(set(words), key=lambda w: (float(w), w) if numbers is not None else (0.0, w))
    index = {name: i for i, name in enumerate(classes)}
    return TensorDataset(
        inputs, as_tensor([index[word] for word in words]).to(int64), task="classification", classes=classes
    )
