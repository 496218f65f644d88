"""Attention to the last few positions, in memory linear in the length."""

from __future__ import annotations

from typing import Any

from .. import cat
from ..tensor import Tensor
from . import functional as F
from .masks import causal_mask


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

    query, key and value are (batch, heads, length, size), of one length. Queries are taken in blocks of `window`, each of
    which meets its own block of keys and the one before: length * window * 2 scores in all. Beltagy et al., "Longformer:
    the long-document transformer", 2020.

    Example:
        >>> x = helix.ones(1, 1, 5, 2)
        >>> helix.nn.windows.windowed_attention(x, x, helix.arange(5.0).reshape(1, 1, 5, 1), 2).flatten().tolist()
        [0.0, 0.5, 1.5, 2.5, 3.5]
    """
    length = query.shape[-2]
    more: dict[str, Any] = {"dropout_p": dropout_p, "scale": scale, "enable_gqa": enable_gqa}
    if length <= 2 * window:
        mask = causal_mask(length, window=window, device=query.device)
        return F.scaled_dot_product_attention(query, key, value, mask, **more)
    head, whole = window, length // window * window
    first = F.scaled_dot_product_attention(query[..., :head, :], key[..., :head, :], value[..., :head, :],
                                           is_causal=True, **more)  # fmt: skip
    mask = causal_mask(window, 2 * window, window, device=query.device)
    keys, values = (_paired(_blocks(t, window, whole)) for t in (key, value))
    middle = F.scaled_dot_product_attention(_blocks(query, window, whole)[:, 1:], keys, values, mask, **more)
    parts = [first, middle.transpose(1, 2).flatten(2, 3)]
    if whole < length:
        tail, before = query[..., whole:, :], whole - window + 1
        mask = causal_mask(length - whole, length - before, window, device=query.device)
        parts.append(F.scaled_dot_product_attention(tail, key[..., before:, :], value[..., before:, :], mask, **more))
    return cat(parts, -2)


def _blocks(t: Tensor, window: int, whole: int) -> Tensor:
    """(batch, heads, length, size) as (batch, blocks, heads, window, size)"""
    return t[..., :whole, :].unflatten(2, (-1, window)).transpose(1, 2)


def _paired(blocks: Tensor) -> Tensor:
    """Each block but the first, after the one before it."""
    return cat([blocks[:, :-1], blocks[:, 1:]], -2)
