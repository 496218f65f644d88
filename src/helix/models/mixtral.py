"""Mixtral: Llama's decoder with sparse experts; Jiang et al., "Mixtral of experts", 2024."""

from __future__ import annotations

from typing import Any

from .._core import tracing
from ..nn import Linear, Module, ModuleList
from ..tensor import Tensor
from .activations import activation
from .llama import Block, Llama


class Expert(Module):
    """w2(activation(w1 x) * w3 x)"""

    def __init__(self, config: dict[str, Any]) -> None:
        width, inner = config["hidden_size"], config["intermediate_size"]
        self.w1, self.w3 = Linear(width, inner, bias=False), Linear(width, inner, bias=False)
        self.w2 = Linear(inner, width, bias=False)
        self.activation = activation(config.get("hidden_act", "silu"))

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(self.activation(self.w1(x)) * self.w3(x))


class SparseExperts(Module):
    """Each token goes to the experts of the largest gates, whose shares are scaled to sum to one."""

    def __init__(self, config: dict[str, Any]) -> None:
        count = config["num_local_experts"]
        self.chosen = config["num_experts_per_tok"]
        self.gate = Linear(config["hidden_size"], count, bias=False)
        self.experts = ModuleList(Expert(config) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(0, 1)
        shares, numbers = self.gate(flat).softmax(-1).topk(self.chosen, -1)
        shares = shares / shares.sum(-1, keepdim=True)
        mixed = flat * 0.0
        for i, expert in enumerate(self.experts):
            if (
                tracing()
            ):  # how many rows an expert gets depends on values: it takes all, most of them with a share of 0
                mixed = mixed + expert(flat) * (shares * (numbers == i)).sum(-1, keepdim=True)
                continue
            rows, places = (numbers == i).nonzero(as_tuple=True)
            if rows.numel():
                mixed = mixed.index_add(0, rows, expert(flat[rows]) * shares[rows, places].unsqueeze(-1))
        return mixed.reshape(x.shape)


class SparseBlock(Block):
    feed = "block_sparse_moe"

    def make_feed(self, config: dict[str, Any]) -> Module:
        return SparseExperts(config)


class Mixtral(Llama):
    """Tokens (batch, length) to logits (batch, length, vocabulary); see Llama.

    Example:
        >>> from helix.models.mixtral import Mixtral
        >>> sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
        >>> experts = {"num_local_experts": 4, "num_experts_per_tok": 2}
        >>> Mixtral({"vocab_size": 11, **sizes, **experts})(helix.tensor([[1, 2, 3]])).shape
        (1, 3, 11)
    """

    block = SparseBlock
    family, answers = "Mixtral", "model"
