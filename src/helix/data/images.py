"""ImageFolder: one folder a class, decoded with Pillow when a batch asks for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .. import from_numpy, stack
from .. import tensor as make
from ..errors import FormatError
from ..tensor import Tensor
from .dataset import Dataset
from .extras import needed
from .folders import IMAGES, class_names

MAX_PIXELS = 64_000_000


def image_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGES and p.is_file())


def open_image(path: Path):
    """Opens with Pillow, reading the header only, and refuses before decoding what is too large."""
    image = needed("PIL.Image", "image", "images").open(path)
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise FormatError(
            f"HX2101 {path.name}: image declares {width} x {height} pixels, above the limit of "
            f"{MAX_PIXELS // 10**6} Mpx; refused before decoding.",
            code="HX2101",
        )
    return image


def decode(path: str | Path, size: tuple[int, ...], grayscale: bool = False) -> Tensor:
    """One file as (channels, height, width) with values in [0, 1]."""
    import numpy as np

    with open_image(Path(path)) as image:
        image = image.convert("L" if grayscale else "RGB").resize((size[1], size[0]), resample=2)  # bilinear
        pixels = np.asarray(image, dtype=np.float32) / 255.0
    return from_numpy(np.ascontiguousarray(pixels[None] if grayscale else pixels.transpose(2, 0, 1)))


class ImageFolder(Dataset):
    """`folder/<class>/<any>.png` …: images of `size` (height, width) with values in [0, 1], channels first.

    Files that cannot be read are left out and listed in `unreadable`.
    """

    task = "classification"

    def __init__(self, folder: str | Path, size: int | tuple[int, int] = 64, grayscale: bool = False) -> None:
        needed("PIL.Image", "image", "helix.data.ImageFolder")
        self.folder, self.grayscale = Path(folder), grayscale
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        if not self.folder.is_dir():
            raise FileNotFoundError(f"image folder {str(folder)!r} does not exist")
        names = sorted(p.name for p in self.folder.iterdir() if p.is_dir() and image_files(p))
        self.classes = class_names("image", self.folder, names)
        self.unreadable: list[tuple[str, str]] = []
        self._pool: ThreadPoolExecutor | None = None
        self.samples = [
            (path, label)
            for label, name in enumerate(names)
            for path in image_files(self.folder / name)
            if self._readable(path)
        ]

    def _readable(self, path: Path) -> bool:
        try:
            with open_image(path):
                return True
        except (OSError, ValueError, SyntaxError) as error:
            self.unreadable.append((str(path.relative_to(self.folder)), str(error)))
            return False

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        path, label = self.samples[index]
        return decode(path, self.size, self.grayscale), make(label)

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        chosen = [self.samples[int(i)] for i in indices]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1), "helix-decode")
        images = self._pool.map(lambda sample: decode(sample[0], self.size, self.grayscale), chosen)
        return stack(list(images)), make([label for _, label in chosen])

    def targets(self) -> Tensor:
        return make([label for _, label in self.samples])
