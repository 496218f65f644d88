"""BERT: Devlin et al., "BERT: pre-training of deep bidirectional transformers for language understanding", NAACL 2019."""

from __future__ import annotations

from typing import Any

from .. import arange, zeros_like
from ..errors import ConfigError
from ..nn import Dropout, Embedding, LayerNorm, Linear, Module, ModuleList, Parameter
from ..nn import functional as F
from ..nn.cache import DecoderState, KeyValueCache, Sight, sight_of
from ..nn.masks import keys_seen
from ..tensor import Tensor
from .activations import activation
from .heads import AnswerFinder, TokenClassifier
from .language import IGNORED, LanguageModel, unsupported
from .parts import Dense, QueryKeyValue, architecture_of, class_loss, labels_of, reset


class Embeddings(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        width = config["hidden_size"]
        self.word_embeddings = Embedding(config["vocab_size"], width, config.get("pad_token_id"))
        self.position_embeddings = Embedding(config["max_position_embeddings"], width)
        self.token_type_embeddings = Embedding(config.get("type_vocab_size", 2), width)
        self.LayerNorm = LayerNorm(width, config.get("layer_norm_eps", 1e-12))
        self.dropout = Dropout(config.get("hidden_dropout_prob", 0.1))

    def forward(self, tokens: Tensor, types: Tensor | None, places: Tensor | None = None) -> Tensor:
        positions = self.position_embeddings(
            arange(tokens.shape[1], device=tokens.device) if places is None else places
        )
        kinds = self.token_type_embeddings(zeros_like(tokens) if types is None else types)
        return self.dropout(self.LayerNorm(self.word_embeddings(tokens) + kinds + positions))


class Output(Module):
    """A linear layer, and the norm of its result beside a residual."""

    def __init__(self, inputs: int, config: dict[str, Any]) -> None:
        self.dense = Linear(inputs, config["hidden_size"])
        self.LayerNorm = LayerNorm(config["hidden_size"], config.get("layer_norm_eps", 1e-12))
        self.dropout = Dropout(config.get("hidden_dropout_prob", 0.1))

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class Attention(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        width, share = config["hidden_size"], config.get("attention_probs_dropout_prob", 0.1)
        self.self = QueryKeyValue(width, config["num_attention_heads"], True, share)
        self.output = Output(width, config)

    def forward(
        self, x: Tensor, mask: Tensor | None, sight: Sight | None = None, cache: KeyValueCache | None = None
    ) -> Tensor:
        return self.output(self.self(x, mask, sight, cache), x)


class Layer(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        self.attention = Attention(config)
        self.intermediate = Dense(config["hidden_size"], config["intermediate_size"])
        self.output = Output(config["intermediate_size"], config)
        self.activation = activation(config.get("hidden_act", "gelu"))

    def forward(
        self, x: Tensor, mask: Tensor | None, sight: Sight | None = None, cache: KeyValueCache | None = None
    ) -> Tensor:
        x = self.attention(x, mask, sight, cache)
        return self.output(self.activation(self.intermediate(x)), x)


class Encoder(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        self.layer = ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        sight: Sight | None = None,
        caches: list[KeyValueCache] | None = None,
    ) -> Tensor:
        for i, layer in enumerate(self.layer):
            x = layer(x, mask, sight, caches[i] if caches else None)
        return x


class Bert(Module):
    """Tokens (batch, length) to vectors (batch, length, hidden_size), each of which sees all tokens; with `is_decoder` in the
    config those before it and its own.

    `attention_mask`, (batch, length), is 0 at padding; `token_type_ids` says which text a token belongs to.
    `pooled(vectors)` is the first one through a layer of its own, for classification.

    Example:
        >>> from helix.models.bert import Bert
        >>> sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
        >>> Bert({"vocab_size": 11, "max_position_embeddings": 8, **sizes})(helix.tensor([[1, 2, 3]])).shape
        (1, 3, 8)
    """

    key_map: tuple[tuple[str, str | None], ...] = (
        (r"embeddings\.position_ids$", None),  # numbers, which older files hold
        (r"LayerNorm\.gamma$", "LayerNorm.weight"),
        (r"LayerNorm\.beta$", "LayerNorm.bias"),
    )

    def __init__(self, config: dict[str, Any], pools: bool = True) -> None:
        unsupported("Bert", config, add_cross_attention=False, position_embedding_type="absolute")
        self.config, self.length = config, config["max_position_embeddings"]
        self.is_causal = bool(config.get("is_decoder", False))
        self.embeddings, self.encoder = Embeddings(config), Encoder(config)
        if pools:
            self.pooler = Dense(config["hidden_size"], config["hidden_size"])
        for module in self.modules():
            reset(module, config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Module:
        """What config["architectures"] says: the encoder alone, or with one of the heads of pre-training or of a task."""
        return architecture_of(config, ARCHITECTURES, "BertModel")(config)

    def forward(
        self, tokens: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        x = self.embeddings(tokens, token_type_ids)
        if self.is_causal:
            return self.encoder(x, None, sight_of(tokens.shape[1], attention_mask, device=tokens.device))
        return self.encoder(x, keys_seen(attention_mask))

    def read(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """The vectors of the next tokens of a text."""
        sight = state.ahead(tokens.shape[1], tokens.device)
        return self.encoder(self.embeddings(tokens, None, sight.positions), None, sight, state.caches)

    def vectors(
        self, tokens: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """The same, called by what stands on it: hooks run, and errors name the model."""
        return self(tokens, attention_mask, token_type_ids)

    def pooled(self, vectors: Tensor) -> Tensor:
        return self.pooler(vectors[:, 0]).tanh()

    def misfit(self, tokens, *_) -> str | None:
        if tokens.ndim == 2 and tokens.shape[1] <= self.length:
            return None
        shape = tuple(tokens.shape)
        return f"tokens have shape {shape}, the model takes (batch, length) with length up to {self.length}."


class Transform(Dense):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config["hidden_size"], config["hidden_size"])
        self.LayerNorm = LayerNorm(config["hidden_size"], config.get("layer_norm_eps", 1e-12))
        self.activation = activation(config.get("hidden_act", "gelu"))

    def forward(self, x: Tensor) -> Tensor:
        return self.LayerNorm(self.activation(self.dense(x)))


class Predictions(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        self.transform = Transform(config)
        self.decoder = Linear(config["hidden_size"], config["vocab_size"])
        assert self.decoder.bias is not None
        self.bias: Parameter = self.decoder.bias
        reset(self.decoder, config)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.transform(x))


class Heads(Module):
    """Those of pre-training, under their names in files."""

    predictions: Predictions
    seq_relationship: Linear

    def __init__(self, config: dict[str, Any], tokens: bool = True, sentences: bool = False) -> None:
        if tokens:
            self.predictions = Predictions(config)
        if sentences:
            self.seq_relationship = Linear(config["hidden_size"], 2)
            reset(self.seq_relationship, config)


class BertForMaskedLM(Module):
    """Logits (batch, length, vocabulary) of what stands at each position; the rest as Bert."""

    key_map = (
        *Bert.key_map,
        (r"^(bert\.pooler|cls\.seq_relationship)\.", None),  # of the pre-training, which files may still hold
    )

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.bert = Bert(config, pools=False)
        self.cls = Heads(config)
        _tie(self.bert, self.cls, config)

    def forward(
        self, tokens: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        return self.cls.predictions(self.bert(tokens, attention_mask, token_type_ids))

    def loss(self, tokens: Tensor, labels: Tensor, **inputs: Any) -> Tensor:
        """Mean cross-entropy where labels, (batch, length), are not -100."""
        return F.cross_entropy(self(tokens, **inputs).flatten(0, 1), labels.flatten(), ignore_index=IGNORED)


def _tie(bert: Bert, heads: Heads, config: dict[str, Any]) -> None:
    """What predicts tokens is the table of tokens, unless the config unties them."""
    if config.get("tie_word_embeddings", True):
        heads.predictions.decoder.weight = bert.embeddings.word_embeddings.weight


class BertLMHead(LanguageModel):
    """Tokens to logits of each next token, (batch, length, vocabulary); the rest as Bert. Text is generated by a decoder:
    `is_decoder` in the config."""

    key_map = BertForMaskedLM.key_map

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.bert, self.cls = Bert(config, pools=False), Heads(config)
        _tie(self.bert, self.cls, config)

    def forward(
        self, tokens: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        return self.cls.predictions(self.bert(tokens, attention_mask, token_type_ids))

    @property
    def longest(self) -> int:
        return self.bert.length

    def step(
        self, tokens: Tensor, state: DecoderState | None = None, padding: Tensor | None = None
    ) -> tuple[Tensor, DecoderState]:
        if not self.bert.is_causal:
            raise ConfigError(
                "HX3012 BertLMHead: only a decoder reads a text piece by piece; set is_decoder in the config."
            )
        state = DecoderState.going_on(state, len(self.bert.encoder.layer), padding)
        return self.cls.predictions(self.bert.read(tokens, state)), state


class BertForPreTraining(Module):
    """Logits of what stands at each position, (batch, length, vocabulary), and of whether the second text follows the first
    (0) or not (1), (batch, 2); the rest as Bert."""

    key_map = Bert.key_map

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.bert, self.cls = Bert(config), Heads(config, sentences=True)
        _tie(self.bert, self.cls, config)

    def forward(
        self, tokens: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        vectors = self.bert(tokens, attention_mask, token_type_ids)
        return self.cls.predictions(vectors), self.cls.seq_relationship(self.bert.pooled(vectors))

    def loss(self, tokens: Tensor, labels: Tensor, next_sentence_label: Tensor, **inputs: Any) -> Tensor:
        """The sum of both mean cross-entropies; labels, (batch, length), are -100 where a token does not count."""
        words, order = self(tokens, **inputs)
        masked = F.cross_entropy(words.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        return masked + F.cross_entropy(order, next_sentence_label)


class BertForNextSentencePrediction(Module):
    """Logits (batch, 2) of whether the second text follows the first (0) or not (1); the rest as Bert."""

    key_map = (*Bert.key_map, (r"^cls\.predictions\.", None))

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.bert, self.cls = Bert(config), Heads(config, tokens=False, sentences=True)

    def forward(
        self, tokens: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        return self.cls.seq_relationship(self.bert.pooled(self.bert(tokens, attention_mask, token_type_ids)))

    def loss(self, tokens: Tensor, labels: Tensor, **inputs: Any) -> Tensor:
        """Mean cross-entropy."""
        return F.cross_entropy(self(tokens, **inputs), labels)


class BertForSequenceClassification(Module):
    """Logits (batch, classes) of whole texts; the rest as Bert."""

    key_map = (*Bert.key_map, (r"^cls\.", None))

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.bert = Bert(config)
        self.dropout = Dropout(_share(config))
        self.classifier = Linear(config["hidden_size"], self.outputs(config))
        reset(self.classifier, config)

    @staticmethod
    def outputs(config: dict[str, Any]) -> int:
        return labels_of(config)

    def forward(
        self, tokens: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        return self.classifier(self.dropout(self.bert.pooled(self.bert(tokens, attention_mask, token_type_ids))))

    def loss(self, tokens: Tensor, labels: Tensor, **inputs: Any) -> Tensor:
        """Mean cross-entropy, of each class apart for labels of floats; squared error for a single output."""
        return class_loss(self(tokens, **inputs), labels, self.config.get("problem_type"))


class BertForMultipleChoice(BertForSequenceClassification):
    """Logits (batch, choices) of texts (batch, choices, length); the rest as Bert, with an axis of choices."""

    @staticmethod
    def outputs(config: dict[str, Any]) -> int:
        return 1

    def forward(
        self, tokens: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        given = (None if t is None else t.flatten(0, 1) for t in (tokens, attention_mask, token_type_ids))
        return super().forward(*given).reshape(tokens.shape[:2])  # type: ignore[arg-type]

    def loss(self, tokens: Tensor, labels: Tensor, **inputs: Any) -> Tensor:
        """Mean cross-entropy."""
        return F.cross_entropy(self(tokens, **inputs), labels)


def _share(config: dict[str, Any]) -> float:
    share = config.get("classifier_dropout")
    return config.get("hidden_dropout_prob", 0.1) if share is None else share


def _token_classifier(config: dict[str, Any]) -> Module:
    body = Bert(config, pools=False)
    return TokenClassifier(config, body, "bert", "classifier", labels_of(config), True, _share(config))


def _answer_finder(config: dict[str, Any]) -> Module:
    return AnswerFinder(config, Bert(config, pools=False), "bert", "qa_outputs", labels_of(config), True, 0.0)


ARCHITECTURES: dict[str, Any] = {
    "BertModel": Bert,
    "BertForPreTraining": BertForPreTraining,
    "BertForMaskedLM": BertForMaskedLM,
    "BertLMHeadModel": BertLMHead,
    "BertForNextSentencePrediction": BertForNextSentencePrediction,
    "BertForSequenceClassification": BertForSequenceClassification,
    "BertForMultipleChoice": BertForMultipleChoice,
    "BertForTokenClassification": _token_classifier,
    "BertForQuestionAnswering": _answer_finder,
}
