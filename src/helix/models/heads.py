"""What stands on a model of text: a class of the whole text, of each token, or where an answer lies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .. import arange
from ..nn import Dropout, Linear, Module
from ..nn import functional as F
from ..tensor import Tensor
from .language import IGNORED, unlike_texts
from .parts import class_loss, labels_of, reset

KeyMap = tuple[tuple[str, str | None], ...]


class Headless(Module):
    """A body alone: tokens (batch, length) to vectors (batch, length, width)."""

    def __init__(self, config: dict[str, Any], body: Module, prefix: str) -> None:
        self.config, self.prefix = config, prefix
        self.key_map: KeyMap = ((rf"^(?!{prefix}\.)", f"{prefix}."), *getattr(body, "key_map", ()))
        setattr(self, prefix, body)

    @property
    def body(self) -> Any:
        return getattr(self, self.prefix)

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None, **inputs: Any) -> Tensor:
        return self.body.vectors(tokens, attention_mask, **inputs)

    def misfit(self, tokens, *_) -> str | None:
        return unlike_texts(tokens)


class Headed(Headless):
    """A body, dropout, and one linear layer under the name that files give it."""

    def __init__(
        self, config: dict[str, Any], body: Module, prefix: str, head: str, outputs: int, bias: bool, dropout: float
    ) -> None:
        super().__init__(config, body, prefix)
        self.key_map, self.head = getattr(body, "key_map", ()), head
        self.dropout = Dropout(dropout)
        layer = Linear(config.get("hidden_size") or config.get("n_embd") or config["d_model"], outputs, bias)
        reset(layer, config)
        setattr(self, head, layer)

    def scores(self, tokens: Tensor, **inputs: Any) -> Tensor:
        """Of each token."""
        return getattr(self, self.head)(self.dropout(self.body.vectors(tokens, **inputs)))


class TokenClassifier(Headed):
    """Logits (batch, length, classes) of each token."""

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None, **inputs: Any) -> Tensor:
        return self.scores(tokens, attention_mask=attention_mask, **inputs)

    def loss(self, tokens: Tensor, labels: Tensor, **inputs: Any) -> Tensor:
        """Mean cross-entropy where labels, (batch, length), are not -100."""
        return F.cross_entropy(self(tokens, **inputs).flatten(0, 1), labels.flatten(), ignore_index=IGNORED)


class AnswerFinder(Headed):
    """Logits of where an answer begins and of where it ends, each (batch, length)."""

    def forward(  # type: ignore[override]
        self, tokens: Tensor, attention_mask: Tensor | None = None, **inputs: Any
    ) -> tuple[Tensor, Tensor]:
        begin, end = self.scores(tokens, attention_mask=attention_mask, **inputs).unbind(-1)
        return begin, end

    def loss(self, tokens: Tensor, start_positions: Tensor, end_positions: Tensor, **inputs: Any) -> Tensor:
        """Mean cross-entropy of both; positions are (batch,)."""
        return answer_loss(self(tokens, **inputs), start_positions, end_positions)


def answer_loss(scores: tuple[Tensor, Tensor], start: Tensor, end: Tensor) -> Tensor:
    """Mean cross-entropy of where an answer begins and ends; positions beyond the text do not count."""
    length = scores[0].shape[1]
    losses = [
        F.cross_entropy(s, at.clamp(0, length), ignore_index=length) for s, at in zip(scores, (start, end), strict=True)
    ]
    return (losses[0] + losses[1]) / 2


class TextClassifier(Headed):
    """Logits (batch, classes) of whole texts, from the last token that is not padding.

    Padding is what the config's pad_token_id says; without one, what `attention_mask` says.
    """

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None, **inputs: Any) -> Tensor:
        scores = self.scores(tokens, attention_mask=attention_mask, **inputs)
        pad = self.config.get("pad_token_id")
        seen = attention_mask if pad is None else tokens != pad
        return scores[:, -1] if seen is None else last_of(scores, seen)

    def loss(self, tokens: Tensor, labels: Tensor, **inputs: Any) -> Tensor:
        """Mean cross-entropy of classes; of each class apart for labels of floats; squared error for a single output."""
        return class_loss(self(tokens, **inputs), labels, self.config.get("problem_type"))


def last_of(x: Tensor, seen: Tensor) -> Tensor:
    """Of x, (batch, length, …), in each row what stands where `seen`, (batch, length), is not 0 for the last time."""
    places = arange(x.shape[1], device=x.device)
    return x[arange(x.shape[0], device=x.device), (places * (seen != 0)).argmax(-1)]


def _share(config: dict[str, Any]) -> float:
    given = (config.get(key) for key in ("classifier_dropout", "hidden_dropout"))
    return next((share for share in given if share is not None), 0.1)


def _classes(config: dict[str, Any], body: Callable[..., Module], prefix: str) -> Module:
    return TextClassifier(config, body(config), prefix, "score", labels_of(config), False, 0.0)


def _tokens(config: dict[str, Any], body: Callable[..., Module], prefix: str, head: str) -> Module:
    return TokenClassifier(config, body(config), prefix, head, labels_of(config), True, _share(config))


def _answers(config: dict[str, Any], body: Callable[..., Module], prefix: str) -> Module:
    return AnswerFinder(config, body(config), prefix, "qa_outputs", 2, True, 0.0)


def decoder_heads(
    family: str, body: Callable[..., Module], prefix: str, answers: str, head: str
) -> dict[str, Callable[..., Module]]:
    """Of a family of decoders: its architectures by name. prefix: of the body in files, `answers` where it is for those;
    head: the layer of token classes."""
    return {
        f"{family}ForSequenceClassification": partial(_classes, body=body, prefix=prefix),
        f"{family}ForTokenClassification": partial(_tokens, body=body, prefix=prefix, head=head),
        f"{family}ForQuestionAnswering": partial(_answers, body=body, prefix=answers),
    }
