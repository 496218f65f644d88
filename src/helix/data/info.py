"""What a model has to know of its data: kept with a run, so that the data itself is not needed to predict."""

from __future__ import annotations

import math

import msgspec

from .dataset import Dataset
from .table import Column


class DataInfo(msgspec.Struct, frozen=True):
    """Shapes of one sample, and what the task is."""

    task: str
    input_shape: tuple[int, ...]
    outputs: int
    classes: tuple[str, ...] = ()
    vocabulary: int = 0
    scale: float = 1.0  # what whole-number inputs are multiplied by
    columns: tuple[Column, ...] = ()  # of a table
    target: str = ""  # the name of a table's column of targets
    format_version: int = 1


def describe(dataset: Dataset) -> DataInfo:
    """The info of a dataset, read from its first sample."""
    if len(dataset) == 0:
        raise ValueError("the dataset is empty")
    sample = dataset[0]
    task = dataset.task
    outputs = math.prod(sample[-1].shape)
    if task == "classification":
        outputs = len(dataset.classes) or int(dataset.targets().max()) + 1
    return DataInfo(
        task,
        tuple(sample[0].shape),
        outputs,
        tuple(dataset.classes),
        getattr(dataset, "vocabulary", 0),
        getattr(dataset, "scale", 1.0),
        getattr(dataset, "columns", ()),
        getattr(dataset, "target", ""),
    )
