"""A convolutional network that reads a text and names its class."""

from __future__ import annotations

from collections.abc import Sequence

from .. import cat, nn
from ..tensor import Tensor

WIDTHS = (3, 5, 8)


class TextClassifier(nn.Module):
    """A class for a text: (batch, length) tokens to (batch, classes), by the strongest answer of each filter over the text.

    Convolutions of several widths over embedded tokens, their maximum over time, dropout and one linear layer (Kim:
    Convolutional Neural Networks for Sentence Classification, 2014). widths: 3, 5 and 8 unless told, as far as texts are so
    long. Raises ValueError for texts shorter than a filter.

    Example:
        >>> helix.models.TextClassifier(257, 16, 3)(helix.zeros(2, 16, dtype=helix.int64)).shape
        (2, 3)
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        classes: int,
        dim: int = 32,
        filters: int = 64,
        widths: Sequence[int] | None = None,
        dropout: float = 0.2,
    ) -> None:
        if widths is None:
            widths = [width for width in WIDTHS if width <= length] or [length]
        if not widths or min(widths) < 1 or max(widths) > length:
            raise ValueError(
                f"TextClassifier: widths of filters lie between 1 and the length {length}, got {tuple(widths)}"
            )
        self.embedding = nn.Embedding(vocabulary, dim)
        self.filters = nn.ModuleList(nn.Conv1d(dim, filters, width) for width in widths)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(filters * len(widths), classes)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens).transpose(1, 2)
        return self.head(self.dropout(cat([convolution(x).amax(2).relu() for convolution in self.filters], 1)))
