"""A transformer decoder that predicts the next byte, or another token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..errors import ConfigError
from ..nn import init
from ..nn.attend import attend, joined
from ..nn.cache import DecoderState, KeyValueCache, Sight, sight_of
from ..nn.positions import RotaryEmbedding, apply_rotary
from ..nn.summary import flops_of
from ..tensor import Tensor
from .generate import generate
from .language import LanguageModel, bytes_after

POSITIONS = ("learned", "rotary")
Turns = tuple[Tensor, Tensor]


class CausalSelfAttention(nn.Module):
    """Queries, keys and values from one product; a position sees itself and those before it, or the last `window`."""

    def __init__(self, dim: int, heads: int, dropout: float, window: int | None = None) -> None:
        if dim % heads:
            raise ValueError(f"decoder: dim ({dim}) must be a multiple of heads ({heads})")
        self.heads, self.dropout, self.window = heads, dropout, window
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(
        self, x: Tensor, sight: Sight | None = None, cache: KeyValueCache | None = None, turns: Any = None
    ) -> Tensor:
        batch, length, dim = x.shape
        if sight is None:
            sight = sight_of(length, None, self.window, device=x.device)
        parts = self.qkv(x).reshape(batch, length, 3, self.heads, dim // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        if turns is not None:
            query, key = apply_rotary(query, *turns), apply_rotary(key, *turns)
        if cache is not None:
            key, value = cache.append(key, value)
        mixed = attend(query, key, value, sight, self.dropout if self.training else 0.0)
        return self.out(joined(mixed))


@flops_of.register
def _(layer: CausalSelfAttention, result: Tensor) -> int:
    """Scores, and their product with the values; the projections are layers of their own."""
    seen = result.shape[1] if layer.window is None else min(layer.window, result.shape[1])
    return 2 * 2 * seen * result.numel()


class Block(nn.Module):
    """Attention and a feed-forward net, each after a norm and beside a residual."""

    def __init__(self, dim: int, heads: int, dropout: float, window: int | None = None) -> None:
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = CausalSelfAttention(dim, heads, dropout, window)
        self.feed = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, sight: Sight | None = None, cache: KeyValueCache | None = None, turns: Any = None
    ) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x), sight, cache, turns))
        return x + self.dropout(self.feed(self.norm2(x)))


class Decoder(LanguageModel):
    """Tokens (batch, length) to logits (batch, length, vocabulary); position i sees tokens 0 … i.

    positions: "learned", a vector for each of `length` positions; or "rotary", which knows distances alone and takes texts
    of any length. window: attention reaches that far back in each layer, in memory linear in the text.

    Example:
        >>> model = helix.models.Decoder(length=8, dim=16, depth=1, heads=2)
        >>> model(helix.tensor([[104, 105]])).shape, len(model.generate(b"hi", 20))
        ((1, 2, 256), 20)
    """

    positions: nn.Embedding | None
    rotary: RotaryEmbedding | None

    def __init__(
        self,
        vocabulary: int = 256,
        length: int = 128,
        dim: int = 128,
        depth: int = 4,
        heads: int = 4,
        dropout: float = 0.0,
        positions: str = "learned",
        window: int | None = None,
    ) -> None:
        if positions not in POSITIONS:
            raise ConfigError(f"HX3102 decoder: positions must be one of {POSITIONS}, got {positions!r}", code="HX3102")
        self.length, self.window = length, window
        self.tokens = nn.Embedding(vocabulary, dim)
        self.positions = nn.Embedding(length, dim) if positions == "learned" else None
        self.rotary = RotaryEmbedding(dim // heads) if positions == "rotary" else None
        self.blocks = nn.ModuleList(Block(dim, heads, dropout, window) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, vocabulary, bias=False)
        self._reset(depth)

    def _reset(self, depth: int) -> None:
        """Weights of deviation 0.02, those that end a residual branch smaller (Radford et al., 2019)."""
        for path, module in self.named_modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                ends = path.endswith(("attention.out", "feed.2"))
                init.normal_(module.weight, 0.0, 0.02 / (2 * depth) ** 0.5 if ends else 0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                init.zeros_(module.bias)

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self._logits(tokens, sight_of(tokens.shape[1], attention_mask, self.window, device=tokens.device), None)

    @property
    def longest(self) -> int | None:
        return None if self.positions is None else self.length

    def step(
        self, tokens: Tensor, state: DecoderState | None = None, padding: Tensor | None = None
    ) -> tuple[Tensor, DecoderState]:
        state = DecoderState.going_on(state, len(self.blocks), padding, self.window)
        return self._logits(tokens, state.ahead(tokens.shape[1], tokens.device), state.caches), state

    def _logits(self, tokens: Tensor, sight: Sight, caches: list[KeyValueCache] | None) -> Tensor:
        x = self.tokens(tokens)
        if self.positions is not None:
            x = x + self.positions(sight.positions)
        turns = None if self.rotary is None else self.rotary.turns(sight.positions, x.dtype)
        for i, block in enumerate(self.blocks):
            x = block(x, sight, caches[i] if caches else None, turns)
        return self.head(self.norm(x))

    def misfit(self, tokens, *_) -> str | None:
        if tokens.ndim == 2 and (tokens.shape[1] <= self.length or self.positions is None):
            return None
        return (
            f"tokens have shape {tuple(tokens.shape)}, the model takes (batch, length) with length up to {self.length}."
        )

    def generate(  # type: ignore[override]
        self,
        prompt: bytes | Tensor | Sequence[Any],
        count: int = 20,
        temperature: float | None = None,
        generator: Any = None,
        **options: Any,
    ) -> Any:
        """Goes on from `prompt` for `count` tokens; temperature 0 takes the likeliest each time.

        Bytes give the bytes that follow, at temperature 0.8 unless told, and may go beyond `length`: when the positions
        are used up, the later half of what they hold is read again. Tokens give what helix.models.generate gives.
        """
        if not isinstance(prompt, bytes):
            return generate(self, prompt, count, temperature=temperature or 0.0, generator=generator, **options)
        options |= {"temperature": 0.8 if temperature is None else temperature, "generator": generator}
        return bytes_after(self, prompt, count, **options)
