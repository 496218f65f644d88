"""GroupedQueryAttention: attention whose heads of keys and values are shared by groups of queries."""

from __future__ import annotations

from ..errors import ArgumentError, ParameterError
from ..tensor import Tensor
from . import functional as F
from .cache import KeyValueCache, Sight, sight_of
from .linear import Linear
from .masks import alibi_bias, causal_mask
from .misfit import describe
from .module import Module
from .positions import RotaryEmbedding, apply_rotary
from .windows import windowed_attention


class GroupedQueryAttention(Module):
    """Attention for decoders, encoders and across: (batch, length, embed_dim) to the same shape.

    Ainslie et al., "GQA: training generalized multi-query transformer models", EMNLP 2023; num_kv_heads = num_heads is
    multi-head, 1 is multi-query attention. Weights are Llama's: q_proj, k_proj, v_proj, o_proj.

    is_causal: a position sees itself and those before it; window: only so many of them. rotary: a RotaryEmbedding for
    queries and keys. alibi: scores fall with distance, with a slope for each head. source_dim: the width of `source`,
    for attention across.

    forward(x, source=None, sight=None, cache=None): sight says what is seen (helix.nn.cache.sight_of, DecoderState);
    cache is a KeyValueCache that is read and extended.

    Raises ParameterError (HX1403) for sizes that do not divide.

    Example:
        >>> layer = helix.nn.GroupedQueryAttention(8, 4, 2, rotary=helix.nn.RotaryEmbedding(2))
        >>> layer(helix.ones(1, 3, 8)).shape
        (1, 3, 8)
    """

    rotary: RotaryEmbedding | None  # without state, so that layers may share one

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        num_kv_heads: int | None = None,
        head_dim: int | None = None,
        dropout: float = 0.0,
        bias: bool = False,
        *,
        out_bias: bool | None = None,
        is_causal: bool = True,
        window: int | None = None,
        rotary: RotaryEmbedding | None = None,
        alibi: bool = False,
        source_dim: int | None = None,
        device=None,
        dtype=None,
    ) -> None:
        shared = num_heads if num_kv_heads is None else num_kv_heads
        if num_heads < 1 or shared < 1 or num_heads % shared:
            _refuse(f"num_heads ({num_heads}) must be a multiple of num_kv_heads ({shared})")
        if head_dim is None and embed_dim % num_heads:
            _refuse(f"embed_dim ({embed_dim}) must be a multiple of num_heads ({num_heads}), or give head_dim")
        if window is not None and (window < 1 or not is_causal):
            _refuse(f"window must be at least 1, and is for causal attention, got {window}")
        self.embed_dim, self.num_heads, self.num_kv_heads = embed_dim, num_heads, shared
        self.head_dim = head_dim or embed_dim // num_heads
        self.dropout, self.is_causal, self.window, self.alibi = dropout, is_causal, window, alibi
        made, source = {"device": device, "dtype": dtype}, source_dim or embed_dim
        self.source_dim = source
        self.q_proj = Linear(embed_dim, num_heads * self.head_dim, bias, **made)
        self.k_proj = Linear(source, shared * self.head_dim, bias, **made)
        self.v_proj = Linear(source, shared * self.head_dim, bias, **made)
        self.o_proj = Linear(num_heads * self.head_dim, embed_dim, bias if out_bias is None else out_bias, **made)
        self.rotary = rotary

    def forward(
        self,
        x: Tensor,
        source: Tensor | None = None,
        sight: Sight | None = None,
        cache: KeyValueCache | None = None,
        turns: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        if source is not None and (self.is_causal or cache is not None):
            raise ArgumentError(
                "HX1103 GroupedQueryAttention: source is for layers made with is_causal=False, without cache.",
                argument="source",
            )
        query = self._heads(self.q_proj(x), self.num_heads)
        key = self._heads(self.k_proj(x if source is None else source), self.num_kv_heads)
        value = self._heads(self.v_proj(x if source is None else source), self.num_kv_heads)
        plain = sight is None and cache is None
        if sight is None and cache is not None:
            sight = cache.ahead(x.shape[1], window=self.window, device=x.device)
        elif sight is None and self.is_causal:
            sight = sight_of(x.shape[1], None, None if plain and not self.alibi else self.window, device=x.device)
        if self.rotary is not None:
            assert sight is not None
            cos, sin = turns or self.rotary.turns(sight.positions, x.dtype)
            query, key = (apply_rotary(t, cos, sin, self.rotary.layout) for t in (query, key))
        if cache is not None:
            key, value = cache.append(key, value)
        return self.o_proj(self._attend(query, key, value, sight, plain).transpose(1, 2).flatten(2))

    def _heads(self, t: Tensor, heads: int) -> Tensor:
        return t.unflatten(-1, (heads, self.head_dim)).transpose(1, 2)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, sight: Sight | None, plain: bool) -> Tensor:
        share, shared = self.dropout if self.training else 0.0, self.num_heads != self.num_kv_heads
        if plain and self.window is not None and not self.alibi:
            return windowed_attention(query, key, value, self.window, share, enable_gqa=shared)
        mask = None if sight is None else sight.mask
        causal = sight is not None and sight.is_causal
        if self.alibi:
            mask, causal = self._biased(query, key, mask, causal), False
        return F.scaled_dot_product_attention(query, key, value, mask, share, causal, enable_gqa=shared)

    def _biased(self, query: Tensor, key: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        queries, keys = query.shape[2], key.shape[2]
        bias = alibi_bias(self.num_heads, queries, keys, dtype=query.dtype, device=query.device)
        if causal:
            mask = causal_mask(queries, keys, device=query.device)
        return bias if mask is None else bias.masked_fill(~mask, float("-inf"))

    def misfit(self, x, source=None, *_) -> str | None:
        for name, t, width in (("x", x, self.embed_dim), ("source", source, self.source_dim)):
            if t is not None and (t.ndim != 3 or t.shape[-1] != width):
                return f"{name} must be (batch, length, {width}). {describe(t)}"
        return None

    def extra_repr(self) -> str:
        more = [f"window={self.window}"] if self.window else []
        more += ["alibi=True"] if self.alibi else []
        heads = f"{self.num_heads}, {self.num_kv_heads}, head_dim={self.head_dim}"
        return ", ".join([f"{self.embed_dim}, {heads}, is_causal={self.is_causal}", *more])


def _refuse(text: str) -> None:
    raise ParameterError(f"HX1403 GroupedQueryAttention: {text}.", op="GroupedQueryAttention", code="HX1403")
