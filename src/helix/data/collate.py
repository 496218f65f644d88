"""Padded: batches of samples that are not equally long."""

from __future__ import annotations

from collections.abc import Sequence

from .. import full, stack
from .. import tensor as make
from ..tensor import Tensor


class Padded:
    """Makes a batch of samples whose tensors differ in the length of their first axis, for `Loader(collate=Padded())`.

    Args:
        value: what inputs are filled up with; one for each part of a sample, or one for all.
        lengths: also gives the lengths of the first part, before the target.
        multiple: lengths are filled up to a multiple of this.

    >>> samples = [(helix.tensor([1, 2, 3]), helix.tensor(0)), (helix.tensor([4]), helix.tensor(1))]
    >>> [part.tolist() for part in helix.data.Padded(lengths=True)(samples)]
    [[[1, 2, 3], [4, 0, 0]], [3, 1], [0, 1]]
    """

    def __init__(self, value: float | Sequence[float] = 0, lengths: bool = False, multiple: int = 1) -> None:
        if multiple < 1:
            raise ValueError(f"Padded: multiple must be at least 1, got {multiple}")
        self.value, self.lengths, self.multiple = value, lengths, multiple

    def __call__(self, samples: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        columns = list(zip(*samples, strict=True))
        values = [self.value] * len(columns) if isinstance(self.value, (int, float)) else list(self.value)
        parts = [self._filled(list(column), value) for column, value in zip(columns, values, strict=True)]
        if self.lengths:
            parts.insert(len(parts) - 1, make([len(tensor) for tensor in columns[0]]))
        return tuple(parts)

    def _filled(self, tensors: list[Tensor], value: float) -> Tensor:
        first = tensors[0]
        for tensor in tensors:
            if tensor.dtype != first.dtype or tensor.ndim != first.ndim or tensor.shape[1:] != first.shape[1:]:
                raise ValueError(
                    f"Padded: samples may differ in the length of their first axis alone, got {tuple(first.shape)} {first.dtype} "
                    f"and {tuple(tensor.shape)} {tensor.dtype}"
                )
        if all(tensor.shape == tensors[0].shape for tensor in tensors) and (
            tensors[0].ndim == 0 or len(tensors[0]) % self.multiple == 0
        ):
            return stack(tensors)
        longest = -(-max(len(tensor) for tensor in tensors) // self.multiple) * self.multiple
        out = full((len(tensors), longest, *tensors[0].shape[1:]), value, dtype=tensors[0].dtype)
        for row, tensor in enumerate(tensors):
            out[row, : len(tensor)].copy_(tensor)
        return out
