"""TextFolder: the bytes of files as a stream, cut into windows for a language model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import from_numpy
from ..tensor import Tensor
from .dataset import Dataset


class TextFolder(Dataset):
    """Windows of `length` bytes, and the same windows one byte later. No tokenizer: a token is a byte.

    `path` is a file or a folder, whose files matching `pattern` are joined in the order of their names, up to
    `limit` bytes.
    """

    task = "language"
    vocabulary = 256

    def __init__(self, path: str | Path, length: int = 128, pattern: str = "*", limit: int | None = None) -> None:
        import numpy as np

        if length < 1:
            raise ValueError(f"TextFolder: length must be at least 1, got {length}")
        self.path, self.length = Path(path), length
        self.files = self._find(pattern)
        self.bytes = np.frombuffer(self._read(limit), dtype=np.uint8)
        if len(self.bytes) <= length:
            raise ValueError(
                f"{str(path)!r} holds {len(self.bytes)} bytes in {len(self.files)} files matching "
                f"{pattern!r}; windows of {length} need more"
            )

    def _find(self, pattern: str) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        if not self.path.is_dir():
            raise FileNotFoundError(f"text folder {str(self.path)!r} does not exist")
        return sorted(p for p in self.path.rglob(pattern) if p.is_file())

    def _read(self, limit: int | None) -> bytes:
        parts, total = [], 0
        for file in self.files:
            part = file.read_bytes()
            if limit is not None:
                part = part[: limit - total]
            parts.append(part)
            total += len(part)
            if limit is not None and total >= limit:
                break
        return b"".join(parts)

    def __len__(self) -> int:
        return (len(self.bytes) - 1) // self.length

    def _rows(self, indices):
        import numpy as np

        starts = np.asarray(indices, dtype=np.int64)[:, None] * self.length
        rows = self.bytes[starts + np.arange(self.length + 1)].astype(np.int64)
        return (from_numpy(np.ascontiguousarray(rows[:, :-1])), from_numpy(np.ascontiguousarray(rows[:, 1:])))

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        given, wanted = self._rows([index])
        return given[0], wanted[0]

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        return self._rows([int(i) for i in indices])
