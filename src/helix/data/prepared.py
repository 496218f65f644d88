"""Arrays as people have them, made into what a model that helix chooses takes: float32 inputs, classes from 0, columns of numbers."""

from __future__ import annotations

from collections.abc import Sequence

from .. import float32, int64
from ..errors import ConfigError
from ..tensor import Tensor
from .dataset import Dataset
from .info import DataInfo

IGNORED = -100  # a target that does not count


class Prepared(Dataset):
    """Another dataset of (input, target), with inputs in float32 times `scale` (whole numbers), labels in int64 and values as a column."""

    def __init__(self, dataset: Dataset, scale: float = 1.0) -> None:
        self.dataset, self.scale = dataset, scale
        self.task, self.classes = dataset.task, dataset.classes

    def set_epoch(self, epoch: int) -> None:
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        given, target = self.dataset[index]
        return self._input(given), self._targets(target.reshape(1, *target.shape))[0]

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        given, targets = self.dataset.batch(indices)
        return self._input(given), self._targets(targets)

    def targets(self) -> Tensor:
        return self._targets(self.dataset.targets())

    def _input(self, given: Tensor) -> Tensor:
        given = given.to(float32)
        return given if self.scale == 1.0 else given * self.scale

    def _targets(self, targets: Tensor) -> Tensor:
        if self.task == "classification":
            return targets.to(int64).reshape(len(targets))
        return targets.to(float32).reshape(len(targets), -1) if targets.ndim < 2 else targets.to(float32)


def prepared(dataset: Dataset, scale: float | None = None) -> Dataset:
    """The dataset, or `Prepared` where a sample is not yet what a model takes; ConfigError where it cannot become that.

    `scale` is that of another part of the same data; without it, bytes with two or more axes are taken for pixels.
    """
    sample = dataset[0] if len(dataset) else ()
    if dataset.task not in ("classification", "regression") or getattr(dataset, "vocabulary", False) or not sample:
        _refuse_without_target(sample)
        return dataset
    if len(sample) != 2:
        return dataset
    given, target = sample
    _check_shapes(dataset, given, target)
    if given.is_floating_point():
        scale = 1.0
    elif scale is None:
        scale = 1 / 255 if given.dtype.name == "uint8" and given.ndim >= 2 else 1.0
    shaped = target.ndim == 0 if dataset.task == "classification" else target.ndim > 0
    wide = target.dtype is int64 if dataset.task == "classification" else target.dtype is float32
    return dataset if given.dtype is float32 and shaped and wide and scale == 1.0 else Prepared(dataset, scale)


def _refuse_without_target(sample: Sequence[Tensor]) -> None:
    if len(sample) == 1:
        raise ConfigError(
            "HX3105 data: the samples have inputs and no targets. Give both: a pair of arrays (x, y), x.npy with y.npy beside "
            "it, or data.options.target, the name of the file that holds the targets."
        )


def _check_shapes(dataset: Dataset, given: Tensor, target: Tensor) -> None:
    shape = tuple(given.shape)
    if not shape:
        raise ConfigError("HX3105 data: a sample is one number; inputs have a row for each sample: x.reshape(-1, 1).")
    if len(shape) == 3 and shape[2] in (1, 3, 4) and shape[0] > 4:
        raise ConfigError(
            f"HX3105 data: images of shape {shape} have their channels last; helix takes them first: np.moveaxis(x, -1, 1)."
        )
    if dataset.task != "classification":
        return
    if target.numel() != 1:
        raise ConfigError(
            f"HX3105 data: the target of a sample has shape {tuple(target.shape)}; a class is one whole number. Of one-hot rows "
            "take y.argmax(1); values to predict are fractions, y.astype('float32')."
        )
    least = int(dataset.targets().min().item())
    if least < 0 and least != IGNORED:
        raise ConfigError(f"HX3105 data: the target {least} is no class; classes are counted from 0, or are words.")


def refuse_other_kind(dataset: Dataset, info: DataInfo) -> None:
    """Refuses data of another task than a run's, or of other classes than it has learned: their numbers would mean other things."""
    if info.task == "regression" and dataset.task == "classification":
        raise ConfigError(
            "HX3105 data: its targets are whole numbers or words, classes; the run predicts values: y.astype('float32')."
        )
    if dataset.task and dataset.task != info.task:
        raise ConfigError(f"HX3105 data: its task is {dataset.task}, that of the run is {info.task}.")
    if dataset.classes and info.classes and tuple(dataset.classes) != tuple(info.classes):
        raise ConfigError(
            f"HX3105 data: its classes are {_few(dataset.classes)}, those of the run are {_few(info.classes)}. Give one folder or "
            "word for each class of the run, by the same names."
        )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
