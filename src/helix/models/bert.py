"""BERT: Devlin et al., "BERT: pre-training of deep bidirectional transformers for language understanding", NAACL 2019."""

from __future__ import annotations

from typing import Any

from .. import arange, zeros_like
from ..autograd import no_grad
from ..nn import Dropout, Embedding, LayerNorm, Linear, Module, ModuleList, Parameter, init
from ..nn import functional as F
from ..nn.masks import keys_seen
from ..tensor import Tensor
from .activations import activation
from .language import IGNORED, unsupported
from .parts import Dense, QueryKeyValue, architecture_of, class_loss, labels_of


class Embeddings(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        width = config["hidden_size"]
        self.word_embeddings = Embedding(config["vocab_size"], width, config.get("pad_token_id"))
        self.position_embeddings = Embedding(config["max_position_embeddings"], width)
        self.token_type_embeddings = Embedding(config.get("type_vocab_size", 2), width)
        self.LayerNorm = LayerNorm(width, config.get("layer_norm_eps", 1e-12))
        self.dropout = Dropout(config.get("hidden_dropout_prob", 0.1))

    def forward(self, tokens: Tensor, types: Tensor | None) -> Tensor:
        positions = self.position_embeddings(arange(tokens.shape[1], device=tokens.device))
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

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self.output(self.self(x, mask), x)


class Layer(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        self.attention = Attention(config)
        self.intermediate = Dense(config["hidden_size"], config["intermediate_size"])
        self.output = Output(config["intermediate_size"], config)
        self.activation = activation(config.get("hidden_act", "gelu"))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = self.attention(x, mask)
        return self.output(self.activation(self.intermediate(x)), x)


class Encoder(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        self.layer = ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        for layer in self.layer:
            x = layer(x, mask)
        return x


class Bert(Module):
    """Tokens (batch, length) to vectors (batch, length, hidden_size), each of which sees all tokens.

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
        unsupported("Bert", config, is_decoder=False, add_cross_attention=False, position_embedding_type="absolute")
        self.config, self.length = config, config["max_position_embeddings"]
        self.embeddings, self.encoder = Embeddings(config), Encoder(config)
        if pools:
            self.pooler = Dense(config["hidden_size"], config["hidden_size"])
        for module in self.modules():
            reset(module, config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Module:
        """A Bert, BertForMaskedLM or BertForSequenceClassification, as config["architectures"] says."""
        return architecture_of(config, ARCHITECTURES, "BertModel")(config)

    def forward(
        self, tokens: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        return self.encoder(self.embeddings(tokens, token_type_ids), keys_seen(attention_mask))

    def pooled(self, vectors: Tensor) -> Tensor:
        return self.pooler(vectors[:, 0]).tanh()

    def misfit(self, tokens, *_) -> str | None:
        if tokens.ndim == 2 and tokens.shape[1] <= self.length:
            return None
        shape = tuple(tokens.shape)
        return f"tokens have shape {shape}, the model takes (batch, length) with length up to {self.length}."


def reset(module: Module, config: dict[str, Any]) -> None:
    if isinstance(module, (Linear, Embedding)):
        init.normal_(module.weight, 0.0, config.get("initializer_range", 0.02))
    if isinstance(module, Embedding) and module.padding_idx is not None:
        with no_grad():
            module.weight[module.padding_idx].fill_(0)
    if isinstance(module, Linear) and module.bias is not None:
        init.zeros_(module.bias)


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


class Head(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        self.predictions = Predictions(config)


class BertForMaskedLM(Module):
    """Logits (batch, length, vocabulary) of what stands at each position; the rest as Bert."""

    key_map = (
        *Bert.key_map,
        (r"^(bert\.pooler|cls\.seq_relationship)\.", None),  # of the pre-training, which files may still hold
    )

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.bert = Bert(config, pools=False)
        self.cls = Head(config)
        if config.get("tie_word_embeddings", True):
            self.cls.predictions.decoder.weight = self.bert.embeddings.word_embeddings.weight

    def forward(
        self, tokens: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        return self.cls.predictions(self.bert(tokens, attention_mask, token_type_ids))

    def loss(self, tokens: Tensor, labels: Tensor, **inputs: Any) -> Tensor:
        """Mean cross-entropy where labels, (batch, length), are not -100."""
        return F.cross_entropy(self(tokens, **inputs).flatten(0, 1), labels.flatten(), ignore_index=IGNORED)


class BertForSequenceClassification(Module):
    """Logits (batch, classes) of whole texts; the rest as Bert."""

    key_map = (*Bert.key_map, (r"^cls\.", None))

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.bert = Bert(config)
        share = config.get("classifier_dropout")
        self.dropout = Dropout(config.get("hidden_dropout_prob", 0.1) if share is None else share)
        self.classifier = Linear(config["hidden_size"], labels_of(config))
        reset(self.classifier, config)

    def forward(
        self, tokens: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        return self.classifier(self.dropout(self.bert.pooled(self.bert(tokens, attention_mask, token_type_ids))))

    def loss(self, tokens: Tensor, labels: Tensor, **inputs: Any) -> Tensor:
        """Mean cross-entropy; squared error for a single output."""
        return class_loss(self(tokens, **inputs), labels)


ARCHITECTURES: dict[str, Any] = {
    "BertModel": Bert,
    "BertForMaskedLM": BertForMaskedLM,
    "BertForSequenceClassification": BertForSequenceClassification,
}
