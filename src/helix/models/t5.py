"""T5: Raffel et al., "Exploring the limits of transfer learning with a unified text-to-text transformer", JMLR 2020."""

from __future__ import annotations

import math
from typing import Any

from .. import cat, full, full_like, int64, minimum, where
from .._core import tracing
from ..nn import Dropout, Embedding, LayerError, Linear, Module, ModuleList, RMSNorm, init
from ..nn.attend import attend, heads_of, joined
from ..nn.cache import KeyValueCache, Sight
from ..nn.masks import causal_distances, distances, keys_seen
from ..tensor import Tensor
from .activations import activation
from .heads import TokenClassifier, answer_loss, last_of
from .language import unlike_texts, unsupported
from .parts import architecture_of, class_loss, labels_of
from .translation import KeysAndValues, TranslationModel, TranslationState


def buckets(distance: Tensor, count: int, farthest: int, both: bool) -> Tensor:
    """The bucket of each distance (key position minus query position): half of them one a distance, the rest growing
    with its logarithm up to `farthest`; with `both`, later keys have buckets of their own, else they are in the first.

    Example:
        >>> from helix.models.t5 import buckets
        >>> buckets(helix.tensor([-300, -20, -1, 0, 1]), 8, 128, True).tolist()
        [3, 3, 1, 0, 5]
    """
    base = full_like(distance, 0)
    if both:
        count //= 2
        base = (distance > 0).to(int64) * count
        distance = distance.abs()
    else:
        distance = (0 - distance).clamp(min=0)
    exact = count // 2
    steps = (distance.clamp(min=1).to(_float()) / exact).log() / math.log(farthest / exact) * (count - exact)
    far = minimum(exact + steps.to(int64), full_like(distance, count - 1))
    return base + where(distance < exact, distance, far)


def _float() -> Any:
    from .. import float32

    return float32


class Attention(Module):
    """Scores are not scaled; they get a bias of the distance, which a stack's first layer holds for all of them."""

    def __init__(self, config: dict[str, Any], holds_bias: bool, both: bool) -> None:
        width, inner = config["d_model"], config["num_heads"] * config["d_kv"]
        self.heads, self.dropout, self.both = config["num_heads"], config.get("dropout_rate", 0.1), both
        self.q, self.k, self.v = (Linear(width, inner, bias=False) for _ in range(3))
        self.o = Linear(inner, width, bias=False)
        self.count = config.get("relative_attention_num_buckets", 32)
        self.farthest = config.get("relative_attention_max_distance", 128)
        if holds_bias:
            self.relative_attention_bias = Embedding(self.count, self.heads)

    def bias(self, queries: int, keys: int) -> Tensor:
        """(heads, queries + keys - 1), by distance, for queries that end where the keys do."""
        ahead = 0 - distances(queries, keys, device=self.q.weight.device)
        return self.relative_attention_bias(buckets(ahead, self.count, self.farthest, self.both)).t()

    def keys_and_values(self, x: Tensor) -> KeysAndValues:
        return heads_of(self.k(x), self.heads), heads_of(self.v(x), self.heads)

    def forward(self, x: Tensor, source: KeysAndValues, mask: Tensor | None, bias: Tensor | None = None) -> Tensor:
        share = self.dropout if self.training else 0.0
        query = heads_of(self.q(x), self.heads)
        return self.o(joined(attend(query, *source, None, share, mask=mask, bias=bias, scale=1.0)))


class FeedForward(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        width, inner = config["d_model"], config["d_ff"]
        kind = config.get("feed_forward_proj", "relu")
        self.gated = kind.startswith("gated-")
        name = kind.removeprefix("gated-")
        self.activation = activation("gelu_new" if self.gated and name == "gelu" else name)
        if self.gated:
            self.wi_0, self.wi_1 = Linear(width, inner, bias=False), Linear(width, inner, bias=False)
        else:
            self.wi = Linear(width, inner, bias=False)
        self.wo = Linear(inner, width, bias=False)
        self.dropout = Dropout(config.get("dropout_rate", 0.1))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.activation(self.wi_0(x)) * self.wi_1(x) if self.gated else self.activation(self.wi(x))
        return self.wo(self.dropout(inner))


class Part(Module):
    """One piece of a block, under its name in files, with the norm before it."""

    layer_norm: RMSNorm

    def __init__(self, name: str, piece: Module, config: dict[str, Any]) -> None:
        setattr(self, name, piece)
        self.layer_norm = RMSNorm(config["d_model"], config.get("layer_norm_epsilon", 1e-6))
        self.dropout = Dropout(config.get("dropout_rate", 0.1))
        self.name = name

    @property
    def piece(self) -> Any:
        return getattr(self, self.name)

    def forward(self, x: Tensor, *inputs: Any) -> Tensor:
        return x + self.dropout(self.piece(self.layer_norm(x), *inputs))


class Block(Module):
    def __init__(self, config: dict[str, Any], first: bool, decodes: bool) -> None:
        parts = [Part("SelfAttention", Attention(config, first, not decodes), config)]
        if decodes:
            parts.append(Part("EncDecAttention", Attention(config, False, True), config))
        parts.append(Part("DenseReluDense", FeedForward(config), config))
        self.layer = ModuleList(parts)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        bias: Tensor,
        cache: KeyValueCache | None,
        memory: KeysAndValues | None,
        seen: Tensor | None,
    ) -> Tensor:
        own: Any = self.layer[0]
        source = own.piece.keys_and_values(own.layer_norm(x))
        if cache is not None:
            source = cache.append(*source)
        x = own(x, source, mask, bias)
        if memory is not None:
            x = self.layer[1](x, memory, seen)
        return self.layer[-1](x)


