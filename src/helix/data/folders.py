"""What a file or folder of a user's holds, by a look at its names; and the classes of a folder of folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

IMAGES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"))
SPLITS = frozenset(("train", "training", "test", "testing", "val", "valid", "validation"))
FILES = {".csv": "table", ".npy": "arrays", ".npz": "arrays"}


def kind_of(path: Path) -> str:
    """ "table", "arrays", "text", "images" or "text_classes"; ValueError where it is none of them."""
    return _kind_of_file(path) if path.is_file() else _kind_of_folder(path)


def _kind_of_file(path: Path) -> str:
    kind = FILES.get(path.suffix.lower(), "text")
    with open(path, "rb") as file:
        if kind == "text" and b"\0" in file.read(4096):
            raise ValueError(
                f"data {str(path)!r} is no text, and no .csv, .npy or .npz file. Images go into one sub-folder for each class; "
                "kind='text' reads any file byte by byte."
            )
    return kind


def _kind_of_folder(folder: Path) -> str:
    """Images when most of the files in its folders are images; classes of text when each of them is a .txt file."""
    seen = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    outer = [entry for entry in seen if entry.is_file()]
    inside = [file for entry in seen if entry.is_dir() for file in entry.iterdir() if file.is_file()]
    inner = [file for file in inside if not file.name.startswith(".")]
    images = sum(file.suffix.lower() in IMAGES for file in inner)
    if images and 2 * images > len(inner):
        return "images"
    if outer and not inner and 2 * sum(file.suffix.lower() in IMAGES for file in outer) > len(outer):
        raise ValueError(
            f"folder {str(folder)!r} holds images, but none in sub-folders: put those of each class into a sub-folder that "
            "has its name."
        )
    if not outer and len({file.parent for file in inner}) > 1 and all(file.suffix.lower() == ".txt" for file in inner):
        return "text_classes"
    if not outer and not inner and not any(file.is_file() for file in folder.rglob("*")):
        raise ValueError(f"folder {str(folder)!r} is empty")
    return "text"


def class_names(kind: str, folder: Path, names: Sequence[str]) -> tuple[str, ...]:
    """The names of the folders of a folder of classes; ValueError where they are none."""
    if names and SPLITS.issuperset(name.lower() for name in names):
        raise ValueError(
            f"{kind} folder {str(folder)!r} holds {', '.join(names)}, which are parts of data and no classes. Train on one of "
            f"them, {str(folder / names[0])!r}, and measure by `helix eval RUN --data` on another."
        )
    if len(names) < 2:
        raise ValueError(
            f"{kind} folder {str(folder)!r} needs one sub-folder with {kind}s for each of at least two classes; found {len(names)}"
        )
    return tuple(names)
