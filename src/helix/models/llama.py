"""Llama: Touvron et al., "LLaMA: open and efficient foundation language models", 2023, to Llama 3 (2024)."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..nn import Embedding, GroupedQueryAttention, Linear, Module, ModuleList, RMSNorm, RotaryEmbedding
from ..nn.cache import DecoderState, KeyValueCache, Sight, sight_of
from ..tensor import Tensor
from .activations import activation
from .heads import Headless, decoder_heads
from .language import LanguageModel
from .parts import architecture_of, reset

Turns = tuple[Tensor, Tensor]


def rotary_of(config: dict[str, Any], size: int) -> RotaryEmbedding:
    """As config.json has it: rope_parameters, or rope_theta and rope_scaling in older files; lengths stand beside them."""
    said = config.get("rope_parameters") or config.get("rope_scaling") or {}
    longest = config.get("max_position_embeddings", 2048)
    original = config.get("original_max_position_embeddings") or said.get("original_max_position_embeddings", longest)
    scaling = {**said, "max_position_embeddings": longest, "original_max_position_embeddings": original}
    return RotaryEmbedding(size, said.get("rope_theta") or config.get("rope_theta", 10000.0), scaling=scaling)


class GatedFeedForward(Module):
    """down(activation(gate(x)) * up(x)); Shazeer, "GLU variants improve transformer", 2020."""

    def __init__(self, config: dict[str, Any]) -> None:
        width, inner, bias = config["hidden_size"], config["intermediate_size"], config.get("mlp_bias", False)
        self.gate_proj, self.up_proj = Linear(width, inner, bias), Linear(width, inner, bias)
        self.down_proj = Linear(inner, width, bias)
        self.activation = activation(config.get("hidden_act", "silu"))

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(self.activation(self.gate_proj(x)) * self.up_proj(x))


class Block(Module):
    """Attention and a feed-forward net, each after a norm and beside a residual."""

    feed = "mlp"  # the attribute of the feed-forward net
    input_layernorm: RMSNorm

    def __init__(self, config: dict[str, Any], rotary: RotaryEmbedding, size: int) -> None:
        width, eps = config["hidden_size"], config.get("rms_norm_eps", 1e-6)
        self.self_attn = GroupedQueryAttention(
            width,
            config["num_attention_heads"],
            config.get("num_key_value_heads"),
            size,
            config.get("attention_dropout", 0.0),
            config.get("attention_bias", False),
            window=config.get("sliding_window"),
            rotary=rotary,
        )
        setattr(self, self.feed, self.make_feed(config))
        self.input_layernorm, self.post_attention_layernorm = RMSNorm(width, eps), RMSNorm(width, eps)

    def make_feed(self, config: dict[str, Any]) -> Module:
        return GatedFeedForward(config)

    def forward(self, x: Tensor, sight: Sight, cache: KeyValueCache | None, turns: Turns) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), None, sight, cache, turns)
        return x + getattr(self, self.feed)(self.post_attention_layernorm(x))


class Body(Module):
    """All but the head."""

    key_map: tuple[tuple[str, str | None], ...] = ((r"rotary_emb\.inv_freq$", None),)  # angles, in older files

    def __init__(self, config: dict[str, Any], block: type[Block]) -> None:
        size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        self.rotary, self.window = rotary_of(config, size), config.get("sliding_window")
        self.embed_tokens = Embedding(config["vocab_size"], config["hidden_size"], config.get("pad_token_id"))
        self.layers = ModuleList(block(config, self.rotary, size) for _ in range(config["num_hidden_layers"]))
        self.norm = RMSNorm(config["hidden_size"], config.get("rms_norm_eps", 1e-6))
        for module in self.modules():
            reset(module, config)

    def vectors(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self(tokens, sight_of(tokens.shape[1], attention_mask, self.window, device=tokens.device))

    def forward(self, tokens: Tensor, sight: Sight, caches: list[KeyValueCache] | None = None) -> Tensor:
        x = self.embed_tokens(tokens)
        turns = self.rotary.turns(sight.positions, x.dtype)
        for i, layer in enumerate(self.layers):
            x = layer(x, sight, caches[i] if caches else None, turns)
        return self.norm(x)


class Llama(LanguageModel):
    """Tokens (batch, length) to logits (batch, length, vocabulary); position i sees tokens 0 … i.

    `attention_mask`, (batch, length), is 0 at padding.

    Example:
        >>> from helix.models.llama import Llama
        >>> sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
        >>> Llama({"vocab_size": 11, **sizes})(helix.tensor([[1, 2, 3]])).shape
        (1, 3, 11)
    """

    key_map: tuple[tuple[str, str | None], ...] = (
        (r"^(embed_tokens|layers|norm)\.", r"model.\1."),  # files of the model without its head
        *Body.key_map,
    )
    block: type[Block] = Block
    family, answers = "Llama", "transformer"  # in files: its name, and that of its body where answers are found

    def __init__(self, config: dict[str, Any]) -> None:
        width, vocabulary = config["hidden_size"], config["vocab_size"]
        self.config, self.window = config, config.get("sliding_window")
        self.model = Body(config, self.block)
        self.lm_head = Linear(width, vocabulary, bias=False)
        if config.get("tie_word_embeddings", False):
            self.lm_head.weight = self.model.embed_tokens.weight
        reset(self.lm_head, config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Module:
        """What config["architectures"] says: the language model, its body alone, or a classifier on it."""
        body = partial(Body, block=cls.block)
        known = {
            f"{cls.family}ForCausalLM": cls,
            f"{cls.family}Model": lambda config: Headless(config, body(config), "model"),
            **decoder_heads(cls.family, body, "model", cls.answers, "score"),
        }
        return architecture_of(config, known, f"{cls.family}ForCausalLM")(config)

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self.lm_head(self.model.vectors(tokens, attention_mask))

    def step(
        self, tokens: Tensor, state: DecoderState | None = None, padding: Tensor | None = None
    ) -> tuple[Tensor, DecoderState]:
        state = DecoderState.going_on(state, len(self.model.layers), padding, self.window)
        sight = state.ahead(tokens.shape[1], tokens.device)
        return self.lm_head(self.model(tokens, sight, state.caches)), state
