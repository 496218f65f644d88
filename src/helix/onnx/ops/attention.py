"""Attention, where it is the plain one; other forms are made of the operators that define it."""

from __future__ import annotations

from typing import Any

import helix
import helix.nn.functional as F

from ..._core import Tensor
from ..table import op


@op("Attention")
def attention(
    call: Any,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    lengths: Tensor | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int = 0,
    q_num_heads: int = 0,
    scale: float | None = None,
    **others: Any,
) -> Any:
    """Without a mask, which could leave a row nothing to attend to, and with as much of each key as of each value."""
    plain = mask is past_key is lengths is None and call.outputs == 1 and q.dtype in (helix.float32, helix.float64)
    if not plain or any(others.get(name) not in (None, default) for name, default in _PLAIN.items()):
        return NotImplemented
    flat = q.ndim == 3
    if flat:
        q, k, v = (_heads(x, n) for x, n in ((q, q_num_heads), (k, kv_num_heads), (v, kv_num_heads)))
    if is_causal and q.shape[2] != k.shape[2]:
        return NotImplemented
    groups = q.shape[1] != k.shape[1]
    made = F.scaled_dot_product_attention(q, k, v, is_causal=bool(is_causal), scale=scale, enable_gqa=groups)
    return made.transpose(1, 2).flatten(2) if flat else made


# What others must be for the plain form; softmax is always computed in float32 at least.
_PLAIN = {
    "softcap": 0.0,
    "qk_matmul_output_mode": 0,
    "softmax_precision": 1,
    "left_window_size": -1,
    "right_window_size": -1,
}


def _heads(x: Tensor, count: int) -> Tensor:
    return x.reshape((*x.shape[:2], count, -1)).transpose(1, 2)


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
