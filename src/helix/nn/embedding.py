"""Embedding, EmbeddingBag: a table of vectors looked up by integers."""

from __future__ import annotations

from .. import empty
from ..autograd import no_grad
from ..tensor import Tensor
from . import functional as F
from . import init
from .misfit import describe
from .module import Module
from .parameter import Parameter


class _Table(Module):
    weight: Parameter

    def _table(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None, device, dtype) -> None:
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            name = type(self).__name__
            raise ValueError(f"{name}: padding_idx {padding_idx} is outside a table of {num_embeddings} rows")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx % num_embeddings if padding_idx is not None else None
        self.weight = Parameter(empty(num_embeddings, embedding_dim, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].fill_(0)

    def misfit(self, input) -> str | None:
        if hasattr(input, "dtype") and (input.dtype.is_floating_point or input.dtype.is_complex):
            return (
                "indices must be an integer type. "
                f"{describe(input)} Use input.to(helix.int64) if the values are whole numbers."
            )
        if getattr(input, "shape", None) is not None and input.numel():
            low, high = int(input.min()), int(input.max())
            if low < 0 or high >= self.num_embeddings:
                return (
                    f"indices run from {low} to {high}, the table has {self.num_embeddings} rows "
                    f"(0..{self.num_embeddings - 1}). {describe(input)}"
                )
        return None


class Embedding(_Table):
    """Row `i` of `weight` for each index i; the row `padding_idx` gets no gradient and starts at zero."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, device=None, dtype=None
    ) -> None:
        self._table(num_embeddings, embedding_dim, padding_idx, device, dtype)

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None) -> Embedding:
        rows, dim = embeddings.shape
        layer = cls(rows, dim, padding_idx, embeddings.device, embeddings.dtype)
        layer.weight = Parameter(embeddings, requires_grad=not freeze)
        return layer

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = f", padding_idx={self.padding_idx}" if self.padding_idx is not None else ""
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class EmbeddingBag(_Table):
    """The sum, mean or largest values of the rows of `weight` for each bag of indices."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        mode: str = "mean",
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device=None,
        dtype=None,
    ) -> None:
        if mode not in ("sum", "mean", "max"):
            raise ValueError(f"EmbeddingBag: mode must be 'sum', 'mean' or 'max', got {mode!r}")
        self.mode, self.include_last_offset = mode, include_last_offset
        self._table(num_embeddings, embedding_dim, padding_idx, device, dtype)

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            per_sample_weights=per_sample_weights,
            mode=self.mode,
            include_last_offset=self.include_last_offset,
            padding_idx=self.padding_idx,
        )

    def extra_repr(self) -> str:
        padding = f", padding_idx={self.padding_idx}" if self.padding_idx is not None else ""
        return f"{self.num_embeddings}, {self.embedding_dim}, mode={self.mode!r}{padding}"
