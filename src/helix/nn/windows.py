"""Attention to the last few positions, in memory linear in the length."""

from __future__ import annotations

from ..tensor import Tensor
from . import functional as F
from .masks import causal_distances


def windowed_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    window: int,
    dropout_p: float = 0.0,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Causal attention in which a query sees the last `window` positions, its own among them.

    query, key and value are (batch, heads, length, size), of one length. Keys out of the window cost neither time nor memory.
    Beltagy et al., "Longformer: the long-document transformer", 2020.

    Example:
        >>> x = helix.ones(1, 1, 5, 2)
        >>> helix.nn.windows.windowed_attention(x, x, helix.arange(5.0).reshape(1, 1, 5, 1), 2).flatten().tolist()
        [0.0, 0.5, 1.5, 2.5, 3.5]
    """
    distances = causal_distances(query.shape[-2], window=window, device=query.device)
    return F.scaled_dot_product_attention(
        query, key, value, None, dropout_p, scale=scale, enable_gqa=enable_gqa, distance_bias=distances
    )
