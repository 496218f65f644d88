"""Attention of many heads: the one computation that layers and models of every layout of weights share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import bool as boolean
from .. import where
from ..tensor import Tensor
from . import functional as F
from .functions.attention import heads_of, joined
from .masks import causal_distances

__all__ = ["attend", "heads_of", "joined"]

if TYPE_CHECKING:
    from .cache import Sight


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sight: Sight | None = None,
    dropout: float = 0.0,
    *,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """What the heads of `query`, (batch, heads, length, size), make of the values they see, in the same shape.

    Key and value may have fewer heads, which groups of queries share. sight: what is seen (helix.nn.cache); without it
    everything. mask, bool or added to the scores, leaves of that what it says. bias: (heads, queries + keys - 1), added to
    the scores by distance (helix.nn.masks). Memory is linear in the lengths.

    Example:
        >>> x = helix.ones(1, 2, 3, 4)
        >>> helix.nn.attend.attend(x, x[:, :1], x[:, :1], helix.nn.cache.sight_of(3)).shape
        (1, 2, 3, 4)
    """
    causal, distances = False, bias
    if sight is not None:
        mask, causal = _both(sight.mask, mask), sight.is_causal
        if sight.distances is not None:
            distances = sight.distances if bias is None else bias + sight.distances
    if causal and (bias is not None or mask is not None):  # what is added by distance is looked at anyway
        ahead, causal = causal_distances(query.shape[2], key.shape[2], device=query.device), False
        distances = ahead if bias is None else bias + ahead
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        mask,
        dropout,
        causal,
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
        distance_bias=distances,
    )


def _both(seen: Tensor | None, mask: Tensor | None) -> Tensor | None:
    """A bool mask and another, bool or added to the scores."""
    if seen is None or mask is None:
        return mask if seen is None else seen
    return seen & mask if mask.dtype == boolean else where(seen, mask, float("-inf"))
