"""Arrays and tokens that stay on disk: mapped into memory, read where a batch asks for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from .. import from_numpy
from ..errors import FormatError
from ..tensor import Tensor
from .dataset import Dataset, TensorDataset


class ArrayFiles(Dataset):
    """`.npy` files whose first axes are equally long, mapped: sample i is row i of each. The last one is the target.

    Without `task`, whole-number targets and words are classes and others are values to predict. Object arrays, which are pickles,
    are refused.
    """

    arrays: list[Any]

    def __init__(self, *paths: str | Path, task: str | None = None, classes: Sequence[str] = ()) -> None:
        import numpy as np

        if not paths:
            raise ValueError("ArrayFiles: name at least one .npy file")
        try:
            self.arrays = [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]
        except (ValueError, EOFError) as error:
            raise FormatError(f"HX2103 npy: {error}", code="HX2103") from error
        for path, array in zip(paths, self.arrays, strict=True):
            if not isinstance(array, np.ndarray) or array.ndim == 0:
                raise FormatError(f"HX2103 npy: {Path(path).name} holds no array with rows", code="HX2103")
        self.arrays[-1], names = coded(self.arrays[-1])
        classes = classes or names
        lengths = {len(array) for array in self.arrays}
        if len(lengths) != 1:
            raise ValueError(f"ArrayFiles: the files hold different numbers of rows: {sorted(lengths)}")
        real = np.issubdtype(self.arrays[-1].dtype, np.floating)
        guess = "" if len(paths) < 2 else "regression" if real else "classification"
        self.task, self.classes = guess if task is None else task, tuple(classes)

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        import numpy as np

        return tuple(from_numpy(np.array(array[index])) for array in self.arrays)

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        import numpy as np

        rows = np.asarray(list(indices), dtype=np.int64)
        return tuple(from_numpy(np.ascontiguousarray(array[rows])) for array in self.arrays)

    def targets(self) -> Tensor:
        import numpy as np

        return from_numpy(np.array(self.arrays[-1]))


def coded(targets) -> tuple[Any, tuple[str, ...]]:
    """Words as numbers of classes, and the classes in order; anything else as it is."""
    import numpy as np

    words = isinstance(targets, (list, tuple)) and len(targets) > 0 and all(isinstance(word, str) for word in targets)
    if not words and not (isinstance(targets, np.ndarray) and targets.dtype.kind in "US"):
        return targets, ()
    names, numbers = np.unique(np.asarray(targets).astype(str), return_inverse=True)
    return numbers.astype(np.int64), tuple(map(str, names))


TARGETS = {
    "x": "y",
    "X": "y",
    "inputs": "targets",
    "data": "labels",
    "features": "labels",
    "images": "labels",
    "train": "labels",
}


def arrays_of(
    path: str | Path, target: str | None = None, task: str | None = None, classes: Sequence[str] = ()
) -> Dataset:
    """The dataset of an `.npy` file of inputs and the file of its targets, or of an `.npz` file that holds both.

    `target` names the other file, or the array; by default y.npy beside x.npy, labels.npy beside images.npy, and so on
    (`x_test.npy` goes with `y_test.npy`), or in an .npz file the last of two arrays. Inputs alone make a dataset without targets.
    """
    path = Path(path)
    if path.suffix.lower() == ".npz":
        return _of_archive(path, target, task, classes)
    if target is not None:
        beside = Path(target) if Path(target).is_absolute() else path.parent / target
        if not beside.exists():
            raise FileNotFoundError(f"data.options.target: there is no {target!r} beside {path.name!r}")
        return ArrayFiles(path, beside, task=task, classes=classes)
    found = next((other for other in _beside(path) if other.exists()), None)
    return ArrayFiles(path, *([found] if found is not None else []), task=task, classes=classes)


def _beside(path: Path) -> list[Path]:
    """Where the targets of a file of inputs may lie."""
    head, mark, tail = path.stem.partition("_")
    names = [f"{TARGETS[head]}{mark}{tail}"] if head in TARGETS else []
    front, mark, last = path.stem.rpartition("_")
    names += [f"{front}{mark}{TARGETS[last]}"] if mark and last in TARGETS else []
    return [path.with_name(name + path.suffix) for name in names]


def _of_archive(path: Path, target: str | None, task: str | None, classes: Sequence[str]) -> Dataset:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, BadZipFile) as error:
        raise FormatError(f"HX2103 npz: {path.name}: {error}", code="HX2103") from error
    given, wanted = _pair(path, list(arrays), target)
    targets, names = coded(arrays[wanted])
    return TensorDataset(arrays[given], targets, task=task, classes=classes or names)


def _pair(path: Path, names: list[str], target: str | None) -> tuple[str, str]:
    """The names of inputs and targets."""
    held = f"{str(path)!r} holds the arrays {', '.join(names) or 'none'}"
    if target is not None and target not in names:
        raise ValueError(f"data.options.target: {held}, and no {target!r}")
    if target is None:
        pairs = [(given, wanted) for given, wanted in TARGETS.items() if given in names and wanted in names]
    else:
        pairs = [(given, target) for given in TARGETS if given in names and given != target]
    if len(names) == 2 and not pairs:
        wanted = names[1] if target is None else target
        pairs = [(names[names[0] == wanted], wanted)]
    if not pairs:
        raise ValueError(f"{held}; it needs two, the inputs as x and the targets as y.")
    return pairs[0]


class TokenFile(Dataset):
    """Windows of `length` tokens of a file of numbers, and the same windows one token later; the file is mapped, not read.

    The file is what `write_tokens` writes, or any plain array of `dtype` (uint16 or uint32, say). Without `vocabulary` it is gone
    through once for its largest number.
    """

    task = "language"

    def __init__(self, path: str | Path, length: int = 128, dtype: str = "uint16", vocabulary: int = 0) -> None:
        import numpy as np

        if length < 1:
            raise ValueError(f"TokenFile: length must be at least 1, got {length}")
        size, width = Path(path).stat().st_size, np.dtype(dtype).itemsize
        if size % width:
            raise FormatError(f"HX2103 {Path(path).name}: {size} bytes are no whole number of {dtype}", code="HX2103")
        if size // width <= length:
            raise ValueError(f"{str(path)!r} holds {size // width} tokens; windows of {length} need more")
        self.tokens, self.length = np.memmap(path, dtype=dtype, mode="r"), length
        self.vocabulary = vocabulary or int(self.tokens.max()) + 1

    def __len__(self) -> int:
        return (len(self.tokens) - 1) // self.length

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        given, wanted = self.batch([index])
        return given[0], wanted[0]

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        import numpy as np

        starts = np.asarray(list(indices), dtype=np.int64)[:, None] * self.length
        rows = self.tokens[starts + np.arange(self.length + 1)].astype(np.int64)
        return from_numpy(np.ascontiguousarray(rows[:, :-1])), from_numpy(np.ascontiguousarray(rows[:, 1:]))


def write_tokens(path: str | Path, parts: Iterable[Sequence[int]], dtype: str = "uint16") -> int:
    """Writes the tokens of all parts, one after another, as a plain array; whole or not at all. Returns how many."""
    import numpy as np

    from ..io import atomic_write

    count, limits = 0, np.iinfo(dtype)
    with atomic_write(path) as file:
        for part in parts:
            ids = np.asarray(part, dtype=np.int64)
            if ids.size and not (limits.min <= ids.min() and ids.max() <= limits.max):
                wrong = int(ids.min() if ids.min() < limits.min else ids.max())
                raise ValueError(f"write_tokens: token {wrong} does not fit into {dtype}")
            file.write(ids.astype(dtype).tobytes())
            count += ids.size
    return count
