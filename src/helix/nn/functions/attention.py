"""Attention with many heads as one function of inputs and weights."""

from __future__ import annotations

from typing import Any, NamedTuple

from ... import _core, arange, cat, full, zeros
from ... import bool as boolean
from ...errors import ArgumentError, DTypeError, ShapeError
from ...tensor import Tensor
from .refuse import refuse

__all__ = [
    "multi_head_attention_forward",
]

_linear, _dropout = _core.op_named("linear"), _core.op_named("dropout")
_attention = _core.op_named("scaled_dot_product_attention")
_pad = _core.op_named("pad")
OP = "multi_head_attention_forward"


def _added(mask: Tensor, name: str, dtype: Any) -> Tensor:
    """A mask that is added to scores; -inf where a bool one is true."""
    if mask.dtype.is_floating_point:
        return mask.to(dtype)
    if mask.dtype is not boolean:
        refuse(
            DTypeError, OP, f"{name} must be bool (True forbids) or floating (added to the scores), got {mask.dtype}."
        )
    return zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(mask, float("-inf"))


def _ahead(queries: int, keys: int, device: Any) -> Tensor:
    """By distance: -inf at keys that come after a query, where both are counted from 0."""
    later = arange(max(0, queries + keys - 1), device=device) >= queries
    return zeros(later.shape[0], device=device).masked_fill(later, float("-inf"))


def heads_of(t: Tensor, heads: int) -> Tensor:
    """(batch, length, heads * size) as (batch, heads, length, size)"""
    return t.unflatten(-1, (heads, -1)).transpose(1, 2)


def joined(t: Tensor) -> Tensor:
    """heads_of undone."""
    return t.transpose(1, 2).flatten(2)


class Rules(NamedTuple):
    """What queries see, and what becomes of the weights."""

    attn_mask: Tensor | None = None  # (queries, keys) or (batch * heads, queries, keys); bool ones forbid
    key_padding_mask: Tensor | None = None  # (batch, keys)
    is_causal: bool = False
    bias_k: Tensor | None = None
    bias_v: Tensor | None = None
    add_zero_attn: bool = False
    static_k: Tensor | None = None
    static_v: Tensor | None = None
    dropout: float = 0.0
    need_weights: bool = True

    def mask(self, num_heads: int, dtype: Any) -> Tensor | None:
        """Both masks as one that is added to scores and stretches to (batch, heads, queries, keys)."""
        mask = None if self.attn_mask is None else _added(self.attn_mask, "attn_mask", dtype)
        if mask is not None and mask.ndim == 3:
            mask = mask.unflatten(0, (-1, num_heads))
        if self.key_padding_mask is None:
            return mask
        padding = _added(self.key_padding_mask, "key_padding_mask", dtype).unsqueeze(1).unsqueeze(1)
        return padding if mask is None else mask + padding


def attended(q: Tensor, k: Tensor, v: Tensor, num_heads: int, rules: Rules) -> tuple[Tensor, Tensor | None]:
    """Of projected queries, keys and values, (batch, length, embed): the values that are seen, joined again, and, if wanted,
    the weights (batch, heads, queries, keys)."""
    longer = rules.bias_k is not None or rules.add_zero_attn
    tiled = rules.is_causal and not longer and not rules.need_weights
    if tiled:  # the mask is causal, as the caller says, and the kernel knows that rule
        rules = rules._replace(attn_mask=None)
    mask = rules.mask(num_heads, q.dtype)
    if rules.is_causal and not tiled and rules.attn_mask is None:
        causal = full((q.shape[1], k.shape[1]), float("-inf"), dtype=q.dtype, device=q.device).triu(1)
        mask = causal if mask is None else mask + causal
    if rules.bias_k is not None and rules.bias_v is not None:
        k, v = (cat([t, more.expand(t.shape[0], 1, -1)], 1) for t, more in ((k, rules.bias_k), (v, rules.bias_v)))
        mask = _longer(mask)
    q, k, v = (heads_of(t, num_heads) for t in (q, k, v))
    k, v = (t if s is None else s.unflatten(0, (-1, num_heads)) for t, s in ((k, rules.static_k), (v, rules.static_v)))
    if rules.add_zero_attn:
        k, v, mask = _pad(k, (0, 0, 0, 1)), _pad(v, (0, 0, 0, 1)), _longer(mask)
    if rules.need_weights:
        out, weights = _explicit(q, k, v, mask, rules.dropout)
        return joined(out), weights
    ahead = _ahead(q.shape[2], k.shape[2], q.device) if tiled and mask is not None else None
    out = _attention(q, k, v, mask, rules.dropout, tiled and mask is None, distance_bias=ahead)
    return joined(out), None


def _longer(mask: Tensor | None) -> Tensor | None:
    """One more key, which is seen."""
    return None if mask is None else _pad(mask, (0, 1))


def _explicit(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, share: float) -> tuple[Tensor, Tensor]:
    scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    weights = (scores if mask is None else scores + mask).softmax(-1)
    if share:
        weights = _dropout(weights, share, True)
    return weights @ v, weights


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
    biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    given = zip((query, key, value), weights, biases, strict=True)
    q, k, v = (_linear(t.transpose(0, 1), w, b) for t, w, b in given)
    rules = Rules(
        attn_mask,
        key_padding_mask,
        False,
        bias_k,
        bias_v,
        add_zero_attn,
        static_k,
        static_v,
        dropout_p if training else 0.0,
        need_weights,
    )
    out, seen = attended(q, k, v, num_heads, rules)
    output = _linear(out.transpose(0, 1), out_proj_weight, out_proj_bias)
    if seen is not None and average_attn_weights:
        seen = seen.mean(1)
    if unbatched:
        return output.squeeze(1), None if seen is None else seen.squeeze(0)
    return output, seen
