"""helix.nn.functional: what layers compute, as functions of tensors. All are ops of the core (records marked HX_NN)."""

from __future__ import annotations

from .. import _core

globals().update(_core.nn_functions())

__all__ = sorted(_core.nn_functions())
