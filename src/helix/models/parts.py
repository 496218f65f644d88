"""What encoders and decoders of several families are made of."""

from __future__ import annotations

from typing import Any

from ..autograd import no_grad
from ..errors import ConfigError
from ..nn import Dropout, Embedding, Linear, Module, init
from ..nn import functional as F
from ..nn.attend import attend, heads_of, joined
from ..nn.cache import KeyValueCache, Sight
from ..tensor import Tensor


class QueryKeyValue(Module):
    """Attention of many heads within a sequence, without what follows it."""

    def __init__(self, width: int, heads: int, bias: bool, dropout: float) -> None:
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value = (Linear(width, width, bias) for _ in range(3))

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        sight: Sight | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        query, key, value = (heads_of(layer(x), self.heads) for layer in (self.query, self.key, self.value))
        if cache is not None:
            key, value = cache.append(key, value)
        share = self.dropout if self.training else 0.0
        return joined(attend(query, key, value, sight, share, mask=mask))


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


def class_loss(logits: Tensor, labels: Tensor, problem_type: str | None = None) -> Tensor:
    """Cross-entropy of classes, or of each class apart for labels of floats; squared error for a single output."""
    if problem_type == "regression" or (problem_type is None and logits.shape[-1] == 1):
        return F.mse_loss(logits.reshape(labels.shape), labels.to(logits.dtype))
    if problem_type == "multi_label_classification" or labels.dtype.is_floating_point:
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
    return F.cross_entropy(logits, labels)


def reset(module: Module, config: dict[str, Any]) -> None:
    """As transformers begins: tables and products of deviation `initializer_range`, biases and padding of 0."""
    if isinstance(module, (Linear, Embedding)):
        init.normal_(module.weight, 0.0, config.get("initializer_range", 0.02))
    if isinstance(module, Embedding) and module.padding_idx is not None:
        with no_grad():
            module.weight[module.padding_idx].fill_(0)
    if isinstance(module, Linear) and module.bias is not None:
        init.zeros_(module.bias)
