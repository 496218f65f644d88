"""A transformer decoder that predicts the next byte."""

from __future__ import annotations

from .. import arange, cat, multinomial, nn, no_grad
from .. import tensor as make
from ..nn import functional as F
from ..nn import init
from ..nn.summary import flops_of
from ..tensor import Tensor


class CausalSelfAttention(nn.Module):
    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        if dim % heads:
            raise ValueError(f"decoder: dim ({dim}) must be a multiple of heads ({heads})")
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        parts = self.qkv(x).reshape(batch, length, 3, self.heads, dim // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(
            q, k, v, is_causal=True, dropout_p=self.dropout if self.training else 0.0
        )
        return self.out(mixed.transpose(1, 2).reshape(batch, length, dim))


@flops_of.register
def _(layer: CausalSelfAttention, result: Tensor) -> int:
    """Scores, and their product with the values; the projections are layers of their own."""
    return 2 * 2 * result.shape[1] * result.numel()


class Block(nn.Module):
    """Attention and a feed-forward net, each after a norm and beside a residual."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = CausalSelfAttention(dim, heads, dropout)
        self.feed = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.dropout(self.feed(self.norm2(x)))


class Decoder(nn.Module):
    """Tokens (batch, length) to logits (batch, length, vocabulary); position i sees tokens 0 … i."""

    def __init__(
        self,
        vocabulary: int = 256,
        length: int = 128,
        dim: int = 128,
        depth: int = 4,
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        self.length = length
        self.tokens = nn.Embedding(vocabulary, dim)
        self.positions = nn.Embedding(length, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(depth))
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

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.positions(arange(tokens.shape[1], device=tokens.device))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

    def misfit(self, tokens) -> str | None:
        if tokens.ndim == 2 and tokens.shape[1] <= self.length:
            return None
        return (
            f"tokens have shape {tuple(tokens.shape)}, the model takes (batch, length) with length up to {self.length}."
        )

    def generate(self, prompt: bytes, count: int, temperature: float = 0.8, generator=None) -> bytes:
        """Goes on from `prompt` for `count` bytes; temperature 0 takes the likeliest byte each time."""
        if temperature < 0:
            raise ValueError(f"generate: temperature must not be negative, got {temperature}")
        device = self.head.weight.device
        tokens = make([list(prompt or b"\n")], device=device)
        training = self.training
        self.eval()
        try:
            with no_grad():
                for _ in range(count):
                    logits = self(tokens[:, -self.length :])[0, -1]
                    if temperature == 0:
                        chosen = logits.argmax(-1, keepdim=True)
                    else:
                        chosen = multinomial((logits / temperature).softmax(-1), 1, generator=generator)
                    tokens = cat([tokens, chosen.reshape(1, 1)], 1)
        finally:
            self.train(training)
        return bytes(tokens[0].tolist()[-count:]) if count else b""
