"""From logits to the next token: the likeliest one, or one that is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import bool as boolean
from .. import full_like, multinomial, ones_like, where, zeros
from ..errors import ParameterError
from ..tensor import Tensor


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen. temperature 0 takes the likeliest; else one is drawn from softmax(logits / temperature),
    cut to the top_k likeliest (0: all) and to the fewest whose probabilities reach top_p (Holtzman et al., "The curious
    case of neural text degeneration", ICLR 2020). repetition_penalty divides the logits, multiplies those below 0, of
    tokens already in the text (Keskar et al., "CTRL", 2019)."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    generator: Any = None

    def __post_init__(self) -> None:
        require(self.temperature >= 0, "temperature", "must not be negative", self.temperature)
        require(self.top_k >= 0, "top_k", "must not be negative", self.top_k)
        require(0 < self.top_p <= 1, "top_p", "must lie in (0, 1]", self.top_p)
        require(self.repetition_penalty > 0, "repetition_penalty", "must be positive", self.repetition_penalty)
        if self.temperature == 0:
            require(self.top_k == 0, "top_k", "cuts what is drawn: give a temperature above 0", self.top_k)
            require(self.top_p == 1, "top_p", "cuts what is drawn: give a temperature above 0", self.top_p)

    def choose(self, logits: Tensor, seen: Tensor | None) -> Tensor:
        """A token for each row of logits (batch, vocabulary); seen, of the same shape, is True at tokens of the text."""
        scores = self.penalized(logits, seen)
        if self.temperature == 0:
            return scores.argmax(-1)
        scores = scores / self.temperature
        if 0 < self.top_k < scores.shape[-1]:
            least = scores.topk(self.top_k, -1)[0][:, -1:]
            scores = scores.masked_fill(scores < least, float("-inf"))
        if self.top_p < 1:
            scores = _nucleus(scores, self.top_p)
        return multinomial(scores.softmax(-1), 1, generator=self.generator).squeeze(-1)

    def penalized(self, logits: Tensor, seen: Tensor | None) -> Tensor:
        if seen is None:
            return logits
        by = self.repetition_penalty
        return where(seen, where(logits > 0, logits / by, logits * by), logits)


def require(fits: bool, argument: str, what: str, got: Any) -> None:
    if not fits:
        text = f"HX1403 generate: {argument} {what}, got {got}."
        raise ParameterError(text, op="generate", code="HX1403", argument=argument, got=got)


def _nucleus(scores: Tensor, top_p: float) -> Tensor:
    """Without the tokens that those likelier than them already outweigh."""
    ordered, order = scores.sort(-1, descending=True)
    weights = ordered.softmax(-1)
    before = weights.cumsum(-1) - weights
    kept = where(before < top_p, ordered, full_like(ordered, float("-inf")))
    return scores.scatter(-1, order, kept)


def seen_in(tokens: Tensor, vocabulary: int, padding: Tensor | None = None) -> Tensor:
    """(batch, vocabulary), True at the tokens of each row; the first `padding` of a row do not count."""
    from .. import arange

    marks = ones_like(tokens, dtype=boolean)
    if padding is not None:
        marks = arange(tokens.shape[1], device=tokens.device) >= padding.unsqueeze(-1)
    counts = zeros(tokens.shape[0], vocabulary, device=tokens.device)
    return counts.scatter_add(-1, tokens, marks.to(counts.dtype)) > 0
