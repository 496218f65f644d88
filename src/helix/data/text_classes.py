"""TextClasses: one folder a class, one file a text, as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import tensor as make
from ..tensor import Tensor
from .dataset import Dataset
from .folders import class_names

PADDING = 256


class TextClasses(Dataset):
    """`folder/<class>/<any>.txt` …: the first `length` bytes of each file, filled up with token 256. No tokenizer.

    Files are read when a batch asks for them.
    """

    task = "classification"
    vocabulary = PADDING + 1

    def __init__(self, folder: str | Path, length: int = 512, pattern: str = "*.txt") -> None:
        if length < 1:
            raise ValueError(f"TextClasses: length must be at least 1, got {length}")
        self.folder, self.length = Path(folder), length
        if not self.folder.is_dir():
            raise FileNotFoundError(f"text folder {str(folder)!r} does not exist")
        found = {p.name: sorted(p.rglob(pattern)) for p in sorted(self.folder.iterdir()) if p.is_dir()}
        self.classes = class_names("text", self.folder, [name for name, files in found.items() if files])
        self.samples = [(path, label) for label, name in enumerate(self.classes) for path in found[name]]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        path, label = self.samples[index]
        return make(self._tokens(path)), make(label)

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        chosen = [self.samples[int(i)] for i in indices]
        return make([self._tokens(path) for path, _ in chosen]), make([label for _, label in chosen])

    def targets(self) -> Tensor:
        return make([label for _, label in self.samples])

    def _tokens(self, path: Path) -> list[int]:
        with open(path, "rb") as file:
            return tokens_of(file.read(self.length), self.length)


def tokens_of(text: bytes, length: int) -> list[int]:
    """Bytes as so many tokens: cut, or filled up."""
    return [*text[:length], *[PADDING] * (length - len(text))]