class Stack(Module):
    def __init__(self, config: dict[str, Any], layers: int, decodes: bool, shared: Embedding) -> None:
        self.embed_tokens = shared
        self.block = ModuleList(Block(config, i == 0, decodes) for i in range(layers))
        self.final_layer_norm = RMSNorm(config["d_model"], config.get("layer_norm_epsilon", 1e-6))
        self.dropout = Dropout(config.get("dropout_rate", 0.1))

    def forward(
        self, tokens: Tensor, seen: Tensor | None, state: TranslationState | None = None, cached: bool = False
    ) -> Tensor:
        x, new = self.dropout(self.embed_tokens(tokens)), tokens.shape[1]
        before = state.length if state is not None and cached else 0
        first: Any = self.block[0]
        bias = first.layer[0].piece.bias(new, before + new)
        if state is not None:
            bias = bias + causal_distances(new, before + new, device=tokens.device)
        for i, block in enumerate(self.block):
            if state is None:
                x = block(x, seen, bias, None, None, None)
            else:
                x = block(x, seen, bias, state.caches[i] if cached else None, state.memory[i], state.mask)
        return self.dropout(self.final_layer_norm(x))

    def memory_of(self, vectors: Tensor) -> list[KeysAndValues]:
        """What each layer attends to in what was read."""
        blocks: list[Any] = list(self.block)
        return [block.layer[1].piece.keys_and_values(vectors) for block in blocks]


