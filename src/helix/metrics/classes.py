"""From what a model gives and what was wanted to class numbers, one a row."""

from __future__ import annotations

from ..errors import ShapeError
from ..tensor import Tensor


def scores_in_rows(kind: str, output: Tensor, target: Tensor, dim: int | None) -> tuple[Tensor, Tensor]:
    """Scores (rows, classes) and targets (rows). The class axis is `dim`; when None the last one if the others are the
    target's, else axis 1."""
    if dim is None:
        dim = -1 if tuple(output.shape[:-1]) == tuple(target.shape) else 1
    if output.ndim == target.ndim + 1:
        moved = output.movedim(dim, -1)
        if tuple(moved.shape[:-1]) == tuple(target.shape):
            return moved.reshape(-1, moved.shape[-1]), target.reshape(-1)
    raise ShapeError(
        f"HX1001 {kind}: expected scores of shape (N, C, …) or (N, …, C) and targets (N, …), got {tuple(output.shape)} "
        f"and {tuple(target.shape)}.",
        op=kind,
        code="HX1001",
    )


def labels_in_rows(
    kind: str, output: Tensor, target: Tensor, dim: int | None, threshold: float = 0.5
) -> tuple[Tensor, Tensor]:
    """Predicted and wanted classes (rows). Scores become their largest class; floating numbers of the target's shape are
    scores of class 1 against `threshold`; whole numbers are classes already."""
    if tuple(output.shape) == tuple(target.shape):
        found = (output > threshold) if output.is_floating_point() else output
        return found.reshape(-1).long(), target.reshape(-1).long()
    scores, wanted = scores_in_rows(kind, output, target, dim)
    return scores.argmax(-1), wanted.long()
