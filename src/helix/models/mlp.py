"""A multi-layer perceptron for tables and flat vectors."""

from __future__ import annotations

from .. import nn


def mlp(inputs: int, outputs: int, hidden: int = 128, depth: int = 2, dropout: float = 0.0) -> nn.Sequential:
    """`depth` hidden layers of `hidden` units, each with layer norm and GELU."""
    layers: list[nn.Module] = [nn.Flatten()]
    for _ in range(depth):
        layers += [nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Dropout(dropout)]
        inputs = hidden
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))
