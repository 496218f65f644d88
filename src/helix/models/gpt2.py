"""GPT-2: Radford et al., "Language models are unsupervised multitask learners", 2019."""

from __future__ import annotations

from typing import Any

from .. import arange, empty
from ..nn import Dropout, Embedding, LayerNorm, Linear, Module, ModuleList, Parameter, init
from ..nn import functional as F
from ..nn.attend import attend, joined
from ..nn.cache import DecoderState, KeyValueCache, Sight, sight_of
from ..tensor import Tensor
from .activations import activation
from .heads import decoder_heads
from .language import IGNORED, LanguageModel, unsupported
from .parts import architecture_of, reset


class TurnedLinear(Module):
    """A linear layer whose weight is [in, out], as GPT-2's files have it."""

    def __init__(self, in_features: int, out_features: int) -> None:
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(in_features, out_features))
        self.bias = Parameter(empty(out_features))
        init.normal_(self.weight, 0.0, 0.02)
        init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.t(), self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}"


class Attention(Module):
    def __init__(self, config: dict[str, Any], layer: int) -> None:
        width, self.heads = config["n_embd"], config["n_head"]
        self.scale = (width // self.heads) ** -0.5 if config.get("scale_attn_weights", True) else 1.0
        if config.get("scale_attn_by_inverse_layer_idx", False):
            self.scale /= layer + 1
        self.dropout = config.get("attn_pdrop", 0.1)
        self.c_attn, self.c_proj = TurnedLinear(width, 3 * width), TurnedLinear(width, width)
        self.resid_dropout = Dropout(config.get("resid_pdrop", 0.1))

    def forward(self, x: Tensor, sight: Sight, cache: KeyValueCache | None) -> Tensor:
        parts = self.c_attn(x).unflatten(-1, (3, self.heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        if cache is not None:
            key, value = cache.append(key, value)
        share = self.dropout if self.training else 0.0
        mixed = attend(query, key, value, sight, share, scale=self.scale)
        return self.resid_dropout(self.c_proj(joined(mixed)))


class FeedForward(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        width = config["n_embd"]
        inner = config.get("n_inner") or 4 * width
        self.c_fc, self.c_proj = TurnedLinear(width, inner), TurnedLinear(inner, width)
        self.activation = activation(config.get("activation_function", "gelu_new"))
        self.dropout = Dropout(config.get("resid_pdrop", 0.1))

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.c_proj(self.activation(self.c_fc(x))))


class Block(Module):
    def __init__(self, config: dict[str, Any], layer: int) -> None:
        width, eps = config["n_embd"], config.get("layer_norm_epsilon", 1e-5)
        self.ln_1, self.ln_2 = LayerNorm(width, eps), LayerNorm(width, eps)
        self.attn, self.mlp = Attention(config, layer), FeedForward(config)

    def forward(self, x: Tensor, sight: Sight, cache: KeyValueCache | None) -> Tensor:
        x = x + self.attn(self.ln_1(x), sight, cache)
        return x + self.mlp(self.ln_2(x))


class Body(Module):
    """All but the head."""

    key_map: tuple[tuple[str, str | None], ...] = ((r"\.attn\.(bias|masked_bias)$", None),)  # masks, in older files

    def __init__(self, config: dict[str, Any]) -> None:
        width = config["n_embd"]
        self.wte = Embedding(config["vocab_size"], width)
        self.wpe = Embedding(config.get("n_positions", 1024), width)
        self.drop = Dropout(config.get("embd_pdrop", 0.1))
        self.h = ModuleList(Block(config, layer) for layer in range(config["n_layer"]))
        self.ln_f = LayerNorm(width, config.get("layer_norm_epsilon", 1e-5))
        self._reset()

    def _reset(self) -> None:
        """Tables of deviation 0.02, and smaller weights at the end of each residual branch."""
        for table in (self.wte, self.wpe):
            init.normal_(table.weight, 0.0, 0.02)
        for path, parameter in self.named_parameters():
            if path.endswith("c_proj.weight"):
                init.normal_(parameter, 0.0, 0.02 / (2 * len(self.h)) ** 0.5)

    def vectors(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self(tokens, sight_of(tokens.shape[1], attention_mask, device=tokens.device))

    def forward(self, tokens: Tensor, sight: Sight, caches: list[KeyValueCache] | None = None) -> Tensor:
        x = self.drop(self.wte(tokens) + self.wpe(sight.positions))
        for layer, block in enumerate(self.h):
            x = block(x, sight, caches[layer] if caches else None)
        return self.ln_f(x)


class GPT2(LanguageModel):
    """Tokens (batch, length) to logits (batch, length, vocabulary); position i sees tokens 0 … i.

    `attention_mask`, (batch, length), is 0 at padding. The head is the table of tokens unless the config unties them.

    Example:
        >>> from helix.models.gpt2 import GPT2
        >>> config = {"vocab_size": 11, "n_positions": 8, "n_embd": 4, "n_layer": 1, "n_head": 2}
        >>> model = GPT2(config)
        >>> model(helix.tensor([[1, 2, 3]])).shape
        (1, 3, 11)
    """

    key_map = (
        (r"^(wte|wpe|h|ln_f)\.", r"transformer.\1."),  # files of the model without its head
        *Body.key_map,
    )

    def __init__(self, config: dict[str, Any]) -> None:
        unsupported("GPT2", config, add_cross_attention=False)
        width, vocabulary = config["n_embd"], config["vocab_size"]
        self.config, self.length = config, config.get("n_positions", 1024)
        self.transformer = Body(config)
        self.lm_head = Linear(width, vocabulary, bias=False)
        if config.get("tie_word_embeddings", True):
            self.lm_head.weight = self.transformer.wte.weight

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Module:
        """What config["architectures"] says: the language model, or a classifier on its body."""
        return architecture_of(config, ARCHITECTURES, "GPT2LMHeadModel")(config)

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self.lm_head(self.transformer.vectors(tokens, attention_mask))

    @property
    def longest(self) -> int:
        return self.length

    def step(
        self, tokens: Tensor, state: DecoderState | None = None, padding: Tensor | None = None
    ) -> tuple[Tensor, DecoderState]:
        state = DecoderState.going_on(state, len(self.transformer.h), padding)
        sight = state.ahead(tokens.shape[1], tokens.device)
        return self.lm_head(self.transformer(tokens, sight, state.caches)), state

    def misfit(self, tokens, *_) -> str | None:
        if tokens.ndim == 2 and tokens.shape[1] <= self.length:
            return None
        shape = tuple(tokens.shape)
        return f"tokens have shape {shape}, the model takes (batch, length) with length up to {self.length}."


class Summary(Module):
    """Of each text one number, from the vector of one of its tokens."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.linear, self.dropout = Linear(config["n_embd"], 1), Dropout(config.get("summary_first_dropout", 0.1))
        reset(self.linear, config)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.dropout(x)).squeeze(-1)


class GPT2DoubleHeads(Module):
    """Texts to choose among, (batch, choices, length), to logits of each next token, (batch, choices, length, vocabulary), and of
    each choice, (batch, choices), from its last token or the one that `mc_token_ids`, (batch, choices), names."""

    key_map = (*GPT2.key_map, (r"^multiple_choice_head\.summary\.", "multiple_choice_head.linear."))

    def __init__(self, config: dict[str, Any]) -> None:
        unsupported(
            "GPT2DoubleHeads",
            config,
            summary_type="cls_index",
            summary_use_proj=True,
            summary_proj_to_labels=True,
            summary_activation=None,
        )
        self.config, self.transformer = config, Body(config)
        self.lm_head = Linear(config["n_embd"], config["vocab_size"], bias=False)
        if config.get("tie_word_embeddings", True):
            self.lm_head.weight = self.transformer.wte.weight
        self.multiple_choice_head = Summary(config)

    def forward(
        self, tokens: Tensor, mc_token_ids: Tensor | None = None, attention_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        batch, choices, length = tokens.shape
        mask = None if attention_mask is None else attention_mask.flatten(0, 1)
        x = self.transformer.vectors(tokens.flatten(0, 1), mask)
        rows = arange(batch * choices, device=x.device)
        chosen = x[:, length - 1] if mc_token_ids is None else x[rows, mc_token_ids.flatten()]
        return (
            self.lm_head(x).reshape(batch, choices, length, -1),
            self.multiple_choice_head(chosen).reshape(batch, choices),
        )

    def loss(self, tokens: Tensor, labels: Tensor, mc_labels: Tensor, **inputs: Any) -> Tensor:
        """The sum of both mean cross-entropies: of tokens after the first, labels being -100 where one does not count, and
        of the right choice, (batch,)."""
        words, scores = self(tokens, **inputs)
        said = F.cross_entropy(words[..., :-1, :].flatten(0, 2), labels[..., 1:].flatten(), ignore_index=IGNORED)
        return said + F.cross_entropy(scores, mc_labels)

    def misfit(self, tokens, *_) -> str | None:
        if tokens.ndim == 3:
            return None
        return f"tokens have shape {tuple(tokens.shape)}, the model takes (batch, choices, length)."


ARCHITECTURES: dict[str, Any] = {
    "GPT2Model": GPT2,
    "GPT2LMHeadModel": GPT2,
    "GPT2DoubleHeadsModel": GPT2DoubleHeads,
    **decoder_heads("GPT2", Body, "transformer", "transformer", "classifier"),
}
