"""Attention, where it is the plain one; other forms are made of the operators that define it."""

from __future__ import annotations

from ..._core import Tensor
from ..table import op


@op("RotaryEmbedding")
def rotary_embedding(
    x: Tensor,
    cos: Tensor,
    sin: Tensor,
    positions: Tensor | None = None,
    *,
    interleaved: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
) -> Tensor:
    """Source: Su et al., "RoFormer" (2021)."""
    import helix

    flat = x.ndim == 3
    heads = x.reshape((*x.shape[:2], num_heads, -1)) if flat else x.transpose(1, 2)
    size = rotary_embedding_dim or heads.shape[-1]
    if positions is not None:
        cos, sin = cos[positions], sin[positions]
    cos, sin = cos.unsqueeze(2), sin.unsqueeze(2)
    turned, rest = heads.narrow(-1, 0, size), heads.narrow(-1, size, heads.shape[-1] - size)
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
    else:
        a, b = turned.narrow(-1, 0, size // 2), turned.narrow(-1, size // 2, size // 2)
    pair = [cos * a - sin * b, sin * a + cos * b]
    made = helix.stack(pair, -1).reshape(turned.shape) if interleaved else helix.cat(pair, -1)
    made = helix.cat([made, rest], -1)
    return made.reshape(x.shape) if flat else made.transpose(1, 2)
