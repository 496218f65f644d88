"""Dataset: numbered samples, and how a batch of them is fetched."""

from __future__ import annotations

from collections.abc import Sequence

from .. import from_numpy, stack
from .. import tensor as make
from ..tensor import Tensor


class Dataset:
    """Samples 0 … len-1; each is a tuple of tensors, the last of which is the target.

    `task` is "classification", "regression", "language" or ""; `classes` names the classes, if there are any.
    """

    task = ""
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        """Samples stacked along a new first axis. Datasets that can do better than one at a time override it."""
        return tuple(stack(list(column)) for column in zip(*(self[int(i)] for i in indices), strict=True))

    def set_epoch(self, epoch: int) -> None:
        """The Loader says here which epoch begins; for datasets whose samples change with it."""

    def targets(self) -> Tensor:
        """All targets, for stratified splits and class counts."""
        return stack([self[i][-1] for i in range(len(self))])


def as_tensor(values) -> Tensor:
    """A tensor from a tensor, an array or nested lists."""
    if isinstance(values, Tensor):
        return values
    if type(values).__module__ == "numpy":
        import numpy as np

        return from_numpy(np.ascontiguousarray(values))
    return make(values)


def _task_of(tensors: tuple[Tensor, ...]) -> str:
    if len(tensors) < 2:
        return ""
    return "regression" if tensors[-1].is_floating_point() else "classification"


class TensorDataset(Dataset):
    """Tensors or arrays whose first axes are equally long: sample i is row i of each.

    Without `task`, whole-number targets are classes and others are values to predict.
    """

    def __init__(self, *tensors, task: str | None = None, classes: Sequence[str] = ()) -> None:
        if not tensors:
            raise ValueError("TensorDataset: give at least one tensor")
        self.tensors = tuple(as_tensor(t) for t in tensors)
        lengths = [len(t) for t in self.tensors]
        if len(set(lengths)) != 1:
            raise ValueError(f"TensorDataset: the tensors have different lengths: {', '.join(map(str, lengths))}")
        self.task = _task_of(self.tensors) if task is None else task
        self.classes = tuple(classes)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        rows = make([int(i) for i in indices]) if not isinstance(indices, Tensor) else indices
        return tuple(t.index_select(0, rows) for t in self.tensors)

    def targets(self) -> Tensor:
        return self.tensors[-1]


class Subset(Dataset):
    """Some samples of a dataset, by index."""

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, [int(i) for i in indices]
        self.task, self.classes = dataset.task, dataset.classes

    def set_epoch(self, epoch: int) -> None:
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return self.dataset[self.indices[index]]

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        return self.dataset.batch([self.indices[int(i)] for i in indices])

    def targets(self) -> Tensor:
        return self.dataset.targets().index_select(0, make(self.indices))
