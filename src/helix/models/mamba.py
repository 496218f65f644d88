"""Mamba language models: Gu and Dao, "Mamba: linear-time sequence modeling with selective state spaces", 2023."""

from __future__ import annotations

from typing import Any

from .. import nn
from ..nn import init
from ..tensor import Tensor
from .language import LanguageModel, unsupported

State = list[Any]


class MambaBlock(nn.Module):
    """A mixer after a norm, beside a residual."""

    mixer: Any

    def __init__(self, width: int, eps: float, mixer: nn.SequenceLayer) -> None:
        self.norm, self.mixer = nn.RMSNorm(width, eps), mixer

    def forward(self, x: Tensor, state: Any, mask: Tensor | None) -> tuple[Tensor, Any]:
        mixed, state = self.mixer.stream(self.norm(x), state, mask)
        return x + mixed, state


class MambaBackbone(nn.Module):
    """All but the head."""

    def __init__(self, config: dict[str, Any], mixer: Any) -> None:
        width, eps = config["hidden_size"], config.get("layer_norm_epsilon", 1e-5)
        self.embeddings = nn.Embedding(config["vocab_size"], width)
        self.layers = nn.ModuleList(MambaBlock(width, eps, mixer(config)) for _ in range(config["num_hidden_layers"]))
        self.norm_f = nn.RMSNorm(width, eps)

    def forward(self, tokens: Tensor, states: State | None = None, mask: Tensor | None = None) -> tuple[Tensor, State]:
        x, after = self.embeddings(tokens), []
        for number, layer in enumerate(self.layers):
            x, state = layer(x, states[number] if states else None, mask)
            after.append(state)
        return self.norm_f(x), after


class MambaModel(LanguageModel):
    """What Mamba and Mamba-2 models share; `mixer` makes the layer of one block from the config.

    Reading a text piece by piece keeps a state for each layer, whose size does not grow with the text.
    """

    key_map = (
        (r"^(embeddings?|layers|norm_f)\.", r"backbone.\1."),  # files of the model without its head
        (r"^backbone\.embedding\.", "backbone.embeddings."),
    )
    tied = True

    @staticmethod
    def mixer(config: dict[str, Any]) -> nn.SequenceLayer:
        raise NotImplementedError("a family of Mamba models says which layer it is made of")

    def __init__(self, config: dict[str, Any]) -> None:
        unsupported(type(self).__name__, config, hidden_act="silu")
        self.config = config
        self.backbone = MambaBackbone(config, self.mixer)
        self.lm_head = nn.Linear(config["hidden_size"], config["vocab_size"], bias=False)
        if config.get("tie_word_embeddings", self.tied):
            self.lm_head.weight = self.backbone.embeddings.weight
        self._reset(config.get("initializer_range", 0.1))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MambaModel:
        return cls(config)

    def _reset(self, deviation: float) -> None:
        """Projections in and tables of deviation `initializer_range`; the mixers keep their own beginnings otherwise."""
        for block in self.backbone.layers:
            mixer: Any = block.get_submodule("mixer")
            init.normal_(mixer.in_proj.weight, 0.0, deviation)
            if mixer.conv1d.bias is not None:
                init.zeros_(mixer.conv1d.bias)
        init.normal_(self.backbone.embeddings.weight, 0.0, deviation)
        init.normal_(self.lm_head.weight, 0.0, deviation)

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self.lm_head(self.backbone(tokens, mask=attention_mask)[0])

    def step(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        x, state = self.backbone(tokens, state)
        return self.lm_head(x), state


class Mamba(MambaModel):
    """Tokens (batch, length) to logits (batch, length, vocabulary); position i sees tokens 0 … i.

    `attention_mask`, (batch, length), is 0 at padding. The head is the table of tokens unless the config unties them.

    Example:
        >>> from helix.models.mamba import Mamba
        >>> model = Mamba({"vocab_size": 11, "hidden_size": 4, "state_size": 2, "num_hidden_layers": 1})
        >>> model(helix.tensor([[1, 2, 3]])).shape
        (1, 3, 11)
    """

    @staticmethod
    def mixer(config: dict[str, Any]) -> nn.SequenceLayer:
        return nn.Mamba(
            config["hidden_size"],
            d_state=config.get("state_size", 16),
            d_conv=config.get("conv_kernel", 4),
            expand=config.get("expand", 2),
            dt_rank=config.get("time_step_rank", "auto"),
            dt_min=config.get("time_step_min", 0.001),
            dt_max=config.get("time_step_max", 0.1),
            dt_init=config.get("time_step_init_scheme", "random"),
            dt_scale=config.get("time_step_scale", 1.0),
            dt_init_floor=config.get("time_step_floor", 1e-4),
            conv_bias=config.get("use_conv_bias", True),
            bias=config.get("use_bias", False),
        )
