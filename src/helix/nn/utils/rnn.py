"""Sequences of unequal length in one tensor: padded, or packed without the padding; torch's names and layouts.

A packed sequence holds all first steps, then all second ones and so on, longest sequence first, so that step t has
`batch_sizes[t]` rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ... import arange, full, int64, stack
from ... import tensor as make
from ...errors import ParameterError, ShapeError
from ...tensor import Tensor
from .. import functional as F

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(NamedTuple):
    """Made by pack_padded_sequence and pack_sequence; what recurrent layers take and give.

    data: (steps in all, ...). batch_sizes: int64 on the CPU. sorted_indices says which row of the batch was taken as
    the longest, the next and so on; unsorted_indices undoes it; both None when the batch came sorted.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With its data elsewhere or of another dtype."""
        data = self.data.to(*args, **kwargs)
        indices = (None if i is None else i.to(data.device) for i in (self.sorted_indices, self.unsorted_indices))
        return PackedSequence(data, self.batch_sizes, *indices)

    @property
    def lengths(self) -> Tensor:
        """Of the sequences, longest first, where the data are."""
        sizes = self.batch_sizes
        counts = (sizes.unsqueeze(-1) > arange(int(sizes[0]))).to(int64).sum(0)
        return counts.to(self.data.device)


def _refuse(kind: Any, number: int, op: str, text: str) -> Any:
    return kind(f"HX{number} {op}: {text}", op=op, code=f"HX{number}")


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Where each element went.

    Example:
        >>> helix.nn.utils.rnn.invert_permutation(helix.tensor([2, 0, 1])).tolist()
        [1, 2, 0]
    """
    return None if permutation is None else permutation.argsort()


