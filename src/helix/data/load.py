"""load(): the dataset that a name, a file or a folder is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import overload

from .arrays import arrays_of, coded
from .dataset import Dataset, TensorDataset
from .digits import digits
from .folders import kind_of
from .images import ImageFolder
from .loader import Loader
from .recall import associative_recall, selective_copying
from .table import read_csv
from .text import TextFolder
from .text_classes import TextClasses

TASKS: dict[str, Callable[..., Dataset]] = {
    "associative_recall": associative_recall,
    "selective_copying": selective_copying,
}
READERS: dict[str, Callable[..., Dataset]] = {
    "arrays": arrays_of,
    "images": ImageFolder,
    "table": read_csv,
    "text": TextFolder,
    "text_classes": TextClasses,
}
KINDS = ("auto", *READERS)


@overload
def load(source, batch: None = None, kind: str = "auto", **options) -> Dataset: ...
@overload
def load(source, batch: int, kind: str = "auto", **options) -> Loader: ...
def load(source, batch: int | None = None, kind: str = "auto", **options) -> Dataset | Loader:
    """A dataset from "digits", "selective_copying" or "associative_recall", a file or folder, a pair of arrays, or a dataset.

    A path is a CSV file, an .npy file of inputs (with its targets beside it: x.npy and y.npy, or `target="labels.npy"`), an .npz file,
    a folder with a folder of images or of .txt files for each class, or text. `kind` says which: table, arrays, images,
    text_classes or text; "auto" looks at the files. `options` go to the dataset. With `batch` the result is a shuffling
    Loader over it.
    """
    if kind not in KINDS:
        raise ValueError(f"load: kind must be one of {', '.join(KINDS)}; got {kind!r}")
    dataset = _dataset(source, kind, options)
    return dataset if batch is None else Loader(dataset, batch, shuffle=True)


def _dataset(source, kind: str, options: dict) -> Dataset:
    if isinstance(source, Dataset):
        return source
    if isinstance(source, (tuple, list)):
        *inputs, targets = source
        targets, names = coded(targets)
        return TensorDataset(*inputs, targets, **{"classes": names, **options})
    if isinstance(source, str) and source in TASKS:
        return TASKS[source](**options)
    if source == "digits":
        return digits()
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(
            f"data {str(source)!r} is neither a file or folder nor the name of a built-in dataset (digits, {', '.join(TASKS)})"
        )
    return READERS[kind_of(path) if kind == "auto" else kind](path, **options)
