"""What encoders and decoders of several families are made of."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from ..nn import Dropout, Linear, Module
from ..nn import functional as F
from ..tensor import Tensor


def heads_of(t: Tensor, heads: int) -> Tensor:
    """(batch, length, heads * size) as (batch, heads, length, size)"""
    return t.unflatten(-1, (heads, -1)).transpose(1, 2)


def joined(t: Tensor) -> Tensor:
    """heads_of undone."""
    return t.transpose(1, 2).flatten(2)


class QueryKeyValue(Module):
    """Attention of many heads within a sequence, without what follows it."""

    def __init__(self, width: int, heads: int, bias: bool, dropout: float) -> None:
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value = (Linear(width, width, bias) for _ in range(3))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        query, key, value = (heads_of(layer(x), self.heads) for layer in (self.query, self.key, self.value))
        share = self.dropout if self.training else 0.0
        return joined(F.scaled_dot_product_attention(query, key, value, mask, share))


class Dense(Module):
    """A linear layer named `dense`, and dropout."""

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.0) -> None:
        self.dense, self.dropout = Linear(inputs, outputs), Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.dense(x))


def architecture_of(config: dict[str, Any], known: dict[str, Any], default: str) -> Any:
    """What `known` has for the config's architecture; `default` when it names none."""
    named = (config.get("architectures") or [default])[0]
    if named not in known:
        raise ConfigError(
            f"HX3012 config.json: architecture {named!r} is not one of: {', '.join(sorted(known))}.", code="HX3012"
        )
    return known[named]


def labels_of(config: dict[str, Any]) -> int:
    """How many classes there are."""
    return config.get("num_labels") or len(config.get("id2label") or (0, 1))


def class_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of classes; squared error for a single output."""
    if logits.shape[-1] == 1:
        return F.mse_loss(logits.squeeze(-1), labels.to(logits.dtype))
    return F.cross_entropy(logits, labels)
