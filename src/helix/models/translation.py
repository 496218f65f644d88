"""What models share that read one sequence and write another: T5 and Whisper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .. import cat, full, where
from ..nn import functional as F
from ..nn.cache import DecoderState, Sight, sight_of
from ..nn.inference import evaluating
from ..nn.masks import keys_seen
from ..tensor import Tensor
from .generate import generate, stream
from .language import IGNORED, LanguageModel, unlike_texts

KeysAndValues = tuple[Tensor, Tensor]


class TranslationState(DecoderState):
    """A decoder's state, and what its layers attend to in the sequence that was read: nothing where there was none."""

    def __init__(self, memory: list[KeysAndValues], mask: Tensor | None, layers: int | None = None) -> None:
        super().__init__(len(memory) if layers is None else layers)
        self.memory, self.mask = memory, mask

    def select(self, rows: Tensor) -> TranslationState:
        memory = [(key.index_select(0, rows), value.index_select(0, rows)) for key, value in self.memory]
        mask = None if self.mask is None else self.mask.index_select(0, rows)
        made = TranslationState(memory, mask, len(self.caches))
        made.caches = [cache.select(rows) for cache in self.caches]
        made.padding = None if self.padding is None else self.padding.index_select(0, rows)
        return made


class TranslationModel(LanguageModel):
    """`forward(inputs, tokens)` gives the logits of each next token of what is written, (batch, length, vocabulary).

    Families say `encode` (inputs to vectors), `memory_of` (vectors to each layer's keys and values), and `decode`.
    """

    config: dict[str, Any]

    def encode(self, inputs: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        raise NotImplementedError

    def memory_of(self, vectors: Tensor) -> list[KeysAndValues]:
        raise NotImplementedError

    def decode(self, tokens: Tensor, sight: Sight, state: TranslationState, cached: bool) -> Tensor:
        raise NotImplementedError

    def start(self, inputs: Tensor, attention_mask: Tensor | None = None) -> TranslationState:
        """Reads the inputs; what `step` goes on from."""
        return TranslationState(self.memory_of(self.encode(inputs, attention_mask)), keys_seen(attention_mask))

    def forward(self, inputs: Tensor, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        sight = sight_of(tokens.shape[1], device=tokens.device)
        return self.decode(tokens, sight, self.start(inputs, attention_mask), cached=False)

    def step(
        self, tokens: Tensor, state: TranslationState | None = None, padding: Tensor | None = None
    ) -> tuple[Tensor, TranslationState]:
        if state is None:
            raise ValueError(f"{type(self).__name__}.step goes on from start(inputs), which was not given")
        if padding is not None:
            state.pad(padding)
        return self.decode(tokens, state.ahead(tokens.shape[1], tokens.device), state, cached=True), state

    def misfit(self, inputs, tokens=None, *_) -> str | None:  # type: ignore[override]
        return None if tokens is None else unlike_texts(tokens)

    def loss(self, inputs: Tensor, labels: Tensor, attention_mask: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Mean cross-entropy of labels, (batch, length), -100 where a position does not count; the decoder reads them one
        place later, after its first token."""
        tokens = where(labels == IGNORED, self._pad(), labels)[:, :-1]
        first = full((labels.shape[0], 1), self._first(), dtype=tokens.dtype, device=tokens.device)
        logits = self(inputs, cat([first, tokens], 1), attention_mask)
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)

    def _pad(self) -> int:
        return self.config.get("pad_token_id") or 0

    def _first(self) -> int:
        first = self.config.get("decoder_start_token_id")
        return self._pad() if first is None else first

    def _begun(self, inputs: Tensor, attention_mask: Tensor | None, prompts: Any, options: dict[str, Any]) -> Any:
        with evaluating(self):
            options["state"] = self.start(inputs, attention_mask)
        options.setdefault("eos_token_id", self.config.get("eos_token_id"))
        return [[self._first()]] * inputs.shape[0] if prompts is None else prompts

    def generate(  # type: ignore[override]
        self,
        inputs: Tensor,
        max_new_tokens: int = 20,
        attention_mask: Tensor | None = None,
        prompts: Sequence[Any] | None = None,
        **options: Any,
    ) -> list[list[int]]:
        """What is written after reading inputs, a row of tokens each, with the first token that every text begins with;
        prompts says other beginnings. Ends at the config's eos_token_id unless told. See helix.models.generate."""
        rows = self._begun(inputs, attention_mask, prompts, options)
        return generate(self, rows, max_new_tokens, **options)

    def stream(  # type: ignore[override]
        self,
        inputs: Tensor,
        max_new_tokens: int = 20,
        attention_mask: Tensor | None = None,
        prompts: Sequence[Any] | None = None,
        **options: Any,
    ) -> Iterator[list]:
        """The same, one token of each row at a time."""
        rows = self._begun(inputs, attention_mask, prompts, options)
        return stream(self, rows, max_new_tokens, **options)
