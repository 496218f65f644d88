"""helix.nn.functional: what layers compute, as functions of tensors, under torch's names and keywords.

Most are ops of the core (records marked HX_NN); helix.nn.functions has those that torch calls in more ways than a record
says, and those that are made of ops.
"""

from __future__ import annotations

from .. import _core
from .functions import (
    activations,
    attention,
    contrastive,
    convolutions,
    focal,
    linearloss,
    losses,
    overlap,
    pooling,
    products,
    random,
    scans,
    spatial,
    tables,
)

_FUNCTIONS = dict(_core.nn_functions())
for _module in (
    activations,
    attention,
    contrastive,
    convolutions,
    focal,
    linearloss,
    losses,
    overlap,
    pooling,
    products,
    random,
    scans,
    spatial,
    tables,
):
    _FUNCTIONS |= {name: getattr(_module, name) for name in _module.__all__}
globals().update(_FUNCTIONS)

__all__ = sorted(_FUNCTIONS)
