"""load(): the dataset that a name, a file or a folder is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import overload

from .dataset import Dataset, TensorDataset
from .digits import digits
from .images import SUFFIXES, ImageFolder
from .loader import Loader
from .recall import associative_recall, selective_copying
from .table import read_csv
from .text import TextFolder

TASKS: dict[str, Callable[..., Dataset]] = {
    "associative_recall": associative_recall,
    "selective_copying": selective_copying,
}
KINDS = ("auto", "images", "table", "text")


@overload
def load(source, batch: None = None, kind: str = "auto", **options) -> Dataset: ...
@overload
def load(source, batch: int, kind: str = "auto", **options) -> Loader: ...
def load(source, batch: int | None = None, kind: str = "auto", **options) -> Dataset | Loader:
    """A dataset from "digits", "selective_copying" or "associative_recall", a CSV file, a folder of image folders, text, a pair of arrays, or a dataset.

    `kind` says what a path holds: images, table or text; "auto" looks at the files. `options` go to the dataset. With
    `batch` the result is a shuffling Loader over it.
    """
    if kind not in KINDS:
        raise ValueError(f"load: kind must be one of {', '.join(KINDS)}; got {kind!r}")
    dataset = _dataset(source, kind, options)
    return dataset if batch is None else Loader(dataset, batch, shuffle=True)


def _dataset(source, kind: str, options: dict) -> Dataset:
    if isinstance(source, Dataset):
        return source
    if isinstance(source, (tuple, list)):
        return TensorDataset(*source, **options)
    if isinstance(source, str) and source in TASKS:
        return TASKS[source](**options)
    if source == "digits":
        return digits()
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(
            f"data {str(source)!r} is neither a file or folder nor the name of a built-in dataset (digits, {', '.join(TASKS)})"
        )
    readers: dict[str, Callable[..., Dataset]] = {"images": ImageFolder, "table": read_csv, "text": TextFolder}
    return readers[_kind_of(path) if kind == "auto" else kind](path, **options)


def _kind_of(path: Path) -> str:
    """By the name of a file; a folder holds images when most of the files in its folders are images."""
    if path.is_file():
        return "table" if path.suffix.lower() == ".csv" else "text"
    inner = [file for folder in path.iterdir() if folder.is_dir() for file in folder.iterdir() if file.is_file()]
    images = sum(file.suffix.lower() in SUFFIXES for file in inner)
    return "images" if 2 * images > len(inner) else "text"