class T5(TranslationModel):
    """Tokens to read (batch, positions) and tokens written so far (batch, length) to logits (batch, length, vocabulary).

    `attention_mask`, (batch, positions), is 0 at padding.

    Example:
        >>> from helix.models.t5 import T5
        >>> model = T5({"vocab_size": 11, "d_model": 8, "d_kv": 4, "d_ff": 12, "num_layers": 1, "num_heads": 2})
        >>> model(helix.tensor([[1, 2, 3]]), helix.tensor([[0, 4]])).shape
        (1, 2, 11)
    """

    key_map = ((r"EncDecAttention\.relative_attention_bias\.", None),)  # which older files hold, and no model reads

    def __init__(self, config: dict[str, Any]) -> None:
        unsupported("T5", config, is_decoder=False)
        width, layers = config["d_model"], config["num_layers"]
        self.config, tied = config, config.get("tie_word_embeddings", True)
        self.shared = Embedding(config["vocab_size"], width)
        self.encoder = Stack(config, layers, False, self.shared)
        self.decoder: Stack = Stack(config, config.get("num_decoder_layers") or layers, True, self.shared)
        self.lm_head = Linear(width, config["vocab_size"], bias=False)
        if tied:
            self.lm_head.weight = self.shared.weight
        self.scale = width**-0.5 if config.get("scale_decoder_outputs", tied) else 1.0
        reset(self, config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Module:
        """What config["architectures"] says: the whole model, its encoder, or one with a head of a task."""
        return architecture_of(config, ARCHITECTURES, "T5ForConditionalGeneration")(config)

    def misfit(self, inputs, tokens=None, *_) -> str | None:  # type: ignore[override]
        return unlike_texts(inputs) or super().misfit(inputs, tokens)

    def encode(self, inputs: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self.encoder(inputs, keys_seen(attention_mask))

    def memory_of(self, vectors: Tensor) -> list[KeysAndValues]:
        return self.decoder.memory_of(vectors)

    def decode(self, tokens: Tensor, sight: Sight, state: TranslationState, cached: bool) -> Tensor:
        return self.lm_head(self.decoder(tokens, sight.mask, state, cached) * self.scale)


class T5Encoder(Module):
    """Tokens (batch, positions) to vectors (batch, positions, d_model); `attention_mask`, of their shape, is 0 at padding."""

    key_map = ((r"^(decoder|lm_head)\.", None),)  # in files of the whole model

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.shared = Embedding(config["vocab_size"], config["d_model"])
        self.encoder = Stack(config, config["num_layers"], False, self.shared)
        reset(self, config)

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self.encoder(tokens, keys_seen(attention_mask))

    def vectors(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self(tokens, attention_mask)

    def misfit(self, tokens, *_) -> str | None:
        return unlike_texts(tokens)


class Reader(Module):
    """Tokens (batch, length) to vectors (batch, length, d_model) of a decoder that reads them once more, one place later."""

    key_map: tuple[tuple[str, str | None], ...] = T5.key_map

    def __init__(self, config: dict[str, Any]) -> None:
        self.config, layers = config, config["num_layers"]
        self.shared = Embedding(config["vocab_size"], config["d_model"])
        self.encoder = Stack(config, layers, False, self.shared)
        self.decoder = Stack(config, config.get("num_decoder_layers") or layers, True, self.shared)

    def read(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        seen, first = keys_seen(attention_mask), self.config.get("decoder_start_token_id") or 0
        state = TranslationState(self.decoder.memory_of(self.encoder(tokens, seen)), seen)
        begin = full((tokens.shape[0], 1), first, dtype=tokens.dtype, device=tokens.device)
        return self.decoder(cat([begin, tokens[:, :-1]], 1), None, state, False)

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Any:
        return self.read(tokens, attention_mask)

    def misfit(self, tokens, *_) -> str | None:
        return unlike_texts(tokens)


class ClassificationHead(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        width = config["d_model"]
        self.dense, self.out_proj = Linear(width, width), Linear(width, labels_of(config))
        self.dropout = Dropout(config.get("classifier_dropout", 0.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.out_proj(self.dropout(self.dense(self.dropout(x)).tanh()))


class T5ForSequenceClassification(Module):
    """Logits (batch, classes) of whole texts, from the last end of a text (`eos_token_id`), which each row must have."""

    key_map = Reader.key_map

    def __init__(self, config: dict[str, Any]) -> None:
        self.config, self.transformer, self.classification_head = config, Reader(config), ClassificationHead(config)
        reset(self, config)

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        ends = tokens == self.config.get("eos_token_id", 1)
        vectors = self.transformer(tokens, attention_mask)
        if not tracing() and not ends.any(1).all().item():
            raise LayerError(
                self, f"every row of tokens needs the end of a text, {self.config.get('eos_token_id', 1)}."
            )
        return self.classification_head(last_of(vectors, ends))

    def loss(self, tokens: Tensor, labels: Tensor, **inputs: Any) -> Tensor:
        """Mean cross-entropy of classes; of each class apart for labels of floats; squared error for a single output."""
        return class_loss(self(tokens, **inputs), labels, self.config.get("problem_type"))


class T5ForQuestionAnswering(Reader):
    """Logits of where an answer begins and of where it ends, each (batch, length)."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.qa_outputs = Linear(config["d_model"], 2)
        reset(self, config)

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        begin, end = self.qa_outputs(self.read(tokens, attention_mask)).unbind(-1)
        return begin, end

    def loss(self, tokens: Tensor, start_positions: Tensor, end_positions: Tensor, **inputs: Any) -> Tensor:
        """Mean cross-entropy of both; positions are (batch,)."""
        return answer_loss(self(tokens, **inputs), start_positions, end_positions)


def _token_classifier(config: dict[str, Any]) -> Module:
    share = config.get("classifier_dropout", 0.0)
    return TokenClassifier(config, T5Encoder(config), "transformer", "classifier", labels_of(config), True, share)


def reset(model: Module, config: dict[str, Any]) -> None:
    """Deviations that stand in for the scale that scores lack."""
    width, inner, factor = (
        config["d_model"],
        config["num_heads"] * config["d_kv"],
        config.get("initializer_factor", 1.0),
    )
    wide = {"q": width * config["d_kv"], "o": inner, "wo": config["d_ff"], "shared": 1}
    for path, parameter in model.named_parameters():
        if parameter.ndim == 2:
            init.normal_(parameter, 0.0, factor * wide.get(path.split(".")[-2], width) ** -0.5)
        elif path.endswith("bias"):
            init.zeros_(parameter)


ARCHITECTURES: dict[str, Any] = {
    "T5ForConditionalGeneration": T5,
    "T5Model": T5,
    "T5EncoderModel": T5Encoder,
    "T5ForSequenceClassification": T5ForSequenceClassification,
    "T5ForTokenClassification": _token_classifier,
    "T5ForQuestionAnswering": T5ForQuestionAnswering,
}
