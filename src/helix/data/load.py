"""load(): the dataset that a name, a file or a folder is."""

from __future__ import annotations

from pathlib import Path
from typing import overload

from .dataset import Dataset, TensorDataset
from .digits import digits
from .images import ImageFolder, image_files
from .loader import Loader
from .table import read_csv
from .text import TextFolder


@overload
def load(source, batch: None = None, **options) -> Dataset: ...
@overload
def load(source, batch: int, **options) -> Loader: ...
def load(source, batch: int | None = None, **options) -> Dataset | Loader:
    """A dataset from "digits", a CSV file, a folder of image folders, text, a pair of arrays, or a dataset.

    With `batch` the result is a shuffling Loader over it.
    """
    dataset = _dataset(source, options)
    return dataset if batch is None else Loader(dataset, batch, shuffle=True)


def _dataset(source, options: dict) -> Dataset:
    if isinstance(source, Dataset):
        return source
    if isinstance(source, (tuple, list)):
        return TensorDataset(*source, **options)
    if source == "digits":
        return digits()
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(
            f"data {str(source)!r} is neither a file or folder nor the name of a built-in dataset (digits)"
        )
    if path.suffix.lower() == ".csv":
        return read_csv(path, **options)
    if path.is_dir() and any(child.is_dir() and image_files(child) for child in path.iterdir()):
        return ImageFolder(path, **options)
    return TextFolder(path, **options)
