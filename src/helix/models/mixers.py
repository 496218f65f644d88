"""Layers that mix the steps of a sequence, by name: what a SequenceDecoder is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import cat, nn, zeros
from ..nn.attend import attend, joined
from ..nn.cache import sight_of
from ..nn.masks import causal_distances
from ..tensor import Tensor


class CausalAttention(nn.SequenceLayer):
    """Self-attention without positions, for models whose other layers know the order. The state, keys and values, grows."""

    def __init__(self, d_model: int, heads: int = 4) -> None:
        if d_model % heads:
            raise ValueError(f"attention: dim ({d_model}) must be a multiple of heads ({heads})")
        self.d_model, self.heads = d_model, heads
        self.qkv, self.out = nn.Linear(d_model, 3 * d_model, bias=False), nn.Linear(d_model, d_model, bias=False)

    def stream(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        before = 0
        if state is not None:
            before = state[0].shape[2]
            k, v = cat([state[0], k], 2), cat([state[1], v], 2)
        bias = causal_distances(x.shape[1], k.shape[2], device=x.device) if before else None
        mixed = attend(q, k, v, None if before else sight_of(x.shape[1], device=x.device), bias=bias)
        return self.out(joined(mixed)), (k, v)

    def default_state(self, batch: int) -> Any:
        like: dict[str, Any] = {"dtype": self.out.weight.dtype, "device": self.out.weight.device}
        part = zeros(batch, self.heads, 0, self.d_model // self.heads, **like)
        return part, part


def _hyena(dim: int, length: int, **options) -> nn.SequenceLayer:
    return nn.HyenaOperator(dim, **{"l_max": length, "emb_dim": 33, "w": 10.0, **options})


def _mamba2(dim: int, length: int, **options) -> nn.SequenceLayer:
    return nn.Mamba2(dim, **{"d_state": 64, "headdim": min(64, dim), **options})


MIXERS: dict[str, Callable[..., nn.SequenceLayer]] = {
    "attention": lambda dim, length, **options: CausalAttention(dim, **options),
    "h3": lambda dim, length, **options: nn.H3(dim, **options),
    "hyena": _hyena,
    "mamba": lambda dim, length, **options: nn.Mamba(dim, **options),
    "mamba2": _mamba2,
    "s4": lambda dim, length, **options: nn.S4(dim, transposed=False, **{"l_max": length, **options}),
    "s4d": lambda dim, length, **options: nn.S4D(dim, transposed=False, **options),
    "s5": lambda dim, length, **options: nn.S5(dim, **options),
}
WHOLE = frozenset({"mamba", "mamba2"})  # need no feed-forward net beside them
