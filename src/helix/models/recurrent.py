"""A recurrent network that reads a sample row by row and names its class."""

from __future__ import annotations

from collections.abc import Sequence

from .. import nn
from ..tensor import Tensor
from .sequence import features_of, rows_of

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}


class RecurrentClassifier(nn.Module):
    """A class for a whole sequence: (batch, …, length, features) to (batch, classes), by the last step's output.

    Images (batch, channels, height, width) are read row by row. cell: "lstm", "gru" or "rnn". Both directions begin at
    their own end, and the last state of each is read. Raises ValueError for an unknown cell or samples without steps.

    Example:
        >>> helix.models.RecurrentClassifier((1, 8, 8), 10, hidden=16)(helix.zeros(2, 1, 8, 8)).shape
        (2, 10)
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: int,
        cell: str = "lstm",
        hidden: int = 64,
        depth: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        if cell not in CELLS:
            raise ValueError(f"RecurrentClassifier: cell must be one of {', '.join(CELLS)}; got {cell!r}")
        features = features_of(input_shape)
        between = dropout if depth > 1 else 0.0
        self.body = CELLS[cell](features, hidden, depth, batch_first=True, dropout=between, bidirectional=bidirectional)
        self.directions = 1 + bidirectional
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden * self.directions, classes)

    def forward(self, x: Tensor) -> Tensor:
        state = self.body(rows_of(x))[1]
        last = (state[0] if isinstance(state, tuple) else state)[-self.directions :]
        return self.head(self.dropout(last.transpose(0, 1).flatten(1)))
