"""What models of text share: a loss of the next token, and generation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import ConfigError
from ..nn import Module
from ..nn import functional as F
from ..tensor import Tensor
from .generate import ends_of, generate, stream
from .sampling import require

IGNORED = -100  # a label that does not count


class LanguageModel(Module):
    """`forward(tokens)` gives the logits of each next token, (batch, length, vocabulary).

    `step(tokens, state=None)` gives (logits, state) of the next piece of a text: state is None at its start, then what
    the step before returned. All that generates text is built on it.
    """

    def step(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        raise NotImplementedError(f"{type(self).__name__} does not say in step() how it reads a text piece by piece")

    @property
    def longest(self) -> int | None:
        """How many tokens a text can have at most; None where nothing limits them."""
        return None

    def loss(self, tokens: Tensor, labels: Tensor | None = None, **inputs: Any) -> Tensor:
        """Mean cross-entropy of each token after the first; labels are the tokens themselves unless given, -100 where
        a position does not count."""
        logits = self(tokens, **inputs)
        wanted = (tokens if labels is None else labels)[:, 1:]
        return F.cross_entropy(logits[:, :-1].flatten(0, 1), wanted.flatten(), ignore_index=IGNORED)

    def misfit(self, tokens, *_) -> str | None:
        return unlike_texts(tokens)

    def generate(self, prompts: Tensor | Sequence[Any], max_new_tokens: int = 20, **options: Any) -> Any:
        """Tokens that go on from prompts; see helix.models.generate."""
        return generate(self, prompts, max_new_tokens, **options)

    def stream(self, prompts: Tensor | Sequence[Any], max_new_tokens: int = 20, **options: Any) -> Iterator[list]:
        """The same, one token of each row at a time; see helix.models.generate."""
        return stream(self, prompts, max_new_tokens, **options)


def bytes_after(model: LanguageModel, prompt: bytes, count: int, **options: Any) -> bytes:
    """`count` bytes that follow others; when the positions are used up, the later half of what they hold is read again."""
    require(count >= 0, "max_new_tokens", "must not be negative", count)
    text, ends, longest = list(prompt or b"\n"), ends_of(options.get("eos_token_id")), model.longest
    begin = len(text)
    while len(text) < begin + count:
        context, room = text, begin + count - len(text)
        if longest is not None:
            context = text if len(text) <= longest else text[-max(1, longest // 2) :]
            room = min(room, longest - len(context) + 1)
        text += generate(model, [context], room, **options)[0][len(context) :]
        if text[-1] in ends:
            break
    return bytes(text[begin:])


def unlike_texts(tokens: Tensor) -> str | None:
    """Why these are no tokens (batch, length)."""
    shape = tuple(tokens.shape)
    return None if len(shape) == 2 else f"tokens have shape {shape}, the model takes (batch, length)."


def unsupported(model: str, config: dict[str, Any], **wanted: Any) -> None:
    """Refuses a config that asks for what a family does not have: `wanted` maps keys to the only values taken."""
    for key, value in wanted.items():
        if config.get(key, value) != value:
            raise ConfigError(
                f"HX3012 {model}: {key} = {config[key]!r} is not supported; only {value!r} is.", code="HX3012", op=model
            )
