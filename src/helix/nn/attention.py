"""MultiheadAttention: Vaswani et al., "Attention is all you need", NeurIPS 2017; torch's weights and packing."""

from __future__ import annotations

from typing import Any

from .. import empty
from ..tensor import Tensor
from . import functional as F
from . import init
from .functions.attention import Rules, attended
from .linear import Linear
from .misfit import describe
from .module import Module
from .parameter import Parameter


class MultiheadAttention(Module):
    """Returns (output, weights); weights is None unless `need_weights`.

    Inputs are (length, batch, embed) or, with `batch_first`, (batch, length, embed); unbatched inputs lack the
    batch axis. Boolean masks forbid where they are True; float masks are added to the scores. attn_mask is (queries,
    keys) or (batch * num_heads, queries, keys), key_padding_mask (batch, keys). weights are (batch, queries, keys), the
    mean of the heads, or (batch, num_heads, queries, keys) without `average_attn_weights`. add_bias_kv appends a trained
    key and value, add_zero_attn ones of zeros. is_causal without attn_mask sees the keys up to each query. Without
    weights memory is linear in the lengths. Raises LayerError (HX1004) for inputs of other widths.

    Example:
        >>> layer = helix.nn.MultiheadAttention(4, 2, batch_first=True)
        >>> x = helix.ones(2, 3, 4)
        >>> output, weights = layer(x, x, x)
        >>> output.shape, weights.shape
        ((2, 3, 4), (2, 3, 3))
    """

    in_proj_weight: Any  # parameters or None: packed, or one for each of query, key and value
    in_proj_bias: Any
    q_proj_weight: Any
    k_proj_weight: Any
    v_proj_weight: Any
    bias_k: Any
    bias_v: Any

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device=None,
        dtype=None,
    ) -> None:
        if num_heads < 1 or embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: embed_dim ({embed_dim}) must be a multiple of num_heads ({num_heads})"
            )
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        self._same = self.kdim == embed_dim and self.vdim == embed_dim

        def weight(*shape: int) -> Parameter:
            return Parameter(empty(*shape, device=device, dtype=dtype))

        self.register_parameter("in_proj_weight", weight(3 * embed_dim, embed_dim) if self._same else None)
        for name, size in (("q", embed_dim), ("k", self.kdim), ("v", self.vdim)):
            self.register_parameter(f"{name}_proj_weight", None if self._same else weight(embed_dim, size))
        self.register_parameter("in_proj_bias", weight(3 * embed_dim) if bias else None)
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, weight(1, 1, embed_dim) if add_bias_kv else None)
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            if getattr(self, name) is not None:
                init.xavier_uniform_(getattr(self, name))
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            assert self.out_proj.bias is not None
            init.zeros_(self.out_proj.bias)

        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        unbatched = query.ndim == 2
        same_input = query is key and key is value
        if unbatched:
            query, key, value = (t.unsqueeze(0) for t in (query, key, value))
            key_padding_mask = key_padding_mask.unsqueeze(0) if key_padding_mask is not None else None
        elif not self.batch_first:
            query, key, value = (t.transpose(0, 1) for t in (query, key, value))
        q, k, v = self._project(query, key, value, same_input)
        rules = Rules(
            attn_mask,
            key_padding_mask,
            is_causal,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            dropout=self.dropout if self.training else 0.0,
            need_weights=need_weights,
        )
        out, weights = attended(q, k, v, self.num_heads, rules)
        out = self.out_proj(out)
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if unbatched:
            return out.squeeze(0), weights.squeeze(0) if weights is not None else None
        return out if self.batch_first else out.transpose(0, 1), weights

    def _project(self, query: Tensor, key: Tensor, value: Tensor, same_input: bool) -> tuple[Tensor, ...]:
        if self._same and same_input:
            return F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        weights = (
            self.in_proj_weight.chunk(3) if self._same else (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        )
        biases = self.in_proj_bias.chunk(3) if self.in_proj_bias is not None else (None,) * 3
        return tuple(F.linear(t, w, b) for t, w, b in zip((query, key, value), weights, biases, strict=True))

    def misfit(self, query, *_) -> str | None:
        if query.ndim not in (2, 3):
            return f"query has {query.ndim} axes, the layer takes 3 or, unbatched, 2. {describe(query)}"
        if query.shape[-1] != self.embed_dim:
            return f"query has {query.shape[-1]} features, the layer was made for {self.embed_dim}. {describe(query)}"
        return None