def _places(lengths: Tensor, steps: int) -> Tensor:
    """The rows of a (steps * batch, ...) tensor that hold steps of sequences, in their order."""
    return (arange(steps, device=lengths.device).unsqueeze(-1) < lengths).flatten().nonzero().squeeze(-1)


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Leaves the padding out of input, (steps, batch, ...) or, with `batch_first`, (batch, steps, ...).

    lengths: of each sequence, from 1 to steps; falling, unless enforce_sorted is False. Raises ParameterError (HX1403)
    for others and ShapeError (HX1002) for a wrong number of them.

    Example:
        >>> x = helix.tensor([[1, 4], [2, 5], [3, 0]])
        >>> packed = helix.nn.utils.rnn.pack_padded_sequence(x, [3, 2])
        >>> packed.data.tolist(), packed.batch_sizes.tolist()
        ([1, 4, 2, 5, 3], [2, 2, 1])
    """
    op = "pack_padded_sequence"
    counts = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    if batch_first:
        input = input.transpose(0, 1)
    steps, batch = input.shape[:2]
    if len(counts) != batch or not counts:
        raise _refuse(ShapeError, 1002, op, f"{len(counts)} lengths for a batch of {batch}.")
    if min(counts) < 1 or max(counts) > steps:
        raise _refuse(ParameterError, 1403, op, f"lengths must lie in 1..{steps}, got {min(counts)}..{max(counts)}.")
    order = back = None
    if enforce_sorted and counts != sorted(counts, reverse=True):
        raise _refuse(ParameterError, 1403, op, "lengths must fall; or pass enforce_sorted=False.")
    if not enforce_sorted:
        order = make(sorted(range(batch), key=lambda i: -counts[i]), dtype=int64, device=input.device)
        back = invert_permutation(order)
        input = input.index_select(1, order)
        counts = sorted(counts, reverse=True)
    longest = make(counts, dtype=int64, device=input.device)
    data = input[: counts[0]].flatten(0, 1).index_select(0, _places(longest, counts[0]))
    sizes = (arange(counts[0]).unsqueeze(-1) < make(counts, dtype=int64)).to(int64).sum(1)
    return PackedSequence(data, sizes, order, back)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """(padded, lengths): what pack_padded_sequence undoes, rows in their first order; total_length asks for more steps.

    Raises ParameterError (HX1403) for a total_length below the longest sequence.

    Example:
        >>> rnn = helix.nn.utils.rnn
        >>> packed = rnn.pack_sequence([helix.tensor([1, 2, 3]), helix.tensor([4])])
        >>> padded, lengths = rnn.pad_packed_sequence(packed, batch_first=True, padding_value=9)
        >>> padded.tolist(), lengths.tolist()
        ([[1, 2, 3], [4, 9, 9]], [3, 1])
    """
    padded, lengths = padded_of(sequence, padding_value, total_length)
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(1, sequence.unsorted_indices)
        lengths = lengths.index_select(0, sequence.unsorted_indices)
    return padded.transpose(0, 1) if batch_first else padded, lengths.to("cpu")


def padded_of(sequence: PackedSequence, padding_value: float = 0.0, total: int | None = None) -> tuple[Tensor, Tensor]:
    """(steps, batch, ...) and lengths, longest first."""
    data, lengths, longest = sequence.data, sequence.lengths, sequence.batch_sizes.shape[0]
    batch, steps = lengths.shape[0], longest if total is None else total
    if steps < longest:
        text = f"total_length must be at least {longest}, the longest sequence, got {total}."
        raise _refuse(ParameterError, 1403, "pad_packed_sequence", text)
    empty = full((steps * batch, *data.shape[1:]), padding_value, dtype=data.dtype, device=data.device)
    return empty.index_copy(0, _places(lengths, longest), data).unflatten(0, (steps, batch)), lengths


def repacked(padded: Tensor, like: PackedSequence) -> PackedSequence:
    """(steps, batch, ...), longest first, packed as `like`."""
    places = _places(like.lengths, like.batch_sizes.shape[0])
    return PackedSequence(padded.flatten(0, 1).index_select(0, places), *like[1:])


def pad_sequence(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Tensors (steps, ...) of unequal steps as one, (longest, batch, ...), or batch first; padded on either side.

    Raises ParameterError (HX1403) for another side, or for no sequences.

    Example:
        >>> helix.nn.utils.rnn.pad_sequence([helix.tensor([1, 2]), helix.tensor([3])], batch_first=True).tolist()
        [[1, 2], [3, 0]]
    """
    if padding_side not in ("left", "right") or not sequences:
        text = f"padding_side must be 'left' or 'right', for one sequence or more; got {padding_side!r}."
        raise _refuse(ParameterError, 1403, "pad_sequence", text)
    longest = max(s.shape[0] for s in sequences)
    rows = []
    for s in sequences:
        pad = [0, 0] * (s.ndim - 1) + (
            [longest - s.shape[0], 0] if padding_side == "left" else [0, longest - s.shape[0]]
        )
        rows.append(F.pad(s, pad, value=padding_value))
    return stack(rows, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor | Iterable[int], batch_first: bool = False
) -> list[Tensor]:
    """The sequences that pad_sequence joined.

    Example:
        >>> [t.tolist() for t in helix.nn.utils.rnn.unpad_sequence(helix.tensor([[1, 3], [2, 0]]), [2, 1])]
        [[1, 2], [3]]
    """
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    counts = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    return [row[:count] for row, count in zip(rows.unbind(0), counts, strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Tensors (steps, ...) of unequal steps, packed.

    Example:
        >>> helix.nn.utils.rnn.pack_sequence([helix.tensor([1, 2]), helix.tensor([3])]).data.tolist()
        [1, 3, 2]
    """
    return pack_padded_sequence(pad_sequence(sequences), [s.shape[0] for s in sequences], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences that pack_sequence packed.

    Example:
        >>> rnn = helix.nn.utils.rnn
        >>> packed = rnn.pack_sequence([helix.tensor([1, 2]), helix.tensor([3])])
        >>> [t.tolist() for t in rnn.unpack_sequence(packed)]
        [[1, 2], [3]]
    """
    return unpad_sequence(*pad_packed_sequence(packed_sequences))
