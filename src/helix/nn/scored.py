"""Attention by a scoring net of its own: additive (Bahdanau) and multiplicative (Luong)."""

from __future__ import annotations

from .. import empty
from ..tensor import Tensor
from . import init
from .linear import Linear, fits_bound
from .misfit import describe
from .module import Module
from .parameter import Parameter


class _ScoredAttention(Module):
    """forward(query, key, value=None, mask=None) gives (mixed values, weights).

    query is (batch, queries, query_dim), key (batch, keys, key_dim), value (batch, keys, ...) or the keys themselves; mask
    is bool and stretches to (batch, queries, keys), True where a key takes part. A query without any key gives 0.
    """

    query_dim: int
    key_dim: int

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        scores = self.scores(query, key)
        if mask is not None:
            scores = scores.masked_fill(~mask, -1e4 if scores.dtype.itemsize == 2 else -1e30)
        weights = scores.softmax(-1)
        if mask is not None:
            weights = weights.masked_fill(~mask, 0.0)
        return weights @ (key if value is None else value), weights

    def misfit(self, query, key, *_) -> str | None:
        for name, t, width in (("query", query, self.query_dim), ("key", key, self.key_dim)):
            if t.ndim != 3 or t.shape[-1] != width:
                return f"{name} must be (batch, positions, {width}). {describe(t)}"
        return None

    def extra_repr(self) -> str:
        return f"{self.query_dim}, {self.key_dim}"


class AdditiveAttention(_ScoredAttention):
    """Scores v . tanh(W_q q + W_k k); Bahdanau, Cho and Bengio, "Neural machine translation by jointly learning to align
    and translate", ICLR 2015.

    query (batch, queries, query_dim), key (batch, keys, key_dim), value (batch, keys, ...), the keys unless given; mask
    bool, True takes part. Returns (mixed values, weights). Raises LayerError (HX1004) for other widths.

    Example:
        >>> layer = helix.nn.AdditiveAttention(4, 6, 8)
        >>> mixed, weights = layer(helix.ones(2, 3, 4), helix.ones(2, 5, 6))
        >>> mixed.shape, weights.shape
        ((2, 3, 6), (2, 3, 5))
    """

    def __init__(self, query_dim: int, key_dim: int, attention_dim: int, device=None, dtype=None) -> None:
        self.query_dim, self.key_dim, self.attention_dim = query_dim, key_dim, attention_dim
        made = {"device": device, "dtype": dtype}
        self.query_proj = Linear(query_dim, attention_dim, bias=False, **made)
        self.key_proj = Linear(key_dim, attention_dim, bias=False, **made)
        self.score = Linear(attention_dim, 1, bias=False, **made)

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        sums = self.query_proj(query).unsqueeze(2) + self.key_proj(key).unsqueeze(1)
        return self.score(sums.tanh()).squeeze(-1)

    def extra_repr(self) -> str:
        return f"{self.query_dim}, {self.key_dim}, {self.attention_dim}"


class MultiplicativeAttention(_ScoredAttention):
    """Scores q^T W k ("general"); Luong, Pham and Manning, "Effective approaches to attention-based neural machine
    translation", EMNLP 2015. weight is (query_dim, key_dim).

    query (batch, queries, query_dim), key (batch, keys, key_dim), value (batch, keys, ...), the keys unless given; mask
    bool, True takes part. Returns (mixed values, weights). Raises LayerError (HX1004) for other widths.

    Example:
        >>> layer = helix.nn.MultiplicativeAttention(4, 6)
        >>> mixed, weights = layer(helix.ones(2, 3, 4), helix.ones(2, 5, 6))
        >>> mixed.shape, weights.shape
        ((2, 3, 6), (2, 3, 5))
    """

    weight: Parameter

    def __init__(self, query_dim: int, key_dim: int, device=None, dtype=None) -> None:
        self.query_dim, self.key_dim = query_dim, key_dim
        self.weight = Parameter(empty(query_dim, key_dim, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = fits_bound(self.query_dim)
        init.uniform_(self.weight, -bound, bound)

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        return query @ self.weight @ key.transpose(-2, -1)
