"""Mamba-2 language models: Dao and Gu, "Transformers are SSMs", ICML 2024."""

from __future__ import annotations

import math
from typing import Any

from .. import nn
from ..errors import ConfigError
from .mamba import MambaModel


class Mamba2(MambaModel):
    """Tokens (batch, length) to logits (batch, length, vocabulary); position i sees tokens 0 … i.

    `attention_mask`, (batch, length), is 0 at padding. The head has weights of its own unless the config ties them.

    Example:
        >>> from helix.models.mamba2 import Mamba2
        >>> config = {"vocab_size": 11, "hidden_size": 4, "state_size": 2, "num_hidden_layers": 1, "num_heads": 2,
        ...           "head_dim": 4, "n_groups": 1}
        >>> Mamba2(config)(helix.tensor([[1, 2, 3]])).shape
        (1, 3, 11)
    """

    tied = False

    @staticmethod
    def mixer(config: dict[str, Any]) -> nn.SequenceLayer:
        width, expand = config["hidden_size"], config.get("expand", 2)
        heads, size = config.get("num_heads", 128), config.get("head_dim", 64)
        if heads * size != int(expand * width):
            raise ConfigError(
                f"HX3012 Mamba2: num_heads ({heads}) times head_dim ({size}) is not expand * hidden_size "
                f"({int(expand * width)}).",
                op="Mamba2",
                code="HX3012",
            )
        low, high = map(_number, config.get("time_step_limit", (0.0, math.inf)))
        return nn.Mamba2(
            width,
            d_state=config.get("state_size", 128),
            d_conv=config.get("conv_kernel", 4),
            expand=expand,
            headdim=size,
            ngroups=config.get("n_groups", 8),
            dt_min=config.get("time_step_min", 0.001),
            dt_max=config.get("time_step_max", 0.1),
            dt_init_floor=config.get("time_step_floor", 1e-4),
            dt_limit=(low, high),
            bias=config.get("use_bias", False),
            conv_bias=config.get("use_conv_bias", True),
            chunk_size=min(64, config.get("chunk_size", 256)),
            eps=config.get("layer_norm_epsilon", 1e-5),
        )


def _number(value: Any) -> float:
    """transformers writes infinity, which JSON lacks, as {"__float__": "Infinity"}."""
    return float(value["__float__"] if isinstance(value, dict) else value)
