"""Activations under the names that config.json uses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..errors import ConfigError
from ..nn import functional as F
from ..tensor import Tensor

Activation = Callable[[Tensor], Tensor]


def _quick_gelu(x: Tensor) -> Tensor:
    return x * (1.702 * x).sigmoid()


ACTIVATIONS: dict[str, Activation] = {
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "gelu_fast": partial(F.gelu, approximate="tanh"),
    "quick_gelu": _quick_gelu,
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": F.tanh,
    "sigmoid": F.sigmoid,
}


def activation(name: str) -> Activation:
    if name not in ACTIVATIONS:
        known = ", ".join(sorted(ACTIVATIONS))
        raise ConfigError(f"HX3012 config.json: activation {name!r} is not one of: {known}.", code="HX3012")
    return ACTIVATIONS[name]
