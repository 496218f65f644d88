"""Attention with many heads as one function of inputs and weights."""

from __future__ import annotations

from typing import Any

from ... import _core, cat, zeros
from ... import bool as boolean
from ...errors import ArgumentError, ShapeError
from ...tensor import Tensor
from .refuse import refuse

__all__ = [
    "multi_head_attention_forward",
]

_linear, _dropout = _core.op_named("linear"), _core.op_named("dropout")
_attention = _core.op_named("scaled_dot_product_attention")
_pad = _core.op_named("pad")
OP = "multi_head_attention_forward"


def _added(mask: Tensor, dtype: Any) -> Tensor:
    """A mask that is added to scores; -inf where a bool one is true."""
    if mask.dtype is not boolean:
        return mask.to(dtype)
    return zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(mask, float("-inf"))


def _project(inputs: tuple[Tensor, ...], weights: tuple[Any, ...], bias: Tensor | None) -> list[Tensor]:
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return [_linear(t, w, b) for t, w, b in zip(inputs, weights, biases, strict=True)]


def _heads(t: Tensor, num_heads: int) -> Tensor:
    """(length, batch, embed) as (batch, heads, length, head)."""
    return t.reshape(t.shape[0], t.shape[1], num_heads, -1).permute(1, 2, 0, 3)


def _longer(mask: Tensor | None) -> Tensor | None:
    """One more key, which is seen."""
    return None if mask is None else _pad(mask, (0, 1))


def _check(query: Tensor, key: Tensor, value: Tensor, embed_dim: int, num_heads: int) -> None:
    if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
        text = f"query, key and value must all have 3 axes, or 2, got {query.ndim}, {key.ndim} and {value.ndim}."
        refuse(ShapeError, OP, text)
    if query.shape[-1] != embed_dim or embed_dim % num_heads:
        text = f"{query.shape[-1]} features where embed_dim_to_check is {embed_dim}, for {num_heads} heads."
        refuse(ShapeError, OP, text)


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What nn.MultiheadAttention computes: (output, weights), weights None unless need_weights.

    query (length, batch, embed_dim), key and value (keys, batch, ...), or all without batch. bias_k and bias_v, one key
    and value more; add_zero_attn, one of zeros more; static_k and static_v (batch * heads, keys, head), projected
    already. Bool masks forbid where they are true. is_causal is a hint that attn_mask is causal, which must be given.
    Vaswani et al., "Attention is all you need", NeurIPS 2017.

    Example:
        >>> x, w = helix.ones(2, 1, 4), helix.ones(12, 4)
        >>> f = helix.nn.functional.multi_head_attention_forward
        >>> out, weights = f(x, x, x, 4, 2, w, None, None, None, False, 0.0, helix.ones(4, 4), None)
        >>> weights.tolist()
        [[[0.5, 0.5], [0.5, 0.5]]]
    """
    _check(query, key, value, embed_dim_to_check, num_heads)
    if is_causal and attn_mask is None:
        refuse(ArgumentError, OP, "is_causal is a hint about attn_mask, which is missing.")
    unbatched = query.ndim == 2
    if unbatched:
        query, key, value = (t.unsqueeze(1) for t in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    if use_separate_proj_weight:
        weights: Any = (q_proj_weight, k_proj_weight, v_proj_weight)
    else:
        weights = in_proj_weight.chunk(3) if in_proj_weight is not None else (None,) * 3
    if any(w is None for w in weights):
        refuse(ArgumentError, OP, "in_proj_weight is missing, or one of the separate weights.")
    q, k, v = _project((query, key, value), weights, in_proj_bias)
    batch, dtype = q.shape[1], q.dtype
    mask = None if attn_mask is None else _added(attn_mask, dtype)
    padding = None if key_padding_mask is None else _added(key_padding_mask, dtype)
    if bias_k is not None and bias_v is not None:
        k, v = cat([k, bias_k.expand(1, batch, -1)]), cat([v, bias_v.expand(1, batch, -1)])
        mask, padding = _longer(mask), _longer(padding)
    q, k, v = (_heads(t, num_heads) for t in (q, k, v))
    if static_k is not None:
        k = static_k.reshape(batch, num_heads, *static_k.shape[1:])
    if static_v is not None:
        v = static_v.reshape(batch, num_heads, *static_v.shape[1:])
    if add_zero_attn:
        k, v = (_pad(t, (0, 0, 0, 1)) for t in (k, v))
        mask, padding = _longer(mask), _longer(padding)
    if mask is not None and mask.ndim == 3:
        mask = mask.reshape(-1, num_heads, *mask.shape[1:])
    if padding is not None:
        padding = padding.reshape(batch, 1, 1, -1)
        mask = padding if mask is None else mask + padding
    share = dropout_p if training else 0.0
    attended, seen = _attend(q, k, v, mask, share, need_weights)
    output = attended.permute(2, 0, 1, 3).flatten(2)
    output = _linear(output, out_proj_weight, out_proj_bias)
    if seen is not None and average_attn_weights:
        seen = seen.mean(1)
    if unbatched:
        return output.squeeze(1), None if seen is None else seen.squeeze(0)
    return output, seen


def _attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, share: float, need_weights: bool
) -> tuple[Tensor, Tensor | None]:
    """The values attended to, and with `need_weights` the weights of all heads."""
    if not need_weights:
        if mask is not None:
            mask = mask.expand(q.shape[0], q.shape[1], q.shape[2], k.shape[2])
        return _attention(q, k, v, mask, share), None
    scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = scores + mask
    weights = scores.softmax(-1)
    if share:
        weights = _dropout(weights, share, True)
    return weights @ v, weights
