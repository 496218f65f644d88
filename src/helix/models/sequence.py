"""Models of sequences over state spaces, long convolutions, attention, and mixtures of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import nn
from ..nn import init
from ..tensor import Tensor
from .language import LanguageModel, bytes_after
from .mixers import MIXERS, WHOLE


class MixerBlock(nn.Module):
    """A mixer and, unless the mixer needs none, a feed-forward net, each after a norm and beside a residual."""

    norm2: Any
    feed: Any

    def __init__(self, mixer: nn.SequenceLayer, feed: nn.Module | None, dropout: float) -> None:
        self.norm1, self.mixer = nn.RMSNorm(mixer.d_model, 1e-5), mixer
        self.add_module("norm2", nn.RMSNorm(mixer.d_model, 1e-5) if feed is not None else None)
        self.add_module("feed", feed)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self._fed(x + self.dropout(self.mixer(self.norm1(x))))

    def stream(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        if state is not None and x.shape[1] == 1:
            mixed, state = self.mixer.step(self.norm1(x).squeeze(1), state)
            mixed = mixed.unsqueeze(1)
        else:
            mixed, state = self.mixer.stream(self.norm1(x), state)
        return self._fed(x + self.dropout(mixed)), state

    def _fed(self, x: Tensor) -> Tensor:
        return x if self.feed is None else x + self.dropout(self.feed(self.norm2(x)))


class MixerStack(nn.Module):
    """`depth` blocks and a last norm; `mixer` is one name of MIXERS, or several that take turns.

    feed: the width of feed-forward nets in dim; 0 for none; None gives 4, and none to Mamba's layers. experts: so many in
    place of each feed-forward net, of which a step takes two.
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        mixer: str | Sequence[str],
        length: int,
        feed: float | None = None,
        experts: int = 0,
        dropout: float = 0.0,
        mixer_options: dict[str, Any] | None = None,
    ) -> None:
        names = [mixer] if isinstance(mixer, str) else list(mixer)
        for name in names:
            if name not in MIXERS:
                raise ValueError(f"mixer: unknown name {name!r}; known: {', '.join(MIXERS)}")
        if not names:
            raise ValueError("mixer: give one name at least")
        self.dim = dim
        blocks = []
        for number in range(depth):
            name = names[number % len(names)]
            options = mixer_options or {}
            options = options.get(name, {}) if len(names) > 1 else options
            wide = (0 if name in WHOLE else 4) if feed is None else feed
            blocks.append(MixerBlock(MIXERS[name](dim, length, **options), _feed(dim, wide, experts), dropout))
        self.blocks, self.norm = nn.ModuleList(blocks), nn.RMSNorm(dim, 1e-5)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def stream(self, x: Tensor, states: list | None) -> tuple[Tensor, list]:
        after = []
        block: Any
        for number, block in enumerate(self.blocks):
            x, state = block.stream(x, states[number] if states else None)
            after.append(state)
        return self.norm(x), after


def _feed(dim: int, wide: float, experts: int) -> nn.Module | None:
    if not wide:
        return None
    hidden = int(wide * dim)
    if experts:
        return nn.MixtureOfExperts(dim, hidden, experts)
    return nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))


class SequenceDecoder(LanguageModel):
    """Tokens (batch, length) to logits (batch, length, vocabulary); position i sees tokens 0 … i.

    `step(tokens, state)` reads a text piece by piece; the states of Mamba, S4, S4D, S5 and H3 do not grow with the text,
    those of Hyena (up to `length`) and attention do. The options are those of MixerStack.

    Example:
        >>> model = helix.models.SequenceDecoder(dim=8, depth=2, mixer=["mamba", "attention"])
        >>> model(helix.tensor([[1, 2, 3]])).shape
        (1, 3, 256)
    """

    def __init__(
        self,
        vocabulary: int = 256,
        length: int = 128,
        dim: int = 128,
        depth: int = 4,
        mixer: str | Sequence[str] = "mamba",
        **options,
    ) -> None:
        self.length = length
        self.tokens = nn.Embedding(vocabulary, dim)
        self.stack = MixerStack(dim, depth, mixer, length, **options)
        self.head = nn.Linear(dim, vocabulary, bias=False)
        init.normal_(self.tokens.weight, 0.0, 0.02)
        init.normal_(self.head.weight, 0.0, 0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.stack(self.tokens(tokens)))

    @property
    def longest(self) -> int | None:
        return min((layer.l_max for layer in self.modules() if isinstance(layer, nn.HyenaOperator)), default=None)

    def step(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        x, state = self.stack.stream(self.tokens(tokens), state)
        return self.head(x), state

    def generate(
        self, prompts: Any, max_new_tokens: int = 20, temperature: float = 0.0, generator=None, **options
    ) -> Any:
        """Tokens that go on from prompts, as helix.models.generate has it; after bytes, the bytes that follow them, which may
        go beyond Hyena's `length`: the later half of what it holds is then read again."""
        options |= {"temperature": temperature, "generator": generator}
        if isinstance(prompts, bytes):
            return bytes_after(self, prompts, max_new_tokens, **options)
        return super().generate(prompts, max_new_tokens, **options)


def rows_of(x: Tensor) -> Tensor:
    """(batch, …, length, features) to (batch, length, all features of a step)."""
    return x.movedim(-2, 1).flatten(2)


def features_of(input_shape: Sequence[int]) -> int:
    """How many numbers a step of a sample holds."""
    if len(input_shape) < 2:
        raise ValueError(f"samples of shape {tuple(input_shape)} have no steps to go through")
    return math.prod(input_shape) // input_shape[-2]


class SequenceClassifier(nn.Module):
    """A class for a whole sequence: (batch, …, length, features) to (batch, classes), by the mean over steps.

    Images (batch, channels, height, width) are read row by row. The options are those of MixerStack.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: int,
        dim: int = 64,
        depth: int = 2,
        mixer: str | Sequence[str] = "mamba",
        **options,
    ) -> None:
        self.inputs = nn.Linear(features_of(input_shape), dim)
        self.stack = MixerStack(dim, depth, mixer, input_shape[-2], **options)
        self.head = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stack(self.inputs(rows_of(x))).mean(1))
