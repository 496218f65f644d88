"""GroupedQueryAttention: attention whose heads of keys and values are shared by groups of queries."""

from __future__ import annotations

from ..errors import ArgumentError, ParameterError
from ..tensor import Tensor
from .attend import attend, heads_of, joined
from .cache import KeyValueCache, Sight, sight_of
from .linear import Linear
from .masks import alibi_distances
from .misfit import describe
from .module import Module
from .positions import RotaryEmbedding, apply_rotary


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
        query = heads_of(self.q_proj(x), self.num_heads)
        key = heads_of(self.k_proj(x if source is None else source), self.num_kv_heads)
        value = heads_of(self.v_proj(x if source is None else source), self.num_kv_heads)
        if sight is None and cache is not None:
            sight = cache.ahead(x.shape[1], window=self.window, device=x.device)
        elif sight is None and self.is_causal:
            sight = sight_of(x.shape[1], None, self.window, device=x.device)
        if self.rotary is not None:
            assert sight is not None
            cos, sin = turns or self.rotary.turns(sight.positions, x.dtype)
            query, key = (apply_rotary(t, cos, sin, self.rotary.layout) for t in (query, key))
        if cache is not None:
            key, value = cache.append(key, value)
        share = self.dropout if self.training else 0.0
        bias = None
        if self.alibi:
            bias = alibi_distances(self.num_heads, x.shape[1], key.shape[2], dtype=query.dtype, device=x.device)
        return self.o_proj(joined(attend(query, key, value, sight, share, bias=bias)))

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
