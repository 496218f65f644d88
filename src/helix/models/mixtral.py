"""Mixtral: Llama's decoder with sparse experts; Jiang et al., "Mixtral of experts", 2024."""

from __future__ import annotations

from typing import Any, cast

from .. import _core, arange, cat, zeros_like
from ..nn import Linear, Module, ModuleList
from ..nn.module import is_plain
from ..tensor import Tensor
from .activations import activation
from .llama import Block, Llama

_grouped_linear = _core.op_named("grouped_linear")


class Expert(Module):
    """w2(activation(w1 x) * w3 x)"""

    def __init__(self, config: dict[str, Any]) -> None:
        width, inner = config["hidden_size"], config["intermediate_size"]
        self.w1, self.w3 = Linear(width, inner, bias=False), Linear(width, inner, bias=False)
        self.w2 = Linear(inner, width, bias=False)
        self.activation = activation(config.get("hidden_act", "silu"))

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(self.activation(self.w1(x)) * self.w3(x))

    def is_bare(self) -> bool:
        """Are its layers matrices that nobody watches, quantized or adapted? Then all experts' are multiplied in one call."""
        return is_plain(self) and all(
            type(layer) is Linear and is_plain(layer) for layer in (self.w1, self.w2, self.w3)
        )


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
        experts, order = numbers.flatten().sort(stable=True)
        rows = order // self.chosen
        ends = (experts.unsqueeze(-1) <= arange(len(self.experts), device=x.device)).sum(0)
        done = self.through(flat.index_select(0, rows), ends) * shares.flatten().index_select(0, order).unsqueeze(-1)
        return zeros_like(flat).index_add(0, rows, done).reshape(x.shape)

    def through(self, rows: Tensor, ends: Tensor) -> Tensor:
        """Rows in the order of their experts, each through its own; `ends` of each expert's rows."""
        experts = cast("list[Expert]", list(self.experts))
        if all(expert.is_bare() for expert in experts):
            gates = _grouped_linear(rows, ends, [expert.w1.weight for expert in experts])
            values = _grouped_linear(rows, ends, [expert.w3.weight for expert in experts])
            inner = experts[0].activation(gates) * values
            return _grouped_linear(inner, ends, [expert.w2.weight for expert in experts])
        bounds = [0, *ends.tolist()]
        done = [expert(rows[i:j]) for expert, i, j in zip(experts, bounds, bounds[1:], strict=False) if i < j]
        return cat(done) if done else rows


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
