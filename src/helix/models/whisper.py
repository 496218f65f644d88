"""Whisper: Radford et al., "Robust speech recognition via large-scale weak supervision", ICML 2023."""

from __future__ import annotations

from typing import Any

from ..nn import Conv1d, Dropout, Embedding, LayerNorm, Linear, Module, ModuleList
from ..nn import functional as F
from ..nn.attend import attend, heads_of, joined
from ..nn.cache import KeyValueCache, Sight, sight_of
from ..nn.init import constant_
from ..nn.positions import sinusoids
from ..tensor import Tensor
from .activations import activation
from .language import IGNORED, LanguageModel, unsupported
from .parts import architecture_of, class_loss, labels_of
from .translation import KeysAndValues, TranslationModel, TranslationState


class Attention(Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        self.heads, self.dropout = heads, dropout
        self.k_proj = Linear(width, width, bias=False)
        self.v_proj, self.q_proj, self.out_proj = (Linear(width, width) for _ in range(3))

    def keys_and_values(self, x: Tensor) -> KeysAndValues:
        return heads_of(self.k_proj(x), self.heads), heads_of(self.v_proj(x), self.heads)

    def forward(
        self, x: Tensor, source: KeysAndValues, sight: Sight | None = None, mask: Tensor | None = None
    ) -> Tensor:
        query, share = heads_of(self.q_proj(x), self.heads), self.dropout if self.training else 0.0
        return self.out_proj(joined(attend(query, *source, sight, share, mask=mask)))


class EncoderLayer(Module):
    """Attention and a feed-forward net, each after a norm and beside a residual."""

    side = "encoder"

    def __init__(self, config: dict[str, Any]) -> None:
        width, inner = config["d_model"], config[f"{self.side}_ffn_dim"]
        heads, share = config[f"{self.side}_attention_heads"], config.get("attention_dropout", 0.0)
        self.self_attn = Attention(width, heads, share)
        self.self_attn_layer_norm, self.final_layer_norm = LayerNorm(width), LayerNorm(width)
        self.fc1, self.fc2 = Linear(width, inner), Linear(inner, width)
        self.dropout = Dropout(config.get("dropout", 0.0))
        self.inner_dropout = Dropout(config.get("activation_dropout", 0.0))
        self.activation = activation(config.get("activation_function", "gelu"))

    def forward(self, x: Tensor) -> Tensor:
        near = self.self_attn_layer_norm(x)
        return self.feed(x + self.dropout(self.self_attn(near, self.self_attn.keys_and_values(near))))

    def feed(self, x: Tensor) -> Tensor:
        inner = self.inner_dropout(self.activation(self.fc1(self.final_layer_norm(x))))
        return x + self.dropout(self.fc2(inner))


class DecoderLayer(EncoderLayer):
    side = "decoder"

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        width, heads = config["d_model"], config["decoder_attention_heads"]
        self.encoder_attn = Attention(width, heads, config.get("attention_dropout", 0.0))
        self.encoder_attn_layer_norm = LayerNorm(width)

    def read(
        self, x: Tensor, sight: Sight, cache: KeyValueCache | None, memory: KeysAndValues | None, seen: Tensor | None
    ) -> Tensor:
        near = self.self_attn_layer_norm(x)
        source = self.self_attn.keys_and_values(near)
        if cache is not None:
            source = cache.append(*source)
        x = x + self.dropout(self.self_attn(near, source, sight))
        if memory is None:
            return self.feed(x)
        return self.feed(x + self.dropout(self.encoder_attn(self.encoder_attn_layer_norm(x), memory, mask=seen)))


class Encoder(Module):
    """Log-mel frames (batch, bins, frames) to vectors (batch, frames / 2, d_model)."""

    def __init__(self, config: dict[str, Any]) -> None:
        width, self.length = config["d_model"], config["max_source_positions"]
        self.conv1 = Conv1d(config["num_mel_bins"], width, 3, padding=1)
        self.conv2 = Conv1d(width, width, 3, stride=2, padding=1)
        self.embed_positions = Embedding(self.length, width)
        table = self.embed_positions.weight.requires_grad_(False)
        constant_(table, 0.0).copy_(sinusoids(self.length, width, layout="half"))
        self.layers = ModuleList(EncoderLayer(config) for _ in range(config["encoder_layers"]))
        self.layer_norm = LayerNorm(width)
        self.dropout = Dropout(config.get("dropout", 0.0))

    def forward(self, frames: Tensor) -> Tensor:
        x = F.gelu(self.conv2(F.gelu(self.conv1(frames)))).transpose(1, 2)
        x = self.dropout(x + self.embed_positions.weight)
        for layer in self.layers:
            x = layer(x)
        return self.layer_norm(x)

    def misfit(self, frames) -> str | None:
        bins = self.conv1.in_channels
        if tuple(frames.shape[1:]) == (bins, 2 * self.length):
            return None
        return f"frames have shape {tuple(frames.shape)}, the model takes (batch, {bins}, {2 * self.length})."


class Decoder(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        width = config["d_model"]
        self.embed_tokens = Embedding(config["vocab_size"], width, config.get("pad_token_id"))
        self.embed_positions = Embedding(config["max_target_positions"], width)
        self.layers = ModuleList(DecoderLayer(config) for _ in range(config["decoder_layers"]))
        self.layer_norm = LayerNorm(width)
        self.dropout = Dropout(config.get("dropout", 0.0))

    def forward(self, tokens: Tensor, sight: Sight, state: TranslationState, cached: bool) -> Tensor:
        x = self.dropout(self.embed_tokens(tokens) + self.embed_positions(sight.positions))
        for i in range(len(self.layers)):
            layer: Any = self.layers[i]
            memory = state.memory[i] if state.memory else None
            x = layer.read(x, sight, state.caches[i] if cached else None, memory, state.mask)
        return self.layer_norm(x)

    def memory_of(self, vectors: Tensor) -> list[KeysAndValues]:
        """What each layer attends to in what was heard."""
        layers: list[Any] = list(self.layers)
        return [layer.encoder_attn.keys_and_values(vectors) for layer in layers]


class Body(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        self.encoder, self.decoder = Encoder(config), Decoder(config)


class Whisper(TranslationModel):
    """Log-mel frames (batch, bins, frames) and tokens written so far (batch, length) to logits (batch, length, vocabulary).

    `encode(frames)` alone gives the vectors (batch, frames / 2, d_model).

    Example:
        >>> from helix.models.whisper import Whisper
        >>> config = {"vocab_size": 11, "d_model": 8, "num_mel_bins": 4, "max_source_positions": 6, "max_target_positions": 9}
        >>> for side in ("encoder", "decoder"):
        ...     config |= {f"{side}_layers": 1, f"{side}_attention_heads": 2, f"{side}_ffn_dim": 12}
        >>> Whisper(config)(helix.ones(1, 4, 12), helix.tensor([[0, 4]])).shape
        (1, 2, 11)
    """

    key_map = ((r"^(encoder|decoder)\.", r"model.\1."),)  # files of the model without its head

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.model = Body(config)
        self.proj_out = Linear(config["d_model"], config["vocab_size"], bias=False)
        if config.get("tie_word_embeddings", True):
            self.proj_out.weight = self.model.decoder.embed_tokens.weight

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Module:
        """What config["architectures"] says: the whole model, its decoder alone, or a classifier on its encoder."""
        return architecture_of(config, ARCHITECTURES, "WhisperForConditionalGeneration")(config)

    @property
    def longest(self) -> int:
        return self.config["max_target_positions"]

    def start(self, inputs: Tensor, attention_mask: Tensor | None = None) -> TranslationState:
        """Reads the frames, all of them: silence is no padding."""
        return super().start(inputs)

    def encode(self, inputs: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self.model.encoder(inputs)

    def memory_of(self, vectors: Tensor) -> list[KeysAndValues]:
        return self.model.decoder.memory_of(vectors)

    def decode(self, tokens: Tensor, sight: Sight, state: TranslationState, cached: bool) -> Tensor:
        return self.proj_out(self.model.decoder(tokens, sight, state, cached))


class DecoderAlone(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        self.decoder = Decoder(config)


class WhisperForCausalLM(LanguageModel):
    """The decoder alone: tokens (batch, length), and vectors of an encoder, (batch, positions, d_model), or none, to logits of
    each next token, (batch, length, vocabulary)."""

    key_map = ((r"^model\.encoder\.", None), *Whisper.key_map)

    def __init__(self, config: dict[str, Any]) -> None:
        self.config, self.model = config, DecoderAlone(config)
        self.proj_out = Linear(config["d_model"], config["vocab_size"], bias=False)
        if config.get("tie_word_embeddings", True):
            self.proj_out.weight = self.model.decoder.embed_tokens.weight

    @property
    def longest(self) -> int:
        return self.config["max_target_positions"]

    def forward(self, tokens: Tensor, vectors: Tensor | None = None, attention_mask: Tensor | None = None) -> Tensor:
        sight = sight_of(tokens.shape[1], attention_mask, device=tokens.device)
        return self.proj_out(self.model.decoder(tokens, sight, self.start(vectors), cached=False))

    def start(self, vectors: Tensor | None = None) -> TranslationState:
        """What `step` goes on from."""
        decoder = self.model.decoder
        return TranslationState([] if vectors is None else decoder.memory_of(vectors), None, len(decoder.layers))

    def step(
        self, tokens: Tensor, state: TranslationState | None = None, padding: Tensor | None = None
    ) -> tuple[Tensor, TranslationState]:
        state = self.start() if state is None else state
        if padding is not None:
            state.pad(padding)
        sight = state.ahead(tokens.shape[1], tokens.device)
        return self.proj_out(self.model.decoder(tokens, sight, state, cached=True)), state

    def loss(self, tokens: Tensor, labels: Tensor | None = None, **inputs: Any) -> Tensor:
        """Mean cross-entropy of labels, (batch, length), what follows each token, -100 where a position does not count; of the
        tokens themselves after the first unless given."""
        if labels is None:
            return super().loss(tokens, **inputs)
        return F.cross_entropy(self(tokens, **inputs).flatten(0, 1), labels.flatten(), ignore_index=IGNORED)


class WhisperForAudioClassification(Module):
    """Log-mel frames (batch, bins, frames) to logits (batch, classes)."""

    def __init__(self, config: dict[str, Any]) -> None:
        unsupported("WhisperForAudioClassification", config, use_weighted_layer_sum=False)
        self.config, width = config, config.get("classifier_proj_size", 256)
        self.encoder, self.projector = Encoder(config), Linear(config["d_model"], width)
        self.classifier = Linear(width, labels_of(config))

    def forward(self, frames: Tensor) -> Tensor:
        return self.classifier(self.projector(self.encoder(frames)).mean(1))

    def loss(self, frames: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy."""
        return class_loss(self(frames), labels, "single_label_classification")


ARCHITECTURES: dict[str, Any] = {
    "WhisperModel": Whisper,
    "WhisperForConditionalGeneration": Whisper,
    "WhisperForAudioClassification": WhisperForAudioClassification,
    "WhisperForCausalLM": WhisperForCausalLM,
}
