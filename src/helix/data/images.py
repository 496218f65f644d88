"""ImageFolder: one folder a class, decoded with Pillow when a batch asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import from_numpy, stack
from .. import tensor as make
from ..errors import FormatError
from ..tensor import Tensor
from .dataset import Dataset
from .extras import needed

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
MAX_PIXELS = 64_000_000


def image_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


class ImageFolder(Dataset):
    """`folder/<class>/<any>.png` …: images of `size` (height, width) with values in [0, 1], channels first.

    Files that cannot be read are left out and listed in `unreadable`.
    """

    task = "classification"

    def __init__(self, folder: str | Path, size: int | tuple[int, int] = 64, grayscale: bool = False) -> None:
        self._image = needed("PIL.Image", "image", "helix.data.ImageFolder")
        self.folder, self.grayscale = Path(folder), grayscale
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        if not self.folder.is_dir():
            raise FileNotFoundError(f"image folder {str(folder)!r} does not exist")
        names = sorted(p.name for p in self.folder.iterdir() if p.is_dir() and image_files(p))
        if len(names) < 2:
            raise ValueError(f"image folder {str(folder)!r} needs one sub-folder with images for each of at least "
                             f"two classes; found {len(names)}")
        self.classes = tuple(names)
        self.unreadable: list[tuple[str, str]] = []
        self.samples = [(path, label) for label, name in enumerate(names)
                        for path in image_files(self.folder / name) if self._readable(path)]

    def _readable(self, path: Path) -> bool:
        try:
            with self._open(path):
                return True
        except (OSError, ValueError, SyntaxError) as error:
            self.unreadable.append((str(path.relative_to(self.folder)), str(error)))
            return False

    def _open(self, path: Path):
        """Opens, reading the header only, and refuses before decoding what is too large."""
        image = self._image.open(path)
        width, height = image.size
        if width * height > MAX_PIXELS:
            image.close()
            raise FormatError(f"HX2101 {path.name}: image declares {width} x {height} pixels, above the limit of "
                              f"{MAX_PIXELS // 10 ** 6} Mpx; refused before decoding.")
        return image

    def decode(self, path: str | Path) -> Tensor:
        """One file as (channels, height, width)."""
        import numpy as np
        with self._open(Path(path)) as image:
            image = image.convert("L" if self.grayscale else "RGB")
            image = image.resize((self.size[1], self.size[0]), self._image.Resampling.BILINEAR)
            pixels = np.asarray(image, dtype=np.float32) / 255.0
        channels_first = pixels[None] if self.grayscale else pixels.transpose(2, 0, 1)
        return from_numpy(np.ascontiguousarray(channels_first))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        path, label = self.samples[index]
        return self.decode(path), make(label)

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        chosen = [self.samples[int(i)] for i in indices]
        return stack([self.decode(path) for path, _ in chosen]), make([label for _, label in chosen])

    def targets(self) -> Tensor:
        return make([label for _, label in self.samples])
